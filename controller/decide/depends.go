package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// A workflow runs on a database that is a group of its own. What moves that one on purpose waits until nothing runs on it; what moves it for a cause is no fault of the workflow's, which is
// begun again where it stays.

// verbDrain is the work of holding tasks back, in its ids.
const verbDrain = "drain"

// Uses is what a group's tables know of the groups it depends on and of those that depend on it, as far as tasks run.
type Uses struct {
	Moves    string // the planned operation of a group it depends on that is under way; empty = none
	Unserved string // why what it depends on does not serve, or only just does; empty = it does
	Busy     string // which group that depends on it still runs tasks, or nobody knows; empty = none does
}

// waitsBelow reports whether the active only waits for what it depends on, which does not serve either.
func (f *Facts) waitsBelow() bool {
	a := f.active()
	return a.Fresh && a.Known && a.Health.Waits != "" && f.Uses.Unserved != ""
}

func sayUnconfirmed(f *Facts, o *Outcome) {
	if f.waitsBelow() {
		o.Why = fmt.Sprintf("%s %s: %s", f.Record.Active, f.active().Health.Waits, f.Uses.Unserved)
	}
}

func sayCheckpoint(f *Facts, o *Outcome) {
	if f.prepared() && f.Uses.Busy != "" {
		o.Why = f.Uses.Busy + ": what depends on it is drained first, so that no task is lost or run twice"
	}
}

// unlike says what is not the same on two sides that has to be; "" = nothing that both tell of.
func unlike(a, b *events.ClusterHealth) string {
	for _, x := range a.Alike {
		for _, y := range b.Alike {
			if x.What == y.What && x.Print != y.Print {
				return fmt.Sprintf("their settings differ in the %s: what one side runs, signs or encrypts the other can't go on with; set it alike in both", x.What)
			}
		}
	}
	return ""
}

// drainDue reports whether tasks are to be held back for the operation of a group below.
func (f *Facts) drainDue() bool {
	d := f.Record.Drain
	return f.Uses.Moves != "" && !f.Record.Running() && f.Config.Mode != events.ModeObserve && (d == nil || d.Ask != f.Uses.Moves)
}

func drain(f *Facts, o *Outcome) {
	r := o.draft(f)
	r.Drain = &events.Operation{
		ID: workID(r, verbDrain), Verb: verbDrain, Ask: f.Uses.Moves, By: Automation, Rule: o.Rule, Why: "for " + f.Uses.Moves, From: r.Active, To: r.Active, Began: f.Wall,
	}
	o.Sets = append(o.Sets, f.set(r, r.Active))
}

func (f *Facts) drainOver() bool {
	return f.Record.Drain != nil && (f.Uses.Moves == "" || f.Record.Running())
}

func undrain(f *Facts, o *Outcome) {
	r := o.draft(f)
	r.Drain = nil
	o.Sets = append(o.Sets, f.set(r, r.Active))
}

// Drained says why tasks of a group may still run while the operation of one it depends on is prepared; "" if none does: its agent said so, or could not do it and said that, or nobody runs it.
func Drained(r *events.Record, active *events.Report, op string) string {
	switch d := r.Drain; {
	case r.Running():
		return fmt.Sprintf("%s moves itself (%s)", r.Group, r.Op.ID)
	case d == nil || d.Ask != op:
		return r.Group + " has not been told to begin no more tasks yet"
	default:
		res, ok := active.Result(events.StepID(r.Group, r.Epoch, workName(d)))
		switch {
		case ok && (res.Outcome.OK() || res.Outcome == events.Refused):
			return ""
		case ok:
			return fmt.Sprintf("%s is not drained yet: %s", r.Group, res.Why)
		}
		return r.Group + " has not said yet that it is drained"
	}
}
