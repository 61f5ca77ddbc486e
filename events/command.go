package events

import (
	"fmt"
	"time"
)

// Candidate is one entry of a candidate list: a cluster that may be promoted, and so one whose promise an active must have
// before it runs on while the bus is down (G1, G3).
type Candidate struct {
	Cluster Ref      `json:"cluster"`
	Agent   AgentRef `json:"agent"`
	Peer    string   `json:"peer"`           // host:port of the agent's peer listener
	Cert    string   `json:"cert,omitempty"` // fingerprint of its certificate
}

// Set is the only command of a cluster: its desired state (2a-protocol, SET). Late and repeated delivery is harmless because an
// agent keeps the highest epoch, and within an epoch the highest stream sequence (A10).
type Set struct {
	Cluster    Ref         `json:"cluster"`
	Agent      string      `json:"agent"`
	Group      string      `json:"group"`
	Epoch      Epoch       `json:"epoch"`
	Role       Role        `json:"role"` // active or passive
	Version    uint64      `json:"version"`
	Candidates []Candidate `json:"candidates"`
	Mode       Mode        `json:"mode"`
	Isolation  Isolation   `json:"isolation,omitempty"`
	Peers      []string    `json:"peers,omitempty"`  // names of the group's other clusters, which may follow this one
	Config     uint64      `json:"config,omitempty"` // revision of the group's configuration Mode and Isolation are of
	Step       *Step       `json:"step,omitempty"`
	Sync       *SyncOrder  `json:"sync,omitempty"`  // active: whom its commits wait for; nil = that is not ours to say
	Tasks      *TaskPolicy `json:"tasks,omitempty"` // of a workflow: what may be done with the tasks that are hit
	Term       Seq         `json:"term"`            // the leader's, for the audit; safety never depends on it
}

// EventType names the payload in the catalogue.
func (Set) EventType() string { return "switchback.set" }

// SyncOrder is whom the commits of an active wait for (3-lifecycle, replication modes). It stands in the record's Sync before it is sent.
type SyncOrder struct {
	Version uint64   `json:"version"`         // of the record's Sync: no two orders of a group share one
	Names   []string `json:"names,omitempty"` // clusters, each of which every commit waits for, the last to join first; none = for nobody
}

// Verb is what a step asks an agent to do to a cluster besides holding its role.
type Verb string

// The verbs of a step.
const (
	VerbStop       Verb = "stop"        // clean stop: clients closed, standby.signal, fast stop; the answer carries the shutdown LSN
	VerbCut        Verb = "cut"         // cut the WAL receiver so that the LSN stands still; the answer carries it
	VerbCheckpoint Verb = "checkpoint"  // force one; also makes the new timeline visible in the control file
	VerbFollow     Verb = "follow"      // undo a cut, or follow another upstream
	VerbRestore    Verb = "restore"     // make it a follower of Source whatever state it is in: count what only it has, then follow, rewind or copy
	VerbRestart    Verb = "restart"     // stop it cleanly and start it again in its role
	VerbRelease    Verb = "release"     // take our mark, gate and slots out of it and leave it running
	VerbAccount    Verb = "account"     // open the ledger of the tasks that were hit while nothing ran; the answer comes once it is on disk, and the agent works on it by itself from then on
	VerbRetryTasks Verb = "retry-tasks" // retry what waits for a person in a ledger
	VerbFence      Verb = "fence"       // run the external fence of this agent against Victim, another cluster; an answer of done is a fence proof (C3c)
)

// Step is the work that rides on a SET. Only (epoch, role) matters to safety; an answer is found by the step's id.
type Step struct {
	ID       string        `json:"id"` // group/epoch/name, derived, never random
	Verb     Verb          `json:"verb"`
	Source   string        `json:"source,omitempty"`   // host:port to follow
	Until    LSN           `json:"until,omitempty"`    // cut: wait for this much first, as long as it still arrives
	Copy     bool          `json:"copy,omitempty"`     // restore: copy it anew, whatever could be kept
	Deadline time.Duration `json:"deadline,omitempty"` // from when the agent takes it
	Victim   *Victim       `json:"victim,omitempty"`   // fence: whom
	Account  string        `json:"account,omitempty"`  // account: the operation whose ledger it is
	Retry    *TaskRetry    `json:"retry,omitempty"`    // retry-tasks: which
}

// Victim is whom an external fence must make unable to acknowledge a write.
type Victim struct {
	Cluster Ref      `json:"cluster"`
	Agent   AgentRef `json:"agent"`             // of its host
	Address string   `json:"address,omitempty"` // where clients reach it
	Peer    string   `json:"peer,omitempty"`    // its agent's peer listener
}

// StepID derives the id of a step.
func StepID(group string, e Epoch, name string) string {
	return fmt.Sprintf("%s/%d/%s", group, e, name)
}

// Resume settles every group of an agent and then lets the named rejoins count (C8, A6).
type Resume struct {
	Agent  AgentRef           `json:"agent"`
	Lanes  [Lanes]*ResumeLane `json:"lanes"` // nil = not named
	Groups []Set              `json:"groups"`
	Term   Seq                `json:"term"`
}

// ResumeLane names exactly one rejoin of one lane.
type ResumeLane struct {
	Generation uint64 `json:"generation"`
	Rejoin     Seq    `json:"rejoin"`
}

// EventType names the payload in the catalogue.
func (Resume) EventType() string { return "switchback.resume" }
