package sim

import (
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// account opens the ledger of a move, or has what waits in it retried; then it is worked on beside everything else. Of three tasks two end by themselves, and one waits for a person.
// A ledger is on disk: the next start of the agent goes on with it.
func (h *host) account(life int, s *server, a lease.Action, done func()) {
	h.w.in(h.between(2*time.Millisecond, 300*time.Millisecond), func() {
		if h.off {
			return
		}
		tell := func(waits int, closed bool) {
			t := &events.TaskSummary{Operation: a.Account, Epoch: a.Epoch, Entries: 3, Waits: waits, Closed: closed}
			if a.Retry != nil {
				t.Operation, t.Retry = a.Retry.Operation, a.Retry.No
			}
			s.tasks = t
			h.alive(life, func() {
				h.step(func(now events.Instant) lease.Effects { return h.agent.Accounted(now, s.ref, t) })
			})
		}
		waits := 1
		if a.Retry != nil {
			waits = 0
		}
		tell(waits, false)
		done()
		h.w.in(h.between(time.Second, 3*time.Second), func() { tell(waits, true) })
	})
}
