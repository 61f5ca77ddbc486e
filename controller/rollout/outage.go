package rollout

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// An outage is the rollout that the verdict on a region begins. Each group's own rows decide when it moves, as they would without it, so that nothing of it waits for a
// look at the whole: the rollout says who may not (it is paused or aborted, or a person skipped the group), shows where each group stands, and ends with a report.

// outages is the table of such a rollout as a whole.
var outages = []row[*look]{
	{"outage.over", "it is done or aborted", func(l *look) bool { return l.s.Head.State.Over() }, nil, "{state}"},
	{"outage.back", "its region was heard again: who has not moved stays", func(l *look) bool { return !l.s.Head.Heals.IsZero() && l.waits > 0 }, (*look).stay,
		"{region} is heard again: what has not moved stays where it is"},
	{"outage.paused", "a person paused it", func(l *look) bool { return l.s.Head.State == events.RolloutPaused && l.runs+l.waits > 0 }, nil,
		"paused: nothing begins until `switchback rollout resume {id}`; {runs} under way end by themselves"},
	{"outage.moves", "groups are moving, or have not moved yet", func(l *look) bool { return l.runs+l.waits > 0 }, nil, "{left} to go, {runs} under way"},
	{"outage.done", "nothing is left", func(*look) bool { return true }, func(l *look) {
		l.stop(events.RolloutDone)
		l.s.Head.Ended = l.f.Wall
		l.s.count()
	}, "done: {tally}"},
}

// dark is the table of a group that has not moved.
var dark = []row[*at]{
	{"move.gone", "the group is not under care any more", func(a *at) bool { return !a.f.Known }, func(a *at) { a.end(events.MoveFailed) }, "the group is not under care any more"},
	{"move.there", "it is active elsewhere, and serves", func(a *at) bool { return a.f.There }, (*at).arrive, "it is active elsewhere"},
	{"move.known", "its operation is under way", func(a *at) bool { return a.f.Op != nil && a.f.Op.Ended == "" }, func(a *at) {
		m := a.l.s.edit(a.i)
		m.Op, m.From, m.To, m.State, m.Why = a.f.Op.ID, a.f.Op.From, a.f.Op.To, events.MoveRuns, ""
	}, "begun"},
	{"move.waits", "its own rows let it wait", func(*at) bool { return true }, nil, "waits"},
}

// arrive ends a move whose group is active elsewhere, whoever moved it.
func (a *at) arrive() {
	m := a.l.s.edit(a.i)
	m.To = a.f.Active
	if a.f.Op != nil {
		m.Op = a.f.Op.ID
	}
	a.end(events.MoveDone)
}

// stay ends what has not moved.
func (l *look) stay() {
	for _, i := range l.s.open {
		if l.s.Move(i).State == events.MoveWaits {
			m := l.s.edit(i)
			m.State, m.Why = events.MoveSkipped, m.From.Region+" was heard again before it moved"
		}
	}
	l.left -= l.waits
	l.waits = 0
	l.out.Wake = l.f.Now
}

// darkMove reads off its group where a move stands that has not begun. Most have nothing to tell.
func (l *look) darkMove(i int, m *events.Move) {
	if l.f.Still != nil && l.f.Still(m) {
		l.waits++
		return
	}
	a := &at{l: l, i: i, m: m, f: l.f.Look(i, m)}
	r := l.decide(dark, a)
	switch now := l.s.Move(i); {
	case now.State.Over():
		l.tellMove(a, r, now.State)
	case now.State == events.MoveRuns:
		l.runs++
	default:
		l.waits++
	}
}

// Gate says why a group of an outage may not be moved by automation; "" if nothing of the rollout stands in the way.
func (s *State) Gate(group string) string {
	h := &s.Head
	if s.Skips(group) {
		return fmt.Sprintf("a person skipped it in rollout %s: `switchback failover %s` moves it all the same", h.ID, group)
	}
	if len(s.of[group]) == 0 {
		return ""
	}
	switch h.State {
	case events.RolloutPaused:
		return fmt.Sprintf("rollout %s of its region's outage is paused: `switchback rollout resume %s` goes on with it, `switchback failover %s` moves it all the same", h.ID, h.ID, group)
	case events.RolloutAborted:
		return fmt.Sprintf("rollout %s of its region's outage was aborted: `switchback failover %s` moves it all the same", h.ID, group)
	}
	return ""
}

// Skips reports whether a person took the group out.
func (s *State) Skips(group string) bool {
	for _, i := range s.of[group] {
		if s.Move(i).State == events.MoveSkipped {
			return true
		}
	}
	return false
}

// Lasts reports whether the outage it was begun by has not ended: it is the one of its region until then, also when it is done or aborted.
func (s *State) Lasts() bool { return s.Head.Auto && s.Head.Heals.IsZero() }

// Heal notes that the region of an outage was heard again.
func Heal(s *State, wall time.Time) { s.Head.Heals, s.dirty = wall, true }
