package fleet

import (
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// A cluster that was active has nothing of the next one's words until it was heard: how far behind it was of somebody else, a while ago, is no lag.
func TestLagIsOfTheActiveInForce(t *testing.T) {
	t.Parallel()
	w := born(t)
	w.beat(1, events.ServerRecovery)
	b := w.f.clusters.get(ref(1))
	if b.goodAt == 0 {
		t.Fatal("what the passive has of the active is not known")
	}
	g := w.f.groups.get("g")
	r := g.record.Clone()
	r.Active, r.Epoch = ref(1), r.Epoch+1
	w.f.recorded(w.now, g, r)
	for i := range regions {
		if c := w.f.clusters.get(ref(i)); c.goodAt != 0 {
			t.Errorf("%s is %v behind %s, of which it has heard nothing", c.ref, w.now.Boot.Sub(c.goodAt), r.Active)
		}
	}
}
