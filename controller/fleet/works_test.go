package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// back lights r1: its agents read their commands again.
func (c *crowd) back() {
	c.dark = ""
	for _, k := range sortedKeys(c.stored) {
		if set, ok := c.stored[k].payload.(events.Set); ok && set.Cluster.Region == "r1" {
			c.obey(set)
		}
	}
}

// A region that is back is restored by so many at once to each host; whoever waits says so, and goes on when one is over. A plan says where a copy would not fit.
func TestRestoresTakeTurns(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 20, 2)
	c.darken(20)
	c.stuck = true
	c.back()
	for _, ref := range c.refs() {
		s := c.at[ref]
		if s.health.Size, s.health.Free = 100<<30, 200<<30; ref == crowdRef("r1", crowdName(7)) {
			s.health.Free = 1 << 30
		}
	}
	c.beats(true)
	under := func() (n int, most map[events.AgentRef]int) {
		most = map[events.AgentRef]int{}
		for i := range c.n {
			for _, m := range c.f.groups.get(crowdName(i)).record.Members {
				if m.Work != nil {
					n++
					most[m.Agent]++
				}
			}
		}
		return n, most
	}
	c.pass(time.Minute, func() bool { n, _ := under(); return n >= 2*worksPerAgent })
	until := c.now.Boot.Add(20 * time.Second)
	c.pass(time.Minute, func() bool { return c.now.Boot > until })
	n, most := under()
	for a, k := range most {
		if k != worksPerAgent {
			t.Errorf("%d restores are under way on %s: want %d", k, a, worksPerAgent)
		}
	}
	waits := 0
	for _, g := range c.f.View(c.now).Groups {
		for _, x := range g.Facts {
			if strings.HasPrefix(x.What, "restore of") && strings.Contains(x.Value, "as many as may be at once") {
				waits++
			}
		}
	}
	if waits != c.n-n {
		t.Errorf("%d restores are under way and %d wait: want %d", n, waits, c.n)
	}
	plan := c.ask(events.Ask{ID: "1", Verb: events.AskPlan, Do: events.AskFailback, Region: "r1"})
	for _, v := range c.f.View(c.now).Rollouts {
		if v.ID == plan.Rollout && !strings.Contains(strings.Join(v.Notes, "\n"), crowdName(7)+": if its home can't be rewound it has to be copied") {
			t.Errorf("a plan with a home that is too small for a copy says %q", v.Notes)
		}
	}
	c.lead() // counts what is under way anew
	c.pass(30*time.Second, func() bool { return c.now.Boot.Sub(c.f.started) > 15*time.Second })
	if again, most := under(); again != n {
		t.Errorf("%d restores under another leader: %v", again, most)
	}
	c.stuck = false
	c.back() // what they were told stands in their commands
	c.pass(5*time.Minute, func() bool {
		for i := range c.n {
			if m := c.f.groups.get(crowdName(i)).record.Members[0]; m.Role != events.RolePassive || m.Work != nil {
				return false
			}
		}
		return true
	})
}
