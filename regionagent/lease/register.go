package lease

import (
	"github.com/switchback-dr/switchback/events"
)

// Set takes a command (A10): desired state. Late and repeated ones are dropped by epoch, and within an epoch by stream sequence.
func (a *Agent) Set(now events.Instant, s events.Set, seq events.Seq) Effects {
	a.set(now, s, seq)
	return a.settle(now)
}

// set applies one SET and says whether it was taken.
func (a *Agent) set(now events.Instant, s events.Set, seq events.Seq) bool {
	c := a.cluster(s.Cluster)
	if c == nil || (s.Role != events.RoleActive && s.Role != events.RolePassive) || s.Epoch == 0 {
		return false
	}
	e := a.led.Find(s.Cluster)
	if e != nil && (s.Epoch < e.Seen || (s.Epoch == e.Seen && seq <= e.SeenSeq)) {
		return false
	}
	born := e == nil
	if born { // C0: it comes under care with the command
		e = a.led.add(s.Cluster)
		e.Primary = s.Role == events.RoleActive
	}
	a.adopt(c, e, s.Epoch, s.Role)
	e.SeenSeq, e.Group, e.Mode, e.Isolation, e.Config, e.Unsettled = seq, s.Group, s.Mode, s.Isolation, s.Config, false
	if s.Version > e.Version {
		e.Version, e.Candidates = s.Version, s.Candidates
		c.grants = nil
	}
	if s.Step == nil || e.Step == nil || s.Step.ID != e.Step.ID {
		c.taken, c.stepAt = now, 0
	}
	if s.Sync != nil && (e.Sync == nil || s.Sync.Version != e.Sync.Version) {
		c.syncAt = 0
	}
	e.Step, e.Peers, e.Sync, e.Tasks = s.Step, s.Peers, s.Sync, s.Tasks
	e.Released = s.Step != nil && s.Step.Verb == events.VerbRelease
	return true
}

// adopt makes (epoch, role) the cluster's desired state: persisted before anything is done about it.
func (a *Agent) adopt(c *cluster, e *Entry, epoch events.Epoch, role events.Role) {
	if epoch != e.Seen || role != e.Role {
		c.said, c.failures, c.retryAt, c.stepAt = 0, 0, 0, 0
		c.grants = nil // G3: void when the epoch changes
		if epoch != e.Seen {
			c.held = 0
		}
	}
	if role == events.RolePassive {
		c.held = 0
	}
	e.Seen, e.Role = epoch, role
	a.dirty = true
	if role == events.RolePassive {
		a.rejoined()
	}
}

// higher takes an epoch above the ledger's, met in a grant request or a peer's answer: the effect of SET(that epoch, passive) (A10).
func (a *Agent) higher(c *cluster, e *Entry, epoch events.Epoch) {
	if epoch > e.Seen {
		a.adopt(c, e, epoch, events.RolePassive)
		e.Step = nil
	}
}

// Resume takes a RESUME (A6): every group is settled, and on disk, before any lane counts.
func (a *Agent) Resume(now events.Instant, r events.Resume, seq events.Seq) Effects {
	if r.Agent != a.self {
		return a.settle(now)
	}
	for _, s := range r.Groups {
		if e := a.led.Find(s.Cluster); e != nil && s.Epoch < e.Seen {
			continue
		}
		a.set(now, s, seq)
	}
	for i := range a.led.Entries {
		if e := &a.led.Entries[i]; e.Role == events.RoleActive && e.SeenSeq < seq && !named(r.Groups, e.Cluster) {
			e.Unsettled = true
			a.dirty = true
		}
	}
	for n := range a.lanes {
		l, want := &a.lanes[n], r.Lanes[n]
		if want != nil && l.st == lanePending && l.place.Generation == want.Generation && l.rejoin == want.Rejoin {
			l.st = laneCounted
		}
	}
	a.rejoined()
	return a.settle(now)
}

func named(sets []events.Set, c events.Ref) bool {
	for i := range sets {
		if sets[i].Cluster == c {
			return true
		}
	}
	return false
}

// rejoined ends the rejoin of A7 once two lanes count again, or once no stopped cluster is held active any more.
func (a *Agent) rejoined() {
	if !a.rejoin {
		return
	}
	counted, stopped := 0, false
	for i := range a.lanes {
		if a.lanes[i].st == laneCounted {
			counted++
		}
	}
	for _, c := range a.cs {
		e := a.led.Find(c.ref)
		stopped = stopped || (e != nil && e.Role == events.RoleActive && !(c.server == events.ServerWritable || c.server == events.ServerFrozen))
	}
	a.rejoin = counted < events.Quorum && stopped
}
