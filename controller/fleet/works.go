package fleet

import (
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// Restores by automation take turns, as many at once as the fleet's file says: all of a region that is back at once would share its disks and its link, and none would be done
// soon. How fast each may fetch stands in its agent's file (rebuild_rate). A person's restore, and a rollout's, which has limits of its own, wait for nobody here, but count.

// workTurn says why a restore towards an agent waits; "" if it may begin.
func (f *Fleet) workTurn(a events.AgentRef) string {
	host, region := f.cfg.Restores()
	if n := f.works[a]; n >= host {
		return fmt.Sprintf("%d restores are under way on %s, which is as many as may be at once (restores_per_host)", n, a)
	}
	n := 0
	for _, x := range f.regionOf(a.Region).agents {
		n += f.works[x.ref]
	}
	if n >= region {
		return fmt.Sprintf("%d restores are under way in %s, which is as many as may be at once (restores_per_region)", n, a.Region)
	}
	return ""
}

// worked keeps count of where restores are under way, and has those looked at that waited for one that is over.
func (f *Fleet) worked(g *group, old, now *events.Record) {
	over := false
	for _, x := range []struct {
		r *events.Record
		n int
	}{{old, -1}, {now, 1}} {
		if x.r == nil {
			continue
		}
		for i := range x.r.Members {
			if m := &x.r.Members[i]; m.Work != nil && m.Work.Ended == "" {
				f.works[m.Agent] += x.n
				over = over || x.n < 0
			}
		}
	}
	if !over {
		return
	}
	f.restores = f.called(f.restores, func(*group) bool { return false }, func(w *group) { w.restores = false })
}

// queueRestore notes that a restore of a group waits for its turn.
func (f *Fleet) queueRestore(g *group, fs *decide.Facts) {
	if !g.restores && slices.ContainsFunc(fs.Members, func(c decide.Cluster) bool { return c.Turn != "" }) {
		g.restores = true
		f.restores = append(f.restores, g)
	}
}
