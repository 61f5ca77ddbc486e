package lease

import (
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// TestARefusedThawWaitsForTheGuard: a guard that was started anew froze the server and holds nothing yet. It is asked to ask, not to thaw again and again.
func TestARefusedThawWaitsForTheGuard(t *testing.T) {
	t.Parallel()
	r := active(t)
	eff := r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerFrozen, Mark: "g"})
	wantVerb(t, eff, Thaw)
	eff = r.a.Finished(r.now, eff.Do[0], events.Result{Outcome: events.Refused}, events.ServerFrozen)
	if vs := verbs(eff); len(vs) > 0 || !eff.Nudge {
		t.Fatalf("did %v, nudged %v: want the guard to ask first", vs, eff.Nudge)
	}
	eff = r.a.Handed(r.now, own, Left{Held: true}, r.now.Add(r.d.Run))
	wantVerb(t, eff, Thaw)
}
