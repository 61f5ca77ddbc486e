package lease

import (
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// TestRejoinsDoNotCountAsHeard: acceptors that lost their disks answer every rejoin, but with no leader left nobody resumes: promises must carry the active (I6).
func TestRejoinsDoNotCountAsHeard(t *testing.T) {
	t.Parallel()
	r := active(t)
	r.later(r.d.Beat)
	r.a.Tick(r.now)
	for n := range events.Lanes {
		r.a.Lost(r.now, n, 1, r.a.lanes[n].no)
	}
	r.read(0, events.LaneBody{})
	r.states("broken")
	asked := 0
	for range 6 {
		r.later(r.d.Beat)
		asked += len(r.a.Tick(r.now).Ask)
		r.beats(0, 1, 2)
		r.states("pending")
	}
	if asked == 0 {
		t.Fatal("no promise was asked for although nothing renews")
	}
}
