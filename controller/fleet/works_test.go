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

// A region that is back is restored by so many at once to each host and in all, by the defaults or by the fleet's file; whoever waits says so, and goes on when one is over. A plan
// says where a copy would not fit.
func TestRestoresTakeTurns(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name       string
		cfg        events.FleetConfig
		host, most int // under way at once on one host at most; in all
	}{
		{"defaults", events.FleetConfig{MaxOut: 1}, events.DefaultRestoresPerHost, 2 * events.DefaultRestoresPerHost},
		{"as many as a host does", events.FleetConfig{MaxOut: 1, RestoresPerHost: 4}, 4, 8},
		{"fewer in the region", events.FleetConfig{MaxOut: 1, RestoresPerHost: 4, RestoresPerRegion: 5}, 4, 5},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			restoresTakeTurns(t, x.cfg, x.host, x.most)
		})
	}
}

func restoresTakeTurns(t *testing.T, cfg events.FleetConfig, host, most int) {
	c := newCrowd(t, 20, 2)
	c.cfg = cfg
	c.lead()
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
	under := func() (n int, on map[events.AgentRef]int) {
		on = map[events.AgentRef]int{}
		for i := range c.n {
			for _, m := range c.f.groups.get(crowdName(i)).record.Members {
				if m.Work != nil {
					n++
					on[m.Agent]++
				}
			}
		}
		return n, on
	}
	c.pass(time.Minute, func() bool { n, _ := under(); return n >= most })
	until := c.now.Boot.Add(20 * time.Second)
	c.pass(time.Minute, func() bool { return c.now.Boot > until })
	n, on := under()
	if n != most {
		t.Errorf("%d restores are under way: want %d", n, most)
	}
	for a, k := range on {
		if k > host {
			t.Errorf("%d restores are under way on %s: want at most %d", k, a, host)
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
	if again, on := under(); again != n {
		t.Errorf("%d restores under another leader: %v", again, on)
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
