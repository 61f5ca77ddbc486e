package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// A second region that goes out beside the first has an outage of its own, and all of it waits for a person: the rollout is there to be looked at, each of its moves says what it
// waits for, and so do the group and the region. The approval lets that very rollout go on, and it ends with its groups moved.
func TestSecondOutageWaitsForApproval(t *testing.T) {
	t.Parallel()
	const half = 20
	c := newCrowdOf(t, 2*half, 2, func(i int) (string, string) { return regions[i%2], "r3" })
	c.darken(half)
	first, _ := c.outage()
	c.pass(time.Minute, func() bool { h, _ := c.outage(); return h.State == events.RolloutDone })
	hub := BusSeen{Regions: regions} // its servers answer everywhere: the hosts of the databases are gone, not the leader's sight
	c.apply(hub)
	c.dusk = "r2"
	c.pass(2*time.Minute, func() bool { h, _ := c.outage(); return h.Region == "r2" })
	before, until := c.began, c.now.Boot.Add(time.Minute)
	c.pass(2*time.Minute, func() bool { return c.now.Boot > until })
	h, moves := c.outage()
	if h.ID == first.ID || h.State != events.RolloutRunning || h.Tally.Waits != half || h.Why != "20 to go, 0 under way" || c.began != before {
		t.Fatalf("the second outage is %s of %s, %s: %s (%s); %d moves were begun: want all of it to wait", h.State, h.Region, h.Tally, h.Why, h.Rule, c.began-before)
	}
	const asks = "`switchback approve --region r2`"
	for _, m := range moves {
		if m.Rule != "wait.max-regions-out" || !strings.Contains(m.Why, asks) {
			t.Fatalf("the move of %s waits by %s: %s; want what lets it go on", m.Group, m.Rule, m.Why)
		}
	}
	for _, g := range c.f.View(c.now).Groups {
		if g.Record.Active.Region == "r2" && (g.Rule != "wait.max-regions-out" || !strings.Contains(g.Why, asks)) {
			t.Fatalf("%s says %s: %s", g.Group, g.Rule, g.Why)
		}
	}
	c.lead() // another leader asks for nothing less
	c.apply(hub)
	c.pass(time.Minute, func() bool { return c.now.Boot.Sub(c.f.started) > 20*time.Second })
	if c.began != before {
		t.Fatalf("the next leader began %d moves without an approval", c.began-before)
	}

	if ans := c.ask(events.Ask{ID: "1", Verb: events.AskApprove, Region: "r2", Reason: "both are really gone"}); !ans.Accepted {
		t.Fatalf("%+v", ans)
	}
	c.pass(2*time.Minute, func() bool { now, _ := c.outage(); return now.State == events.RolloutDone })
	now, moves := c.outage()
	if now.ID != h.ID || now.Tally.Done != half || now.Why != "done: 20 done" {
		t.Errorf("approved, rollout %s ended as %s: %s, %s; want the one that waited, all done", h.ID, now.ID, now.Tally, now.Why)
	}
	for _, m := range moves {
		if m.To.Region != "r3" || m.Op == "" || c.f.groups.get(m.Group).record.Active != m.To {
			t.Errorf("move %+v, active is %s", m, c.f.groups.get(m.Group).record.Active)
		}
	}
	c.once()
}
