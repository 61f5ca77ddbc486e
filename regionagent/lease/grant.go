package lease

import (
	"github.com/switchback-dr/switchback/events"
)

// Ask is a request for a promise to one candidate, directly to its agent while the bus is silent (G1). Sent is when it left, on our clock; it
// does not travel.
type Ask struct {
	To      events.Candidate
	Cluster events.Ref // who asks
	Group   string
	Epoch   events.Epoch
	Sent    events.Instant
}

// Grant is the answer to an Ask.
type Grant struct {
	Yes  bool         `json:"yes"`
	Seen events.Epoch `json:"seen"`
	Why  string       `json:"why,omitempty"`
}

type grant struct {
	to    events.Ref
	until events.Instant // sent + F of the latest yes
}

// askGrants asks every cluster of every acknowledged list, each h, while the bus is silent or not yet heard since this start (G1).
func (a *Agent) askGrants(now events.Instant, eff *Effects) {
	heard := false
	for i := range a.lanes {
		heard = heard || a.lanes[i].ackAt != 0
	}
	if heard && !a.silent(now) {
		eff.wake(a.silentFrom())
		return
	}
	if a.asked != 0 && now < a.asked.Add(a.d.Beat) {
		eff.wake(a.asked.Add(a.d.Beat))
		return
	}
	for _, c := range a.cs {
		e := a.led.Find(c.ref)
		if e == nil || e.Role != events.RoleActive || e.Version == 0 || e.Unsettled || e.Exempt() {
			continue
		}
		for _, to := range e.Candidates {
			eff.Ask = append(eff.Ask, Ask{To: to, Cluster: c.ref, Group: e.Group, Epoch: e.Seen, Sent: now})
		}
	}
	a.asked = now
	eff.wake(now.Add(a.d.Beat))
}

// Asked takes a peer's request for a promise and answers it (G2). Its effects must be done before the answer leaves.
func (a *Agent) Asked(now events.Instant, cluster events.Ref, group string, epoch events.Epoch) (Grant, Effects) {
	g := a.promise(now, cluster, group, epoch)
	return g, a.settle(now)
}

func (a *Agent) promise(now events.Instant, ref events.Ref, group string, epoch events.Epoch) Grant {
	c, e := a.cluster(ref), a.led.Find(ref)
	switch {
	case c == nil || e == nil || e.Group != group:
		return Grant{Why: "not under my care in that group"}
	case a.foreign != "":
		return Grant{Seen: e.Seen, Why: "this host's ledger may be a copy"}
	case epoch < e.Seen:
		return Grant{Seen: e.Seen, Why: "a higher epoch is known here"}
	}
	a.higher(c, e, epoch)
	switch {
	case e.Role != events.RolePassive:
		return Grant{Seen: e.Seen, Why: "active here at that epoch"}
	case !c.server.Stopped() && c.server != events.ServerUnknown || c.busy == Promote || c.busy == Start:
		return Grant{Seen: e.Seen, Why: "server still being stopped"}
	}
	c.promise = now.Add(a.d.Wait)
	return Grant{Yes: true, Seen: e.Seen}
}

// Granted takes the answer to our own Ask. The right counts from when the request was sent.
func (a *Agent) Granted(now events.Instant, q Ask, g Grant) Effects {
	c, e := a.cluster(q.Cluster), a.led.Find(q.Cluster)
	if c == nil || e == nil {
		return a.settle(now)
	}
	if g.Seen > e.Seen {
		a.higher(c, e, g.Seen)
		return a.settle(now)
	}
	if g.Yes && q.Epoch == e.Seen && e.Role == events.RoleActive {
		until := q.Sent.Add(a.d.Run)
		for i := range c.grants {
			if c.grants[i].to == q.To.Cluster {
				c.grants[i].until = max(c.grants[i].until, until)
				return a.settle(now)
			}
		}
		c.grants = append(c.grants, grant{q.To.Cluster, until})
	}
	return a.settle(now)
}

// grantRight is the right by grants: the least over all of the acknowledged list, one missing = none (G3). An acknowledged empty list is a
// yes: nobody may be promoted.
func (a *Agent) grantRight(now events.Instant, c *cluster, e *Entry) events.Instant {
	if e.Version == 0 {
		return 0 // a list never acknowledged is none
	}
	right := now.Add(a.d.Run)
	for _, to := range e.Candidates {
		got := events.Instant(0)
		for _, g := range c.grants {
			if g.to == to.Cluster {
				got = g.until
			}
		}
		right = min(right, got)
	}
	return right
}
