package sim

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// startGuard starts the guard process: what it must hold it reads from the ledger, like the real one.
func (h *host) startGuard() {
	if h.off || h.guard != nil {
		return
	}
	h.gLife++
	var led lease.Ledger
	if h.disk != nil {
		if err := json.Unmarshal(h.disk, &led); err != nil {
			panic(fmt.Sprintf("sim: ledger: %v", err))
		}
	}
	var cs []lease.Guarded
	for _, s := range h.servers {
		if e := led.Find(s.ref); e != nil {
			cs = append(cs, lease.Guarded{Cluster: s.name, Held: e.Held(), Exempt: e.Exempt()})
		} else if s.mark != "" {
			cs = append(cs, lease.Guarded{Cluster: s.name, Held: true})
		}
	}
	h.guard = lease.NewGuard(h.w.d, h.clock(), cs)
	h.w.trace("%s guard starts", h.ref)
	life := h.gLife
	h.guardTick(life)
	h.askAgent(life, true)
}

func (h *host) killGuard() {
	if h.guard != nil {
		h.w.trace("%s guard dies", h.ref)
		h.guard = nil
	}
}

// guarding runs f in the guard process life, or when its pause is over.
func (h *host) guarding(life int, f func()) {
	switch {
	case h.guard == nil || h.gLife != life || h.off:
	case h.still.on():
		h.guardingAfter(&h.still, life, f)
	case h.guardStill.on():
		h.guardingAfter(&h.guardStill, life, f)
	default:
		f()
	}
}

func (h *host) guardingAfter(p *pause, life int, f func()) {
	p.later(func() { h.w.in(0, func() { h.guarding(life, f) }) }) // the first to run after a pause
}

// askAgent asks the agent for what is left (D1) and takes its answer, whenever that comes.
func (h *host) askAgent(life int, again bool) {
	h.guarding(life, func() {
		asked := h.clock()
		alife := h.life
		h.w.in(h.between(0, 2*time.Millisecond), func() {
			h.alive(alife, func() {
				h.guardHeard = h.w.now
				left, nonce := h.agent.Lefts(h.clock()), h.nonce
				h.w.in(h.between(0, time.Millisecond), func() {
					h.guarding(life, func() { h.answered(life, alife, asked, nonce, left) })
				})
			})
		})
		if again {
			h.w.in(h.w.d.Beat/2, func() { h.askAgent(life, true) })
		}
	})
}

func (h *host) answered(life, alife int, asked events.Instant, nonce string, left []lease.Left) {
	for _, s := range h.servers { // its freezes are verified all the time
		if f := h.guard.Fence(s.name); f == lease.FenceFrozen {
			h.fenced(s)
		}
	}
	h.guard.Answered(h.clock(), asked, nonce, left)
	h.guardTick(life)
	held := make([]events.Instant, len(left))
	for i, l := range left {
		held[i] = h.guard.Deadline(l.Cluster)
	}
	h.w.in(h.between(0, time.Millisecond), func() {
		h.alive(alife, func() {
			for i, l := range left {
				h.step(func(now events.Instant) lease.Effects {
					return h.agent.Handed(now, h.serverNamed(l.Cluster).ref, l, held[i])
				})
			}
		})
	})
}

// guardTick carries out what the guard's core wants, and comes back when it asks to.
func (h *host) guardTick(life int) {
	h.guarding(life, func() {
		for _, a := range h.guard.Tick(h.clock()) {
			s := h.serverNamed(a.Cluster)
			switch a.Verb {
			case lease.GuardFreeze:
				h.freeze(s, func(bool) { h.guarding(life, func() { h.fenced(s); h.guardTick(life) }) })
			case lease.GuardKill:
				h.killServer(s, func() { h.guarding(life, func() { h.guard.Killed(h.clock(), a.Cluster, true); h.guardTick(life) }) })
			}
		}
		if at := h.guard.NextWake(); at != events.Never {
			h.w.in(h.until(at), func() { h.guardTick(life) })
		}
	})
}

// fenced tells the guard's core what a freeze found: nothing to hold where no process is left.
func (h *host) fenced(s *server) {
	if s.state == events.ServerDown {
		h.guard.Killed(h.clock(), s.name, true)
	} else {
		h.guard.Frozen(h.clock(), s.name, s.frozen)
	}
}

func (h *host) serverNamed(cluster string) *server {
	for _, s := range h.servers {
		if s.name == cluster {
			return s
		}
	}
	panic("sim: no server " + cluster)
}

func (h *host) serverOf(cluster events.Ref) *server {
	for _, s := range h.servers {
		if s.ref == cluster {
			return s
		}
	}
	panic("sim: no server " + cluster.String())
}

// freeze stops every process of a server within S.
func (h *host) freeze(s *server, done func(ok bool)) {
	h.w.in(h.between(time.Millisecond, h.w.d.Freeze*9/10), func() {
		if h.off {
			return
		}
		if s.state != events.ServerDown {
			if !s.frozen {
				h.w.trace("%s frozen", s.ref)
			}
			s.frozen = true
		}
		done(true)
	})
}

// killServer places the signal file, then kills every process.
func (h *host) killServer(s *server, done func()) {
	h.w.in(h.between(5*time.Millisecond, 200*time.Millisecond), func() {
		if h.off {
			return
		}
		if s.state != events.ServerDown {
			h.w.trace("%s killed", s.ref)
		}
		s.kill()
		done()
	})
}

// perform carries out one action of the agent's core and tells it the end.
func (h *host) perform(life int, a lease.Action) {
	w, s := h.w, h.serverOf(a.Cluster)
	w.agentRows[a.Rule]++
	end := func(r events.Result) {
		r.Step = a.Step
		h.alive(life, func() {
			h.step(func(now events.Instant) lease.Effects { return h.agent.Finished(now, a, r, s.probed()) })
		})
	}
	done := func() {
		end(events.Result{Outcome: events.Done, LSN: s.lsn, Replayed: s.lsn, Timeline: s.timeline, Why: string(a.Verb)})
	}
	failed := func(o events.Outcome) { end(events.Result{Outcome: o, Why: "simulated"}) }
	began := s.state
	switch a.Verb {
	case lease.Freeze:
		h.freeze(s, func(bool) {
			h.guarding(h.gLife, func() { h.fenced(s) })
			done()
		})
	case lease.Kill:
		h.killServer(s, func() {
			h.guarding(h.gLife, func() { h.guard.Killed(h.clock(), s.name, true) })
			done()
		})
	case lease.Thaw:
		h.thaw(s, done, failed)
	case lease.Cancel:
		if s.restore != nil {
			*s.restore = false
		}
	case lease.Restore:
		h.restore(s, a, end)
	case lease.Sync:
		h.sync(s, a, end)
	case lease.Account, lease.RetryTasks:
		h.account(life, s, a, done)
	default:
		w.in(h.between(2*time.Millisecond, 300*time.Millisecond)+s.slow, func() {
			if h.off {
				return
			}
			if h.chance(w.net.noise.Fail) || (s.frozen && a.Verb != lease.Mark) || s.restore != nil || (s.state == events.ServerDown && began != events.ServerDown) {
				failed(events.Retry)
				return
			}
			if a.Verb == lease.Start && !h.permitted(life, s) {
				failed(events.Retry)
				return
			}
			if h.drive(s, a) {
				done()
			} else {
				failed(events.Retry)
			}
		})
	}
}

// permitted asks the agent once more, right before its driver starts a server: a start that was slow outlives no right (A9).
func (h *host) permitted(life int, s *server) bool {
	return h.agent != nil && h.life == life && !h.still.on() && h.agent.Permitted(h.clock(), s.ref) > h.clock()
}

// thaw lets a server go if the guard, at that very instant, holds a deadline in the future.
func (h *host) thaw(s *server, done func(), failed func(events.Outcome)) {
	h.w.in(h.between(time.Millisecond, 10*time.Millisecond), func() {
		if h.off {
			return
		}
		if h.guard == nil || h.guardStill.on() || h.still.on() || !h.guard.MayThaw(h.clock(), s.name) {
			failed(events.Refused)
			return
		}
		h.guard.Thawed(h.clock(), s.name)
		if s.frozen {
			h.w.trace("%s thawed", s.ref)
		}
		s.frozen = false
		h.guardTick(h.gLife)
		done()
	})
}

// drive is the simulated driver.
func (h *host) drive(s *server, a lease.Action) bool {
	if s.stuck {
		return false
	}
	h.w.trace("%s %s (%s)", s.ref, a.Verb, a.Rule)
	switch a.Verb {
	case lease.Start:
		if s.state == events.ServerRecovery {
			s.state = events.ServerDown
		}
		s.start(true)
	case lease.StartStandby:
		s.signal = true
		s.start(false)
	case lease.Promote:
		return s.promote()
	case lease.Stop:
		s.signal = true
		if s.state == events.ServerWritable {
			s.lsn += 10 // the shutdown checkpoint
			for _, o := range h.w.servers {
				if o.source() == s && !(h.w.net.noise.Loss > 0 && h.chance(0.05)) { // its receiver may be stuck: a clean stop proves no delivery
					o.take(s)
				}
			}
		}
		s.state = events.ServerDown
	case lease.Cut:
		s.cut = true
	case lease.Follow:
		s.cut = false
		s.forget()
		if r, err := events.ParseRef(a.Source); err == nil {
			s.upstream = r
		}
	case lease.Mark:
		s.mark = a.Group
	case lease.FenceOther:
		if h.external == 0 || a.Victim == nil {
			return false
		}
		v := h.w.server(a.Victim.Cluster).host
		v.power()
		h.w.in(h.external, v.boot)
	}
	return true
}

// restore is the simulated driver's: it takes a while, meets its source when it can, and leaves the data of no use when it is cut short in the middle.
func (h *host) restore(s *server, a lease.Action, end func(events.Result)) {
	w := h.w
	h.w.trace("%s restore from %s (%s)", s.ref, a.Source, a.Step)
	going := true
	if s.restore != nil {
		*s.restore = false // of an agent that died: its tools died with it
	}
	s.restore, s.moved = &going, w.now
	life := h.life
	over := func(r events.Result) {
		if s.restore == &going {
			s.restore = nil
		}
		end(r)
	}
	var step func(left int)
	step = func(left int) {
		switch up, _ := events.ParseRef(a.Source); {
		case h.off || h.agent == nil || h.life != life:
			if s.restore == &going {
				s.restore = nil
			}
		case s.refuses > 0:
			over(events.Result{Outcome: events.Refused, Why: "simulated: never"})
		case s.frozen || s.state == events.ServerWritable || !going:
			over(events.Result{Outcome: events.Retry, Why: "simulated: cancelled, frozen or writable"})
		case s.stalls > 0:
			w.in(time.Second, func() { step(left) })
		case w.server(up) == nil || !w.server(up).writable() || !w.net.both(planeData, s.ref.Region, up.Region):
			over(events.Result{Outcome: events.Retry, Why: "simulated: no source"})
		case left > 0:
			if v := w.server(up); s.broken || !v.continues(s.timeline, s.lsn) || a.Copy {
				s.broken, s.state = true, events.ServerDown
			}
			s.moved = w.now
			w.in(h.between(20*time.Millisecond, 1500*time.Millisecond), func() { step(left - 1) })
		default:
			v := w.server(up)
			s.broken, s.cut, s.stuck, s.signal, s.upstream = false, false, false, true, up
			s.take(v)
			s.forget()
			s.state = events.ServerRecovery
			over(events.Result{Outcome: events.Done, How: "simulated", LSN: s.lsn, Timeline: s.timeline, Lost: &events.LostLog{}})
		}
	}
	w.in(h.between(2*time.Millisecond, 200*time.Millisecond), func() { step(2) })
}

// probe looks at every server, tells the core, and sends health.
func (h *host) probe(life int) {
	w := h.w
	h.full++
	health := events.Health{Agent: h.ref, Nonce: h.nonce, Full: h.full, Peer: h.name, External: h.external > 0} // every message is a whole one
	health.Clusters = make([]events.ClusterHealth, 0, len(h.servers))
	// The guard unheard for long: the agent restarts it, and until it is back freezes by itself (D1).
	if h.guard == nil && w.now-h.guardHeard > 3*w.d.Beat {
		for _, l := range h.agent.Lefts(h.clock()) {
			if l.Held && !l.Exempt {
				h.freeze(h.serverNamed(l.Cluster), func(bool) {})
			}
		}
	}
	for _, s := range h.servers {
		ch := h.health(s)
		health.Clusters = append(health.Clusters, ch)
		h.step(func(now events.Instant) lease.Effects { return h.agent.Observed(now, ch) })
		if h.agent == nil {
			return
		}
	}
	for _, c := range w.ctls {
		if c.fleet != nil && w.hub.lost[heardBy{h.ref, true}] == 0 { // nobody else listens
			w.hub.plain(h.ref.Region, c.region, func() { c.healthSeen(health) })
		}
	}
	w.in(w.d.Probe+h.between(0, 5*time.Millisecond), func() { h.alive(life, func() { h.probe(life) }) })
}

func (h *host) health(s *server) events.ClusterHealth {
	ch := events.ClusterHealth{
		Cluster: s.ref, Kind: events.KindPostgres, Server: s.probed(), Mark: s.mark, SystemID: s.cfg.Group, Timeline: s.timeline, LSN: s.lsn, Address: s.name,
	}
	if s.state == events.ServerRecovery {
		ch.Upstream, ch.Replayed = s.upstream.String(), s.lsn
		if s.end.timeline == s.timeline {
			ch.End = s.end.at
		}
	}
	if s.restore != nil {
		ch.Work = &events.Work{Phase: "simulated", Idle: h.w.now - s.moved}
	}
	ch.Sync = s.syncHealth()
	if up := s.source(); up != nil {
		ch.Streaming, ch.LagKnown, ch.Lag = true, true, int64(up.lsn-s.lsn)
	}
	if v, known := h.agent.View(h.clock(), s.ref); known {
		h.w.agentRows[v.Rule]++
		ch.Managed, ch.Seen, ch.Role = v.Managed && !v.Let, v.Epoch, v.Role
		well := v.Role != events.RoleActive || v.Right <= h.clock() || ch.Server == events.ServerWritable || ch.Server == events.ServerFrozen
		if well {
			delete(h.sick, s.ref)
		} else if _, known := h.sick[s.ref]; !known {
			h.sick[s.ref] = h.w.now
		}
	}
	if since, ok := h.sick[s.ref]; ok {
		ch.Down = h.w.now - since + 1
	}
	return ch
}
