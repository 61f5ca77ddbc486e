package sim

import (
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

var processKinds = []kind{
	{"agent-crash", "process", 5, []arg{onAgent, outage}, func(w *World, a Args) func() {
		h := w.agentOf(a)
		h.killAgent()
		return h.startAgent
	}},
	{"agent-paused", "process", 4, []arg{onAgent, outage}, func(w *World, a Args) func() { return w.agentOf(a).agentStill.hold() }},
	{"guard-crash", "process", 3, []arg{onAgent, lasts(20*time.Millisecond, 125*time.Millisecond)}, func(w *World, a Args) func() {
		h := w.agentOf(a)
		h.killGuard()
		return h.startGuard
	}},
	{"guard-paused", "process", 2, []arg{onAgent, lasts(20*time.Millisecond, 125*time.Millisecond)}, func(w *World, a Args) func() {
		return w.agentOf(a).guardStill.hold()
	}},
	{"agent-and-guard-crash", "process", 2, []arg{onAgent, span("guard", 10*time.Millisecond, 125*time.Millisecond), outage}, func(w *World, a Args) func() {
		h := w.agentOf(a)
		h.killGuard()
		h.killAgent()
		w.in(a.span("guard"), h.startGuard)
		return h.startAgent
	}},
	{"host-paused", "process", 3, []arg{onAgent, outage}, func(w *World, a Args) func() { return w.agentOf(a).pause() }},
	{"host-reboots", "process", 3, []arg{onAgent, lasts(500*time.Millisecond, 10*time.Second)}, func(w *World, a Args) func() {
		h := w.agentOf(a)
		h.power()
		return h.boot
	}},
	// The agent dies between the next fsync of its ledger and everything that follows from it.
	{"fsync-crash", "process", 4, []arg{onAgent, lasts(10*time.Millisecond, 2*time.Second)}, func(w *World, a Args) func() {
		w.agentOf(a).trap = a.span("for")
		return nil
	}},
	// The agent dies right after the next promise it gives has left.
	{"promise-crash", "process", 0, []arg{onAgent, lasts(time.Millisecond, 2*time.Second)}, func(w *World, a Args) func() {
		w.agentOf(a).promised = a.span("for")
		return nil
	}},
	// An agent has a way to switch the hosts of others off, and each of them is on again after a while: an external fence.
	{"external-fence", "process", 0, []arg{onAgent, span("back", time.Second, 5*time.Second), lasts(5*time.Second, 20*time.Second)}, func(w *World, a Args) func() {
		h := w.agentOf(a)
		h.external = a.span("back")
		return func() { h.external = 0 }
	}},
	{"clock-jumps", "process", 2, []arg{onAgent}, func(w *World, a Args) func() {
		w.agentOf(a).jump()
		return nil
	}},
}

// pause makes every process of a host stand still.
func (h *host) pause() func() {
	resume := h.still.hold()
	return func() {
		for _, s := range h.servers { // I1's exception: until its first process runs and has frozen what it must
			s.exempt = h.w.now + h.w.d.Freeze + 10*time.Millisecond
		}
		resume()
	}
}

// jump is the host's clocks found to disagree by more than M, by the guard and by the agent, each when it looks.
func (h *host) jump() {
	gLife, life := h.gLife, h.life
	h.w.in(h.between(0, h.w.d.Beat), func() {
		h.guarding(gLife, func() {
			h.guard.Jumped(h.clock())
			h.guardTick(gLife)
		})
	})
	h.w.in(h.between(0, h.w.d.Beat), func() {
		h.alive(life, func() { h.step(func(now events.Instant) lease.Effects { return h.agent.Jumped(now) }) })
	})
}

var serverKinds = []kind{
	{"server-crash", "server", 3, []arg{ofCluster}, func(w *World, a Args) func() {
		w.clusterOf(a).crash()
		return nil
	}},
	{"server-hangs", "server", 2, []arg{ofCluster, lasts(time.Second, 20*time.Second)}, func(w *World, a Args) func() { return w.clusterOf(a).hang() }},
	{"server-slow", "server", 2, []arg{ofCluster, span("by", 200*time.Millisecond, 8*time.Second), lasts(2*time.Second, 20*time.Second)}, func(w *World, a Args) func() {
		s := w.clusterOf(a)
		s.slow += a.span("by")
		return func() { s.slow -= a.span("by") }
	}},
	{"server-by-unit", "server", 2, []arg{ofCluster}, func(w *World, a Args) func() { // its unit starts it, past the gate
		w.clusterOf(a).start(false)
		return nil
	}},
}

func (s *server) crash() {
	if s.state != events.ServerDown {
		s.w.trace("%s crashes", s.ref)
		s.state, s.frozen, s.stuck = events.ServerDown, false, false
	}
}

func (s *server) hang() func() {
	s.w.trace("%s hangs", s.ref)
	s.stuck = true
	return func() { s.stuck = false }
}
