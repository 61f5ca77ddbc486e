package events

import (
	"fmt"
	"strings"
	"time"
)

// Rollout is a plan, and from when it is run the rollout of it: what a move of many groups would do, does and did. Its head stands here, its moves in parts of
// PartMoves each; both live in one of RolloutSlots places of the state stream, whose next holder replaces them. Everything a new leader needs to go on stands in
// them: what is begun and what came of it is stored in one batch with the records of the groups.
type Rollout struct {
	ID      string       `json:"id"`   // first characters of the hash
	Hash    string       `json:"hash"` // of everything planned: what a person saw is what is run
	Slot    int          `json:"slot"`
	Verb    string       `json:"verb"` // failover, switchover, failback, drill
	Region  string       `json:"region,omitempty"`
	Groups  []string     `json:"groups,omitempty"`
	Select  string       `json:"select,omitempty"`
	By      string       `json:"by"` // who planned it, and from when it runs who runs it; or "automation"
	Ask     string       `json:"ask,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Accept  bool         `json:"accept,omitempty"` // loss beyond the budget is accepted
	Blind   bool         `json:"blind,omitempty"`  // goes on while the controller is blind
	Limits  Limits       `json:"limits"`
	Waves   []Wave       `json:"waves,omitempty"`
	Parts   int          `json:"parts"`
	Moves   int          `json:"moves"`
	State   RolloutState `json:"state"`
	Rule    string       `json:"rule,omitempty"`   // the row that matched last, and
	Why     string       `json:"why,omitempty"`    // what it says
	Wave    int          `json:"wave"`             // the newest open wave, from 0
	Pace    int          `json:"pace,omitempty"`   // moves at once now
	Good    int          `json:"good,omitempty"`   // done since the pace last changed
	Spared  int          `json:"spared,omitempty"` // failed and unknown moves that a person accepted by going on
	Tally   Tally        `json:"tally"`
	Loss    PlanLoss     `json:"loss"`
	Bare    int          `json:"bare,omitempty"`    // groups that have no healthy passive after it, as planned
	Made    time.Time    `json:"made"`              // by the leader's wall clock, as is all below
	Began   time.Time    `json:"began,omitzero"`    // when it was run
	Ended   time.Time    `json:"ended,omitzero"`    // done or aborted
	Until   time.Time    `json:"until,omitzero"`    // the end of its window: no move begins after it; zero = none
	Auto    bool         `json:"auto,omitempty"`    // begun by the verdict on its region: an outage
	Heals   time.Time    `json:"heals,omitzero"`    // of an outage: when its region was heard again; zero = it lasts
	Calls   string       `json:"calls,omitempty"`   // of a scheduled one: the instant of the schedule it answers
	Takes   Duration     `json:"takes"`             // predicted
	Facts   []Fact       `json:"facts,omitempty"`   // what the row rests on
	Counted []WaveTally  `json:"counted,omitempty"` // per wave
	Notes   []string     `json:"notes,omitempty"`   // what a person should know before it is run
	Defunct string       `json:"defunct,omitempty"` // why the plan can't be run at all: a circle of dependencies
}

// EventType names the payload in the catalogue.
func (Rollout) EventType() string { return "switchback.rollout" }

// RolloutState is where a rollout stands.
type RolloutState string

// The states of a rollout.
const (
	RolloutPlanned RolloutState = "planned"
	RolloutRunning RolloutState = "running"
	RolloutPaused  RolloutState = "paused" // by a person: until resume
	RolloutHalted  RolloutState = "halted" // by a row: until resume, retry or abort
	RolloutDone    RolloutState = "done"
	RolloutAborted RolloutState = "aborted"
)

// Over reports whether nothing of it happens any more.
func (s RolloutState) Over() bool { return s == RolloutDone || s == RolloutAborted }

// Limits pace a rollout. In an ask 0 is the default, and a negative number is none.
type Limits struct {
	Canary    int      `json:"canary,omitempty"`              // groups of the first wave
	AtOnce    int      `json:"at_once,omitempty"`             // moves at once in all: the pace grows up to it
	PerAgent  int      `json:"per_agent,omitempty"`           // moves at once that one host takes part in
	PerRegion int      `json:"per_region,omitempty"`          // moves at once towards one region
	Restores  int      `json:"restores,omitempty"`            // restores at once that one host takes part in
	Restoring int      `json:"restores_per_region,omitempty"` // restores at once towards one region
	Soak      Duration `json:"soak,omitempty"`                // how long a wave must be well before the next one opens
	Budget    float64  `json:"budget,omitempty"`              // percent of all moves that may be failed or unknown
}

// Wave is one wave of a rollout, or its restores.
type Wave struct {
	Name  string   `json:"name"` // restore, canary, wave 2, …
	Verb  string   `json:"verb"` // what it does to its groups
	Moves int      `json:"moves"`
	Takes Duration `json:"takes"` // predicted, without the soak
	Soak  Duration `json:"soak,omitempty"`
}

// PlanLoss is what a plan expects to lose.
type PlanLoss struct {
	Bytes   int64    `json:"bytes"`
	Most    Duration `json:"most"`    // the group furthest behind, in time
	Unknown int      `json:"unknown"` // groups of which nobody can say
}

// Tally counts moves by state.
type Tally struct {
	Waits   int `json:"waits"`
	Runs    int `json:"runs"`
	Done    int `json:"done"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
	Held    int `json:"held"`
	Skipped int `json:"skipped"`
	Left    int `json:"left"`
}

// WaveTally is the tally of one wave.
type WaveTally = Tally

// Move is one operation of a rollout: what is to be done with one group, and what came of it.
type Move struct {
	Group  string    `json:"group"`
	Wave   int       `json:"wave"`
	Verb   string    `json:"verb"` // failover, switchover, failback, restore
	From   Ref       `json:"from"`
	To     Ref       `json:"to,omitzero"`
	Epoch  Epoch     `json:"epoch"`           // the group's when it was planned
	After  []string  `json:"after,omitempty"` // groups of the plan that move before it
	Bytes  int64     `json:"bytes,omitempty"` // may be lost, as planned; -1 = unknown
	Behind Duration  `json:"behind,omitempty"`
	Takes  Duration  `json:"takes"`            // predicted
	Copies int64     `json:"copies,omitempty"` // bytes a restore copies if it can't rewind, 0 = not known
	State  MoveState `json:"state,omitempty"`  // empty = waits
	Try    int       `json:"try,omitempty"`    // counts retries
	Op     string    `json:"op,omitempty"`     // the operation it began
	Rule   string    `json:"rule,omitempty"`   // the row that matched last, and
	Why    string    `json:"why,omitempty"`    // what it says; of one left out: the way to clear it
}

// MoveState is what became of a move.
type MoveState string

// The states of a move.
const (
	MoveWaits   MoveState = ""
	MoveRuns    MoveState = "runs"
	MoveDone    MoveState = "done"
	MoveFailed  MoveState = "failed"
	MoveUnknown MoveState = "unknown" // begun, and nobody can say yet what came of it
	MoveHeld    MoveState = "held"    // what it depends on failed
	MoveSkipped MoveState = "skipped" // by a person; of an outage also: its region was heard again first
	MoveLeft    MoveState = "left"    // never part of it: what blocks it was known when it was planned
)

// Over reports whether nothing comes of it any more unless a person asks.
func (s MoveState) Over() bool { return s != MoveWaits && s != MoveRuns && s != MoveUnknown }

// AskID is the id under which the move asks for its operation: derived, so that whoever leads asks for the same thing, and it is begun once.
func (m *Move) AskID(rollout string, n int) string {
	return fmt.Sprintf("rollout/%s/%d/%s/%d", rollout, n, m.Group, m.Try)
}

// RolloutPart is some moves of a rollout, in order.
type RolloutPart struct {
	Rollout string `json:"rollout"` // a part of another one in this place is a leftover
	No      int    `json:"no"`
	Moves   []Move `json:"moves"`
}

// EventType names the payload in the catalogue.
func (RolloutPart) EventType() string { return "switchback.rollout.part" }

// Bounds of what is stored. A part stays far below what a message of the bus may hold.
const (
	RolloutSlots = 32
	PartMoves    = 100
)

// PlanGood is how long a plan may be run after it was made.
const PlanGood = 15 * time.Minute

// SubjectRollouts begins the subject of every rollout.
const SubjectRollouts = Prefix + "ctl.rollout."

// SubjectRollout is where the head of the rollout in a slot lives.
func SubjectRollout(slot int) string { return fmt.Sprintf("%s%d", SubjectRollouts, slot) }

// SubjectRolloutPart is where one of its parts lives.
func SubjectRolloutPart(slot, part int) string {
	return fmt.Sprintf("%s%d.%d", SubjectRollouts, slot, part)
}

// String lists what is not zero: 38 done, 1 failed.
func (t Tally) String() string {
	var parts []string
	for _, x := range []struct {
		n    int
		what string
	}{{t.Done, "done"}, {t.Runs, "under way"}, {t.Waits, "waiting"}, {t.Failed, "failed"}, {t.Unknown, "unknown"}, {t.Held, "held"}, {t.Skipped, "skipped"}, {t.Left, "left out"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	if len(parts) == 0 {
		return "nothing to move"
	}
	return strings.Join(parts, ", ")
}

// About says what a rollout is of: a region, a selector, or how many groups.
func (r *Rollout) About() string {
	switch {
	case r.Region != "":
		return r.Region
	case r.Select != "":
		return r.Select
	case len(r.Groups) == 1:
		return r.Groups[0]
	}
	return fmt.Sprintf("%d groups", len(r.Groups))
}
