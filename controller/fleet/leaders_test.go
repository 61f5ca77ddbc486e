package fleet

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

func TestRolloutOfManyGroupsUnderLeaderLoss(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 200, 10)
	ans := c.ask(events.Ask{ID: "1", Verb: events.AskSwitchover, Region: "r1", Limits: quick})
	if !ans.Accepted || ans.Rollout == "" {
		t.Fatalf("answered %+v", ans)
	}
	leaders := 0
	c.pass(5*time.Minute, func() bool {
		if leaders++; leaders%12 == 0 {
			c.lead()
		}
		return c.rollout().State == events.RolloutDone
	})
	if h := c.rollout(); h.Tally.Done != 200 {
		t.Fatalf("%s", h.Tally)
	}
	if len(c.begun) != 200 {
		t.Errorf("%d moves were begun, want 200", len(c.begun))
	}
	c.once()
	again := c.ask(events.Ask{ID: "1", Verb: events.AskSwitchover, Region: "r1", Limits: quick})
	if again.Rollout != ans.Rollout || !again.Accepted {
		t.Errorf("the same ask was answered %+v", again)
	}
}
