package sim

import (
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// namedKinds are never drawn: scenarios name them, for rows that take something rare and do not need luck.
var namedKinds = []kind{
	// A person on the host overrides a cluster's fence, and ends that.
	{"override", "process", 0, []arg{ofCluster, lasts(0, 0)}, func(w *World, a Args) func() {
		s := w.clusterOf(a)
		s.override("a person of the simulator")
		return func() { s.override("") }
	}},
	// Somebody changes by hand whom commits wait for: for nobody.
	{"sync-changed", "server", 0, []arg{ofCluster}, func(w *World, a Args) func() {
		s := w.clusterOf(a)
		s.order.Names, s.names, s.foreign = nil, nil, "simulated: somebody wrote it"
		return nil
	}},
	// A controller hears of no region but its own, though it still leads: what it publishes gets through.
	{"controller-blind", "controller", 0, []arg{aController, lasts(0, 0)}, func(w *World, a Args) func() {
		c := w.controllerOf(a)
		w.moved()
		c.blind++
		return func() {
			w.moved()
			c.blind--
		}
	}},
	// A group's configuration is lost from the bus, and a new leader reads what is left. A person applies it again.
	{"config-lost", "record", 0, []arg{ofGroup, lasts(time.Second, time.Minute)}, func(w *World, a Args) func() {
		w.hub.must(w.hub.store.Wipe(events.StreamConfig))
		for _, p := range w.pairs {
			if p.name == a["group"] {
				p.config.Group = ""
				continue
			}
			w.storeConfig(p.config.GroupConfig)
		}
		for _, c := range w.ctls {
			if c.up {
				c.kill()
				c.start()
			}
		}
		return func() { w.configure(a["group"], func(*events.GroupConfig) {}) }
	}},
}

// override writes a person's word down, or takes it away, as `guard override` does: the guard lets the server go, and the agent reads it.
func (s *server) override(text string) {
	h := s.host
	if h.agent == nil || h.guard == nil {
		return
	}
	s.w.trace("%s is overridden: %q", s.ref, text)
	var o lease.Override
	if text != "" {
		o = lease.Override{Text: text}
		for _, r := range h.agent.Reports() {
			if r.Cluster == s.ref {
				o.Seq = r.SeenSeq
			}
		}
		h.guard.Override(s.name)
		h.guard.Thawed(h.clock(), s.name)
		s.frozen = false
	}
	h.step(func(now events.Instant) lease.Effects {
		h.agent.Overridden(now, s.ref, o)
		return h.agent.Tick(now)
	})
}
