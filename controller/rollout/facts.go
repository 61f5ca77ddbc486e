package rollout

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Facts is what a rollout is looked at with, gathered by the fleet at one instant.
type Facts struct {
	Now      events.Instant
	Wall     time.Time // display, and the end of a window
	Blind    bool
	Patience time.Duration                   // how long a move may be refused before it counts as failed
	Limit    func(verb string) time.Duration // how long a move may run before its outcome counts as unknown; 0 = as long as it takes
	Incident string                          // what goes on in the fleet that a planned move must not add to; empty = nothing
	Look     func(i int, m *events.Move) Fact
	Still    func(m *events.Move) bool // of an outage: nothing of a move's group has begun; nil = look
}

// Fact is what is known of the group of one move.
type Fact struct {
	Known  bool              // under care
	Active events.Ref        // where it is active now
	Op     *events.Operation // that bears the id the move asks under; nil = its record knows none
	There  bool              // what the move is for stands: the target is active and serves; the restored one follows
	Early  bool              // Op was given up before anything was stopped: it may pass later
	Busy   string            // another operation that is under way; empty = none
	Silent string            // whose word is missing; empty = nobody's
	Stalls string            // a restore that stands still; empty = it does not
	Ended  string            // why what the move began is gone from the record without having come to its end
	Unwell string            // why a moved group is not well; empty = it is
	Hosts  []events.AgentRef // that take part
}

// Outcome is what a look at a rollout decided.
type Outcome struct {
	Begin []int // moves to ask for, in this order; each answer goes to Answered before the next look
	Tell  []events.Notice
	Wake  events.Instant
}

// row is one line of a table: an id that is API, what must hold, what it does, and the sentence operators see.
type row[T any] struct {
	id   string
	when string // in words
	is   func(T) bool
	do   func(T)
	why  string
}

// match finds the first row that holds.
func match[T any](rows []row[T], at T) *row[T] {
	for i := range rows {
		if rows[i].is(at) {
			return &rows[i]
		}
	}
	return nil
}

// Row is one row of a table, for documents and tests.
type Row struct{ Table, ID, When, Why string }

// Rows lists the tables, in order.
func Rows() []Row {
	var rs []Row
	for _, r := range rollouts {
		rs = append(rs, Row{"rollout", r.id, r.when, r.why})
	}
	for _, r := range outages {
		rs = append(rs, Row{"outage", r.id, r.when, r.why})
	}
	for _, r := range running {
		rs = append(rs, Row{"running", r.id, r.when, r.why})
	}
	for _, r := range waiting {
		rs = append(rs, Row{"waiting", r.id, r.when, r.why})
	}
	for _, r := range dark {
		rs = append(rs, Row{"dark", r.id, r.when, r.why})
	}
	return rs
}
