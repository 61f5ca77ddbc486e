package decide

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// A drill is a swap there, a look, and a swap back. Each half is a planned swap with all its gates; whatever else moves the group ends the drill.
//
//	asked ─▶ swap there ─▶ it serves and is protected ─▶ every gate back is passed ─▶ swap back ─▶ it serves and is protected: PASS

// notDrillable says why a drill must not begin now; "" if it may. A drill is never worth a risk: it begins only when nothing at all is wrong.
func (f *Facts) notDrillable() string {
	switch {
	case f.Record.Drill.Running():
		return fmt.Sprintf("drill %s is under way", f.Record.Drill.ID)
	case f.cause() != causeNone:
		return fmt.Sprintf("something speaks against %s already", f.Record.Active)
	case f.Region.Verdict != events.VerdictHealthy:
		return fmt.Sprintf("%s is %s (%s): a drill begins only when nothing is wrong", f.Record.Active.Region, f.Region.Verdict, f.Region.Why)
	case f.quiet():
		return "a cluster of it is in maintenance"
	case f.Ask.Actor == events.ActorSchedule && !f.Restore.OK:
		return f.Restore.Why
	case f.Ask.Actor == events.ActorSchedule && !f.Record.Settled:
		return "automation moved it, and it has not been stable since"
	case f.Record.Next != nil:
		return "a failback waits for its gates"
	}
	return ""
}

func beginDrill(f *Facts, o *Outcome) {
	r := o.draft(f)
	d := &events.Drill{ID: workID(r, events.AskDrill), Ask: f.Ask.ID, By: f.Ask.Actor, Why: f.Ask.Reason, From: r.Active, To: f.swapTarget(), Began: f.Wall}
	if r.Drill != nil {
		d.Passed = r.Drill.Passed
	}
	settled := r.Settled
	f.beginSwap(o, &events.Operation{Verb: events.AskDrill, Ask: d.Ask, By: d.By, To: d.To})
	r.Settled = settled // it ends where it began: what automation did before is still to be looked at
	d.Legs = []events.DrillLeg{{Operation: r.Op.ID}}
	r.Drill = d
}

// drilled reports whether the running drill's half is done: the swap is made, it serves, and a healthy passive is there.
func (f *Facts) drilled(legs int) bool {
	d, op := f.Record.Drill, f.Record.Op
	return d.Running() && len(d.Legs) == legs && op != nil && op.ID == d.Leg() && op.Ended == "done" && op.Protected > 0
}

// drillBroken says what ended a running drill before its time; "" if nothing did.
func (f *Facts) drillBroken() string {
	d, op := f.Record.Drill, f.Record.Op
	if !d.Running() || f.Record.Running() && op.ID == d.Leg() {
		return ""
	}
	switch {
	case op.ID != d.Leg():
		return fmt.Sprintf("%s moved it (%s)", op.By, op.ID)
	case op.Ended != "done":
		return op.EndWhy
	case len(d.Legs) == 2 && f.Wall.Sub(op.Began) >= f.D.Prepare:
		return fmt.Sprintf("it is back, but was not protected within %s", gate.Round(f.D.Prepare))
	case f.Wall.Sub(op.Began) >= f.D.Prepare:
		return fmt.Sprintf("it could not go back within %s (%s): it stays at %s until `switchback switchover %s` or a failback", gate.Round(f.D.Prepare), f.notBack(), f.Record.Active, f.Config.Group)
	}
	return ""
}

// notBack says what keeps a drill from going back; "" if nothing does.
func (f *Facts) notBack() string {
	if f.Record.Op.Protected == 0 {
		return f.Record.Drill.From.String() + " does not follow yet"
	}
	return f.notReady(f.Record.Drill.From)
}

// drillBack begins the second half.
func drillBack(f *Facts, o *Outcome) {
	r := o.draft(f)
	d := r.Drill
	f.noteLeg(d)
	settled := r.Settled
	f.beginSwap(o, &events.Operation{Verb: events.AskDrill, Ask: d.Ask, By: d.By, To: d.From})
	r.Settled = settled
	d.Legs = append(d.Legs, events.DrillLeg{Operation: r.Op.ID})
}

// noteLeg keeps what the half that is done took: its operation is replaced by the next.
func (f *Facts) noteLeg(d *events.Drill) {
	if op := f.Record.Op; op != nil && op.ID == d.Leg() {
		l := &d.Legs[len(d.Legs)-1]
		l.Gap, l.Protected = op.Serving, op.Protected
	}
}

func passDrill(f *Facts, o *Outcome) {
	d := o.draft(f).Drill
	f.noteLeg(d)
	d.Ended, d.At, d.Passed = events.DrillPass, f.Wall, f.Wall
	lost := "lost 0"
	if !f.logged() {
		lost = "loss not known"
	}
	d.End = fmt.Sprintf("write pause %s there, %s back, %s", gate.Round(d.Legs[0].Gap), gate.Round(d.Legs[1].Gap), lost)
	o.Why = "drill of " + f.Config.Group + " PASSED: " + d.End
	f.tellDrill(o, d)
}

func failDrill(why string, f *Facts, o *Outcome) {
	d := o.draft(f).Drill
	f.noteLeg(d)
	d.Ended, d.At, d.End = events.DrillFail, f.Wall, why
	f.tellDrill(o, d)
}

// preempt ends the drill of a record that anything else moves.
func (f *Facts) preempt(o *Outcome, op *events.Operation) {
	if r := o.draft(f); r.Drill.Running() && op.Verb != events.AskDrill {
		failDrill(fmt.Sprintf("pre-empted by %s of %s (%s)", op.ID, op.By, op.Verb), f, o)
	}
}

func (f *Facts) tellDrill(o *Outcome, d *events.Drill) {
	n := o.notice(f, events.NoticeDrill)
	n.Operation, n.By, n.Why = d.ID, d.By, fmt.Sprintf("drill of %s %sED: %s", f.Config.Group, strings.ToUpper(d.Ended), d.End)
	n.Drill = d
}

// Readiness says whether a group could be moved now, and how sure that is.
type Readiness string

// The levels of readiness.
const (
	Ready    Readiness = "ready"     // fit, and a drill passed lately
	Stale    Readiness = "stale"     // fit, but no drill passed lately
	NotReady Readiness = "not-ready" // it could not be moved now
)

// DrillAge is how old the last passed drill may be before readiness is stale.
const DrillAge = 92 * 24 * time.Hour

// Readiness judges a recorded group: a fit candidate, lag within the loss budget, and the age of the last passed drill.
func (f *Facts) Readiness() (Readiness, string) {
	switch why := f.none(events.Ref{}); {
	case why != "":
		return NotReady, "nothing to promote: " + why
	case f.overBudget(events.Ref{}) != "":
		return NotReady, f.overBudget(events.Ref{})
	}
	d := f.Record.Drill
	switch {
	case d == nil || d.Passed.IsZero() && d.Ended == "":
		return Stale, "it was never drilled"
	case d.Ended == events.DrillFail:
		return Stale, "its last drill failed: " + d.End
	case f.Wall.Sub(d.Passed) > DrillAge:
		return Stale, fmt.Sprintf("its last drill passed %d days ago", int(f.Wall.Sub(d.Passed).Hours()/24))
	}
	return Ready, fmt.Sprintf("drilled %d days ago", int(f.Wall.Sub(d.Passed).Hours()/24))
}
