package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/leader"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// ctl is one controller process: the leader's core, and while it leads a fleet.
type ctl struct {
	w      *World
	name   string
	region string
	rank   int
	dice   *rand.Rand
	rate   float64       // its clock's
	trap   time.Duration // it stands still for so long with the next batch in hand; 0 = no trap
	up     bool
	life   int
	still  pause
	blind  int // faults by which it hears of no region but its own
	booted at
	core   *leader.Core
	fleet  *fleet.Fleet
	busy   bool // a batch waits for its answer: inputs queue
	inbox  []fleet.Input
	wake   alarm
}

func (w *World) addController(i int, region string) {
	c := &ctl{w: w, name: fmt.Sprintf("c%d", i+1), region: region, rank: i}
	c.dice = w.luck(c.name)
	c.rate = 1 + (2*c.dice.Float64()-1)*w.net.noise.Clock
	w.ctls = append(w.ctls, c)
	c.start()
}

func (c *ctl) clock() events.Instant {
	return events.Instant(float64(c.w.now-c.booted)*c.rate) + events.Instant(time.Second)
}

// until is the true time left until its clock shows i, a millisecond at least.
func (c *ctl) until(i events.Instant) time.Duration {
	return max(time.Duration(float64(i-c.clock())/c.rate)+1, time.Millisecond)
}

func (c *ctl) now() fleet.Now {
	return fleet.Now{Boot: c.clock(), Wall: time.Unix(1_700_000_000, 0).UTC().Add(c.w.now)}
}

func (c *ctl) start() {
	if c.up {
		return
	}
	c.up, c.booted, c.fleet, c.busy, c.inbox = true, c.w.now, nil, false, nil
	c.life++
	c.core = leader.New(c.w.d.TTL, c.rank, c.rank == 0, c.clock())
	c.w.trace("%s starts", c.name)
	c.lead(c.life)
}

func (c *ctl) kill() {
	if c.up {
		c.w.trace("%s dies", c.name)
		c.up, c.fleet = false, nil
	}
}

func (c *ctl) alive(life int, f func()) {
	switch {
	case !c.up || c.life != life:
	case c.still.on():
		c.still.later(func() { c.w.in(within(c.dice, 0, time.Millisecond), func() { c.alive(life, f) }) })
	default:
		f()
	}
}

// lead is the election loop.
func (c *ctl) lead(life int) {
	do, wake := c.core.Next(c.clock())
	w := c.w
	switch do {
	case leader.Poll:
		c.poll(life)
	case leader.Claim:
		c.claim(life)
	case leader.Renew:
		c.renew(life)
	}
	w.in(c.until(wake), func() { c.alive(life, func() { c.lead(life) }) })
}

func (c *ctl) poll(life int) {
	var epoch, ls events.Seq
	var holder string
	done := false
	c.w.hub.request(c.region, func() {
		if m, _ := c.w.hub.store.Last(events.StreamState, events.SubjectTerm); m != nil {
			epoch, holder = m.Seq, c.w.hub.holder(m)
		}
		if m, _ := c.w.hub.store.Last(events.StreamState, events.SubjectLease); m != nil {
			ls = m.Seq
		}
	}, func() {
		c.alive(life, func() {
			done = true
			if c.core.Term() == 0 {
				if holder == c.name {
					holder = ""
				}
				c.core.Polled(c.clock(), epoch, ls, holder)
			}
		})
	})
	c.w.in(c.w.d.TTL/2, func() {
		c.alive(life, func() {
			if !done && c.core.Term() == 0 {
				c.core.PollFailed(c.clock())
			}
		})
	})
}

// answer is what became of a request to the state stream.
type answer struct {
	seq events.Seq
	err error
}

// ask sends a request to the state stream; no answer in time is unknown.
func (c *ctl) ask(life int, do func() (events.Seq, error), got func(answer)) {
	var a answer
	done := false
	c.w.hub.request(c.region, func() { a.seq, a.err = do() }, func() {
		c.alive(life, func() {
			if !done {
				done = true
				got(a)
			}
		})
	})
	c.w.in(c.w.d.TTL, func() {
		c.alive(life, func() {
			if !done {
				done = true
				got(answer{err: bus.ErrUnknown})
			}
		})
	})
}

func (c *ctl) claim(life int) {
	sent, expect := c.clock(), c.core.Epoch()
	data, _ := json.Marshal(events.Term{Holder: c.name})
	c.ask(life, func() (events.Seq, error) {
		return c.w.hub.store.Publish(bus.Out{Subject: events.SubjectTerm, Data: data, Last: bus.LastIs(expect)})
	}, func(a answer) {
		if a.err != nil {
			c.core.Lost(c.clock())
			return
		}
		c.core.Claimed(sent, a.seq)
		c.w.trace("%s leads term %d", c.name, a.seq)
		c.take(life, a.seq)
	})
}

func (c *ctl) renew(life int) {
	sent, term := c.clock(), c.core.Term()
	c.ask(life, func() (events.Seq, error) {
		return c.w.hub.store.Publish(bus.Out{Subject: events.SubjectLease, Fence: c.fence(term)})
	}, func(a answer) {
		switch {
		case c.core.Term() != term:
		case a.err == nil:
			c.core.Renewed(sent)
		case errors.Is(a.err, bus.ErrFenced):
			c.lose("fenced", true)
		}
	})
}

func (c *ctl) fence(term events.Seq) *bus.Fence {
	return &bus.Fence{Subject: events.SubjectTerm, Seq: term}
}

func (c *ctl) lose(why string, fenced bool) {
	c.w.trace("%s loses its term: %s", c.name, why)
	if fenced {
		c.core.Lost(c.clock())
	} else {
		c.core.Abandon(c.clock())
	}
	c.fleet, c.busy, c.inbox = nil, false, nil
}

// take starts a term from what is recorded.
func (c *ctl) take(life int, term events.Seq) {
	var snap fleet.Snapshot
	c.ask(life, func() (events.Seq, error) {
		snap = c.w.hub.snapshot(term, c.region)
		return 0, nil
	}, func(a answer) {
		if a.err != nil || c.core.Term() != term {
			c.lose("no snapshot", false)
			return
		}
		c.fleet, c.wake = fleet.New(snap, c.w.d, c.now()), alarm{}
		c.busy, c.inbox = false, nil                 // of a term that ran out with a batch in hand
		for _, n := range c.fleet.Reports(c.now()) { // as the teller does: what the bus has is not told again
			if !c.w.seen.told[ending{n.Type, n.Operation}] {
				c.tell(n)
			}
		}
		c.input(fleet.BusSeen{Regions: c.hubSeen()})
		c.tick(life, term)
		c.reread(life, term)
	})
}

// reread takes the reports and configurations that are stored, as intake does: a plain message may have been lost.
func (c *ctl) reread(life int, term events.Seq) {
	c.alive(life, func() {
		if c.fleet == nil || c.core.Term() != term {
			return
		}
		var reports []events.Report
		var groups []fleet.GroupConfig
		c.w.hub.request(c.region, func() { reports, groups = c.w.hub.stored() }, func() {
			c.alive(life, func() {
				for _, r := range reports {
					c.input(fleet.ReportSeen{Report: r})
				}
				for _, g := range groups {
					c.input(fleet.GroupSeen{GroupConfig: g})
				}
			})
		})
		c.w.in(2*time.Second, func() { c.reread(life, term) })
	})
}

func (c *ctl) hubSeen() []string {
	var rs []string
	for _, r := range c.w.shape.Regions {
		if c.w.hub.reach(c.region, r) && (c.blind == 0 || r == c.region) {
			rs = append(rs, r)
		}
	}
	return rs
}

// tick lets time act, at least every half beat.
func (c *ctl) tick(life int, term events.Seq) {
	c.alive(life, func() {
		if c.fleet == nil || c.core.Term() != term {
			return
		}
		c.input(fleet.BusSeen{Regions: c.hubSeen()})
		c.w.in(c.w.d.Beat/2, func() { c.tick(life, term) })
	})
}

// input hands one input to the fleet, or queues it while a batch waits for its answer.
func (c *ctl) input(in fleet.Input) {
	switch {
	case c.fleet == nil || !c.core.Leads(c.clock()) && c.core.Term() == 0:
	case c.still.on():
		life := c.life
		c.still.later(func() { c.alive(life, func() { c.input(in) }) })
	case c.busy:
		c.inbox = append(c.inbox, in)
	default:
		c.apply(in)
	}
}

func (c *ctl) apply(in fleet.Input) {
	eff := c.fleet.Apply(c.now(), in)
	if len(eff.Batches) == 0 {
		c.rest(eff)
		return
	}
	c.busy = true
	if c.trap > 0 {
		c.w.trace("%s paused with a batch in hand", c.name)
		c.w.in(c.trap, c.still.hold())
		c.trap = 0
	}
	c.save(c.life, c.core.Term(), eff)
}

func (c *ctl) save(life int, term events.Seq, eff fleet.Effects) {
	c.alive(life, func() { c.commit(life, term, eff, nil) })
}

// commit stores the batches in order; a failure of any ends the term.
func (c *ctl) commit(life int, term events.Seq, eff fleet.Effects, last []events.Seq) {
	if len(last) == len(eff.Batches) {
		c.busy = false
		c.rest(eff)
		c.input(fleet.Committed{Last: last})
		for len(c.inbox) > 0 && !c.busy && c.fleet != nil {
			in := c.inbox[0]
			c.inbox = c.inbox[1:]
			c.apply(in)
		}
		return
	}
	out := c.out(term, eff.Batches[len(last)])
	c.ask(life, func() (events.Seq, error) { return c.w.hub.commit(c, out) }, func(a answer) {
		switch {
		case c.core.Term() != term || c.fleet == nil:
		case a.err != nil:
			c.lose(fmt.Sprintf("batch: %v", a.err), errors.Is(a.err, bus.ErrFenced))
		default:
			c.commit(life, term, eff, append(last, a.seq))
		}
	})
}

func (c *ctl) out(term events.Seq, ws []fleet.Write) []bus.Out {
	out := []bus.Out{{Subject: events.SubjectLease, Fence: c.fence(term)}} // a message has one condition: the renewal carries the fence
	for _, wr := range ws {
		data, err := json.Marshal(wr.Payload)
		if err != nil {
			panic(err)
		}
		out = append(out, bus.Out{Subject: wr.Subject, Data: data, Last: wr.Last})
	}
	return out
}

// rest does what may leave only after the batches are stored.
func (c *ctl) rest(eff fleet.Effects) {
	life, term := c.life, c.core.Term()
	w := c.w
	for _, r := range eff.Revoke {
		c.revoke(life, term, r)
	}
	for _, k := range eff.Read {
		var seq events.Seq
		var body events.LaneBody
		w.hub.lane(c.region, k.Lane, func() { seq, body = w.hub.lastLane(k.Lane, k.Generation, k.Agent) }, func() {
			c.alive(life, func() {
				c.input(fleet.LaneRead{LaneSeen: fleet.LaneSeen{Lane: k.Lane, Generation: k.Generation, Agent: k.Agent, Seq: seq, Body: body}})
			})
		})
	}
	for _, l := range eff.Look {
		w.look(c, l)
	}
	for _, id := range eff.Rows {
		w.rows[id]++
	}
	for _, n := range eff.Tell {
		c.tell(n)
	}
	w.answers = append(w.answers, eff.Answers...)
	c.wakeAt(life, term, eff.Wake)
}

// tell publishes a notice. Whoever dies between storing and telling tells nothing.
func (c *ctl) tell(n events.Notice) {
	c.w.notices = append(c.w.notices, n)
	if c.w.seen.told == nil {
		c.w.seen.told = map[ending]bool{}
	}
	c.w.seen.told[ending{n.Type, n.Operation}] = true
	c.w.trace("%s tells %s %s %s: %s", c.name, n.Type, n.Group+n.Region, n.Rule, n.Why)
}

// wakeAt has time act on the fleet when its clock shows at.
func (c *ctl) wakeAt(life int, term events.Seq, at events.Instant) {
	c.wake.at = at
	if at == events.Never {
		return
	}
	due := c.w.now + c.until(at)
	if p := c.wake.due; p > c.w.now && p <= due {
		return
	}
	c.wake.due = due
	c.w.in(due-c.w.now, func() {
		c.alive(life, func() {
			switch {
			case c.core.Term() != term || c.wake.due != due:
			case c.clock() < c.wake.at:
				c.wake.due = 0
				c.wakeAt(life, term, c.wake.at)
			default:
				c.wake.due = 0
				c.input(fleet.Tick{})
			}
		})
	})
}

// revoke publishes a revocation (C2).
func (c *ctl) revoke(life int, term events.Seq, r fleet.Revocation) {
	w := c.w
	body := events.LaneBody{Kind: events.LaneRevoke, Attempt: r.Attempt}
	var a answer
	done := false
	w.hub.lane(c.region, r.Lane, func() { a.seq, a.err = w.hub.publishLane(r.Lane, r.Generation, r.Agent, body, r.Expected) }, func() {
		c.alive(life, func() {
			if !done && c.core.Term() == term {
				done = true
				c.input(fleet.RevokeResult{Revocation: r, Stored: a.err == nil, Refused: errors.Is(a.err, bus.ErrWrongSequence), Seq: a.seq})
			}
		})
	})
	w.in(w.d.BeatDeadline(), func() {
		c.alive(life, func() {
			if !done && c.core.Term() == term {
				done = true
				c.input(fleet.RevokeResult{Revocation: r})
			}
		})
	})
}

func (c *ctl) healthSeen(h events.Health) {
	c.alive(c.life, func() { c.input(fleet.HealthSeen{Health: h}) })
}

// look asks every observer outside the region to look at it once.
func (w *World) look(c *ctl, l events.Look) {
	saw := func(region, name string, up func() bool) {
		if region == l.Region {
			return
		}
		w.hub.plain(c.region, region, func() {
			if !up() {
				return
			}
			s := events.Saw{ID: l.ID, Region: l.Region, By: events.AgentRef{Region: region, Agent: name}}
			reach := w.net.both(planePeer, region, l.Region)
			for _, t := range l.Targets {
				if t.Cluster != (events.Ref{}) {
					v := w.server(t.Cluster)
					s.Sightings = append(s.Sightings, events.Sighting{Region: l.Region, What: t.Cluster.Cluster, How: events.SightCluster, Seen: reach && v.host.runs() && v.state != events.ServerDown && !v.frozen && !v.stuck})
				} else {
					h := w.hostOf(t.Agent)
					s.Sightings = append(s.Sightings, events.Sighting{Region: l.Region, What: t.Agent.Agent, How: events.SightAgent, Seen: reach && h.runs() && h.agent != nil && !h.agentStill.on()})
				}
			}
			w.in(within(c.dice, time.Millisecond, 100*time.Millisecond), func() {
				w.hub.plain(region, c.region, func() { c.alive(c.life, func() { c.input(fleet.SawSeen{Saw: s}) }) })
			})
		})
	}
	for _, h := range w.hosts {
		saw(h.ref.Region, h.ref.Agent, func() bool { return h.agent != nil && !h.agentStill.on() && !h.still.on() })
	}
	for _, o := range w.ctls {
		saw(o.region, o.name, func() bool { return o.up && !o.still.on() })
	}
}
