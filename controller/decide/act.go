package decide

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

func refuse(f *Facts, o *Outcome) {
	o.answer(f, false, "")
	n := o.notice(f, events.NoticeRefused)
	n.By = f.Ask.Actor
}

func disarm(f *Facts, o *Outcome) {
	r := o.draft(f)
	r.Disarm = ""
	if f.Ask.Verb == events.AskDisarm {
		r.Disarm = "by " + f.Ask.Actor
		if f.Ask.Reason != "" {
			r.Disarm += ": " + f.Ask.Reason
		}
	}
	o.answer(f, true, "")
	n := o.notice(f, events.NoticeAutomation)
	n.By = f.Ask.Actor
}

func dryRun(f *Facts, o *Outcome) {
	t, _ := f.best(f.asked(), events.Ref{})
	how := "its agent is asked to stop it cleanly, nothing is lost"
	if f.active().Silent > 0 {
		how = "its agent is silent: the fence is its lapsed lease"
	}
	o.Why = fmt.Sprintf("would fail over %s from %s to %s: %s; nothing was done", f.Config.Group, f.Record.Active, t.Cluster, how)
	o.answer(f, true, "")
}

// failover records the intent (C2): epoch + 1, the target told to stay passive at it, the old active told to stop. The attempt on its agent's lease
// starts at once when that agent is silent.
func failover(f *Facts, o *Outcome) {
	t, _ := f.best(f.asked(), events.Ref{})
	old := f.active()
	r := o.draft(f)
	if r.Running() {
		r.Op.Ended, r.Op.EndWhy = "failed", "superseded before it served"
	}
	r.Epoch++
	r.Phase, r.Target = events.PhaseFencing, t.Cluster
	op := &events.Operation{
		ID: fmt.Sprintf("%s-%d", r.Group, r.Epoch), Verb: "failover", By: Automation, Rule: o.Rule, From: r.Active, To: t.Cluster, Began: f.Wall,
		Planned: old.Fresh, Sent: f.Sent, Phases: []events.PhaseTime{{Phase: "detect", Took: max(old.Silent, old.Health.Down)}},
	}
	if f.Ask != nil {
		op.Ask, op.By, op.Accept = f.Ask.ID, f.Ask.Actor, f.Ask.AcceptLoss
		op.Phases[0].Took = 0
		if f.Ask.Unfenced {
			op.Unfenced = f.Ask.Actor + ": " + f.Ask.Reason
		}
	}
	r.Op = op
	r.Settled = f.Ask != nil
	op.Why = f.say(o.sentence, o)
	o.Why = op.Why
	o.Sets = []events.Set{f.set(r, t.Cluster, events.RolePassive, nil)}
	stop := &events.Step{ID: events.StepID(r.Group, r.Epoch, string(events.VerbStop)), Verb: events.VerbStop, Deadline: f.D.FenceAck}
	o.Sets = append(o.Sets, f.set(r, r.Active, events.RolePassive, stop))
	o.Attempt = old.Silent > 0
	o.answer(f, true, op.ID)
	n := o.notice(f, events.NoticeDecision)
	n.Facts = append(n.Facts, f.Region.Facts...)
}

// prove stores the fence proof (C3, C5). In the same batch the target is told to let its position stand still: it hears of it only once the proof
// is stored.
func prove(kind events.ProofKind) func(*Facts, *Outcome) {
	return func(f *Facts, o *Outcome) {
		r := o.draft(f)
		p := &events.Proof{Kind: kind, Epoch: r.Epoch}
		switch kind {
		case events.ProofLease:
			p.Lanes, p.Waited, p.Needed, p.Target = f.Lease.Accepted, f.Now.Sub(f.Lease.Received), f.Lease.Wait, f.target().Report.Passive
		case events.ProofAck:
			old := f.active()
			p.Said = fmt.Sprintf("agent %s reported %s passive at epoch %d, server stopped (%s)", old.Agent, old.Cluster, old.Report.Passive, old.Report.Fenced)
			if s, ok := old.Report.Result(events.StepID(r.Group, r.Epoch, string(events.VerbStop))); ok && s.Outcome.OK() {
				r.Op.Stopped = s.LSN
			}
		case events.ProofUnfenced:
			p.Said = r.Op.Unfenced
			o.Attempt = true // C4
		}
		r.Op.Proof = p
		r.Phase = events.PhaseProved
		r.Op.Phases = append(r.Op.Phases, events.PhaseTime{Phase: "fence", Took: f.PhaseAge})
		cut := &events.Step{ID: events.StepID(r.Group, r.Epoch, string(events.VerbCut)), Verb: events.VerbCut, Until: r.Op.Stopped, Deadline: f.D.FenceAck}
		o.Sets = []events.Set{f.set(r, r.Target, events.RolePassive, cut)}
		o.notice(f, events.NoticeFenced)
	}
}

func switchTarget(f *Facts, o *Outcome) {
	t, _ := f.best(events.Ref{}, f.Record.Target)
	r := o.draft(f)
	r.Target, r.Op.To = t.Cluster, t.Cluster
	o.Sets = []events.Set{f.set(r, t.Cluster, events.RolePassive, nil)}
	o.notice(f, events.NoticeDecision)
}

// abort gives the group back to its old active, before the promotion is recorded (C7): a new epoch, and every acceptance and proof dropped. A target
// that was cut follows again.
func abort(f *Facts, o *Outcome) {
	r := o.draft(f)
	target := r.Target
	r.Epoch++
	r.Phase, r.Target = events.PhaseActive, events.Ref{}
	r.Op.Ended, r.Op.EndWhy = "aborted", o.Why
	if r.Op.EndWhy == "" {
		r.Op.EndWhy = f.say(o.sentence, o)
	}
	o.Drop = true
	o.Sets = []events.Set{f.set(r, r.Active, events.RoleActive, nil)}
	for i := range r.Members {
		if m := r.Members[i]; m.Cluster != r.Active {
			var step *events.Step
			if m.Cluster == target {
				step = &events.Step{ID: events.StepID(r.Group, r.Epoch, string(events.VerbFollow)), Verb: events.VerbFollow, Source: f.active().Address}
			}
			o.Sets = append(o.Sets, f.set(r, m.Cluster, events.RolePassive, step))
		}
	}
	o.notice(f, events.NoticeAborted)
}

// promote records the appointment (C6): from here the target is active, whatever it answers. The old active is failed until restored.
func promote(f *Facts, o *Outcome) {
	cut, _ := f.cut()
	r := o.draft(f)
	old := r.Active
	r.Active, r.Target, r.Phase, r.Since = r.Target, events.Ref{}, events.PhaseActive, f.Wall
	r.Member(old).Role = events.RoleFailed
	r.Member(r.Active).Role = events.RoleActive
	r.Lists = append(r.Lists[:0:0], events.CandidateList{Version: r.Current().Version + 1, Candidates: candidates(r)})
	op := r.Op
	op.Promoted, op.Timeline = kept(cut), cut.Timeline
	op.Loss = f.loss(op, op.Promoted)
	op.Phases = append(op.Phases, events.PhaseTime{Phase: "decide", Took: f.PhaseAge})
	for i := range r.Members {
		m := r.Members[i]
		var step *events.Step
		if m.Role == events.RolePassive {
			step = &events.Step{ID: events.StepID(r.Group, r.Epoch, string(events.VerbFollow)), Verb: events.VerbFollow, Source: r.Member(r.Active).Address}
		}
		o.Sets = append(o.Sets, f.set(r, m.Cluster, RoleNow(r, m.Cluster), step))
	}
	if op.Proof != nil && op.Proof.Kind == events.ProofUnfenced {
		o.Revoke = f.active().Agent
	}
	o.notice(f, events.NoticePromoted)
}

// loss is what is known of the loss at the promotion. A clean stop whose last position arrived loses nothing, exactly.
func (f *Facts) loss(op *events.Operation, promoted events.LSN) *events.Loss {
	if op.Stopped != 0 && promoted >= op.Stopped {
		return &events.Loss{Known: true, Exact: true}
	}
	t := f.target()
	if op.Sent == 0 || !t.BehindKnown {
		return &events.Loss{}
	}
	return &events.Loss{Known: true, Bytes: behind(max(op.Sent, op.Stopped), promoted), Window: t.Behind + f.active().Silent + f.OpAge + time.Second}
}

func done(f *Facts, o *Outcome) {
	r := o.draft(f)
	a := f.active()
	r.Op.Ended = "done"
	if p, ok := a.Report.Result(events.StepID(r.Group, r.Epoch, "promote")); ok {
		r.Op.Phases = append(r.Op.Phases, events.PhaseTime{Phase: "promote", Took: p.Took})
		if p.Timeline != 0 {
			r.Op.Timeline = p.Timeline
		}
	}
	o.notice(f, events.NoticeServing)
}

// candidates is the list of clusters that may be promoted: every passive member whose agent can be asked for a promise.
func candidates(r *events.Record) []events.Candidate {
	cs := []events.Candidate{}
	for i := range r.Members {
		if m := r.Members[i]; m.Role == events.RolePassive && m.Peer != "" {
			cs = append(cs, events.Candidate{Cluster: m.Cluster, Agent: m.Agent, Peer: m.Peer, Cert: m.Cert})
		}
	}
	return cs
}
