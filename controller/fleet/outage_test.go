package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// outage is the newest rollout that a verdict began.
func (c *crowd) outage() (h events.Rollout, moves []events.Move) {
	for _, v := range c.f.View(c.now).Rollouts {
		if v.Auto {
			return v.Rollout, v.Moves(0, 1000)
		}
	}
	return h, nil
}

// darken silences r1 once the leader may believe in that, and waits until some of it has moved.
func (c *crowd) darken(moved int) {
	c.t.Helper()
	c.pass(time.Minute, func() bool { return c.f.horizon() < c.now.Boot.Sub(c.f.started) })
	c.dark = "r1"
	c.pass(2*time.Minute, func() bool {
		h, _ := c.outage()
		return h.ID != "" && h.Tally.Done >= moved
	})
}

// catch darkens r1 while no move comes to its end: as many as may at once are under way, and the others wait.
func (c *crowd) catch() {
	c.t.Helper()
	c.hangs = func(string) bool { return true }
	c.darken(0)
	c.pass(time.Minute, func() bool { h, _ := c.outage(); return h.Tally.Runs >= 2*turnsPerAgent })
	c.hangs = func(string) bool { return false }
}

// away counts the groups that are active elsewhere than in r1.
func (c *crowd) away() (n int) {
	for i := range c.n {
		if c.f.groups.get(crowdName(i)).record.Active.Region != "r1" {
			n++
		}
	}
	return n
}

// The verdict begins a rollout of every group of the region. It survives its leaders, begins nothing twice and ends with all moved.
func TestOutageIsARollout(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 200, 5)
	c.darken(20)
	h, _ := c.outage()
	if h.By != decide.Automation || h.Region != "r1" || h.Verb != events.AskFailover || h.Moves != 200 || len(h.Facts) == 0 || !strings.Contains(h.Reason, "r1 is out") {
		t.Errorf("the outage is %+v", h)
	}
	for range 3 {
		c.lead()
		n := 0
		c.pass(time.Minute, func() bool { n++; return n > 8 })
	}
	c.pass(5*time.Minute, func() bool { now, _ := c.outage(); return now.State == events.RolloutDone })
	now, moves := c.outage()
	if now.ID != h.ID || now.Tally.Done != 200 || now.Ended.IsZero() || c.away() != 200 {
		t.Errorf("%s became %s: %s, %d moved: want the same, all done", h.ID, now.ID, now.Tally, c.away())
	}
	for _, m := range moves {
		op := c.f.groups.get(m.Group).record.Op
		if m.Op != op.ID || m.To != op.To || op.By != decide.Automation || op.Ask != h.Ask {
			t.Fatalf("move %+v, operation %+v", m, op)
		}
	}
	c.lead()
	c.pass(30*time.Second, func() bool { return c.now.Boot.Sub(c.f.started) > 20*time.Second })
	if again, _ := c.outage(); again.ID != h.ID {
		t.Errorf("the same outage has another rollout: %s", again.ID)
	}
	c.once()
}

// A person pauses an outage, skips a group of it, and goes on: at once, and across leaders.
func TestOutageIsSteered(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100, 2)
	c.catch()
	h, moves := c.outage()
	if ans := c.ask(events.Ask{ID: "1", Verb: events.AskPause, Rollout: h.ID, Actor: "alice", Reason: "looks odd"}); !ans.Accepted {
		t.Fatalf("%+v", ans)
	}
	before := c.began
	c.heal()
	c.pass(time.Minute, func() bool { now, _ := c.outage(); return now.Tally.Runs == 0 })
	c.lead()
	c.pass(time.Minute, func() bool { return c.now.Boot.Sub(c.f.started) > 20*time.Second })
	if c.began != before {
		t.Errorf("%d moves were begun after the pause", c.began-before)
	}
	var skipped string
	for _, m := range moves {
		if g := c.f.groups.get(m.Group); g.record.Active.Region == "r1" && len(g.config.DependsOn) == 0 {
			skipped = m.Group
		}
	}
	waiting := c.f.groups.get(skipped)
	if waiting.rule != decide.RuleTurn || !strings.Contains(waiting.why, "switchback rollout resume "+h.ID) {
		t.Errorf("%s says %s: %s", skipped, waiting.rule, waiting.why)
	}
	if ans := c.ask(events.Ask{ID: "2", Verb: events.AskSkip, Rollout: h.ID, Group: skipped, Actor: "alice"}); !ans.Accepted {
		t.Fatalf("%+v", ans)
	}
	if ans := c.ask(events.Ask{ID: "3", Verb: events.AskResume, Rollout: h.ID, Actor: "alice"}); !ans.Accepted {
		t.Fatalf("%+v", ans)
	}
	c.pass(5*time.Minute, func() bool { now, _ := c.outage(); return now.State == events.RolloutDone })
	if c.away() != 99 || c.f.groups.get(skipped).record.Active.Region != "r1" {
		t.Errorf("%d groups moved, the skipped one to %s: want all but it", c.away(), c.f.groups.get(skipped).record.Active)
	}
	c.pass(time.Minute, func() bool { return strings.Contains(c.f.groups.get(skipped).why, "a person skipped it") })
	c.once()
}

// An aborted outage moves nothing more, also under another leader, until its region was heard again; the next outage is another one.
func TestOutageIsAborted(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100, 2)
	c.catch()
	h, _ := c.outage()
	if ans := c.ask(events.Ask{ID: "1", Verb: events.AskAbort, Rollout: h.ID, Actor: "alice"}); !ans.Accepted {
		t.Fatalf("%+v", ans)
	}
	c.heal()
	c.pass(time.Minute, func() bool { now, _ := c.outage(); return now.Tally.Runs == 0 })
	moved := c.away()
	c.lead()
	c.pass(time.Minute, func() bool { return c.now.Boot.Sub(c.f.started) > 20*time.Second })
	if c.away() != moved || moved == 100 {
		t.Errorf("%d groups moved, %d before the abort", c.away(), moved)
	}
	c.dark = ""
	c.pass(time.Minute, func() bool { now, _ := c.outage(); return !now.Heals.IsZero() })
	c.dark = "r1"
	c.pass(5*time.Minute, func() bool { now, _ := c.outage(); return now.ID != h.ID && now.State == events.RolloutDone })
	if c.away() != 100 {
		t.Errorf("%d groups moved in the second outage", c.away())
	}
}

// A region that is heard again keeps what has not moved, and its outage ends.
func TestOutageEndsWithTheRegion(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100, 2)
	c.catch()
	h, _ := c.outage()
	c.ask(events.Ask{ID: "1", Verb: events.AskPause, Rollout: h.ID, Actor: "alice"})
	c.heal()
	c.pass(time.Minute, func() bool { now, _ := c.outage(); return now.Tally.Runs == 0 })
	c.dark = ""
	c.pass(time.Minute, func() bool { now, _ := c.outage(); return now.State == events.RolloutDone })
	now, _ := c.outage()
	if now.Tally.Skipped == 0 || now.Tally.Skipped+now.Tally.Done != 100 || now.Tally.Skipped != 100-c.away() {
		t.Errorf("%s, %d moved", now.Tally, c.away())
	}
}

// What automation never moves is left out of an outage, with the way to move it; all regions silent begin none.
func TestOutageLeavesOut(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 10, 1)
	k := events.SubjectGroup(crowdName(3))
	cfg := c.stored[k].payload.(events.GroupConfig)
	cfg.Mode = events.ModeManual
	c.stored[k] = stored{c.stored[k].seq, cfg}
	c.lead()
	c.darken(9)
	h, moves := c.outage()
	if h.Tally.Left != 1 || h.State != events.RolloutDone {
		t.Fatalf("%s: %s", h.State, h.Tally)
	}
	for _, m := range moves {
		if (m.State == events.MoveLeft) != (m.Group == crowdName(3)) || m.State == events.MoveLeft && !strings.Contains(m.Why, "switchback failover "+m.Group) {
			t.Errorf("%+v", m)
		}
	}
}
