package rollout

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// at is one move as it is looked at.
type at struct {
	l   *look
	i   int
	m   *events.Move
	f   Fact
	why string // a sentence that the row's can't say
}

// running is the table of what came of a move that was begun. Nobody's silence is an answer: what is not known is asked for and counted as such.
var running = []row[*at]{
	{"move.done", "what it is for stands, or its operation says done", func(a *at) bool { return a.f.There || a.f.Op != nil && a.f.Op.Ended == "done" },
		func(a *at) { a.end(events.MoveDone) }, "done"},
	{"move.again", "an outage's, and its operation ended otherwise: its own rows say when it is tried again", func(a *at) bool {
		return a.l.s.Head.Auto && (a.f.Op == nil || a.f.Op.Ended != "")
	}, func(a *at) {
		if a.why = "its operation is gone from its record"; a.f.Op != nil {
			a.why = a.f.Op.EndWhy
		}
		m := a.l.s.edit(a.i)
		m.State, m.Try, m.Why = events.MoveWaits, m.Try+1, a.why
	}, ""},
	{"move.closed", "its operation was given up before anything was stopped, since a gate had closed that may open again, and not too often", func(a *at) bool {
		return a.f.Early && a.m.Try < mostTries
	}, func(a *at) {
		a.why = a.f.Op.EndWhy
		m := a.l.s.edit(a.i)
		m.State, m.Try, m.Op, m.Why = events.MoveWaits, m.Try+1, "", a.why
		a.l.s.mem.again[a.i] = a.l.f.Now.Add(again)
		delete(a.l.s.mem.since, a.i)
		halved(&a.l.s.Head)
	}, ""},
	{"move.failed", "its operation ended otherwise", func(a *at) bool { return a.f.Op != nil && a.f.Op.Ended != "" },
		func(a *at) { a.why = a.f.Op.EndWhy; a.end(events.MoveFailed) }, ""},
	{"move.gave-way", "the record knows its operation no more, and what it is for does not stand", func(a *at) bool { return a.f.Known && a.f.Op == nil },
		func(a *at) {
			if a.why = a.f.Ended; a.why == "" {
				a.why = fmt.Sprintf("%s went on without it: %s is active", a.m.Group, a.f.Active)
			}
			a.end(events.MoveFailed)
		}, ""},
	{"move.silent", "an agent whose word it hangs on is silent", func(a *at) bool { return a.f.Silent != "" },
		func(a *at) { a.set(events.MoveUnknown) }, "nobody knows yet what came of it: {silent}"},
	{"move.stalled", "a restore stands still", func(a *at) bool { return a.f.Stalls != "" }, func(a *at) { a.why = a.f.Stalls; a.set(events.MoveUnknown) }, ""},
	{"move.overdue", "it takes longer than any such move may", func(a *at) bool {
		limit := a.l.f.Limit(a.m.Verb)
		return limit > 0 && a.took() >= limit
	}, func(a *at) { a.set(events.MoveUnknown) }, "it should be over by now, and its agents do not say that it is"},
	{"move.runs", "it is under way", func(*at) bool { return true }, func(a *at) { a.set(events.MoveRuns) }, "under way"},
}

// waiting is the table of what a move that has not begun waits for. Whoever only waits for the pace (move.pace) is not looked at.
var waiting = []row[*at]{
	{"move.known", "its operation is under way or over already: begun by a leader that could not say so", func(a *at) bool { return a.f.Op != nil },
		func(a *at) { m := a.l.s.edit(a.i); m.Op, m.State = a.f.Op.ID, events.MoveRuns }, "begun"},
	{"move.there", "what it is for stands already", func(a *at) bool { return a.f.There }, func(a *at) { a.end(events.MoveDone) }, "nothing to do: it stands already"},
	{"move.gone", "the group is not under care any more", func(a *at) bool { return !a.f.Known }, func(a *at) { a.end(events.MoveFailed) }, "the group is not under care any more"},
	{"move.moved", "it is active elsewhere than planned", func(a *at) bool { return a.f.Active != a.m.From && a.l.first(a.i) },
		func(a *at) {
			a.why = fmt.Sprintf("it was moved meanwhile: planned from %s, and %s is active", a.m.From, a.f.Active)
			a.end(events.MoveFailed)
		}, ""},
	{"move.held", "what it depends on failed", func(a *at) bool { return a.l.needs(a) == events.MoveFailed }, func(a *at) { a.end(events.MoveHeld) }, ""},
	{"move.depends", "what it depends on is not over", func(a *at) bool { return a.l.needs(a) != events.MoveDone }, nil, ""},
	{"move.busy", "another operation of the group is under way", func(a *at) bool { return a.f.Busy != "" }, func(a *at) { a.why = a.f.Busy + " is under way" }, ""},
	{"move.refused", "it was refused within the last second", func(a *at) bool { return a.l.s.mem.again[a.i] > a.l.f.Now }, func(a *at) { a.why = a.l.s.mem.waits[a.i].Why }, ""},
	{"move.host", "a host takes part in as many as it may", func(a *at) bool { return a.l.hostFull(a) != "" }, func(a *at) { a.why = a.l.hostFull(a) }, ""},
	{"move.region", "its target region takes as many as it may", func(a *at) bool { return a.l.regionFull(a) }, nil, "{region} takes as many at once as it may"},
	{"move.begin", "it may begin", func(*at) bool { return true }, func(a *at) { a.l.take(a) }, "begins"},
}

// again is how long a refused move waits before it is asked for once more, and one that was given up before anything was stopped; mostTries is how often the latter is begun anew.
const (
	again     = time.Second
	mostTries = 5
)

func (a *at) took() time.Duration {
	since, known := a.l.s.mem.since[a.i]
	if !known {
		since = a.l.f.Now
		a.l.s.mem.since[a.i] = since
	}
	return a.l.f.Now.Sub(since)
}

// set notes where a move under way stands.
func (a *at) set(s events.MoveState) {
	was := a.m.State
	if was == s {
		return
	}
	m := a.l.s.edit(a.i)
	m.State = s
	if s == events.MoveUnknown {
		halved(&a.l.s.Head)
	}
}

// end notes what came of a move.
func (a *at) end(s events.MoveState) {
	m := a.l.s.edit(a.i)
	was := m.State
	m.State, m.Why = s, a.why
	switch {
	case s == events.MoveDone && was != events.MoveWaits:
		grew(&a.l.s.Head)
	case s == events.MoveFailed && was != events.MoveUnknown: // an unknown one was counted already
		halved(&a.l.s.Head)
	}
}
