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

// by is who asked, and why if it was said.
func (f *Facts) by() string {
	if f.Ask.Reason == "" {
		return "by " + f.Ask.Actor
	}
	return "by " + f.Ask.Actor + ": " + f.Ask.Reason
}

// switched answers what a person switched for the group, and tells everybody.
func switched(f *Facts, o *Outcome) {
	o.answer(f, true, "")
	n := o.notice(f, events.NoticeAutomation)
	n.By = f.Ask.Actor
}

// approve lets automation move a group of a priority that needs it, for this incident.
func approve(f *Facts, o *Outcome) {
	o.draft(f).Approve = f.by()
	switched(f, o)
}

// notApproved says why there is nothing to approve.
func (f *Facts) notApproved() string {
	switch {
	case f.Record.Approve != "":
		return f.Config.Group + " is approved already, " + f.Record.Approve
	case f.cause() == causeNone:
		return fmt.Sprintf("nothing speaks against %s: there is nothing to approve", f.Record.Active)
	}
	return f.Config.Group + " waits for no approval: " + f.Permit.Why
}

// acknowledge ends the cool-down: a person has looked at what automation did.
func acknowledge(f *Facts, o *Outcome) {
	o.draft(f).Settled = true
	switched(f, o)
}

func disarm(f *Facts, o *Outcome) {
	r := o.draft(f)
	r.Disarm = ""
	if f.Ask.Verb == events.AskDisarm {
		r.Disarm = f.by()
	}
	switched(f, o)
}

func restoreDryRun(f *Facts, o *Outcome) {
	for _, c := range f.askedFor(f.Ask.Verb) {
		why := f.restorable(c)
		ok := why == ""
		if ok {
			why = fmt.Sprintf("would make %s follow %s: what only it has is counted and kept, then it is rewound, or copied where it can't be; nothing was done", c.Cluster, f.Record.Active)
		}
		o.Answers = append(o.Answers, events.AnswerItem{Group: f.Config.Group, Accepted: ok, Why: why})
	}
}

func dryRun(f *Facts, o *Outcome) {
	t, _ := f.best(f.asked(), events.Ref{})
	how := "its agent is asked to stop it cleanly, nothing is lost"
	if !f.logged() {
		how = "its agent is asked to stop it cleanly; " + f.noLog()
	}
	if f.active().Silent > 0 {
		how = "its agent is silent: the fence is its lapsed lease"
		if f.inSet(t.Cluster) {
			how = "its agent is silent: the fence is the cut of its sync standby, no acknowledged write is lost"
		}
	}
	o.Why = fmt.Sprintf("would fail over %s from %s to %s: %s; nothing was done", f.Config.Group, f.Record.Active, t.Cluster, how)
	o.answer(f, true, "")
}

// failover moves the group to its best candidate, or to the one asked for.
func failover(f *Facts, o *Outcome) {
	t, _ := f.best(f.asked(), events.Ref{})
	old := f.active()
	op := &events.Operation{
		Verb: events.AskFailover, By: Automation, Rule: o.Rule, From: f.Record.Active, To: t.Cluster, Began: f.Wall,
		Planned: old.Fresh, Sent: f.Sent, Phases: []events.PhaseTime{{Phase: "detect", Took: max(old.Silent, old.Health.Down)}},
	}
	if f.Ask == nil && f.cause() == causeRegionOut {
		op.Ask = f.Under
	}
	if f.Ask != nil {
		op.Ask, op.By, op.Accept = f.Ask.ID, f.Ask.Actor, f.Ask.AcceptLoss
		op.Phases[0].Took = 0
		if f.Ask.Unfenced {
			op.Unfenced = f.Ask.Actor + ": " + f.Ask.Reason
		}
	}
	o.draft(f).Settled, o.Record.Approve = f.Ask != nil, ""
	o.Attempt = old.Silent > 0
	op.Cut = o.Attempt && f.inSet(t.Cluster)
	f.intent(o, op)
}

// intent records where a group is to go (C2): epoch + 1, the target told to stay passive at it, the old active told to stop. The attempt on its agent's lease
// starts at once when that agent is silent.
func (f *Facts) intent(o *Outcome, op *events.Operation) {
	r := o.draft(f)
	r.Epoch++
	r.Phase, r.Target = events.PhaseFencing, op.To
	op.ID = fmt.Sprintf("%s-%d", r.Group, r.Epoch)
	f.preempt(o, op)
	if old := r.Op; old != nil && old.Ended == "" && old.To == r.Active { // appointed, and moved away from before it was heard to serve: it may have promoted all the same
		f.forked(r, old.Timeline)
	}
	r.Op, r.Next = op, nil
	o.Why = f.say(o.sentence, o)
	if op.Why == "" {
		op.Why = o.Why
	}
	f.endRestart(o, "its group is moved")
	o.Sets = []events.Set{f.set(r, r.Target), f.set(r, r.Active)}
	o.answer(f, true, op.ID)
	n := o.notice(f, events.NoticeDecision)
	n.Facts = append(n.Facts, f.Region.Facts()...)
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
			if old.Report.Stopped != "" {
				p.Facts = append(p.Facts, events.Fact{What: "server of " + old.Cluster.String(), Value: old.Report.Stopped})
			}
			if s, ok := old.Report.Result(events.StepID(r.Group, r.Epoch, string(events.VerbStop))); ok && s.Outcome.OK() {
				r.Op.Stopped = s.LSN
			}
		case events.ProofExternal:
			res, _ := f.fenceResult()
			p.Said, p.Facts = fmt.Sprintf("agent %s ran its external fence in %s: %s", f.target().Agent, round(res.Took), res.Why), res.Facts
			o.Attempt = true // C4
		case events.ProofUnfenced:
			p.Said = r.Op.Unfenced
			o.Attempt = true // C4
		case events.ProofCut:
			res, _ := f.cut()
			p.Target = f.target().Report.Passive
			p.Said = fmt.Sprintf("no commit is acknowledged without %s, whose receiver is cut for good at %v; it reported passive at epoch %d, no promise out", r.Target, res.LSN, p.Target)
			o.Attempt = true // the old active's lease is revoked too
		}
		r.Op.Proof = p
		r.Phase = events.PhaseProved
		r.Op.Phases = append(r.Op.Phases, events.PhaseTime{Phase: "fence", Took: f.PhaseAge})
		o.Sets = []events.Set{f.set(r, r.Target)}
		o.notice(f, events.NoticeFenced)
	}
}

func switchTarget(f *Facts, o *Outcome) {
	t, _ := f.best(events.Ref{}, f.Record.Target)
	r := o.draft(f)
	r.Target, r.Op.To, r.Op.External = t.Cluster, t.Cluster, false
	o.Sets = []events.Set{f.set(r, t.Cluster)}
	o.notice(f, events.NoticeDecision)
}

// abort gives the group back to its old active, before the promotion is recorded (C7): a new epoch, and every acceptance and proof dropped. A target
// that was cut follows again.
func abort(f *Facts, o *Outcome) {
	if o.Why == "" {
		o.Why = f.say(o.sentence, o) // as long as the record names the target
	}
	r := o.draft(f)
	o.Drop = r.Phase != events.PhaseActive
	r.Epoch++
	r.Phase, r.Target = events.PhaseActive, events.Ref{}
	r.Op.Ended, r.Op.EndWhy, r.Op.EndRule, r.Op.Stage = "aborted", o.Why, o.Rule, ""
	f.tellAll(o)
	o.notice(f, events.NoticeAborted)
}

// tellAll tells every member what the outcome's record says of it.
func (f *Facts) tellAll(o *Outcome) {
	r := o.draft(f)
	o.Sets = nil
	for i := range r.Members {
		o.Sets = append(o.Sets, f.set(r, r.Members[i].Cluster))
	}
}

// promote records the appointment (C6): from here the target is active, whatever it answers. After a failover the old active is failed until it is restored;
// after a swap, which stopped it cleanly, it follows at once.
func promote(f *Facts, o *Outcome) {
	cut, _ := f.cut()
	r := o.draft(f)
	op := r.Op
	old, had := r.Member(r.Active), f.inSet(r.Target)
	r.Active, r.Target, r.Phase, r.Since = r.Target, events.Ref{}, events.PhaseActive, f.Wall
	r.Member(r.Active).Role = events.RoleActive
	r.Exempt = exempt(&f.Config) // as the command says that makes it active
	if swaps(op) {
		old.Role, old.Hold = events.RolePassive, ""
		old.Work = &events.Operation{
			ID: workID(r, events.AskRestore), Verb: events.AskRestore, By: op.By, Rule: o.Rule, Why: "the other half of " + op.ID, From: r.Active, To: old.Cluster, Began: f.Wall,
		}
	} else {
		old.Role, old.Hold, old.Work = events.RoleFailed, f.hold(op), nil
	}
	r.Lists = append(r.Lists[:0:0], events.CandidateList{Version: r.Current().Version + 1, Candidates: candidates(r)})
	op.Promoted, op.Timeline = kept(cut), cut.Timeline
	if op.Loss = f.loss(op, op.Promoted); had {
		op.Loss = &events.Loss{Known: true, Exact: true, Sync: true}
	}
	appoint(f, r, op.ID)
	op.Phases = append(op.Phases, events.PhaseTime{Phase: "decide", Took: f.PhaseAge})
	f.tellAll(o)
	if waived(op) {
		o.Revoke = f.active().Agent
	}
	if op.Proof != nil && op.Proof.Kind == events.ProofUnfenced {
		n := o.notice(f, events.NoticeAlarm)
		n.Why = fmt.Sprintf("%s is appointed WITHOUT a fence proof, by word of %s: if %s still runs, two copies accept writes, until its agent reports", r.Active, op.Unfenced, old.Cluster)
	}
	o.notice(f, events.NoticePromoted)
}

// hold says why the old side of a failover is restored only when a person asks; "" if automation does it.
func (f *Facts) hold(op *events.Operation) string {
	switch {
	case op.By != Automation:
		return op.By + " gave it up by " + op.ID
	case f.Config.Restore == events.RestoreManual:
		return "the group says restore: manual"
	}
	return ""
}

// loss is what is known of the loss at the promotion. A clean stop whose last position arrived loses nothing, exactly.
func (f *Facts) loss(op *events.Operation, promoted events.LSN) *events.Loss {
	if op.Stopped != 0 && promoted >= op.Stopped {
		return &events.Loss{Known: true, Exact: true}
	}
	if !f.logged() {
		return &events.Loss{NoLog: true}
	}
	t := f.target() // what was acknowledged since the active's last word counts too: its agent may be alive beside a dead server
	if op.Sent == 0 || !t.BehindKnown {
		return &events.Loss{}
	}
	return &events.Loss{Known: true, Bytes: behind(max(op.Sent, op.Stopped), promoted), Window: t.Behind + max(f.SentAge, f.active().Silent+f.OpAge) + time.Second}
}

func done(f *Facts, o *Outcome) {
	r := o.draft(f)
	a := f.active()
	r.Op.Ended = "done"
	r.Op.Serving = f.since(r.Op)
	ended := r.Op.Timeline // as the cut target had it
	if p, ok := a.Report.Result(events.StepID(r.Group, r.Epoch, "promote")); ok {
		r.Op.Phases = append(r.Op.Phases, events.PhaseTime{Phase: "promote", Took: p.Took})
		if p.Timeline != 0 {
			r.Op.Timeline = p.Timeline
		}
		if p.LSN != 0 {
			r.Op.Promoted = p.LSN // where the new timeline forked off, exactly
		}
	}
	f.forked(r, ended)
	o.notice(f, events.NoticeServing)
}

// forked notes where a promotion ended a timeline.
func (f *Facts) forked(r *events.Record, ended uint32) {
	if f.logged() {
		r.Forks = append(r.Forks, events.Fork{Timeline: ended, At: r.Op.Promoted})
	}
	if n := len(r.Forks); n > events.KeepForks {
		r.Forks = append(r.Forks[:0:0], r.Forks[n-events.KeepForks:]...)
	}
}

// since is how long ago an operation's cause began, or its gap: a clock of its report.
func (f *Facts) since(op *events.Operation) time.Duration {
	d := max(1, f.Wall.Sub(op.Began))
	if len(op.Phases) > 0 && op.Phases[0].Phase == "detect" {
		d += op.Phases[0].Took
	}
	return d
}

// candidates is the list of clusters that may be promoted: every passive member whose agent can be asked for a promise.
func candidates(r *events.Record) []events.Candidate {
	cs := []events.Candidate{}
	for i := range r.Members {
		if m := &r.Members[i]; m.Candidate() {
			cs = append(cs, candidate(m))
		}
	}
	return cs
}

func candidate(m *events.Member) events.Candidate {
	return events.Candidate{Cluster: m.Cluster, Agent: m.Agent, Peer: m.Peer, Cert: m.Cert}
}

// lists reports whether a list is that of the candidates of a record.
func lists(list []events.Candidate, r *events.Record) bool {
	n := 0
	for i := range r.Members {
		if m := &r.Members[i]; m.Candidate() {
			if n == len(list) || list[n] != candidate(m) {
				return false
			}
			n++
		}
	}
	return n == len(list)
}
