// Package leader elects one controller by compare-and-set on ctl.epoch (2-safety, Leaders). The sequence of the write that won is the term, and the
// fence of everything a leader stores: safety never depends on who leads, only liveness does.
package leader

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Core decides when a controller claims and renews. It is pure: the loop around it polls, publishes and tells it what came of that.
type Core struct {
	ttl    time.Duration
	late   time.Duration // how much later than TTL this one claims: the preferred one first
	prefer bool

	epoch, lease events.Seq     // last sequences seen of ctl.epoch and ctl.lease
	changed      events.Instant // when either was last seen to change, on our clock
	steady       events.Instant // since when every poll was answered
	watched      events.Instant // when the last answer to a poll was taken, or this began to watch
	term         events.Seq     // 0 = follower
	renewAt      events.Instant
	until        events.Instant // leading is trusted until then
	pollAt       events.Instant
	holder       string
	refused      bool // the last claim was, or its term was fenced: what is known may be of a hub that was put back since
}

// Do is what the loop must do next.
type Do uint8

// What a core can want.
const (
	Wait  Do = iota
	Poll     // read the last messages of ctl.epoch and ctl.lease
	Claim    // publish ctl.epoch, expecting Epoch as its last sequence
	Renew    // publish ctl.lease, fenced on Term
)

// New returns a follower. rank orders those that would claim at the same time: 0 claims first.
func New(ttl time.Duration, rank int, prefer bool, now events.Instant) *Core {
	return &Core{ttl: ttl, late: time.Duration(rank) * ttl / 4, prefer: prefer, changed: now, steady: now, watched: now}
}

// Term is the term this controller leads in, 0 if it does not.
func (c *Core) Term() events.Seq { return c.term }

// Epoch is the expected last sequence of a claim.
func (c *Core) Epoch() events.Seq { return c.epoch }

// Leads reports whether decisions may still be issued: past that a leader stops by itself (performance only; the fence is what is safe).
func (c *Core) Leads(now events.Instant) bool { return c.term != 0 && now < c.until }

// Next says what to do now and when to ask again.
func (c *Core) Next(now events.Instant) (Do, events.Instant) {
	if c.term != 0 {
		if now >= c.renewAt {
			c.renewAt = now.Add(c.ttl / 3)
			return Renew, c.renewAt
		}
		return Wait, c.renewAt
	}
	if now.Sub(c.watched) > c.ttl { // it stood still itself: whether the leader did, too, nobody has seen
		c.changed, c.steady, c.watched = now, now, now
	}
	if now.Sub(c.changed) > c.ttl+c.late || c.wantsIt(now) {
		c.changed, c.steady = now, now // one claim per timeout
		return Claim, c.pollAt
	}
	if now >= c.pollAt {
		c.pollAt = now.Add(c.ttl / 8)
		return Poll, c.pollAt
	}
	return Wait, c.pollAt
}

// preferAfter is how many TTLs the preferred controller must have been steady before it takes over from another.
const preferAfter = 10

// wantsIt: the preferred controller, steady for long, leads although another does.
func (c *Core) wantsIt(now events.Instant) bool {
	return c.prefer && c.holder != "" && now.Sub(c.steady) > preferAfter*c.ttl
}

// Polled takes the answer to a poll: last sequences, and who holds the term. They may be stale: a claim is a compare-and-set.
//
// After a claim that was refused what is answered counts even if it is less: the hub may have been put back from a backup, and a claim that expects a term which is not
// there any more would be refused for ever.
func (c *Core) Polled(now events.Instant, epoch, lease events.Seq, holder string) {
	known, renewed := c.epoch, c.lease
	if c.refused {
		c.refused, c.epoch, c.lease = false, epoch, lease
	}
	if epoch > known || lease > renewed { // a server that is behind may answer with less: no sign of life
		c.epoch, c.lease, c.changed = max(epoch, c.epoch), max(lease, c.lease), now
	}
	c.holder, c.watched = holder, now
}

// PollFailed takes a poll without an answer: nothing is known, nothing is claimed on it.
func (c *Core) PollFailed(now events.Instant) { c.changed, c.steady, c.watched = now, now, now }

// Claimed takes a claim that was stored at seq; sent is when it left. Trust counts from then, never from the answer.
func (c *Core) Claimed(sent events.Instant, seq events.Seq) {
	c.term, c.epoch, c.until, c.renewAt = seq, seq, sent.Add(c.ttl*8/10), sent
}

// Renewed takes a renewal that was stored.
func (c *Core) Renewed(sent events.Instant) {
	if c.term != 0 {
		c.until = sent.Add(c.ttl * 8 / 10)
	}
}

// Abandon ends the term because an answer never came: what was stored is unknown, so everything is read again in a new term. Nobody else is known to
// lead, so it is claimed at once; a claim that lost, or a fence, waits for a timeout (Lost).
func (c *Core) Abandon(now events.Instant) {
	c.term, c.until = 0, 0
	c.changed, c.steady, c.watched = now.Add(-c.ttl-c.late-1), now, now
}

// Lost ends the term: fenced, or the claim was not answered. The next claim waits for a timeout.
func (c *Core) Lost(now events.Instant) {
	c.term, c.changed, c.steady, c.watched, c.until, c.refused = 0, now, now, now, 0, true
}
