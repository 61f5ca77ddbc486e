package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// A dark region moves in order, and by so many at once to one host; the loss of leaders on the way changes neither.
func TestOutageMovesInOrder(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100, 2)
	c.pass(time.Minute, func() bool { return c.f.horizon() < c.now.Boot.Sub(c.f.started) })
	c.dark = "r1"
	served, waited := map[string]bool{}, 0
	seen := len(c.told)
	rounds := 0
	c.pass(2*time.Minute, func() bool {
		for _, n := range c.told[seen:] {
			switch n.Type {
			case events.NoticeServing:
				served[n.Group] = true
			case events.NoticeDecision:
				if on := c.f.groups.get(n.Group).config.DependsOn; len(on) > 0 && !served[on[0]] {
					t.Errorf("%s was moved before %s, which it depends on, served", n.Group, on[0])
				}
			case events.NoticeWait:
				if n.Rule == decide.RuleTurn {
					waited++
				}
			}
		}
		seen = len(c.told)
		for a, n := range c.f.towards {
			if n > turnsPerAgent || n < 0 {
				t.Errorf("%d groups are moving to %s at once, want 0 to %d", n, a, turnsPerAgent)
			}
		}
		if rounds++; rounds == 14 {
			c.lead() // in the middle
		}
		return len(served) == 100
	})
	if waited < 10 {
		t.Errorf("%d groups waited for their turn: want at least those that depend on others", waited)
	}
}

// A circle of dependencies that found its way into the configuration keeps nobody in a dark region.
func TestCircleKeepsNobody(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 3, 1)
	for i := range 3 {
		k := events.SubjectGroup(crowdName(i))
		cfg := c.stored[k].payload.(events.GroupConfig)
		cfg.DependsOn = []string{crowdName((i + 1) % 3)}
		c.stored[k] = stored{c.stored[k].seq, cfg}
	}
	c.lead()
	c.pass(time.Minute, func() bool { return c.f.horizon() < c.now.Boot.Sub(c.f.started) })
	c.dark = "r1"
	c.pass(time.Minute, func() bool {
		for i := range 3 {
			if c.f.groups.get(crowdName(i)).record.Active.Region != "r2" {
				return false
			}
		}
		return true
	})
	ans := c.ask(events.Ask{ID: "1", Verb: events.AskPlan, Do: events.AskFailover, Region: "r2"})
	if !strings.Contains(ans.Why, fmt.Sprintf("%s -> %s", crowdName(0), crowdName(1))) {
		t.Errorf("a plan says %q: want the circle", ans.Why)
	}
}
