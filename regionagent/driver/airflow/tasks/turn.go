package tasks

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// ResetLimit is how long a ghost may still sit there after the window's end before it is moved by hand: the new scheduler resets what schedulers marked failed left behind in its first
// pass, and where that was not seen, in the next one.
const ResetLimit = 90 * time.Second

// Do is what an entry needs now.
type Do string

// What can be done. Nothing of it is ever done to an instance that runs under a live scheduler.
const (
	Nothing   Do = ""
	Clear     Do = "clear"      // clear it if it failed, with what comes after it
	FailClear Do = "fail-clear" // set it failed, then clear it: the only way to move a ghost
)

// Intent is what was written down before something was done to an instance, and is all that is left of it after a crash: whether it was done is not known then.
type Intent struct {
	Do  Do  `json:"do"`
	Try int `json:"try"` // of the instance when it was written down
}

// Marked reports whether a note says that Switchback cleared the instance for this ledger.
func Marked(note, operation string) bool {
	head, _, _ := strings.Cut(note, "\n")
	return head == Mark(operation) || strings.HasPrefix(head, Mark(operation)+" ")
}

// Mark is how a note begins.
func Mark(operation string) string { return "switchback " + operation }

// maxNote is the longest note that Airflow takes, in characters.
const maxNote = 1000

// Note is what is written on an instance that is cleared for a ledger, before what stood there.
func Note(operation, why, before string) string {
	n := Mark(operation)
	if why != "" {
		n += " " + why
	}
	if before != "" && !strings.HasPrefix(before, "switchback ") {
		n += "\n" + before
	}
	if r := []rune(n); len(r) > maxNote {
		n = string(r[:maxNote])
	}
	return n
}

// look is what a row of turns looks at.
type look struct {
	e      *events.TaskEntry
	i      *Instance // nil: it is in no run any more
	intent *Intent   // nil: nothing was begun that is not known to have ended
	op     string
	dead   bool          // its try is of a scheduler that died in the window
	since  time.Duration // since the window's end
}

// turn is one line of the table of what an entry needs now.
type turn struct {
	id string
	is func(l *look) bool
	do Do
	to func(l *look) // what becomes of the entry; nil = nothing
}

// turns is the table. The rows of an intent stand first: what may have been done is looked for before anything is done.
var turns = [...]turn{
	{"over", func(l *look) bool { return l.e.Over() && l.intent == nil }, Nothing, nil},
	{"gone", func(l *look) bool { return l.i == nil || l.i.State == Removed }, Nothing, result(events.TaskGone, "it is in no run any more")},
	{"intent.done", func(l *look) bool { return l.intent != nil && Marked(l.i.Note, l.op) }, Nothing, cleared},
	{"intent.failed-by-us", func(l *look) bool {
		return l.intent != nil && l.intent.Do == FailClear && l.i.State == Failed && l.i.Try == l.intent.Try
	}, Clear, nil},
	{"intent.not-done", func(l *look) bool { return l.intent != nil && l.i.State == Failed && l.i.Try == l.intent.Try }, Clear, nil},
	{"intent.ghost-still", func(l *look) bool { return l.intent != nil && l.intent.Do == FailClear && l.ghost() }, FailClear, nil},
	{"intent.moved", func(l *look) bool { return l.intent != nil }, Nothing, left("somebody else, or Airflow itself, moved it before it was cleared")},
	{"clear.ghost", func(l *look) bool { return l.e.Action == events.TaskClear && l.ghost() && l.i.Try == l.e.Try }, FailClear, nil},
	{"clear.moved", func(l *look) bool {
		return l.e.Action == events.TaskClear && (l.i.State != Failed && l.i.State != UpstreamFailed || l.i.Try != l.e.Try)
	}, Nothing, left("somebody else, or Airflow itself, moved it before it was cleared")},
	{"clear", func(l *look) bool { return l.e.Action == events.TaskClear }, Clear, nil},
	{"ghost.stuck", func(l *look) bool { return l.ghost() && l.since >= ResetLimit && l.e.Policy == events.TaskSafe }, FailClear, nil},
	{"ghost.held", func(l *look) bool { return l.ghost() && l.since >= ResetLimit && l.e.Policy == events.TaskHold }, Nothing, func(l *look) {
		l.e.Action, l.e.Why = events.TaskWaits, "no scheduler has reset it, and its DAG's policy says ask"
	}},
	{"ghost.left", func(l *look) bool { return l.ghost() && l.since >= ResetLimit }, Nothing, left("no scheduler has reset it, and its DAG's policy says never")},
	{"ghost.wait", func(l *look) bool { return l.ghost() }, Nothing, func(l *look) { l.e.Result = events.TaskPending }},
	{"success", func(l *look) bool { return l.i.State == Success }, Nothing, result(events.TaskOK, "")},
	{"skipped", func(l *look) bool { return l.i.State == Skipped }, Nothing, result(events.TaskSkipped, "")},
	{"failed.again", func(l *look) bool { return l.i.State == Failed }, Nothing, failed},
	{"upstream-failed", func(l *look) bool { return l.i.State == UpstreamFailed && !l.i.Open }, Nothing, result(events.TaskBad, "one before it did not succeed")},
	{"run-over", func(l *look) bool { return !l.i.Open && !l.e.Result.Final() && l.i.State != UpForRetry }, Nothing, result(events.TaskUnknown, "its run is over, and it is not")},
	{"running", func(l *look) bool { return l.i.State == Running && !l.dead }, Nothing, func(l *look) { l.e.Result = events.TaskRunning }},
	{"waiting", func(*look) bool { return true }, Nothing, func(l *look) { l.e.Result = events.TaskPending }},
}

// ghost reports whether it still sits there as it was when its scheduler died. It is told by the scheduler's row, never by a clock.
func (l *look) ghost() bool {
	return l.e.Class == events.TaskGhost && l.dead && among(l.i.State, Queued, Running, Restarting)
}

func result(r events.TaskResult, why string) func(*look) {
	return func(l *look) {
		l.e.Result = r
		if why != "" {
			l.e.Why = why
		}
	}
}

func cleared(l *look) { l.e.Action, l.e.Result = events.TaskCleared, events.TaskPending }

func left(why string) func(*look) {
	return func(l *look) { l.e.Action, l.e.Why = events.TaskLeft, why }
}

// failed: it failed for good. One that Airflow tried again by itself, or that we cleared, has used what it had; nobody clears it a second time.
func failed(l *look) {
	l.e.Result = events.TaskBad
	if l.e.Action == events.TaskCleared {
		l.e.Why = "it failed again after it was cleared"
	}
}

// Turn looks at an entry: it returns the entry as it is now, what it needs, and the row that says so. i is nil where the instance is in no run any more; intent nil unless something
// was begun and is not known to have ended. since is how long ago the window ended.
func Turn(e events.TaskEntry, i *Instance, intent *Intent, w *events.TaskWindow, op string, since time.Duration) (events.TaskEntry, Do, string) {
	l := look{e: &e, i: i, intent: intent, op: op, since: since}
	if i != nil {
		f := facts{i: i, w: w}
		l.dead = f.ofDead(i.Job)
		e.After = i.Try
	}
	for k := range turns {
		t := &turns[k]
		if !t.is(&l) {
			continue
		}
		if t.to != nil {
			t.to(&l)
		}
		return e, t.do, t.id
	}
	return e, Nothing, ""
}

// Retry releases what waits for a person and is meant, and says how many entries that are.
func Retry(es []events.TaskEntry, r *events.TaskRetry) int {
	n := 0
	for i := range es {
		if r.Takes(&es[i]) {
			es[i].Action, es[i].By, es[i].Why, es[i].Result = events.TaskClear, r.By, r.Reason, events.TaskPending
			n++
			Reopen(es, &es[i])
		}
	}
	return n
}

// Reopen has those of an entry's run that were not run because one before them failed be watched again: they run when that one is cleared.
func Reopen(es []events.TaskEntry, of *events.TaskEntry) {
	for i := range es {
		e := &es[i]
		if e.DAG == of.DAG && e.Run == of.Run && e.Class == events.TaskUpstreamFailed && e.Result == events.TaskBad {
			e.Result, e.Why = events.TaskPending, ""
		}
	}
}

// Why is the sentence of a rule of an entry, as operators see it; "" for what is no rule.
func Why(rule string) string {
	for i := range classes {
		if classes[i].id == rule {
			return classes[i].why
		}
	}
	for i := range policies {
		if policies[i].id == rule {
			return policies[i].why
		}
	}
	return ""
}

// Sentence says all that is known of why an entry is as it is.
func Sentence(e *events.TaskEntry) string {
	s := Why(e.Rule)
	switch {
	case e.By != "" && e.Why != "":
		s = fmt.Sprintf("%s asked to retry it: %s", e.By, e.Why)
	case e.By != "":
		s = e.By + " asked to retry it"
	case e.Why != "" && s != "":
		s += "; " + e.Why
	case e.Why != "":
		s = e.Why
	}
	return s
}
