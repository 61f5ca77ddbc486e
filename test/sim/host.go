package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// host is one machine: its clock, its disk, its agent and guard processes, its servers.
type host struct {
	w       *World
	ref     events.AgentRef
	name    string // the same, written
	dice    *rand.Rand
	rate    float64 // its clock's, within the margin
	booted  at
	off     bool
	still   pause // every process of it
	servers []*server
	disk    []byte // the ledger, as fsynced

	agent      *lease.Agent       // nil = no process
	commands   map[string]decoded // the newest it read, by subject
	life       int                // counts agent processes
	agentStill pause
	nonce      string
	trap       time.Duration // the next fsync of the ledger is the last thing the agent does for so long; 0 = no trap
	promised   time.Duration // it dies for so long when its next promise has left; 0 = it does not
	external   time.Duration // it has an external fence, which switches hosts off for so long; 0 = none
	wake       alarm
	full       uint64
	sick       map[events.Ref]at // since when an active with a right does not serve

	guard      *lease.Guard // nil = no process
	gLife      int
	guardStill pause
	guardHeard at // when the agent last heard it
}

func (w *World) addHost(ref events.AgentRef) {
	h := &host{w: w, ref: ref, name: ref.String(), dice: w.luck(ref.String()), sick: map[events.Ref]at{}}
	h.rate = 1 + (2*h.dice.Float64()-1)*w.net.noise.Clock
	w.hosts = append(w.hosts, h)
}

// decoded is a command as an agent's process read it.
type decoded struct {
	seq  events.Seq
	data []byte
	set  events.Set
}

// hostOf is the host an agent runs on.
func (w *World) hostOf(ref events.AgentRef) *host {
	for _, h := range w.hosts {
		if h.ref == ref {
			return h
		}
	}
	panic(fmt.Sprintf("sim: no host %s", ref))
}

// hostIn is the first host of a region.
func (w *World) hostIn(region string) *host { return w.hostsIn(region)[0] }

func (w *World) hostsIn(region string) []*host {
	i := slices.IndexFunc(w.hosts, func(h *host) bool { return h.ref.Region == region })
	if i < 0 {
		panic("sim: no host in " + region)
	}
	n := max(w.shape.Agents, 1)
	return w.hosts[i : i+n]
}

func (h *host) between(lo, hi time.Duration) time.Duration { return within(h.dice, lo, hi) }
func (h *host) chance(p float64) bool                      { return p > 0 && h.dice.Float64() < p }

// clock reads the host's boot clock.
func (h *host) clock() events.Instant {
	return events.Instant(float64(h.w.now-h.booted)*h.rate) + events.Instant(time.Second)
}

// runs reports whether its processes run at all.
func (h *host) runs() bool { return !h.off && !h.still.on() }

// until is the true time left until the host's clock shows i.
func (h *host) until(i events.Instant) time.Duration {
	return time.Duration(float64(i-h.clock())/h.rate) + 1
}

// boot starts guard and agent.
func (h *host) boot() {
	if h.booted != 0 && !h.off {
		return // it is up: its clock goes on
	}
	h.off = false
	h.booted = max(h.w.now, 1)
	h.startGuard()
	h.startAgent()
}

// power is the loss of the host: processes gone, servers down, the disk as it was fsynced.
func (h *host) power() {
	h.w.trace("%s loses power", h.ref)
	h.killAgent()
	h.killGuard()
	h.off = true
	for _, s := range h.servers {
		s.state, s.frozen, s.stuck, s.restore = events.ServerDown, false, false, nil
	}
}

func (h *host) startAgent() {
	if h.off || h.agent != nil {
		return
	}
	h.life++
	h.w.nonces++
	h.nonce = fmt.Sprintf("n%d", h.w.nonces)
	h.commands = map[string]decoded{}
	h.wake = alarm{}
	h.guardHeard = h.w.now
	var led lease.Ledger
	if h.disk != nil {
		if err := json.Unmarshal(h.disk, &led); err != nil {
			panic(fmt.Sprintf("sim: ledger: %v", err))
		}
	}
	refs := make([]events.Ref, 0, len(h.servers))
	for _, s := range h.servers {
		refs = append(refs, s.ref)
	}
	h.agent = lease.New(h.ref, h.w.d, led, h.nonce, refs, h.clock())
	h.w.trace("%s agent starts (%s)", h.ref, h.nonce)
	if h.guard != nil {
		held := map[events.Ref]events.Instant{}
		for _, s := range h.servers {
			if dl := h.guard.Deadline(s.name); dl > h.clock() {
				held[s.ref] = dl
			}
		}
		h.step(func(now events.Instant) lease.Effects { return h.agent.GuardHeld(now, held) })
	}
	h.step(func(now events.Instant) lease.Effects { return h.agent.Tick(now) })
	for _, s := range h.servers {
		if t := s.tasks; t != nil {
			h.step(func(now events.Instant) lease.Effects { return h.agent.Accounted(now, s.ref, t) })
		}
	}
	h.life0(h.readLanes)
	h.life0(h.probe)
	h.life0(h.reread)
}

// life0 runs f now and lets it re-schedule itself as long as this process lives.
func (h *host) life0(f func(life int)) {
	life := h.life
	h.alive(life, func() { f(life) })
}

func (h *host) killAgent() {
	if h.agent != nil {
		h.w.trace("%s agent dies", h.ref)
		h.agent = nil
		for _, s := range h.servers {
			s.restore = nil // the tools of a restore die with their agent
		}
	}
}

// alive runs f in the agent process life, or when its pause is over; never once it died.
func (h *host) alive(life int, f func()) {
	switch {
	case h.agent == nil || h.life != life || h.off:
	case h.still.on():
		h.aliveAfter(&h.still, life, f)
	case h.agentStill.on():
		h.aliveAfter(&h.agentStill, life, f)
	default:
		f()
	}
}

func (h *host) aliveAfter(p *pause, life int, f func()) {
	p.later(func() { h.w.in(h.between(0, time.Millisecond), func() { h.alive(life, f) }) })
}

// step hands one input to the core and carries its effects out, in order.
func (h *host) step(f func(now events.Instant) lease.Effects) {
	if h.agent == nil {
		return // it crashed while an earlier input of the same instant was carried out
	}
	eff := f(h.clock())
	life := h.life
	if eff.Save {
		b, err := json.Marshal(h.agent.Ledger())
		if err != nil {
			panic(fmt.Sprintf("sim: ledger: %v", err))
		}
		h.disk = b
		h.w.checkLedger(h)
		if down := h.trap; down > 0 { // between the fsync and everything else
			h.trap = 0
			h.killAgent()
			h.w.in(down, h.startAgent)
			return
		}
	}
	if eff.Nudge {
		h.askAgent(h.gLife, false)
	}
	for _, a := range eff.Do {
		h.perform(life, a)
	}
	for _, n := range eff.Read {
		h.readLane(life, n)
	}
	for _, b := range eff.Beats {
		h.beat(life, b)
	}
	for _, q := range eff.Ask {
		h.askGrant(life, q)
	}
	for _, r := range eff.Reports {
		h.publishReport(life, r)
	}
	h.wakeAt(life, eff.Wake)
}

// alarm is when a core wants to be called, and when it will be: no later, and again if that was too early.
type alarm struct {
	at  events.Instant
	due at // 0 = nobody calls
}

// wakeAt has time act on the core when its clock shows at.
func (h *host) wakeAt(life int, at events.Instant) {
	h.wake.at = at
	if at == events.Never {
		return
	}
	due := h.w.now + max(h.until(at), 0) + h.between(0, 2*time.Millisecond)
	if p := h.wake.due; p > h.w.now && p <= due {
		return
	}
	h.wake.due = due
	h.w.in(due-h.w.now, func() {
		h.alive(life, func() {
			switch {
			case h.wake.due != due: // an earlier call took its place
			case h.clock() < h.wake.at:
				h.wake.due = 0
				h.wakeAt(life, h.wake.at)
			default:
				h.wake.due = 0
				h.step(func(now events.Instant) lease.Effects { return h.agent.Tick(now) })
			}
		})
	})
}

// readLanes reads ctl.lanes, at start and now and then (K1).
func (h *host) readLanes(life int) {
	h.w.hub.request(h.ref.Region, func() {}, func() {
		set := h.w.hub.recordedLanes()
		h.alive(life, func() { h.step(func(now events.Instant) lease.Effects { return h.agent.Places(now, set) }) })
	})
	h.w.in(time.Second, func() { h.alive(life, func() { h.readLanes(life) }) })
}

// beat publishes on a lane; no answer by the beat's deadline is unknown (A3), and the late one may still land.
func (h *host) beat(life int, b lease.Beat) {
	w := h.w
	var res *bool
	var seq events.Seq
	done := false
	w.hub.lane(h.ref.Region, b.Lane, func() {
		s, err := w.hub.publishLane(b.Lane, b.Generation, h.ref, b.Body, b.Expected)
		ok := err == nil
		res, seq = &ok, s
	}, func() {
		ok, s := *res, seq
		h.alive(life, func() {
			if done {
				return
			}
			done = true
			h.step(func(now events.Instant) lease.Effects {
				if ok {
					return h.agent.Acked(now, b.Lane, b.Generation, b.Body.No, s)
				}
				return h.agent.Lost(now, b.Lane, b.Generation, b.Body.No)
			})
		})
	})
	w.in(w.d.BeatDeadline(), func() {
		h.alive(life, func() {
			if !done {
				done = true
				h.step(func(now events.Instant) lease.Effects { return h.agent.Lost(now, b.Lane, b.Generation, b.Body.No) })
			}
		})
	})
}

// readLane reads the last message of a lane.
func (h *host) readLane(life, n int) {
	w := h.w
	gen := w.hub.generationFor(h, n)
	var seq events.Seq
	var body events.LaneBody
	done := false
	w.hub.lane(h.ref.Region, n, func() { seq, body = w.hub.lastLane(n, gen, h.ref) }, func() {
		h.alive(life, func() {
			if !done {
				done = true
				h.step(func(now events.Instant) lease.Effects { return h.agent.Read(now, n, gen, seq, body) })
			}
		})
	})
	w.in(w.d.BeatDeadline(), func() {
		h.alive(life, func() {
			if !done {
				done = true
				h.step(func(now events.Instant) lease.Effects { return h.agent.ReadFailed(now, n, gen) })
			}
		})
	})
}

// askGrant asks a candidate's agent for a promise, directly (G1).
func (h *host) askGrant(life int, q lease.Ask) {
	peer := h.w.hostOf(q.To.Agent)
	h.w.net.send(planePeer, h.ref.Region, peer.ref.Region, func() {
		plife := peer.life
		peer.alive(plife, func() {
			var g lease.Grant
			peer.step(func(now events.Instant) lease.Effects {
				var eff lease.Effects
				g, eff = peer.agent.Asked(now, q.To.Cluster, q.Group, q.Epoch)
				return eff
			})
			if peer.agent == nil || peer.life != plife {
				return // it crashed before it answered
			}
			h.w.net.send(planePeer, peer.ref.Region, h.ref.Region, func() {
				h.alive(life, func() { h.step(func(now events.Instant) lease.Effects { return h.agent.Granted(now, q, g) }) })
			})
			if down := peer.promised; g.Yes && down > 0 {
				peer.promised = 0
				peer.killAgent()
				peer.w.in(down, peer.startAgent)
			}
		})
	})
}

// publishReport stores a report, again until it is stored or a newer process reports.
func (h *host) publishReport(life int, r events.Report) {
	w := h.w
	stored := false
	if w.hub.lost[heardBy{h.ref, true}] == 0 {
		w.hub.request(h.ref.Region, func() { w.hub.storeReport(h, r) }, func() { stored = true })
	}
	w.in(time.Second, func() {
		h.alive(life, func() {
			if !stored {
				for _, cur := range h.agent.Reports() {
					if cur.Cluster == r.Cluster {
						h.publishReport(life, cur)
					}
				}
			}
		})
	})
}

// reread takes the commands that are stored (every 5 s and at start).
func (h *host) reread(life int) {
	w := h.w
	hears := heardBy{h.ref, false}
	w.hub.request(h.ref.Region, func() {}, func() {
		if w.hub.lost[hears]+w.hub.late[hears] > 0 {
			return
		}
		msgs, err := w.hub.store.All(events.StreamState, events.SubjectCommands(h.ref))
		if err == nil {
			for _, m := range msgs {
				h.alive(life, func() { h.command(m.Subject, m.Data, m.Seq) })
			}
		}
	})
	w.in(w.d.ReRead, func() { h.alive(life, func() { h.reread(life) }) })
}

// command applies one stored command.
func (h *host) command(subject string, data []byte, seq events.Seq) {
	if h.agent == nil {
		return
	}
	if subject == events.SubjectCommand(h.ref, events.ResumeCluster) {
		var r events.Resume
		if json.Unmarshal(data, &r) == nil {
			h.step(func(now events.Instant) lease.Effects { return h.agent.Resume(now, r, seq) })
		}
		return
	}
	c := h.commands[subject] // read again and again: decoding it each time would be much of a run
	if c.seq != seq || !bytes.Equal(c.data, data) {
		c = decoded{seq: seq, data: data}
		if json.Unmarshal(data, &c.set) != nil {
			return
		}
		h.commands[subject] = c
	}
	h.step(func(now events.Instant) lease.Effects { return h.agent.Set(now, c.set, seq) })
}
