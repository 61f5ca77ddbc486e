package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/intake"
	"github.com/switchback-dr/switchback/controller/leader"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// boot reads the clock that decisions count by. A controller compares only its own readings, so the process's monotonic clock will do; a suspended
// controller loses its term long before it matters.
func (c *Controller) boot() events.Instant { return events.Instant(time.Since(c.began)) + 1 }

func (c *Controller) now() fleet.Now { return fleet.Now{Boot: c.boot(), Wall: time.Now()} }

// follower is the election's core, knowing of no term yet.
func (c *Controller) follower() *leader.Core {
	h := fnv.New32a()
	h.Write([]byte(c.name))
	rank := 1 + int(h.Sum32()%4)
	if c.cfg.PreferLeader {
		rank = 0
	}
	return leader.New(c.d.TTL, rank, c.cfg.PreferLeader, c.boot())
}

// elect runs for leadership until ctx ends, and leads whenever it wins.
func (c *Controller) elect(ctx context.Context) {
	c.core = c.follower()
	for ctx.Err() == nil {
		do, wake := c.core.Next(c.boot())
		switch do {
		case leader.Poll:
			c.poll(ctx)
		case leader.Claim:
			c.claim(ctx)
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(time.Duration(wake-c.boot()), time.Millisecond)):
		}
	}
}

func (c *Controller) poll(parent context.Context) {
	ctx, cancel := context.WithTimeout(parent, c.d.TTL/2)
	defer cancel()
	epoch, lease, holder, err := c.journal.Poll(ctx)
	if err != nil {
		c.core.PollFailed(c.boot())
		c.lookForRecord(parent)
		return
	}
	c.polled = c.boot()
	if holder == c.name {
		holder = ""
	}
	c.core.Polled(c.boot(), epoch, lease, holder)
}

func (c *Controller) claim(ctx context.Context) {
	sent := c.boot()
	short, cancel := context.WithTimeout(ctx, c.d.TTL)
	defer cancel()
	term, err := c.journal.Claim(short, c.name, c.core.Epoch())
	if err != nil {
		c.core.Lost(c.boot())
		c.log.Debug("claim not won", telemetry.Err(err))
		return
	}
	c.core.Claimed(sent, term)
	c.log.Info("leads", "term", uint64(term))
	err = c.lead(ctx, term)
	c.metrics.retired()
	if errors.Is(err, bus.ErrFenced) {
		c.core.Lost(c.boot())
	} else {
		c.core.Abandon(c.boot())
	}
	c.log.Info("leads no more", "term", uint64(term), "why", fmt.Sprint(err))
}

// term is one term of leadership: its fleet, and what carries its effects out.
type term struct {
	c        *Controller
	n        events.Seq
	fleet    *fleet.Fleet
	in       <-chan fleet.Input
	back     chan fleet.Input // answers to what this term asked of lanes
	asks     chan ask
	queries  chan query
	agendas  chan chan<- fleet.Agenda
	notices  chan events.Notice // told by the loop, which alone numbers them
	waiting  map[string]waiter  // asks in hand, by id
	teller   *teller
	renewAt  events.Instant
	picture  *fleet.View // of a moment ago; nil = something was stored since
	pictured events.Instant
	lanes    [events.Lanes]struct {
		place events.LanePlace
		lane  bus.Lane
	}
}

// lead leads until it is fenced, an answer is missing, or ctx ends.
func (c *Controller) lead(ctx context.Context, n events.Seq) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t := &term{
		c: c, n: n, back: make(chan fleet.Input, 4096), asks: make(chan ask), queries: make(chan query), agendas: make(chan chan<- fleet.Agenda), notices: make(chan events.Notice, 64), waiting: map[string]waiter{},
		teller: newTeller(ctx, c, n), renewAt: c.boot(),
	}
	in, err := intake.Run(ctx, c.bus, c.intake, c.log)
	if err != nil {
		return err
	}
	t.in = in
	short, cancel := context.WithTimeout(ctx, 2*c.d.TTL)
	defer cancel()
	snap, err := c.journal.Snapshot(short, n, c.cfg.Region)
	if err != nil {
		return err
	}
	if snap.LanesSeq == 0 {
		for lane, p := range c.lanes.Lanes {
			if err := c.until(short, "set up an acceptor", func() error { return c.makeLane(short, lane, p) }); err != nil {
				return err
			}
		}
		zero := events.Seq(0)
		seq, err := c.journal.Store(short, n, []fleet.Write{{Subject: events.SubjectLanes, Payload: c.lanes, Last: &zero}})
		if err != nil {
			return fmt.Errorf("record the acceptors: %w", err)
		}
		snap.Lanes, snap.LanesSeq = c.lanes, seq
	}
	t.fleet = fleet.New(snap, c.d, c.now())
	c.metrics.leads.Set(1)
	c.metrics.term.Set(float64(n))
	t.teller.tell(events.Notice{Type: events.NoticeLeader, Rule: "leader", By: c.name, Why: fmt.Sprintf("%s leads, term %d", c.name, n)})
	go t.teller.again(ctx, t.fleet.Reports(c.now()))
	closeDoors, err := t.serve(ctx)
	if err != nil {
		return err
	}
	defer closeDoors()
	if err := c.bus.Send(events.SubjectFull, nil); err != nil { // else what has not changed is not known for up to FullHealth
		c.log.Debug("ask for full health", telemetry.Err(err))
	}
	go t.steer(ctx)
	go t.mend(ctx, snap.Lanes)
	go t.schedule(ctx)
	return t.loop(ctx)
}

// hearFirst is how many beats a new leader listens before it takes asks: until then it would refuse them as blind, or for want of a candidate, for it has heard
// from nobody yet. They are stored, and wait.
const hearFirst = 3

// loop is the one goroutine that decides and stores.
func (t *term) loop(ctx context.Context) error {
	c := t.c
	wake := time.NewTimer(0)
	defer wake.Stop()
	show := time.NewTicker(time.Second)
	defer show.Stop()
	listen := time.NewTimer(hearFirst * c.d.Beat)
	defer listen.Stop()
	var asks chan ask // nil = not yet
	for {
		if err := t.renew(ctx); err != nil {
			return err
		}
		var in fleet.Input = fleet.Tick{}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case in = <-t.back:
		case in = <-t.in:
		case <-wake.C:
			if err := t.catchUp(ctx); err != nil {
				return err
			}
		case <-show.C:
			c.metrics.show(t.fleet.View(c.now()))
		case <-listen.C:
			asks = t.asks
			continue
		case a := <-asks:
			if err := t.catchUp(ctx); err != nil {
				return err
			}
			t.hold(&a)
			in = a.in
		case n := <-t.notices:
			t.teller.tell(n)
			continue
		case q := <-t.queries:
			q.reply <- t.answer(q)
			continue
		case reply := <-t.agendas:
			reply <- t.fleet.Agenda(c.now())
			continue
		}
		next, err := t.apply(ctx, in)
		if err != nil {
			return err
		}
		wake.Reset(max(time.Duration(min(next, t.renewAt)-c.boot()), 0))
	}
}

// catchUp takes in what came while the loop waited for the journal, before anything is judged by its absence: the beats are there, only not read.
func (t *term) catchUp(ctx context.Context) error {
	for range len(t.in) {
		if _, err := t.apply(ctx, <-t.in); err != nil {
			return err
		}
	}
	return nil
}

// renew prolongs the term every TTL/3; past its trust nothing is decided.
func (t *term) renew(ctx context.Context) error {
	c := t.c
	if now := c.boot(); now >= t.renewAt {
		if err := c.journal.Renew(ctx, t.n, c.d.TTL); err != nil {
			return fmt.Errorf("renew the term: %w", err)
		}
		c.core.Renewed(now)
		t.renewAt = now.Add(c.d.TTL / 3)
	}
	return nil
}

// apply hands one input to the fleet and carries its effects out in order: stored first, then the rest.
func (t *term) apply(ctx context.Context, in fleet.Input) (events.Instant, error) {
	c := t.c
	for {
		began := time.Now()
		eff := t.fleet.Apply(c.now(), in)
		c.metrics.applied.Observe(time.Since(began).Seconds())
		last := make([]events.Seq, 0, len(eff.Batches))
		for _, b := range eff.Batches {
			short, cancel := context.WithTimeout(ctx, c.d.TTL)
			seq, err := c.journal.Store(short, t.n, b)
			cancel()
			if err != nil {
				return 0, fmt.Errorf("store a batch: %w", err)
			}
			last = append(last, seq)
		}
		if len(last) > 0 || len(eff.Answers) > 0 {
			t.picture = nil // who is told of it may ask at once
		}
		t.rest(ctx, eff)
		if len(last) == 0 {
			return eff.Wake, nil
		}
		in = fleet.Committed{Last: last}
	}
}

// rest does what may leave only after the batches are stored. Lanes answer on their own goroutines, so that no acceptor, dead or slow, delays the loop.
func (t *term) rest(ctx context.Context, eff fleet.Effects) {
	for _, r := range eff.Revoke {
		go t.revoke(ctx, t.port(r.LaneKey), r)
	}
	for _, k := range eff.Read {
		go t.read(ctx, t.port(k), k)
	}
	for _, l := range eff.Look {
		if data, err := json.Marshal(l); err == nil {
			if err := t.c.bus.Send(events.SubjectLook, data); err != nil {
				t.c.log.Debug("ask for a look", "region", l.Region, telemetry.Err(err))
			}
		}
	}
	for _, n := range eff.Tell {
		t.teller.tell(n)
	}
	for _, a := range eff.Answers {
		t.release(a)
	}
}

// port is the way to one acceptor, and the agent's subject there. The fleet is the loop's alone, so it is asked here and not beside it.
type port struct {
	lane    bus.Lane
	subject string
}

func (t *term) port(k fleet.LaneKey) port {
	p := events.LanePlace{Generation: k.Generation, Region: t.fleet.LaneRegion(k.Lane)}
	if t.lanes[k.Lane].lane == nil || t.lanes[k.Lane].place != p {
		t.lanes[k.Lane].place, t.lanes[k.Lane].lane = p, t.c.bus.Lane(k.Lane, p)
	}
	return port{t.lanes[k.Lane].lane, events.SubjectLane(k.Lane, k.Generation, k.Agent)}
}

// revoke publishes a revocation (C2): stored, refused, or unknown.
func (t *term) revoke(ctx context.Context, p port, r fleet.Revocation) {
	short, cancel := context.WithTimeout(ctx, t.c.d.BeatDeadline())
	defer cancel()
	data, err := json.Marshal(events.LaneBody{Kind: events.LaneRevoke, Attempt: r.Attempt})
	if err != nil {
		return
	}
	seq, err := p.lane.Publish(short, p.subject, data, r.Expected)
	t.hand(ctx, fleet.RevokeResult{Revocation: r, Stored: err == nil, Refused: errors.Is(err, bus.ErrWrongSequence), Seq: seq})
}

// read reads the last message of a lane (C1).
func (t *term) read(ctx context.Context, p port, k fleet.LaneKey) {
	short, cancel := context.WithTimeout(ctx, t.c.d.BeatDeadline())
	defer cancel()
	in := fleet.LaneRead{LaneSeen: fleet.LaneSeen{Lane: k.Lane, Generation: k.Generation, Agent: k.Agent}}
	m, err := p.lane.Last(short, p.subject)
	if err == nil && m != nil {
		in.Seq = m.Seq
		err = json.Unmarshal(m.Data, &in.Body)
	}
	in.Failed = err != nil
	t.hand(ctx, in)
}

func (t *term) hand(ctx context.Context, in fleet.Input) {
	select {
	case t.back <- in:
	case <-ctx.Done():
	}
}
