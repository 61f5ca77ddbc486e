package lease

import "github.com/switchback-dr/switchback/events"

// Override is a person's word on the host, given outside of the record (break glass): the cluster runs, whatever its right, until the record names it anew or it has the
// right again. It is told until a person ends it.
type Override struct {
	Text string     // who, when, why; empty = none
	Seq  events.Seq // SeenSeq of the ledger when it was given: what is newer ends it
	Over bool       // the right came back since
}

// OverrideState is what the agent tells the guard of one.
type OverrideState string

// The states of an override.
const (
	OverrideNone OverrideState = ""
	OverrideOn   OverrideState = "on"
	OverrideOver OverrideState = "over" // the lease rules again
)

// InForce reports whether an override still holds, by the sequence of the last command applied.
func (o Override) InForce(seen events.Seq) bool { return o.Text != "" && !o.Over && seen <= o.Seq }

// Overridden takes what stands on disk of a cluster's override and says whether that is news: then a Tick is due.
func (a *Agent) Overridden(now events.Instant, ref events.Ref, o Override) bool {
	c := a.cluster(ref)
	if c == nil || c.override == o {
		return false
	}
	c.override, c.overrode = o, now
	return true
}

// OverrideEnds reports whether a cluster's override is to be written down as over: by every grant since it was given, not by one from before, the cluster has the right to run.
func (a *Agent) OverrideEnds(now events.Instant, ref events.Ref) bool {
	c := a.cluster(ref)
	if c == nil || c.override.Text == "" || c.override.Over {
		return false
	}
	return a.overridden(c) == OverrideOver || now >= c.overrode.Add(a.d.Run) && a.Right(now, ref) > now
}

func (a *Agent) overridden(c *cluster) OverrideState {
	seen := events.Seq(0)
	if e := a.led.Find(c.ref); e != nil {
		seen = e.SeenSeq
	}
	switch {
	case c.override.InForce(seen):
		return OverrideOn
	case c.override.Text != "":
		return OverrideOver
	}
	return OverrideNone
}
