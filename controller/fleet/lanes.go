package fleet

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// agent is what this term knows of one agent.
type agent struct {
	ref      events.AgentRef
	lanes    [events.Lanes]laneKnown
	attempt  *attempt
	beatAt   events.Instant // when its last beat was received
	honoured time.Duration  // F+S+M as its beats say
	nonce    string
	external bool   // it has an external fence
	whole    string // start of the agent whose full health was taken: all of its clusters are known
	full     uint64
	delta    uint64
	peer     string
	cert     string
	alarms   []string
	right    time.Duration
	sights   []sight // what each other region's last look at it found, sorted by region
	resume   resumed
	holds    []events.Ref // clusters it reported, sorted
	settled  events.Seq   // where its newest RESUME stands in the stream, 0 = none
	foreign  string       // start of somebody else that it met on its lanes, as it last said
	metAt    events.Instant
	saidAt   events.Instant // when it last told of itself
	rejoin   bool           // a person wants its lanes free: whoever starts next as this agent joins anew
	hot      bool
}

// laneKnown is the last message of a lane, as far as this term knows (C1).
type laneKnown struct {
	known    bool
	seq      events.Seq
	received events.Instant
	body     events.LaneBody
	reading  events.Instant // when the last read was asked for, 0 = none under way
	pendAt   events.Instant // since when it shows PENDING
}

// attempt takes an agent's lease away; every group of the agent that is FENCING shares its acceptances (C2 ▲).
type attempt struct {
	id      string
	started events.Instant
	lanes   [events.Lanes]revoke
}

type revoke struct {
	flight   bool
	expected events.Seq
	received events.Instant // of the message the one in flight would replace
	triedAt  events.Instant
	ok       bool
	at       events.Instant // acceptance: receipt of the message it replaced
	rev      events.Seq
	replaced events.Seq
}

func (f *Fleet) agentOf(ref events.AgentRef) *agent {
	if a := f.agents.get(ref); a != nil {
		return a
	}
	a := f.agents.put(ref, &agent{ref: ref})
	r := f.regionOf(ref.Region)
	i := sort.Search(len(r.agents), func(i int) bool { return r.agents[i].ref.Agent >= ref.Agent })
	r.agents = slices.Insert(r.agents, i, a)
	return a
}

// heat puts an agent among those that every input looks at: it rejoins, or is under an attempt.
func (f *Fleet) heat(a *agent) {
	if !a.hot {
		a.hot = true
		i := sort.Search(len(f.hot), func(i int) bool { return f.hot[i].ref.String() >= a.ref.String() })
		f.hot = slices.Insert(f.hot, i, a)
	}
}

// cool takes out those that are neither any more.
func (f *Fleet) cool() {
	f.hot = slices.DeleteFunc(f.hot, func(a *agent) bool {
		a.hot = a.attempt != nil || a.pending() > 0
		return !a.hot
	})
}

// pending counts the lanes that rejoin, beating those that count.
func (a *agent) pending() int { return a.showing(events.LanePending) }
func (a *agent) beating() int { return a.showing(events.LaneBeat) }

func (a *agent) showing(kind events.LaneKind) int {
	n := 0
	for i := range a.lanes {
		if k := &a.lanes[i]; k.known && k.body.Kind == kind {
			n++
		}
	}
	return n
}

// laneSeen takes a stored message (C1): received now.
func (f *Fleet) laneSeen(now events.Instant, in LaneSeen) {
	if in.Generation != f.lanes.Lanes[in.Lane].Generation {
		return
	}
	a := f.agentOf(in.Agent)
	if in.Body.Kind == events.LaneBeat || in.Body.Kind == events.LanePending {
		a.beatAt = now
	}
	if k := &a.lanes[in.Lane]; !k.known || in.Seq > k.seq {
		f.learn(now, a, in)
	}
}

// learn makes a message the last known one of its lane.
func (f *Fleet) learn(now events.Instant, a *agent, in LaneSeen) {
	k := &a.lanes[in.Lane]
	wasPending := k.known && k.body.Kind == events.LanePending
	*k = laneKnown{known: true, seq: in.Seq, received: now, body: in.Body, pendAt: k.pendAt}
	if in.Body.Kind != events.LanePending {
		k.pendAt = 0
	} else if !wasPending {
		k.pendAt = now
		f.heat(a)
	}
	if in.Body.Kind == events.LaneBeat || in.Body.Kind == events.LanePending {
		if in.Body.Honoured != 0 {
			a.honoured = in.Body.Honoured
		}
	}
	if t := a.attempt; t != nil && in.Body.Kind == events.LaneRevoke && in.Body.Attempt == t.id {
		if r := &t.lanes[in.Lane]; !r.ok && r.flight {
			*r = revoke{ok: true, at: r.received, rev: in.Seq, replaced: r.expected}
			f.touchFencing(a)
		}
	}
}

// laneRead takes the answer to a read; the instant it returned is the receipt (C1).
func (f *Fleet) laneRead(now events.Instant, in LaneRead) {
	if in.Generation != f.lanes.Lanes[in.Lane].Generation {
		return
	}
	a := f.agentOf(in.Agent)
	k := &a.lanes[in.Lane]
	k.reading = 0
	if in.Failed || (k.known && in.Seq < k.seq) {
		return
	}
	if t := a.attempt; t != nil {
		defer func() { t.lanes[in.Lane].flight = false }() // whatever was in flight was not answered, or is what was read
	}
	if k.known && in.Seq == k.seq {
		return // nothing newer: what is known, and when it was received, stands
	}
	f.learn(now, a, in.LaneSeen)
}

// revoked takes the answer to a revocation (C2).
func (f *Fleet) revoked(now events.Instant, in RevokeResult) {
	a := f.agents.get(in.Agent)
	if a == nil || a.attempt == nil || a.attempt.id != in.Attempt || in.Generation != f.lanes.Lanes[in.Lane].Generation {
		return
	}
	r, k := &a.attempt.lanes[in.Lane], &a.lanes[in.Lane]
	if r.ok || !r.flight || r.expected != in.Expected {
		return
	}
	switch {
	case in.Stored:
		*r = revoke{ok: true, at: r.received, rev: in.Seq, replaced: r.expected}
		if !k.known || in.Seq > k.seq {
			f.learn(now, a, LaneSeen{in.Lane, in.Generation, in.Agent, in.Seq, events.LaneBody{Kind: events.LaneRevoke, Attempt: in.Attempt}})
		}
		f.touchFencing(a)
	case in.Refused:
		r.flight, k.known = false, false
	default:
		k.known = false // stored or not is unknown: read; the flight stays, so that our own revocation is known again
	}
}

// laneRebuilt records the new generation of an acceptor that lost its disk (C9): acceptances there are dropped, nothing else.
func (f *Fleet) laneRebuilt(in LaneRebuilt) []unit {
	if in.Place.Generation <= f.lanes.Lanes[in.Lane].Generation {
		return nil
	}
	f.lanes.Lanes[in.Lane] = in.Place
	for _, k := range f.agents.keys {
		a := f.agents.get(k)
		a.lanes[in.Lane] = laneKnown{}
		if a.attempt != nil {
			a.attempt.lanes[in.Lane] = revoke{}
		}
	}
	last, set := f.lanesSeq, f.lanes
	return []unit{{writes: []Write{{events.SubjectLanes, set, &last}}, lanes: true}}
}

// begin starts an attempt on an agent unless one runs.
func (f *Fleet) begin(now events.Instant, a *agent) {
	if a.attempt == nil {
		f.attempts++
		f.heat(a)
		a.attempt = &attempt{id: fmt.Sprintf("%d.%d", f.term, f.attempts), started: now}
	}
}

// drive moves every attempt on: read what is not known, revoke what is, count a revocation somebody else left (C2). Reads and revocations that got no
// answer are tried again every beat.
func (f *Fleet) drive(now events.Instant, eff *Effects) {
	for _, a := range f.hot {
		if a.attempt == nil {
			continue
		}
		if !f.wanted(a) {
			a.attempt = nil
			continue
		}
		for n := range a.lanes {
			f.driveLane(now, a, n, eff)
		}
		f.freed(a, eff)
	}
	f.cool()
}

func (f *Fleet) driveLane(now events.Instant, a *agent, n int, eff *Effects) {
	k, r := &a.lanes[n], &a.attempt.lanes[n]
	key := LaneKey{n, f.lanes.Lanes[n].Generation, a.ref}
	switch {
	case r.ok || key.Generation == 0:
	case !k.known:
		if k.reading == 0 || now >= k.reading.Add(f.d.BeatDeadline()+f.d.Beat) {
			k.reading = now
			eff.Read = append(eff.Read, key)
		}
		eff.Wake = min(eff.Wake, now.Add(f.d.Beat))
	case k.body.Kind == events.LaneRevoke:
		*r = revoke{ok: true, at: k.received, rev: k.seq} // left by somebody else: counted from the reading
		f.touchFencing(a)
		eff.Wake = min(eff.Wake, now)
	case r.flight && now < r.triedAt.Add(f.d.BeatDeadline()+f.d.Beat):
		eff.Wake = min(eff.Wake, now.Add(f.d.Beat))
	default:
		*r = revoke{flight: true, expected: k.seq, received: k.received, triedAt: now}
		eff.Revoke = append(eff.Revoke, Revocation{key, k.seq, a.attempt.id})
		eff.Wake = min(eff.Wake, now.Add(f.d.Beat))
	}
}

// wanted reports whether an attempt still serves somebody: a group of the agent in FENCING, revocations that must go on (C4), or a person who wants its lanes free.
func (f *Fleet) wanted(a *agent) bool {
	if a.rejoin {
		return true
	}
	for _, c := range a.holds {
		k := f.clusters.get(c)
		if k == nil || k.group == nil || k.group.record == nil {
			continue
		}
		r := k.group.record
		if r.Phase == events.PhaseFencing && r.Active == c && k.group.attempt || k.group.revoke == a.ref {
			return true
		}
	}
	return false
}

func (f *Fleet) touchFencing(a *agent) {
	for _, c := range a.holds {
		if k := f.clusters.get(c); k != nil && k.group != nil && k.group.record != nil && k.group.record.Phase == events.PhaseFencing {
			f.touch(k.group)
		}
	}
}

// lease is how far the proof by lease of an active got (C3a): the two acceptances with the oldest receipts decide. A right from promises that an older candidate
// list gave may still run when the active acknowledges the list in force, and a guard holds it whatever becomes of the agent: so that word is waited for as a beat is.
func (f *Fleet) lease(a *agent, act *cluster) decide.Lease {
	l := decide.Lease{Wait: f.d.Wait}
	if a == nil {
		return l
	}
	l.Wait = max(l.Wait, a.honoured)
	if a.attempt == nil {
		return l
	}
	l.Running = true
	var first, second *revoke
	var n1, n2 int
	for n := range a.attempt.lanes {
		switch r := &a.attempt.lanes[n]; {
		case !r.ok:
		case first == nil || r.at < first.at:
			first, second, n1, n2 = r, first, n, n1
		case second == nil || r.at < second.at:
			second, n2 = r, n
		}
	}
	if first != nil {
		l.Accepted = append(l.Accepted, events.ProofLane{Lane: n1, Revoked: first.rev, Replaced: first.replaced})
		l.Received = first.at
	}
	if second != nil {
		l.Accepted = append(l.Accepted, events.ProofLane{Lane: n2, Revoked: second.rev, Replaced: second.replaced})
		l.Received = max(second.at, act.listedAt)
	}
	return l
}

// LaneRegion is the hub region an acceptor is pinned to now.
func (f *Fleet) LaneRegion(lane int) string { return f.lanes.Lanes[lane].Region }
