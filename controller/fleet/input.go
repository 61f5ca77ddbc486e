package fleet

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Snapshot is what a new term starts from: what is recorded, and hints that may be stale.
type Snapshot struct {
	Term       events.Seq
	Region     string // the leader's own
	Lanes      events.LaneSet
	Automation events.Automation
	AutoSeq    events.Seq // revision of Automation, 0 = none yet
	LanesSeq   events.Seq
	Fleet      events.FleetConfig
	Groups     []GroupConfig
	Records    []Record
	Rollouts   []RolloutStored
	Reports    []events.Report
	Commands   []Command       // the newest of each cluster and agent
	Health     []events.Health // last words, of unknown age
}

// Record is a stored record and its revision.
type Record struct {
	events.Record
	Revision events.Seq
}

// Command is where the newest command of a cluster stands in the stream, or an agent's RESUME: Cluster is events.ResumeCluster then.
type Command struct {
	Agent   events.AgentRef
	Cluster string
	Seq     events.Seq
}

// GroupConfig is a stored configuration and its revision.
type GroupConfig struct {
	events.GroupConfig
	Revision events.Seq
}

// Input is one thing that happened. The concrete types are below.
type Input interface{ input() }

// Tick lets time act.
type Tick struct{}

// Committed says that every batch of the last Effects is stored; Last is the sequence of the last message of each.
type Committed struct{ Last []events.Seq }

// LaneSeen is a stored message of a lane, as republished: received now (C1).
type LaneSeen struct {
	Lane       int
	Generation uint64
	Agent      events.AgentRef
	Seq        events.Seq
	Body       events.LaneBody
}

// LaneRead is the answer to a Read: the last message, or nothing (Seq 0). Failed = no answer.
type LaneRead struct {
	LaneSeen
	Failed bool
}

// RevokeResult is the answer to a Revocation. Stored: accepted at Seq; Refused: somebody published in between; neither: unknown.
type RevokeResult struct {
	Revocation
	Stored  bool
	Refused bool
	Seq     events.Seq
}

// LaneRebuilt says that an acceptor lost its disk and has a new, empty stream at this place (C9).
type LaneRebuilt struct {
	Lane  int
	Place events.LanePlace
}

// HealthSeen, ReportSeen and SawSeen are what agents and observers say.
type (
	HealthSeen struct{ events.Health }
	ReportSeen struct{ events.Report }
	SawSeen    struct{ events.Saw }
)

// AskSeen is what an operator asks; Hash is of its body, for the answer.
type AskSeen struct {
	events.Ask
	Hash string
}

// GroupSeen and FleetSeen are new configuration.
type (
	GroupSeen struct{ GroupConfig }
	FleetSeen struct{ events.FleetConfig }
)

// BusSeen says which hub regions answer this controller.
type BusSeen struct{ Regions []string }

func (Tick) input()         {}
func (Committed) input()    {}
func (LaneSeen) input()     {}
func (LaneRead) input()     {}
func (RevokeResult) input() {}
func (LaneRebuilt) input()  {}
func (HealthSeen) input()   {}
func (ReportSeen) input()   {}
func (SawSeen) input()      {}
func (AskSeen) input()      {}
func (GroupSeen) input()    {}
func (FleetSeen) input()    {}
func (BusSeen) input()      {}

// Effects is what must be done, in this order.
type Effects struct {
	Batches [][]Write // stored first, in order, each behind a message that carries the fence; a failure of any ends the term
	Revoke  []Revocation
	Read    []LaneKey
	Look    []events.Look
	Tell    []events.Notice
	Answers []events.Answer
	Rows    []string       // ids of the rows that matched and did not before, and of the upkeep done, for who counts them
	Wake    events.Instant // call Apply(Tick) no later than this
}

// Write is one message of a batch, conditional on its own revision where Last is given.
type Write struct {
	Subject string
	Payload events.Payload
	Last    *events.Seq
}

// MaxBatch is how many messages one atomic batch may hold, less the one that carries the fence: a message has one condition, and a record needs it
// for its own revision.
const MaxBatch = 999

// LaneKey names one lane.
type LaneKey struct {
	Lane       int
	Generation uint64
	Agent      events.AgentRef
}

// Revocation is a conditional publish that takes a lane away (C2).
type Revocation struct {
	LaneKey
	Expected events.Seq
	Attempt  string
}

// Now is the instant of an input: the boot clock for every decision, the wall clock for display only.
type Now struct {
	Boot events.Instant
	Wall time.Time
}
