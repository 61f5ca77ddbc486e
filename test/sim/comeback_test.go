package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Batches that a swap and a failback after an outage store, up to the second clock of the move. A step that is never reached fails the test.
const (
	swapSteps    = 7 // asked, intent, proof, promotion, end, follows again, protected
	restoreSteps = 2 // begun, done
)

// killers are who may die at a step. Each is back after a while: it only delays what is under way, or the swap is given up and the old active goes on.
var killers = map[string]func(w *World){
	"controller": func(w *World) {
		for _, c := range w.ctls {
			if c.fleet != nil {
				c.kill()
				w.in(3*time.Second, c.start)
			}
		}
	},
	"hub server":      func(w *World) { w.in(4*time.Second, w.hubDown(w.hub.leader)) },
	"agent at home":   func(w *World) { w.agentDies("r1") },
	"agent elsewhere": func(w *World) { w.agentDies("r2") },
	"host at home":    func(w *World) { w.hostIn("r1").power(); w.in(2*time.Second, w.hostIn("r1").boot) },
	"host elsewhere":  func(w *World) { w.hostIn("r2").power(); w.in(2*time.Second, w.hostIn("r2").boot) },
}

func (w *World) agentDies(region string) {
	h := w.hostIn(region)
	h.killAgent()
	w.in(time.Second, h.startAgent)
}

// TestComebackKilledAtEachStep kills somebody at each write of a swap, and of a restore followed by a failback. Whoever it is: at the end one active serves
// and everybody else follows it, nothing planned lost anything (the world checks), and no restored cluster was promoted half done (it checks that too).
func TestComebackKilledAtEachStep(t *testing.T) {
	t.Parallel()
	moves := map[string]struct {
		steps int
		begin func(w *World)
	}{
		"swap": {swapSteps, func(w *World) {
			w.Ask(events.Ask{Verb: events.AskSwitchover, Group: "g1", Reason: "steps", To: "r2/g1-b"})
		}},
		"restore": {restoreSteps, func(w *World) {
			w.in(4*time.Second, w.regionDies("r1"))
			w.Run(w.now + 6*time.Second)
		}},
		"failback": {restoreSteps + swapSteps - 1, func(w *World) {
			w.Ask(events.Ask{Verb: events.AskFailover, Group: "g1", Reason: "steps", To: "r2/g1-b"})
			w.Run(w.now + 5*time.Second)
			w.Ask(events.Ask{Verb: events.AskFailback, Group: "g1", Reason: "steps"})
		}},
	}
	for move, m := range moves {
		for who, kill := range killers {
			for step := 1; step <= m.steps; step++ {
				t.Run(fmt.Sprintf("%s/%s/%d", move, who, step), func(t *testing.T) {
					t.Parallel()
					w := quietWorld(t, step)
					m.begin(w)
					writes, reached := 0, false
					w.stored = func() {
						if writes++; writes == step {
							reached = true
							kill(w)
						}
					}
					w.Run(w.now + 40*time.Second)
					w.stored = nil
					w.settle(60 * time.Second)
					if w.bad != nil {
						t.Fatal(w.bad)
					}
					if !reached {
						t.Fatalf("only %d writes: step %d was never reached", writes, step)
					}
					if op := w.seen.records["g1"].Op; op.Ended == "" {
						t.Fatalf("operation %+v has not ended", op)
					}
				})
			}
		}
	}
}
