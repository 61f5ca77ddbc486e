package fleet

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// An automatic region outage moves its groups in order: what others depend on first, then by priority, and only so many at once to one host. Whether a group may
// move at all is not decided here.

const (
	turnsPerAgent = 16 // moves at once to one host
	turnsAgain    = 32 // how many of those that wait for a turn are looked at when one is free
)

// turn says why a group of a dark region waits for others; "" if it is its turn. It never waits for a group that waits for it.
func (f *Fleet) turn(g *group, fs *decide.Facts) string {
	outage := f.outageOf(g.record.Active.Region)
	if outage != nil {
		if why := outage.Gate(g.name); why != "" {
			return why
		}
	}
	for _, name := range slices.Sorted(slices.Values(g.config.DependsOn)) {
		d := f.groups.get(name)
		if d == nil || d.record == nil || d.record.Gone != "" || f.waitsFor(d, g, nil) || outage != nil && outage.Skips(name) {
			continue
		}
		switch r := d.record; {
		case r.Running():
			return fmt.Sprintf("it depends on %s, whose %s is under way (%s)", name, r.Op.Verb, r.Op.ID)
		case f.regionOf(r.Active.Region).judged.Verdict == events.VerdictOut:
			return fmt.Sprintf("it depends on %s, which has not moved yet (`switchback why %s`): `switchback failover %s` moves it all the same", name, name, g.name)
		}
	}
	to := fs.Best()
	if m := g.record.Member(to); m != nil && f.towards[m.Agent] >= turnsPerAgent {
		return fmt.Sprintf("%d groups are moving to %s already, which is as many as may at once", f.towards[m.Agent], m.Agent)
	}
	return ""
}

// waitsFor reports whether a group depends on another one, however far away.
func (f *Fleet) waitsFor(g, other *group, way []string) bool {
	for _, name := range g.config.DependsOn {
		if name == other.name {
			return true
		}
		if d := f.groups.get(name); d != nil && !slices.Contains(way, name) && f.waitsFor(d, other, append(way, name)) {
			return true
		}
	}
	return false
}

// headsFor is the agent a group moves to; the zero value if it does not.
func headsFor(r *events.Record) events.AgentRef {
	if r == nil || !r.Running() {
		return events.AgentRef{}
	}
	if m := r.Member(r.Op.To); m != nil {
		return m.Agent
	}
	return events.AgentRef{}
}

// turned keeps count of who moves where, and has those looked at that a change may concern.
func (f *Fleet) turned(g *group, old, now *events.Record) {
	from, to := headsFor(old), headsFor(now)
	if from == to {
		return
	}
	if to != (events.AgentRef{}) {
		f.towards[to]++
	}
	if from == (events.AgentRef{}) {
		return
	}
	f.towards[from]--
	f.turns = f.called(f.turns, func(w *group) bool { return slices.Contains(w.config.DependsOn, g.name) }, func(w *group) { w.queued = false })
}

// called has the most urgent of those that wait looked at again, and whoever must be besides; each leaves the queue by out. Who waits on is returned.
func (f *Fleet) called(waiting []*group, must func(*group) bool, out func(*group)) []*group {
	slices.SortFunc(waiting, byUrgency)
	left := waiting[:0:0]
	for i, w := range waiting {
		if i >= turnsAgain && !must(w) {
			left = append(left, w)
			continue
		}
		out(w)
		f.touch(w)
	}
	return left
}

// queue notes that a group waits for its turn.
func (f *Fleet) queue(g *group) {
	if !g.queued {
		g.queued = true
		f.turns = append(f.turns, g)
	}
}

// byUrgency orders groups as they move where nothing else orders them.
func byUrgency(a, b *group) int {
	return cmp.Or(cmp.Compare(a.config.Priority, b.config.Priority), cmp.Compare(a.name, b.name))
}
