package events

import (
	"reflect"
	"time"
)

// Payload is anything the catalogue knows.
type Payload interface{ EventType() string }

// Stream names, one per row of Streams. Lanes are named by LaneStream.
const (
	StreamState  = "SWITCHBACK_STATE"
	StreamConfig = "SWITCHBACK_CONFIG"
	StreamHealth = "SWITCHBACK_HEALTH"
	StreamReport = "SWITCHBACK_REPORT"
	StreamOps    = "SWITCHBACK_OPS"
	StreamEvents = "SWITCHBACK_EVENTS"
	StreamLease  = "SWITCHBACK_LEASE" // prefix; see LaneStream
)

// Stream is how one stream must look (4-bus, Streams). pkg/bus creates it so and checks that it is so.
type Stream struct {
	Name          string
	Subjects      []string
	Replicas      int  // 3, or 1 for a lane; a hub of one server has 1
	Memory        bool // else file
	PerSubject    int64
	Atomic        bool // atomic batch publish
	DenyRemoval   bool // deny purge and delete
	RepublishFrom string
	RepublishTo   string
	MaxAge        time.Duration
	Duplicates    time.Duration // deduplication window, 0 = the server's default
	Region        string        // lanes: the hub region it is pinned to; empty = anywhere
	Doc           string
}

// Streams returns every replicated stream; lanes come from Lane.
func Streams() []Stream {
	return []Stream{
		{
			Name: StreamState, Subjects: []string{Prefix + "ctl.>", Prefix + "rec.*", Prefix + "cmd.>"}, Replicas: 3, PerSubject: 1, Atomic: true, DenyRemoval: true,
			RepublishFrom: Prefix + "cmd.>", RepublishTo: Prefix + "did.>", Doc: "terms, lanes, records and commands: one stream, so one fence and one batch",
		},
		{Name: StreamConfig, Subjects: []string{Prefix + "cfg.>"}, Replicas: 3, PerSubject: 10, DenyRemoval: true, Atomic: true, Doc: "what the operators want"},
		{Name: StreamHealth, Subjects: []string{Prefix + "health.>"}, Replicas: 3, Memory: true, PerSubject: 1, Doc: "batched health per agent"},
		{Name: StreamReport, Subjects: []string{Prefix + "report.>"}, Replicas: 3, PerSubject: 1, DenyRemoval: true, Doc: "cumulative reports per cluster"},
		{Name: StreamOps, Subjects: []string{Prefix + "op.>"}, Replicas: 3, MaxAge: 30 * 24 * time.Hour, Duplicates: 10 * time.Minute, Doc: "what was asked, by whom"},
		{Name: StreamEvents, Subjects: []string{Prefix + "event.>"}, Replicas: 3, MaxAge: 90 * 24 * time.Hour, Doc: "every decision and non-decision"},
	}
}

// Lane is the stream of one acceptor.
func Lane(lane int, p LanePlace) Stream {
	suffix := LaneStream(lane, p.Generation)
	tail := suffix[len(StreamLease)+1:]
	dotted := []byte(tail)
	for i := range dotted {
		if dotted[i] == '_' {
			dotted[i] = '.'
		}
	}
	return Stream{
		Name: suffix, Subjects: []string{Prefix + "beat." + string(dotted) + ".>"}, Replicas: 1, PerSubject: 1, DenyRemoval: true, Region: p.Region,
		RepublishFrom: Prefix + "beat." + string(dotted) + ".>", RepublishTo: Prefix + "seen." + string(dotted) + ".>", Doc: "one acceptor of the agents' leases",
	}
}

// Entry is one row of the catalogue.
type Entry struct {
	Type    string // payload type
	Stream  string // empty: a plain message, never stored
	Subject string // pattern
	New     func() Payload
	Doc     string
}

// Catalogue is every message of the system, in the order of the one path.
var Catalogue = []Entry{
	entry[LaneBody](StreamLease, Prefix+"beat.<lane>.<generation>.<region>.<agent>", "an agent's beat, its rejoin, or the leader's revocation"),
	entry[Health](StreamHealth, Prefix+"health.<region>.<agent>.<full|delta>", "health of an agent, its clusters, its sightings"),
	entry[Look]("", SubjectLook, "the leader asks everybody elsewhere to look at a region"),
	entry[Saw]("", SubjectSaw, "what one observer saw there"),
	entry[Term](StreamState, SubjectTerm, "who leads; its sequence is the term"),
	entry[LaneSet](StreamState, SubjectLanes, "current generation and place of every acceptor"),
	entry[Automation](StreamState, SubjectAutomation, "what operators armed, disarmed and approved"),
	entry[Rollout](StreamState, Prefix+"ctl.rollout.<slot>", "a plan of a move of many groups, and the rollout of it"),
	entry[RolloutPart](StreamState, Prefix+"ctl.rollout.<slot>.<part>", "some of its moves, and what came of them"),
	entry[Record](StreamState, Prefix+"rec.<group>", "the truth about one group"),
	entry[Set](StreamState, Prefix+"cmd.<region>.<agent>.<cluster>", "desired state of one cluster"),
	entry[Resume](StreamState, Prefix+"cmd.<region>.<agent>."+ResumeCluster, "settles an agent's groups, then lets its rejoins count"),
	entry[Report](StreamReport, Prefix+"report.<region>.<agent>.<cluster>", "an agent's durable word on one cluster"),
	entry[FleetConfig](StreamConfig, SubjectFleet, "what holds for the whole fleet"),
	entry[GroupConfig](StreamConfig, Prefix+"cfg.group.<group>", "one group as the operators want it"),
	entry[Ask](StreamOps, Prefix+"op.<actor>.<verb>", "what an operator asks for"),
	entry[Answer](StreamEvents, Prefix+"event.answer.<id hash>", "what became of it"),
	entry[TaskPart](StreamEvents, Prefix+"event.tasks.<group>.<operation>.<part>", "a piece of a workflow's task ledger, by the agent that keeps it"),
	entry[Notice](StreamEvents, Prefix+"event.<type>.<about>", "every decision and non-decision, in a CloudEvents envelope"),
}

func entry[P Payload](stream, subject, doc string) Entry {
	var zero P
	return Entry{zero.EventType(), stream, subject, func() Payload { return reflect.New(reflect.TypeFor[P]()).Interface().(Payload) }, doc}
}
