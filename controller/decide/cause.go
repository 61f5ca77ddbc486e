package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// cause is why automation might move a group.
type cause uint8

const (
	causeNone            cause = iota
	causeRegionOut             // the verdict on its region is out
	causeSuspect               // its agent is silent with all of its region, not out
	causeAgentSuspect          // its agent is silent, the region is not; not confirmed
	causeAgentSeen             // … but somebody sees it
	causeAgentSilent           // … confirmed: long enough, looked for, unsighted
	causeDownUnconfirmed       // its server does not serve, its agent is alive; not long enough
	causeDown                  // … confirmed, local restarts did not help
)

// cause derives it from the facts of the active side alone. A beat proves the agent, never the cluster.
func (f *Facts) cause() cause {
	a := f.active()
	switch {
	case f.waitsBelow() && a.Health.Down >= f.D.Silent():
		return causeDownUnconfirmed
	case a.Fresh && a.Known && a.Health.Down >= f.D.ClusterConfirm:
		return causeDown
	case a.Fresh && a.Known && a.Health.Down >= f.D.Silent(): // less is a promotion or a restart under way
		return causeDownUnconfirmed
	case a.Silent == 0 || f.Region.Verdict == events.VerdictHealthy: // silent since the region was judged last: the next judgement, within a beat, says what of
		return causeNone
	case f.Region.Verdict == events.VerdictOut:
		return causeRegionOut
	case f.Region.Verdict == events.VerdictSuspect:
		return causeSuspect
	case a.Seen != "":
		return causeAgentSeen
	case a.Silent >= f.D.Confirm && a.Looked && !f.Blind:
		return causeAgentSilent
	}
	return causeAgentSuspect
}

// asked is the target an operator named, zero for the best.
func (f *Facts) asked() events.Ref {
	if f.Ask == nil || f.Ask.To == "" {
		return events.Ref{}
	}
	r, err := events.ParseRef(f.Ask.To)
	if err != nil {
		return events.Ref{Region: "?", Cluster: f.Ask.To}
	}
	return r
}

// none says why there is no target, "" if there is one.
func (f *Facts) none(want events.Ref) string {
	if want != (events.Ref{}) && f.Record.Member(want) == nil {
		return fmt.Sprintf("%s is no cluster of %s", want, f.Config.Group)
	}
	not := events.Ref{}
	if f.Record.Phase != events.PhaseActive {
		not = f.Record.Target
	}
	if why := f.unbound(); why != "" {
		return why
	}
	_, why := f.best(want, not)
	return why
}

// unbound says why the lease of a silent active proves nothing, "" if it would: by its agent's last word nothing freezes the active when its right is over.
func (f *Facts) unbound() string {
	a := f.active()
	if a.Silent == 0 || !f.exempt() || f.externally() || f.Ask != nil && f.Ask.Unfenced {
		return ""
	}
	return fmt.Sprintf("when its agent was last heard nothing froze %s when its right was over (mode observe or keep-running then, or an override), so its silence proves nothing: "+
		"bring the agent back, give the agent of a recovery cluster an external fence, or repeat it with --unfenced --reason once you know that it is stopped", f.Record.Active)
}

// overBudget says why promoting the best candidate now would, or might, lose more than the group's budget; "" if it would not.
func (f *Facts) overBudget(want events.Ref) string {
	c, _ := f.best(want, events.Ref{})
	if c == nil || f.inSet(c.Cluster) {
		return ""
	}
	if !f.logged() {
		return f.unmeasured(c.Cluster)
	}
	if f.Sent == 0 || c.Health.LSN == 0 {
		return fmt.Sprintf("nobody knows how far %s is behind %s", c.Cluster, f.Record.Active)
	}
	return f.excess(c.Cluster, f.Sent, c.Health.LSN, c)
}

func (f *Facts) excess(target events.Ref, sent, have events.LSN, c *Cluster) string {
	b := f.Config.MaxLoss
	if lost := behind(sent, have); b.Bytes > 0 && lost > b.Bytes {
		return fmt.Sprintf("%s lacks %d B of what %s had written, the budget is %d B", target, lost, f.Record.Active, b.Bytes)
	}
	if b.Seconds > 0 && c.BehindKnown && c.Behind.Seconds() > b.Seconds {
		return fmt.Sprintf("%s was %s behind %s at its last word, the budget is %g s", target, round(c.Behind), f.Record.Active, b.Seconds)
	}
	return ""
}

func behind(sent, have events.LSN) int64 {
	if sent <= have {
		return 0
	}
	return int64(sent - have)
}

// cut is the target's answer to the cut of this operation.
func (f *Facts) cut() (events.Result, bool) {
	t := f.target()
	if !t.Reported {
		return events.Result{}, false
	}
	return t.Report.Result(events.StepID(f.Record.Group, f.Record.Epoch, string(events.VerbCut)))
}

// kept is what of the received log will be there after the promotion: what is replayed, for the rest may end inside a record.
func kept(r events.Result) events.LSN {
	if r.Replayed != 0 {
		return r.Replayed
	}
	return r.LSN
}

func (f *Facts) cutDone() bool {
	r, ok := f.cut()
	return ok && r.Outcome.OK() && (r.LSN != 0 || !f.logged())
}

func (f *Facts) cutRefused() string {
	if r, ok := f.cut(); ok && r.Outcome == events.Refused {
		return r.Why
	}
	return ""
}

// cutLoss says why promoting what the target has, now that it stands still, would lose too much; "" if it would not (C5).
func (f *Facts) cutLoss() string {
	op := f.Record.Op
	if !f.cutDone() || op.Accept {
		return ""
	}
	r, _ := f.cut()
	if !f.logged() {
		return f.unmeasured(f.Record.Target)
	}
	if f.inSet(f.Record.Target) || f.Config.Replication == events.ReplicateSync {
		return f.cutLacks(r)
	}
	sent := max(op.Sent, op.Stopped)
	if sent == 0 {
		return fmt.Sprintf("nobody knows how far %s had written", f.Record.Active)
	}
	return f.excess(f.Record.Target, sent, kept(r), f.target())
}

// targetLost reports whether the target's agent fell silent, or its server can't be promoted any more.
func (f *Facts) targetLost() bool {
	t := f.target()
	return t.Silent >= f.D.FenceAck || (t.Known && t.Fresh && t.Health.Server != events.ServerRecovery && t.Health.Server != events.ServerUnknown && f.PhaseAge >= f.D.FenceAck)
}
