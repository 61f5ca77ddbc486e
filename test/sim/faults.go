package sim

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// crashHere decides whether a process dies between its fsync and what follows.
func (w *World) crashHere() bool { return w.faulty && w.chance(0.002) }

// pauseHere decides whether a leader stands still with a batch in hand.
func (w *World) pauseHere() bool { return w.faulty && w.chance(0.03) }

// A mood weighs the faults of a schedule: rules differ in what it takes to need them.
const (
	moodMixed  = iota // a little of everything
	moodDark          // the bus is lost again and again while links and servers live: promises carry the actives
	moodUnsure        // operators ask and abort, messages are lost, agents crash
	moods
)

// fault is one thing that can go wrong; it arranges for its own end.
type fault struct {
	weight [moods]int
	name   string
	do     func(w *World)
}

var faults = []fault{
	{[moods]int{6, 2, 0}, "region dies", func(w *World) { w.regionDies(w.anyRegion(), w.between(3*time.Second, 20*time.Second)) }},
	{[moods]int{6, 5, 4}, "region isolated", func(w *World) { w.isolate(w.anyRegion(), w.between(2*time.Second, 20*time.Second)) }},
	{[moods]int{4, 3, 4}, "pair cut", func(w *World) {
		a, b := w.anyRegion(), w.anyRegion()
		w.cutLink(a, b, true, w.between(time.Second, 15*time.Second))
	}},
	{[moods]int{4, 2, 6}, "one way cut", func(w *World) {
		a, b := w.anyRegion(), w.anyRegion()
		w.cutLink(a, b, false, w.between(time.Second, 15*time.Second))
	}},
	{[moods]int{5, 14, 10}, "agent crash", func(w *World) { h := w.anyHost(); h.killAgent(); w.in(w.outage(), h.startAgent) }},
	{[moods]int{4, 3, 6}, "agent paused", func(w *World) { w.anyHost().stopped = w.now + w.outage() }},
	{[moods]int{3, 0, 0}, "guard crash", func(w *World) {
		h := w.anyHost()
		h.killGuard()
		w.in(w.between(20*time.Millisecond, w.d.Margin/2), h.startGuard)
	}},
	{[moods]int{2, 3, 4}, "agent and guard crash", func(w *World) {
		h := w.anyHost()
		h.killGuard()
		h.killAgent()
		w.in(w.between(10*time.Millisecond, w.d.Margin/2), h.startGuard)
		w.in(w.outage(), h.startAgent)
	}},
	{[moods]int{3, 0, 0}, "host paused", func(w *World) { w.anyHost().pause(w.outage()) }},
	{[moods]int{3, 5, 4}, "host reboots", func(w *World) {
		h := w.anyHost()
		h.power()
		w.in(w.between(500*time.Millisecond, 10*time.Second), h.boot)
	}},
	{[moods]int{3, 0, 0}, "server crash", func(w *World) { w.anyServer().crash() }},
	{[moods]int{2, 0, 2}, "server stuck", func(w *World) { w.anyServer().hang(w.between(time.Second, 20*time.Second)) }},
	{[moods]int{2, 0, 0}, "server started by its unit", func(w *World) { w.anyServer().start(false) }},
	{[moods]int{4, 8, 4}, "hub server down", func(w *World) { r := w.anyRegion(); w.hubDown(r, w.between(500*time.Millisecond, 10*time.Second)) }},
	{[moods]int{2, 16, 0}, "whole bus lost", func(w *World) {
		d := w.between(time.Second, 15*time.Second)
		for _, r := range w.shape.Regions {
			w.hubDown(r, d)
		}
	}},
	{[moods]int{2, 0, 4}, "acceptor loses its disk", func(w *World) { w.hub.loseDisk(w.rng.IntN(events.Lanes)) }},
	{[moods]int{4, 3, 4}, "controller dies", func(w *World) { c := w.anyCtl(); c.kill(); w.in(w.outage(), c.start) }},
	{[moods]int{3, 0, 6}, "controller paused", func(w *World) { c := w.anyCtl(); c.paused = max(c.paused, w.now+w.outage()) }},
	{[moods]int{6, 10, 20}, "operator fails a group over", func(w *World) {
		w.Ask(events.Ask{Verb: events.AskFailover, Group: w.anyGroup(), Reason: "sim", AcceptLoss: w.chance(0.5)})
	}},
	{[moods]int{2, 0, 4}, "operator fails a region over", func(w *World) { w.Ask(events.Ask{Verb: events.AskFailover, Region: w.anyRegion(), Reason: "sim"}) }},
	{[moods]int{4, 4, 12}, "operator swaps a group", func(w *World) { w.Ask(events.Ask{Verb: events.AskSwitchover, Group: w.anyGroup(), Reason: "sim"}) }},
	{[moods]int{3, 3, 8}, "operator brings a group home", func(w *World) { w.Ask(events.Ask{Verb: events.AskFailback, Group: w.anyGroup(), Reason: "sim"}) }},
	{[moods]int{4, 4, 10}, "operator restores a group", func(w *World) { w.Ask(events.Ask{Verb: events.AskRestore, Group: w.anyGroup(), Reason: "sim"}) }},
	{[moods]int{2, 0, 4}, "operator rebuilds a cluster", func(w *World) {
		w.Ask(events.Ask{Verb: events.AskRebuild, Cluster: w.anyServer().ref.String(), Copy: w.chance(0.5), Reason: "sim"})
	}},
	{[moods]int{1, 0, 2}, "operator restarts a cluster", func(w *World) {
		w.Ask(events.Ask{Verb: events.AskRestart, Cluster: w.anyServer().ref.String(), Reason: "sim"})
	}},
	{[moods]int{3, 4, 14}, "operator aborts", func(w *World) { w.Ask(events.Ask{Verb: events.AskAbort, Group: w.anyGroup()}) }},
}

func (w *World) outage() time.Duration { return w.between(50*time.Millisecond, 8*time.Second) }

func (w *World) anyRegion() string  { return w.shape.Regions[w.rng.IntN(len(w.shape.Regions))] }
func (w *World) anyHost() *host     { return w.hosts[w.rng.IntN(len(w.hosts))] }
func (w *World) anyServer() *server { return w.servers[w.rng.IntN(len(w.servers))] }
func (w *World) anyCtl() *ctl       { return w.ctls[w.rng.IntN(len(w.ctls))] }
func (w *World) anyGroup() string   { return w.shape.Groups[w.rng.IntN(len(w.shape.Groups))].Group }

// Faults keeps making faults until the true time.
func (w *World) Faults(until at) {
	w.faulty = true
	mood, total := int(w.seed%moods), 0
	for _, f := range faults {
		total += f.weight[mood]
	}
	if mood == moodUnsure {
		w.net.loss = 0.03
	}
	var next func()
	next = func() {
		if w.now >= until {
			w.faulty = false
			return
		}
		n := w.rng.IntN(total)
		for _, f := range faults {
			if n -= f.weight[mood]; n < 0 {
				w.trace("FAULT %s", f.name)
				f.do(w)
				break
			}
		}
		w.in(w.between(100*time.Millisecond, 6*time.Second), next)
	}
	w.in(w.between(0, 2*time.Second), next)
}

// Heal ends every fault.
func (w *World) Heal() {
	w.trace("HEAL")
	w.faulty = false
	clear(w.net.cut)
	w.net.loss = 0
	w.moved()
	for _, r := range w.shape.Regions {
		w.hub.down[r] = false
	}
	w.shape.Quiet = true
	for _, h := range w.hosts {
		h.stopped, h.gStopped, h.paused = 0, 0, min(h.paused, w.now)
		if h.off {
			h.boot()
		}
		h.startGuard()
		h.startAgent()
	}
	for _, c := range w.ctls {
		c.paused = 0
		c.start()
	}
	for _, s := range w.servers {
		s.stuck = false
	}
}

// Ask publishes an operator's ask; the leader takes it when there is one.
func (w *World) Ask(a events.Ask) {
	w.asks++
	if a.ID == "" {
		a.ID = fmt.Sprintf("ask-%d", w.asks)
	}
	a.Actor = "sim"
	w.ask(a, 20)
}

func (h *host) pause(d time.Duration) {
	h.w.trace("%s stands still for %v", h.ref, d)
	h.paused = max(h.paused, h.w.now+d)
	for _, s := range h.servers { // I1's exception: until its first process runs and has frozen what it must
		s.exempt = max(s.exempt, h.paused+h.w.d.Freeze+10*time.Millisecond)
	}
}

func (s *server) crash() {
	if s.state != events.ServerDown {
		s.w.trace("%s crashes", s.ref)
		s.state, s.frozen, s.stuck = events.ServerDown, false, false
	}
}

func (s *server) hang(d time.Duration) {
	s.w.trace("%s hangs", s.ref)
	s.stuck = true
	s.w.in(d, func() { s.stuck = false })
}

func (w *World) regionDies(r string, d time.Duration) {
	w.trace("region %s dies", r)
	w.moved()
	w.hub.down[r] = true
	h := w.hostIn(r)
	h.power()
	for _, c := range w.ctls {
		if c.region == r {
			c.kill()
		}
	}
	w.in(d, func() {
		w.trace("region %s is back", r)
		w.moved()
		w.hub.down[r] = false
		if h.off {
			h.boot()
		}
		for _, c := range w.ctls {
			if c.region == r {
				c.start()
			}
		}
	})
}

func (w *World) isolate(r string, d time.Duration) {
	for _, o := range w.shape.Regions {
		w.cutLink(r, o, true, d)
	}
}

// cutLink cuts a link for a while; a healing run clears it early.
func (w *World) cutLink(a, b string, both bool, d time.Duration) {
	if a == b {
		return
	}
	w.trace("cut %s -> %s both=%v", a, b, both)
	w.moved()
	w.net.cut[[2]string{a, b}] = true
	if both {
		w.net.cut[[2]string{b, a}] = true
	}
	w.in(d, func() {
		w.moved()
		delete(w.net.cut, [2]string{a, b})
		delete(w.net.cut, [2]string{b, a})
	})
}

func (w *World) hubDown(r string, d time.Duration) {
	w.trace("hub server %s down", r)
	w.moved()
	w.hub.down[r] = true
	w.in(d, func() {
		w.moved()
		if !w.hostIn(r).off {
			w.hub.down[r] = false
		}
	})
}
