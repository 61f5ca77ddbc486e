package lease

import (
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// TestActiveIsNotReportedBeforeItsGuardHoldsIt: a cluster that comes under care, or under a stricter mode, while it serves. Were its agent to die before the guard was told,
// nothing would end it, so nobody may have heard of it.
func TestActiveIsNotReportedBeforeItsGuardHoldsIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, Ledger{ID: "x"})
	r.places()
	r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerWritable})
	eff := r.set(1, events.RoleActive, 10)
	eff.Reports = append(eff.Reports, r.a.Tick(r.now).Reports...)
	if len(eff.Reports) > 0 {
		t.Fatalf("reported %+v: the guard holds nothing yet", eff.Reports)
	}
	for _, told := range []Left{{Held: false}, {Held: true, Exempt: true}} {
		if eff := r.a.Handed(r.now, own, told, r.now); len(eff.Reports) > 0 {
			t.Fatalf("reported %+v: the guard was told %+v", eff.Reports, told)
		}
	}
	eff = r.a.Handed(r.now, own, Left{Held: true}, r.now.Add(r.d.Run))
	if len(eff.Reports) != 1 || eff.Reports[0].Seen != 1 || eff.Reports[0].Serving != 1 || eff.Reports[0].Exempt {
		t.Fatalf("reported %+v: want active and serving at epoch 1", eff.Reports)
	}
}

func TestExemptIsReported(t *testing.T) {
	t.Parallel()
	r := newRig(t, Ledger{ID: "x"})
	r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerWritable})
	eff := r.a.Set(r.now, events.Set{Cluster: own, Group: "g", Epoch: 1, Role: events.RoleActive, Mode: events.ModeAuto, Isolation: events.IsolationKeepRunning}, 10)
	if len(eff.Reports) != 1 || !eff.Reports[0].Exempt {
		t.Fatalf("reported %+v: want that nothing freezes it", eff.Reports)
	}
	eff = r.a.Set(r.now, events.Set{Cluster: own, Group: "g", Epoch: 1, Role: events.RoleActive, Mode: events.ModeAuto}, 11)
	if len(eff.Reports) > 0 {
		t.Fatalf("reported %+v: the guard still takes it for exempt", eff.Reports)
	}
}
