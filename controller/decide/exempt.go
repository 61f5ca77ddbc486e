package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// exempt reports whether a configuration forbids that a deadline freezes the active: then a lapsed lease proves nothing.
func exempt(c *events.GroupConfig) bool {
	return c.Mode == events.ModeObserve || c.Isolation == events.IsolationKeepRunning
}

// exempt reports whether the active may be one that no deadline freezes: it is configured so, was told so and has not
// acknowledged the opposite yet, or its agent's last word says so.
func (f *Facts) exempt() bool {
	return f.Record.Exempt || exempt(&f.Config) || f.active().Report.Exempt
}

// fenceable reports whether the active has acknowledged that a deadline freezes it.
func (f *Facts) fenceable() bool {
	r := &f.active().Report
	return f.Record.Exempt && !exempt(&f.Config) && f.Revision == f.Record.Config && f.active().Reported && r.Seen == f.Record.Epoch && r.Config == f.Record.Config && !r.Exempt
}

// externally reports whether a candidate's agent could fence the active from outside.
func (f *Facts) externally() bool {
	t, _ := f.best(f.asked(), events.Ref{})
	return t != nil && t.External
}

// fenceResult is the answer of the external fence at the record's epoch.
func (f *Facts) fenceResult() (events.Result, bool) {
	if !f.Record.Op.External {
		return events.Result{}, false
	}
	return f.result(f.target(), string(events.VerbFence))
}

// orderFence has the target's agent run its external fence. The lease is revoked besides (C4, m31): a fence that lied, or a host that comes back, finds no right.
func orderFence(f *Facts, o *Outcome) {
	r := o.draft(f)
	r.Op.External, o.Attempt = true, true
	o.Sets = []events.Set{f.set(r, r.Target)}
	o.notice(f, events.NoticeDecision)
}

// waived reports whether a move rests on no word of the old active's side: revocations go on until it answers (C4).
func waived(op *events.Operation) bool {
	return op != nil && op.Proof != nil && op.Verb != events.AskRebuildRecord && leavesItRunning(op.Proof.Kind)
}

// Fences says by what the active can be proved to be fenced, for `why` and `group`.
func (f *Facts) Fences() []string {
	fences := []string{"word of its agent"}
	if !f.exempt() {
		fences = append(fences, "lapsed lease")
	}
	for i := range f.Members {
		if c := &f.Members[i]; c.External && c.Cluster != f.Record.Active {
			fences = append(fences, "external fence of "+c.Agent.String())
		}
	}
	return fences
}

// answeredLate reports whether the old active of such a move said passive since.
func (f *Facts) answeredLate() bool {
	op := f.Record.Op
	return waived(op) && op.Answered == "" && f.member(op.From).passiveAt(op.Proof.Epoch)
}

func answer(f *Facts, o *Outcome) {
	op := o.draft(f).Op
	old := f.member(op.From)
	op.Answered = fmt.Sprintf("agent %s reported %s passive at epoch %d (%s)", old.Agent, old.Cluster, old.Report.Passive, old.Report.Stopped)
	n := o.notice(f, events.NoticeFenced)
	n.Why = op.Answered + ": its fence is no matter of belief any more"
}
