package lease

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// laneState is an agent's chain at one acceptor (2a-protocol, AGENT).
type laneState uint8

const (
	laneUnknown laneState = iota // the last message must be read (A3)
	laneCounted                  // beats renew
	lanePending                  // rejoins, renews nothing until a RESUME names it
	laneBroken                   // revoked, rebuilt or empty: must rejoin
)

var laneNames = [...]string{"unknown", "counted", "pending", "broken"}

func (s laneState) String() string { return laneNames[s] }

// Beat is one publish on a lane: conditional on the last sequence there. At most one is in flight per lane.
type Beat struct {
	Lane       int
	Generation uint64
	Expected   events.Seq
	Body       events.LaneBody
}

// sentBeat remembers when a publish left, so that one whose ack was lost extends the lease by its own send time only (A4).
type sentBeat struct {
	no   uint64
	kind events.LaneKind
	at   events.Instant
}

// keepSent is how many publishes are remembered per lane; an older one's lease has lapsed anyway.
const keepSent = 16

type lane struct {
	place   events.LanePlace
	st      laneState
	exp     events.Seq
	lease   events.Instant // right by this lane; 0 = none
	rejoin  events.Seq     // while PENDING: sequence of the first PENDING of this rejoin
	flight  bool           // a publish waits for its answer
	reading bool
	readAt  events.Instant // when the last read was asked for
	beatAt  events.Instant // when the last publish left
	ackAt   events.Instant // when the last ack came that renewed (G1): one of a rejoin does not keep an active alive
	no      uint64
	sent    []sentBeat
}

func (l *lane) sentAt(no uint64) (sentBeat, bool) {
	for _, s := range l.sent {
		if s.no == no {
			return s, true
		}
	}
	return sentBeat{}, false
}

func (l *lane) remember(s sentBeat) {
	if len(l.sent) == keepSent {
		l.sent = append(l.sent[:0], l.sent[1:]...)
	}
	l.sent = append(l.sent, s)
}

// beatDue says when the lane publishes next: every h, none in flight, state known (A1).
func (l *lane) beatDue(h time.Duration) events.Instant {
	if l.flight || l.st == laneUnknown || l.place.Generation == 0 {
		return events.Never
	}
	if l.beatAt == 0 {
		return 0
	}
	return l.beatAt.Add(h)
}

// readDue says when an UNKNOWN lane is read next (A3; every 50 ms until it is known).
func (l *lane) readDue(every time.Duration) events.Instant {
	if l.st != laneUnknown || l.reading || l.flight || l.place.Generation == 0 {
		return events.Never
	}
	if l.readAt == 0 {
		return 0
	}
	return l.readAt.Add(every)
}

// publish takes the next beat off a lane (A1). sent is taken before the publish leaves.
func (a *Agent) publish(now events.Instant, n int) Beat {
	l := &a.lanes[n]
	l.no++
	kind, rejoin := events.LaneBeat, events.Seq(0)
	if l.st != laneCounted {
		kind = events.LanePending
		if l.st == lanePending {
			rejoin = l.rejoin
		}
	}
	l.flight, l.beatAt = true, now
	l.remember(sentBeat{l.no, kind, now})
	return Beat{n, l.place.Generation, l.exp, events.LaneBody{
		Kind: kind, Nonce: a.nonce, No: l.no, Rejoin: rejoin, Honoured: a.d.Honoured(), Active: a.countActive(),
	}}
}

// Acked takes the answer to a publish: stored at seq (A2). Times count from when it was sent, never from the ack.
func (a *Agent) Acked(now events.Instant, n int, generation uint64, no uint64, seq events.Seq) Effects {
	l := &a.lanes[n]
	if generation != l.place.Generation || !l.flight || no != l.no {
		return a.settle(now)
	}
	s, _ := l.sentAt(no)
	l.flight, l.exp = false, seq
	switch {
	case s.kind == events.LaneBeat && l.st == laneCounted:
		l.lease, l.ackAt = max(l.lease, s.at.Add(a.d.Run)), now
	case s.kind == events.LanePending && l.st == laneBroken:
		l.st, l.rejoin = lanePending, seq
	}
	// A PENDING that was in flight when its rejoin was counted leaves the lane counted; a BEAT in flight when every lane must
	// rejoin (A7) leaves it broken. Both only moved the sequence on.
	return a.settle(now)
}

// Lost takes a publish that was refused, or not answered in time (A3): never retried blindly, the last message is read first.
func (a *Agent) Lost(now events.Instant, n int, generation uint64, no uint64) Effects {
	l := &a.lanes[n]
	if generation == l.place.Generation && l.flight && no == l.no {
		l.flight, l.st, l.readAt = false, laneUnknown, 0
	}
	return a.settle(now)
}

// ReadFailed takes a read without an answer; the lane is read again soon.
func (a *Agent) ReadFailed(now events.Instant, n int, generation uint64) Effects {
	if l := &a.lanes[n]; generation == l.place.Generation {
		l.reading = false
	}
	return a.settle(now)
}

// Read takes the last message on a lane (A4); seq 0 and kind LaneNone when nothing is there.
func (a *Agent) Read(now events.Instant, n int, generation uint64, seq events.Seq, body events.LaneBody) Effects {
	l := &a.lanes[n]
	if generation != l.place.Generation {
		return a.settle(now)
	}
	l.reading = false
	if l.st != laneUnknown || l.flight {
		return a.settle(now)
	}
	l.exp = seq
	mine := body.Nonce != "" && a.led.wrote(body.Nonce)
	switch {
	case (body.Kind == events.LaneBeat || body.Kind == events.LanePending) && !mine:
		a.foreign = body.Nonce // a cloned host, or a lost ledger: freeze and alarm
		l.st, l.lease = laneBroken, 0
	case body.Kind == events.LaneBeat && a.rejoin:
		l.st, l.lease = laneBroken, 0 // A7
	case body.Kind == events.LaneBeat:
		l.st = laneCounted
		if s, ok := l.sentAt(body.No); ok && body.Nonce == a.nonce && s.kind == events.LaneBeat {
			l.lease = max(l.lease, s.at.Add(a.d.Run)) // its own known send time, nothing more
		}
	case body.Kind == events.LanePending:
		l.st, l.rejoin = lanePending, body.RejoinSeq(seq)
	default: // REV, or nothing there
		l.st, l.lease = laneBroken, 0
	}
	return a.settle(now)
}

// Places takes the acceptors of the record (K1). A generation not seen before is a rebuilt acceptor: the lane is broken and its lease gone.
func (a *Agent) Places(now events.Instant, set events.LaneSet) Effects {
	for n := range a.lanes {
		l := &a.lanes[n]
		if p := set.Lanes[n]; p.Generation > l.place.Generation {
			*l = lane{place: p, st: laneUnknown, no: l.no, ackAt: l.ackAt}
		}
	}
	return a.settle(now)
}

// laneRight is the second largest lane lease (A8).
func (a *Agent) laneRight() events.Instant {
	var first, second events.Instant
	for i := range a.lanes {
		switch d := a.lanes[i].lease; {
		case d > first:
			first, second = d, first
		case d > second:
			second = d
		}
	}
	return second
}

// silent reports whether two lanes have not been renewed for 2h (G1). A lane that rejoins is answered and renews nothing: whoever lost its lanes to a revocation
// meant for another group, or to a hub that came back empty, goes on by promises until a RESUME counts them (I6).
func (a *Agent) silent(now events.Instant) bool {
	n := 0
	for i := range a.lanes {
		if now.Sub(max(a.lanes[i].ackAt, a.started)) >= a.d.Silent() {
			n++
		}
	}
	return n >= events.Quorum
}

// silentFrom is when silent will next become true if no ack comes.
func (a *Agent) silentFrom() events.Instant {
	var first, second events.Instant = events.Never, events.Never // the second oldest ack decides
	for i := range a.lanes {
		switch d := max(a.lanes[i].ackAt, a.started).Add(a.d.Silent()); {
		case d < first:
			first, second = d, first
		case d < second:
			second = d
		}
	}
	return second
}
