package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// scheduled asks as the schedule does.
func (c *crowd) scheduled(a events.Ask) events.Answer {
	c.t.Helper()
	a.Actor, a.Verb = events.ActorSchedule, events.AskFailback
	for _, ans := range c.apply(AskSeen{Ask: a, Hash: "h"}) {
		if ans.ID == a.ID {
			return ans
		}
	}
	c.t.Fatalf("%s was not answered", a.ID)
	return events.Answer{}
}

// follow has every passive say that it came to its active's timeline.
func (c *crowd) follow() {
	for _, ref := range c.refs() {
		if s := c.at[ref]; s.health.Server == events.ServerRecovery {
			s.health.Timeline = c.at[c.other(ref)].health.Timeline
			c.report(ref)
		}
	}
}

// Groups that were moved away are on the agenda until they are home: with what stands in the way, how long all has been well, and the rollout that brings them home. The end of a
// schedule's window stops that rollout, the next occurrence takes over what is left, and nothing moves while automation is disarmed.
func TestHomeward(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 20, 1)
	for i := range c.n {
		k := events.SubjectGroup(crowdName(i))
		cfg := c.stored[k].payload.(events.GroupConfig)
		cfg.Failback = &events.Failback{Mode: events.FailbackAuto}
		c.stored[k] = stored{c.stored[k].seq, cfg}
	}
	c.lead()
	if a := c.f.Agenda(c.now); len(a.Homes) != 0 {
		t.Fatalf("all are at home, and %+v is to come home", a.Homes)
	}
	c.ask(events.Ask{ID: "1", Verb: events.AskSwitchover, Region: "r1", Limits: quick})
	c.pass(5*time.Minute, c.state(events.RolloutDone))
	c.pass(time.Minute, func() bool { return c.f.Agenda(c.now).Homes[0].Stable > 10*time.Second })
	c.follow()
	a := c.f.Agenda(c.now)
	if len(a.Homes) != c.n || a.Homes[0].When.Stable.D() != c.d.Flapping || a.Homes[0].Blocks != "" || a.Homes[0].Home != "r1" {
		t.Fatalf("%d come home, the first: %+v", len(a.Homes), a.Homes[0])
	}
	c.dark = "r1"
	c.pass(time.Minute, func() bool {
		h := c.f.Agenda(c.now).Homes[0]
		return h.Stable == 0 && strings.Contains(h.Blocks, "r1")
	})
	c.dark = ""
	c.pass(time.Minute, func() bool { return c.f.Agenda(c.now).Homes[0].Blocks == "" })

	var all []string
	for _, h := range a.Homes {
		all = append(all, h.Group)
	}
	c.hangs = func(string) bool { return true }
	first := c.scheduled(events.Ask{ID: "2", Groups: all, Limits: quick, Until: c.now.Wall.Add(5 * time.Second), Calls: "one"})
	if !first.Accepted {
		t.Fatalf("%+v", first)
	}
	c.pass(time.Minute, func() bool { return c.f.Agenda(c.now).Homes[0].Under == first.Rollout })
	c.pass(time.Minute, c.state(events.RolloutPaused))
	if h := c.rollout(); h.Rule != "rollout.window" && h.Rule != "rollout.paused" || h.Calls != "one" {
		t.Errorf("after its window: %s %s, answers %q", h.Rule, h.Why, h.Calls)
	}
	c.hangs = func(string) bool { return false }
	c.heal()
	c.pass(time.Minute, func() bool { return c.rollout().Tally.Runs+c.rollout().Tally.Unknown == 0 })
	var left []string
	for _, h := range c.f.Agenda(c.now).Homes {
		left = append(left, h.Group)
	}
	if len(left) == 0 || len(left) == c.n {
		t.Fatalf("%d of %d are left after the window", len(left), c.n)
	}
	c.ask(events.Ask{ID: "3", Verb: events.AskDisarm, Reason: "hands off"})
	if none := c.scheduled(events.Ask{ID: "4", Groups: left, Calls: "two"}); none.Accepted {
		t.Errorf("disarmed, and the schedule moves: %+v", none)
	}
	c.ask(events.Ask{ID: "5", Verb: events.AskArm})
	second := c.scheduled(events.Ask{ID: "6", Groups: left, Limits: quick, Until: c.now.Wall.Add(time.Hour), Calls: "three"})
	c.pass(5*time.Minute, func() bool { return len(c.f.Agenda(c.now).Homes) == 0 })
	for _, v := range c.f.View(c.now).Rollouts {
		if v.ID == first.Rollout && v.State != events.RolloutAborted || v.ID == second.Rollout && v.Calls != "three" {
			t.Errorf("rollout %s, which answers %q, is %s", v.ID, v.Calls, v.State)
		}
	}
}
