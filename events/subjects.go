package events

import (
	"fmt"
	"strconv"
	"strings"
)

// Prefix begins every subject.
const Prefix = "switchback."

// The fixed subjects of the state and configuration streams.
const (
	SubjectTerm       = Prefix + "ctl.epoch"
	SubjectLease      = Prefix + "ctl.lease"
	SubjectLanes      = Prefix + "ctl.lanes"
	SubjectAutomation = Prefix + "ctl.automation"
	SubjectFleet      = Prefix + "cfg.fleet"
	SubjectLook       = Prefix + "look" // plain messages: nothing is stored
	SubjectSaw        = Prefix + "saw"
	SubjectFull       = Prefix + "full" // a plain message without a body: every agent is to send a full health snapshot
	ResumeCluster     = "_resume"       // the token in a cluster's place on which an agent's RESUME travels
)

// SubjectRecord is where a group's record lives.
func SubjectRecord(group string) string { return Prefix + "rec." + group }

// SubjectGroup is where a group's configuration lives.
func SubjectGroup(group string) string { return Prefix + "cfg.group." + group }

// SubjectCommand is where the one command of a cluster lives; cluster is ResumeCluster for a RESUME.
func SubjectCommand(a AgentRef, cluster string) string {
	return Prefix + "cmd." + a.Region + "." + a.Agent + "." + cluster
}

// SubjectCommands is every command of one agent; SubjectDid the same as republished once stored, which is what agents subscribe.
func SubjectCommands(a AgentRef) string { return SubjectCommand(a, "*") }

// ParseCommand reads the subject of a command: whose it is, and the cluster, or ResumeCluster.
func ParseCommand(s string) (a AgentRef, cluster string, ok bool) {
	p := strings.Split(strings.TrimPrefix(s, Prefix), ".")
	if len(p) != 4 || p[0] != "cmd" {
		return AgentRef{}, "", false
	}
	return AgentRef{p[1], p[2]}, p[3], true
}

// SubjectDid is where an agent hears its commands once they are stored.
func SubjectDid(a AgentRef) string { return Prefix + "did." + a.Region + "." + a.Agent + ".*" }

// SubjectLane is an agent's subject at one acceptor.
func SubjectLane(lane int, generation uint64, a AgentRef) string {
	return Prefix + "beat." + strconv.Itoa(lane) + "." + strconv.FormatUint(generation, 10) + "." + a.Region + "." + a.Agent
}

// LaneBirth stands in an agent's place on the one message that every acceptor gets when it is made: where it is missing the acceptor lost its disk, and is
// there again, empty, under the same name (K1, C9).
var LaneBirth = AgentRef{"_hub", "_birth"}

// SubjectSeen is where a lane's message is republished once stored, which is how a leader sees beats.
func SubjectSeen(lane int, generation uint64, a AgentRef) string {
	return fmt.Sprintf("%sseen.%d.%d.%s.%s", Prefix, lane, generation, a.Region, a.Agent)
}

// ParseLaneSubject reads the subject of a lane or of its republished copy.
func ParseLaneSubject(s string) (lane int, generation uint64, a AgentRef, err error) {
	p := strings.Split(strings.TrimPrefix(s, Prefix), ".")
	if len(p) != 5 || (p[0] != "beat" && p[0] != "seen") {
		return 0, 0, AgentRef{}, fmt.Errorf("subject %q: want %sbeat.<lane>.<generation>.<region>.<agent>", s, Prefix)
	}
	n, err := strconv.ParseUint(p[1], 10, 8)
	generation, err2 := strconv.ParseUint(p[2], 10, 64)
	if err != nil || err2 != nil || n >= Lanes {
		return 0, 0, AgentRef{}, fmt.Errorf("subject %q: lane %q, generation %q: want 0 to %d and a number", s, p[1], p[2], Lanes-1)
	}
	return int(n), generation, AgentRef{p[3], p[4]}, nil
}

// LaneStream names the stream of one acceptor.
func LaneStream(lane int, generation uint64) string {
	return "SWITCHBACK_LEASE_" + strconv.Itoa(lane) + "_" + strconv.FormatUint(generation, 10)
}

// SubjectHealth is where an agent's health goes: part is "full" or "delta".
func SubjectHealth(a AgentRef, part string) string {
	return Prefix + "health." + a.Region + "." + a.Agent + "." + part
}

// SubjectReport is where an agent reports on one cluster.
func SubjectReport(a AgentRef, cluster string) string {
	return Prefix + "report." + a.Region + "." + a.Agent + "." + cluster
}

// SubjectOp is the fire-and-forget door, SubjectDo the request door, of one actor and verb.
func SubjectOp(actor, verb string) string { return Prefix + "op." + actor + "." + verb }

// SubjectDo is the request door of one actor and verb.
func SubjectDo(actor, verb string) string { return Prefix + "do." + actor + "." + verb }

// ParseOpSubject reads actor and verb from either door's subject.
func ParseOpSubject(s string) (actor, verb string, err error) {
	p := strings.Split(strings.TrimPrefix(s, Prefix), ".")
	if len(p) != 3 || (p[0] != "op" && p[0] != "do") {
		return "", "", fmt.Errorf("subject %q: want %sop.<actor>.<verb>", s, Prefix)
	}
	return p[1], p[2], nil
}

// SubjectEvent is where a notice goes: event.<type>.<group, rollout, region or fleet>.
func SubjectEvent(n Notice) string {
	about := n.Group
	if about == "" {
		about = n.Rollout
	}
	if about == "" {
		about = n.Region
	}
	if about == "" {
		about = "fleet"
	}
	return Prefix + "event." + n.Type + "." + about
}

// SubjectOperation is where the report of an ended operation is kept, as the notice that told its end.
func SubjectOperation(id string) string { return Prefix + "event.report." + id }

// SubjectAnswer is where the answer to an ask is kept, by a hash of the ask's id (ids are free text).
func SubjectAnswer(idHash string) string { return Prefix + "event.answer." + idHash }

// SubjectTasks is where a piece of a ledger is kept.
func SubjectTasks(group, operation string, part int) string {
	return Prefix + "event.tasks." + group + "." + operation + "." + strconv.Itoa(part)
}

// SubjectLedger is every piece of a ledger; of operation "*" every ledger of a group, of group "*" every ledger there is.
func SubjectLedger(group, operation string) string {
	return Prefix + "event.tasks." + group + "." + operation + ".*"
}
