package postgres_test

import (
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
)

// TestTrapStartedWhileItIsRewound has a service manager start a server whose data is half the source's. It would come up, never end by itself, and write over what
// pg_rewind brings.
func TestTrapStartedWhileItIsRewound(t *testing.T) {
	t.Parallel()
	a, b, lost := failedOver(t, 2)
	tried := false
	postgres.OnReach(a.Driver(), true, func(point string) {
		if point == "rewound" {
			tried = true
			if err := a.startsAnyway(); err == nil {
				t.Error("a server was started on data that had just been rewound, in the clothes of its source")
			}
		}
	})
	r := a.do(events.Done, restore(b, "s"))
	if !tried || r.How != "rewound" {
		t.Fatalf("tried %v, restored %+v", tried, r)
	}
	wantLost(t, r.Lost, lost)
	a.restored(b)
}

// TestTrapTimelineWithoutAReceiver kills the source of a standby that has followed to a new timeline: the control file shows the old one until the next restart point, and
// taken for one that never followed it could not be promoted.
func TestTrapTimelineWithoutAReceiver(t *testing.T) {
	t.Parallel()
	a, b, _ := failedOver(t, 0)
	a.do(events.Done, restore(b, "s"))
	want := b.probe().Timeline
	until(t, "it follows", func() bool { h := a.probe(); return h.Streaming && h.Timeline == want })
	b.kill(t)
	until(t, "it lost its source", func() bool { return !a.probe().Streaming })
	if h := a.probe(); h.Timeline != want {
		t.Errorf("timeline %d without a receiver, it followed to %d", h.Timeline, want)
	}
}
