package fleet

import (
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// rests notes which groups run tasks on which: those of kind airflow on what they depend on.
func (f *Fleet) rests(g *group, old, now *events.GroupConfig) {
	for _, name := range old.DependsOn {
		f.above[name] = slices.DeleteFunc(f.above[name], func(w *group) bool { return w == g })
	}
	if now.Kind != events.KindAirflow {
		return
	}
	for _, name := range now.DependsOn {
		f.above[name] = append(f.above[name], g)
		slices.SortFunc(f.above[name], byUrgency)
	}
}

// related has the groups looked at that a change of one may concern, by tasks of one that run on another.
func (f *Fleet) related(g *group) {
	for _, w := range f.above[g.name] {
		f.touch(w)
	}
	if g.config.Kind == events.KindAirflow {
		for _, name := range g.config.DependsOn {
			f.touch(f.groups.get(name))
		}
	}
}

// uses gathers what tasks of one group that run on another come to.
func (f *Fleet) uses(now events.Instant, g *group) (u decide.Uses) {
	if g.config.Kind == events.KindAirflow {
		for _, name := range slices.Sorted(slices.Values(g.config.DependsOn)) {
			d := f.groups.get(name)
			if d == nil || d.record == nil || d.record.Gone != "" {
				continue
			}
			if r := d.record; u.Moves == "" && r.Running() && r.Op.Planned && swapsOnPurpose(r.Op) {
				u.Moves = r.Op.ID
			}
			if why := f.unserved(now, d); u.Unserved == "" && why != "" {
				u.Unserved = why
			}
		}
		if u.Unserved != "" {
			g.unserved = now
		} else if g.unserved != 0 && now.Sub(g.unserved) < f.d.ClusterConfirm {
			u.Unserved = "what it depends on serves again only just"
		}
	}
	if g.record != nil && g.record.Running() && g.record.Op.Stage == events.StagePrepare {
		u.Busy = f.busyAbove(now, g)
	}
	return u
}

func swapsOnPurpose(op *events.Operation) bool {
	return op.Verb == events.AskSwitchover || op.Verb == events.AskFailback || op.Verb == events.AskDrill
}

// unserved says why a group does not serve; "" if it does.
func (f *Fleet) unserved(now events.Instant, d *group) string {
	r := d.record
	if r.Running() {
		return fmt.Sprintf("%s of %s is under way (%s)", r.Op.Verb, d.name, r.Op.ID)
	}
	c, a := f.clusters.get(r.Active), f.agents.get(r.Member(r.Active).Agent)
	switch {
	case c == nil || a == nil || f.silent(now, a) > 0:
		return fmt.Sprintf("the agent of %s, which is active in %s, is silent", r.Active, d.name)
	case !c.reported || c.report.Serving != r.Epoch || c.known && c.health.Down > 0:
		return fmt.Sprintf("%s, which is active in %s, does not serve", r.Active, d.name)
	}
	return ""
}

// busyAbove says which group that depends on one may still run tasks; "" if none does. Of one whose agent is silent nothing runs for long, and nobody could stop it.
func (f *Fleet) busyAbove(now events.Instant, g *group) string {
	for _, w := range f.above[g.name] {
		r := w.record
		if r == nil || r.Gone != "" || w.config.Mode == events.ModeObserve {
			continue
		}
		c, a := f.clusters.get(r.Active), f.agents.get(r.Member(r.Active).Agent)
		if c == nil || a == nil || f.silent(now, a) > 0 || !c.reported || r.Phase == events.PhaseActive && c.report.Serving != r.Epoch {
			continue
		}
		if why := decide.Drained(r, &c.report, g.record.Op.ID); why != "" {
			return why
		}
	}
	return ""
}
