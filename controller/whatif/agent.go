package whatif

import (
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// apply hands an input to the core and carries its effects out, as a bus and agents that never fail would.
func (w *world) apply(in fleet.Input) {
	for {
		eff := w.fleet.Apply(w.now(), in)
		last := make([]events.Seq, 0, len(eff.Batches))
		for _, b := range eff.Batches {
			w.seq += events.Seq(len(b)) + 1
			last = append(last, w.seq)
			for _, x := range b {
				w.stored(x)
			}
		}
		w.tell(eff.Tell)
		for _, r := range eff.Revoke {
			w.in(time.Millisecond, func() { w.revoke(r) })
		}
		for _, k := range eff.Read {
			w.in(time.Millisecond, func() {
				w.apply(fleet.LaneRead{LaneSeen: fleet.LaneSeen{Lane: k.Lane, Generation: k.Generation, Agent: k.Agent}, Failed: true})
			})
		}
		for _, l := range eff.Look {
			w.in(50*time.Millisecond, func() { w.look(l) })
		}
		if len(last) == 0 {
			return
		}
		in = fleet.Committed{Last: last}
	}
}

func (w *world) tell(ns []events.Notice) {
	for _, n := range ns {
		w.told = append(w.told, Told{w.since(), n.Group, n.Region, n.Type, n.Rule, n.Why})
		if n.Type == events.NoticeServing {
			w.served[n.Group] = w.since()
		}
	}
}

func (w *world) stored(x fleet.Write) {
	switch p := x.Payload.(type) {
	case events.Record:
		w.moved = w.at
	case events.Set:
		w.set(p)
	case events.Resume:
		for _, s := range p.Groups {
			w.set(s)
		}
	}
}

// revoke stores a revocation where the acceptor is left; the agent of a region that is lost publishes nothing against it.
func (w *world) revoke(r fleet.Revocation) {
	res := fleet.RevokeResult{Revocation: r}
	if p := w.fleet.Lane(r.Lane); !w.gone[p.Region] && w.gone[r.Agent.Region] {
		w.seq++
		res.Stored, res.Seq = true, w.seq
	}
	w.apply(res)
}

// look is answered by everybody who is left: of what is lost nobody sees anything.
func (w *world) look(l events.Look) {
	for _, by := range w.regions {
		if w.gone[by] || by == l.Region {
			continue
		}
		saw := events.Saw{ID: l.ID, Region: l.Region, By: events.AgentRef{Region: by, Agent: "what-if"}}
		for _, t := range l.Targets {
			s := events.Sighting{Region: l.Region, What: t.Agent.Agent, How: events.SightAgent, Seen: !w.gone[l.Region]}
			if t.Cluster != (events.Ref{}) {
				s.What, s.How = t.Cluster.Cluster, events.SightCluster
			}
			saw.Sightings = append(saw.Sightings, s)
		}
		w.apply(fleet.SawSeen{Saw: saw})
	}
}

// set has the agent of a cluster do what it is told, if it is left.
func (w *world) set(s events.Set) {
	if w.gone[s.Cluster.Region] {
		return
	}
	for _, a := range w.agents {
		i := slices.IndexFunc(a.health.Clusters, func(c events.ClusterHealth) bool { return c.Cluster == s.Cluster })
		if i >= 0 && a.ref.Region == s.Cluster.Region {
			w.in(takes(&s), func() { w.obey(a, i, s) })
		}
	}
}

// takes is how long an agent takes for a command.
func takes(s *events.Set) time.Duration {
	switch {
	case s.Role == events.RoleActive:
		return PromoteTakes
	case s.Step != nil && s.Step.Verb == events.VerbStop:
		return StopTakes
	case s.Step != nil && s.Step.Verb == events.VerbCut:
		return CutTakes
	}
	return time.Millisecond
}

// obey does a command and reports it. A restore is not forecast: it is as long as the data is large.
func (w *world) obey(a *agent, i int, s events.Set) {
	c := &a.health.Clusters[i]
	old, _ := w.fleet.Reported(s.Cluster)
	r := events.Report{
		Agent: a.ref, Cluster: s.Cluster, Group: s.Group, Nonce: "what-if", No: uint64(w.seq), Seen: s.Epoch, Role: s.Role, Version: s.Version, Results: slices.Clone(old.Results), Exempt: old.Exempt,
	}
	w.seq++
	result := func(step string, lsn events.LSN) {
		r.Results = append(r.Results, events.Result{Step: step, Outcome: events.Done, LSN: lsn, Replayed: lsn, Timeline: c.Timeline})
	}
	switch {
	case s.Role == events.RoleActive && c.Server != events.ServerWritable:
		c.Server, c.Streaming, c.CanaryOK, c.Upstream = events.ServerWritable, false, true, ""
		result(events.StepID(s.Group, s.Epoch, "promote"), c.LSN)
		c.Timeline++
		r.Results[len(r.Results)-1].Timeline = c.Timeline
		r.Serving, r.Primary = s.Epoch, true
	case s.Role == events.RoleActive:
		r.Serving, r.Primary = s.Epoch, true
	default:
		if c.Server == events.ServerWritable {
			c.Server, r.Primary = events.ServerDown, true
			r.Fenced = "clean stop"
		}
		r.Passive = s.Epoch
	}
	if st := s.Step; st != nil && st.Verb != events.VerbRestore {
		result(st.ID, c.LSN)
		if st.Verb == events.VerbFollow {
			c.Server, c.Streaming = events.ServerRecovery, true
			if g := w.fleet.GroupOf(s.Cluster); g != nil {
				c.Timeline = w.timeline(g.Active)
			}
		}
	}
	w.apply(fleet.ReportSeen{Report: r})
	w.say(a)
}

// timeline is what the active writes.
func (w *world) timeline(active events.Ref) uint32 {
	for _, a := range w.agents {
		for _, c := range a.health.Clusters {
			if c.Cluster == active {
				return c.Timeline
			}
		}
	}
	return 0
}
