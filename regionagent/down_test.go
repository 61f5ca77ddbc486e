package regionagent

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// How long an active has been down is counted from what is its own fault: not on its first way up, which takes a workflow longer than it takes to be given up, and not while what it depends on is away.
func TestDownIsCountedFromItsOwnFault(t *testing.T) {
	t.Parallel()
	const s = events.Instant(time.Second)
	for name, story := range map[string]struct {
		rising events.Instant
		looks  []look
	}{
		"it fails":                        {0, []look{{at: 10 * s, well: true, serves: true}, {at: 11 * s, down: 1}, {at: 14 * s, down: 3 * time.Second}, {at: 15 * s, well: true, serves: true}}},
		"its first way up":                {60 * s, []look{{at: 10 * s, down: 1}, {at: 50 * s, down: 1}, {at: 51 * s, well: true, serves: true}, {at: 60 * s, down: 1}, {at: 70 * s, down: 10 * time.Second}}},
		"its first way up takes too long": {60 * s, []look{{at: 59 * s, down: 1}, {at: 60 * s, down: time.Second}, {at: 80 * s, down: 21 * time.Second}}},
		"its right lapses on the way up":  {60 * s, []look{{at: 10 * s, down: 1}, {at: 20 * s, well: true}, {at: 30 * s, down: 1}, {at: 50 * s, down: 1}}},
		"its database is away, then back": {0, []look{{at: 10 * s, down: 1, waits: true}, {at: 45 * s, down: 35 * time.Second, waits: true}, {at: 46 * s, down: 1}, {at: 50 * s, down: 4 * time.Second}}},
	} {
		c := &cluster{rising: story.rising}
		for _, l := range story.looks {
			if got := c.down(l.at, l.well, l.serves, l.waits); got != l.down {
				t.Errorf("%s: at %v it has been down for %v, want %v", name, l.at.Sub(0), got, l.down)
			}
		}
	}
}

// look is one look at an active, and for how long it is down by it.
type look struct {
	at                  events.Instant
	well, serves, waits bool
	down                time.Duration
}
