package decide

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// A planned swap (switchover, failback) loses nothing: every gate is passed before the first command, and whatever is missed before the promotion is
// recorded gives the group back to its old active.
//
//	asked ─▶ prepare: the active writes a checkpoint ─▶ intent ─▶ the active is stopped cleanly ─▶ everything arrived ─▶ promotion ─▶ the old side follows

// swapLag is how far behind a target may be when a swap begins, where the group's loss budget sets no limit in bytes.
const swapLag = 16 << 20

// gapLimit is how long a swap may take from its intent to its promotion: an abort, with a start of the old active, still fits into SwitchGap.
func (f *Facts) gapLimit() time.Duration { return f.D.SwitchGap * 2 / 3 }

// RuleNotReady gives a swap up before anything of it was stopped: it may be asked for again at no cost to anybody.
const RuleNotReady = "swap.not-ready"

// swapTarget is where a swap goes: home for a failback, the cluster asked for, or the best candidate.
func (f *Facts) swapTarget() events.Ref {
	switch {
	case f.Ask.Verb == events.AskFailback:
		return f.primary()
	case f.Ask.To != "":
		return f.asked()
	}
	if t, _ := f.best(events.Ref{}, events.Ref{}); t != nil {
		return t.Cluster
	}
	for i := range f.Record.Members { // nothing is fit: the first one will say why
		if c := f.Record.Members[i].Cluster; c != f.Record.Active {
			return c
		}
	}
	return events.Ref{}
}

// primary is the group's home.
func (f *Facts) primary() events.Ref {
	for i := range f.Record.Members {
		if f.Record.Members[i].Home == events.HomePrimary {
			return f.Record.Members[i].Cluster
		}
	}
	return f.Config.Primary
}

// notReady says which gate a swap to a cluster does not pass; "" if it may begin.
func (f *Facts) notReady(to events.Ref) string {
	a, t := f.active(), f.member(to)
	if f.Record.Member(to) == nil {
		return fmt.Sprintf("%s is no cluster of %s", to, f.Config.Group)
	}
	if why := f.notServing(); why != "" {
		return why
	}
	limit := f.Config.MaxLoss.Bytes
	if limit <= 0 {
		limit = swapLag
	}
	switch why := f.unfit(t); {
	case why != "":
		return fmt.Sprintf("%s: %s", to, why)
	case !t.Health.Streaming:
		return f.notFollows(t, a)
	case t.Health.Timeline != a.Health.Timeline:
		return fmt.Sprintf("%s is on timeline %d, %s on %d", to, t.Health.Timeline, a.Cluster, a.Health.Timeline)
	case !t.Health.LagKnown && f.logged():
		return fmt.Sprintf("nobody knows how far %s is behind", to)
	case t.Health.Lag > limit || behind(f.Sent, t.Health.LSN) > limit:
		return fmt.Sprintf("%s is %d B behind, a swap begins at %d B or less", to, max(t.Health.Lag, behind(f.Sent, t.Health.LSN)), limit)
	case t.Health.Heard >= f.unheard():
		return fmt.Sprintf("nothing has arrived at %s for %s, although %s writes its canary every %s: a stuck receiver looks like one that streams", to, round(t.Health.Heard), a.Cluster, round(f.D.Probe))
	case !t.Leased:
		return fmt.Sprintf("agent %s has no lease yet: promoted, %s would be frozen at once", t.Agent, to)
	case unlike(&a.Health, &t.Health) != "":
		return fmt.Sprintf("%s and %s: %s", a.Cluster, to, unlike(&a.Health, &t.Health))
	case f.Record.Restart != nil:
		return fmt.Sprintf("%s is being restarted (%s)", f.Record.Restart.To, f.Record.Restart.ID)
	}
	if h := append(append([]string{}, a.Health.Hinders...), t.Health.Hinders...); len(h) > 0 {
		return strings.Join(h, "; ")
	}
	return ""
}

// unheard is how long nothing may have arrived at a target that streams: the active's canary moves its log at every probe.
func (f *Facts) unheard() time.Duration { return 4*f.D.Probe + time.Second }

// notServing says why the active is not one to copy or to swap from; "" if it serves at the record's epoch.
func (f *Facts) notServing() string {
	switch a := f.active(); {
	case !a.Fresh || !a.Known:
		return fmt.Sprintf("the agent of %s is silent", a.Cluster)
	case !a.Reported || a.Report.Serving < f.Record.Epoch: // its word is newer than its health
		return fmt.Sprintf("%s does not serve at epoch %d yet (server %s)", a.Cluster, f.Record.Epoch, a.Health.Server)
	}
	return ""
}

// prepareSwap begins one: the active writes a checkpoint while it goes on serving, so that its shutdown is short.
func prepareSwap(f *Facts, o *Outcome) {
	f.beginSwap(o, &events.Operation{Verb: f.Ask.Verb, Ask: f.Ask.ID, By: f.Ask.Actor, To: f.swapTarget()})
}

func (f *Facts) beginSwap(o *Outcome, op *events.Operation) {
	r := o.draft(f)
	op.ID = fmt.Sprintf("%s-%d", r.Group, r.Epoch+1) // an abort takes that epoch too, so the id is used once
	op.Rule, op.From, op.Planned, op.Stage, op.Began = o.Rule, r.Active, true, events.StagePrepare, f.Wall
	f.preempt(o, op)
	r.Op, r.Next = op, nil
	r.Settled = true // a person moves it: what automation did before is looked at
	op.Why = f.say(o.sentence, o)
	o.Sets = []events.Set{f.set(r, r.Active)}
	o.answer(f, true, op.ID)
	o.notice(f, events.NoticeDecision)
}

// swapIntent is the intent of a prepared swap: from here writes wait.
func swapIntent(f *Facts, o *Outcome) {
	op := *f.Record.Op
	op.Stage, op.Sent, op.Began = "", f.Sent, f.Wall
	op.Phases = []events.PhaseTime{{Phase: "prepare", Took: f.OpAge}}
	f.intent(o, &op)
}

// watched: this leader has had the running operation before it for as long as anybody alive needs to be heard. A new one knows nobody at first; what it does not know is no
// reason to give up what an earlier one began.
func (f *Facts) watched() bool { return f.OpAge >= f.D.Confirm+f.D.Silent() }

func (f *Facts) prepared() bool {
	r, ok := f.result(f.active(), stepPrepare)
	return ok && r.Outcome.OK()
}

// prepareFailed says why the checkpoint will not come; "" while it may.
func (f *Facts) prepareFailed() string {
	r, ok := f.result(f.active(), stepPrepare)
	switch {
	case ok && r.Outcome == events.Refused:
		return "the checkpoint was refused: " + r.Why
	case f.OpAge >= f.D.Prepare && f.prepared():
		return f.Uses.Busy + ", for longer than " + round(f.D.Prepare)
	case f.OpAge >= f.D.Prepare:
		return "the checkpoint took longer than " + round(f.D.Prepare)
	}
	return ""
}

// stopResult is the old active's answer to its clean stop.
func (f *Facts) stopResult() (events.Result, bool) {
	r, ok := f.result(f.active(), string(events.VerbStop))
	return r, ok && r.Outcome.OK() && (r.LSN != 0 || !f.logged())
}

// notDelivered says that the target lacks something of a cleanly stopped active; "" if it has all, or has not answered.
func (f *Facts) notDelivered() string {
	r, ok := f.cut()
	if !ok || !r.Outcome.OK() || kept(r) >= f.Record.Op.Stopped {
		return ""
	}
	return fmt.Sprintf("%s has everything up to %v only, %s stopped at %v", f.Record.Target, kept(r), f.Record.Active, f.Record.Op.Stopped)
}

func swapping(f *Facts) bool { return swaps(f.Record.Op) && f.Record.Running() }

// nextSwap begins the failback that waited for its restore.
func nextSwap(f *Facts, o *Outcome) {
	n := f.Record.Next
	f.beginSwap(o, &events.Operation{Verb: n.Verb, Ask: n.Ask, By: n.By, To: n.To})
}

func (f *Facts) nextTooLate() bool { return f.Wall.Sub(f.Record.Next.Began) >= f.D.Prepare }

func dropNext(f *Facts, o *Outcome) {
	r := o.draft(f)
	op := r.Next
	r.Next = nil
	op.Ended, op.EndWhy = "failed", "not begun: "+f.notReady(op.To)
	o.Why = fmt.Sprintf("the failback of %s that was asked for did not begin: %s", f.Config.Group, f.notReady(op.To))
	n := o.notice(f, events.NoticeFailed)
	n.Operation, n.By, n.Report = op.ID, op.By, op
}
