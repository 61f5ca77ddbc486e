package words

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// RolloutNext says how a person goes on with a rollout that stands; "" if it needs nobody.
func RolloutNext(r *events.Rollout) string {
	switch {
	case r.State == events.RolloutHalted:
		return fmt.Sprintf("`switchback rollout retry %s` takes what failed up again, resume goes on without it, abort leaves it", r.ID)
	case r.State == events.RolloutPaused:
		return fmt.Sprintf("`switchback rollout resume %s` goes on", r.ID)
	case r.State == events.RolloutDone && r.Tally.Failed > 0:
		return fmt.Sprintf("`switchback rollout retry %s` takes what failed up again", r.ID)
	}
	return ""
}

// PlanLoss is what a plan expects to lose.
func PlanLoss(r *events.Rollout) string {
	text := Size(r.Loss.Bytes)
	if r.Loss.Bytes == 0 {
		text = "0"
	}
	if r.Loss.Most > 0 {
		text += fmt.Sprintf(", at most %s of one group", Age(r.Loss.Most.D()))
	}
	if r.Loss.Unknown > 0 {
		text += fmt.Sprintf(", unknown of %d groups", r.Loss.Unknown)
	}
	return text
}
