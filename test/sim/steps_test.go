package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// failoverSteps is how many batches a failover stores: intent, proof, promotion, end. A step that is never reached fails the test.
const failoverSteps = 4

// quietWorld is one group in a world where nothing happens by itself, six seconds on: it is born, and its agents are leased.
func quietWorld(t *testing.T, seed int) *World {
	t.Helper()
	shape := Random()
	shape.Noise, shape.Groups = "none", shape.Groups[:1]
	w, err := New(shape, uint64(seed), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Run(6 * time.Second)
	return w
}

// TestKilledAtEachStep kills the leader, and separately the hub server that leads the state stream, at each write of a failover, before its answer is on its
// way: it only delays it.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"controller", "hub server", "agent elsewhere"} {
		kill := killers[who]
		for step := 1; step <= failoverSteps; step++ {
			for cause, fault := range map[string]func(w *World){
				"region": func(w *World) { w.regionDies("r1") },
				"asked": func(w *World) {
					w.Ask(events.Ask{Verb: events.AskFailover, Group: "g1", Reason: "steps", To: "r2/g1-b"})
				},
			} {
				t.Run(fmt.Sprintf("%s/%s/%d", cause, who, step), func(t *testing.T) {
					t.Parallel()
					w := quietWorld(t, step)
					writes := 0
					w.stored = func() {
						if writes++; writes == step {
							kill(w)
						}
					}
					fault(w)
					w.Run(w.now + 60*time.Second)
					w.stored = nil
					if w.bad != nil {
						t.Fatal(w.bad)
					}
					if writes < step {
						t.Fatalf("only %d writes: step %d was never reached", writes, step)
					}
					r := w.seen.records["g1"]
					act := w.server(r.Active)
					if r.Phase != events.PhaseActive || !act.writable() || r.Active.Region == "r1" {
						t.Fatalf("after a minute: %s at epoch %d, active %s (%s), op %+v", r.Phase, r.Epoch, r.Active, act.state, r.Op)
					}
				})
			}
		}
	}
}
