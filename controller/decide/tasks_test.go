package decide

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// workflow is a group of kind airflow that was just moved to b and serves.
func workflow(t *testing.T) *Facts {
	t.Helper()
	f := noLogs(t, true)
	p := events.DefaultTaskPolicy()
	f.Config.Kind, f.Config.Tasks = events.KindAirflow, &p
	f.Record.Active, f.Record.Epoch = refB, 5
	f.Record.Members[0].Role, f.Record.Members[1].Role = events.RoleFailed, events.RoleActive
	f.Members[0].Role, f.Members[1].Role = events.RoleFailed, events.RoleActive
	f.Record.Op = &events.Operation{ID: "g-5", Verb: events.AskFailover, By: "ann", From: refA, To: refB, Ended: "done"}
	f.Members[1].Health.Server = events.ServerWritable
	f.Members[1].Report = events.Report{Seen: 5, Role: events.RoleActive, Serving: 5}
	f.Members[1].Reported = true
	return f
}

func said(entries, waits int, closed bool) *events.TaskSummary {
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	s := &events.TaskSummary{Operation: "g-5", Epoch: 5, Entries: entries, Waits: waits, Closed: closed, Window: events.TaskWindow{From: at, To: at.Add(40 * time.Second)}}
	if entries > waits {
		s.Totals = append(s.Totals, events.TaskTotal{Class: events.TaskGhost, Action: events.TaskNone, Result: events.TaskOK, Count: entries - waits})
	}
	if waits > 0 {
		s.Totals = append(s.Totals, events.TaskTotal{Class: events.TaskFailed, Action: events.TaskWaits, Count: waits})
	}
	return s
}

// A move of a workflow has one more step for the new active, which holds nothing up; no other kind has it, and nobody but the active.
func TestTheStepThatAccounts(t *testing.T) {
	t.Parallel()
	f := workflow(t)
	s := SetFor(&f.Config, f.Record, 7, f.D, refB)
	if s.Step == nil || s.Step.ID != "g/5/account" || s.Step.Verb != events.VerbAccount || s.Step.Account != "g-5" || s.Tasks == nil {
		t.Fatalf("%+v, step %+v", s, s.Step)
	}
	f.Record.Op.Ended = "" // it is told with the promotion already
	if s := SetFor(&f.Config, f.Record, 7, f.D, refB); s.Step == nil || s.Step.Verb != events.VerbAccount {
		t.Errorf("while it is promoted: %+v", s.Step)
	}
	for name, change := range map[string]func(){
		"a passive":           func() {},
		"an aborted move":     func() { f.Record.Op.Ended = "aborted" },
		"it was never moved":  func() { f.Record.Op = nil },
		"released":            func() { f.Record.Gone = "by ann" },
		"a kind without them": func() { *f = *workflow(t); f.Config.Tasks = nil },
	} {
		*f = *workflow(t)
		change()
		of := refB
		if name == "a passive" {
			of = refC
		}
		if s := SetFor(&f.Config, f.Record, 7, f.D, of); s.Step != nil && s.Step.Verb == events.VerbAccount {
			t.Errorf("%s is told to account", name)
		}
	}
}

func TestALedgerIsRecordedAndTold(t *testing.T) {
	t.Parallel()
	f := workflow(t)
	for _, x := range []struct {
		s    *events.TaskSummary
		told string // "" = nothing
	}{
		{said(8, 2, false), "8 tasks were hit in a window of 40.0 s (g-5): 6 ghost (6 success), 2 failed (2 waiting for a person); 2 wait for a person"},
		{said(8, 2, false), ""},
		{said(8, 2, true), "8 tasks were hit in a window of 40.0 s (g-5): 6 ghost (6 success), 2 failed (2 waiting for a person); 2 wait for a person"},
		{said(8, 0, true), "8 tasks were hit in a window of 40.0 s (g-5): 8 ghost (8 success)"},
		{&events.TaskSummary{Operation: "g-3", Epoch: 3, Closed: true}, ""}, // what the other side once kept
		{&events.TaskSummary{Operation: "g-5-local-2", Local: true, Epoch: 5, Closed: true}, "no task was hit in a window of 0 ms (g-5-local-2)"},
	} {
		f.Members[1].Report.Tasks = x.s
		o := Step(f)
		got := ""
		for _, n := range o.Notices {
			if n.Type == events.NoticeTasks {
				if got = n.Why; x.s.Operation == "g-5" && (n.Report == nil || !n.Report.Tasks.Same(x.s) || n.By != "ann") {
					t.Errorf("%s: told with %+v by %s", n.Why, n.Report, n.By)
				}
			}
		}
		if got != x.told {
			t.Errorf("%+v: told %q, want %q", x.s, got, x.told)
		}
		if x.told == "" {
			continue
		}
		if o.Record == nil || !o.Record.Tasks.Same(x.s) || f.Record.Tasks.Same(x.s) {
			t.Errorf("record %+v", o.Record)
		}
		f.Record = o.Record
	}
	if !f.Record.Op.Tasks.Same(said(8, 0, true)) {
		t.Errorf("the move says %+v of its tasks", f.Record.Op.Tasks)
	}
}

func TestARetryOfTasks(t *testing.T) {
	t.Parallel()
	retry := func(f *Facts) { f.Ask = ask(events.AskRetryTasks) }
	for name, x := range map[string]struct {
		change func(f *Facts)
		says   string
	}{
		"another kind":       {func(f *Facts) { f.Config.Tasks, f.Config.Kind = nil, events.KindPostgres }, "want a group of kind airflow"},
		"observed":           {func(f *Facts) { f.Config.Mode = events.ModeObserve }, "until its mode is manual or auto"},
		"under way":          {func(f *Facts) { f.Record.Phase, f.Members[1].Reported = events.PhaseFencing, false }, "g-5 is under way"},
		"one is asked for":   {func(f *Facts) { f.Record.Retry = &events.TaskRetry{By: "bob"} }, "bob asked for has no answer yet"},
		"its agent is away":  {func(f *Facts) { f.Members[1].Silent = time.Minute }, "is silent for"},
		"there is no ledger": {func(f *Facts) { f.Record.Tasks = nil }, "has no ledger"},
		"nothing waits":      {func(f *Facts) { f.Record.Tasks = said(8, 0, true) }, "nothing of g-5 waits for a person"},
	} {
		f := workflow(t)
		f.Record.Tasks = said(8, 2, true)
		retry(f)
		x.change(f)
		if o := wantRule(t, f, "refuse.retry-tasks"); !strings.Contains(o.Why, x.says) || o.Record != nil && o.Record.Retries != 0 {
			t.Errorf("%s: %q, want %q", name, o.Why, x.says)
		}
	}
	f := workflow(t)
	f.Record.Tasks = said(8, 2, true)
	retry(f)
	f.Ask.DAG, f.Ask.Task = "billing", "charge"
	f.Record = wantRule(t, f, "ask.retry-tasks").Record
	f.Ask = nil
	want := events.TaskRetry{No: 1, Operation: "g-5", DAG: "billing", Task: "charge", By: "alice", Reason: "drill", Ask: "1"}
	if r := f.Record.Retry; r == nil || *r != want {
		t.Fatalf("%+v", r)
	}
	if s := SetFor(&f.Config, f.Record, 7, f.D, refB).Step; s == nil || s.ID != "g/5/retry-tasks-1" || *s.Retry != want {
		t.Fatalf("%+v", s)
	}
	f.Members[1].Report.Results = []events.Result{{Step: "g/5/retry-tasks-1", Outcome: events.Unknown}}
	if o := Step(f); o.Record != nil && o.Record.Retry == nil {
		t.Error("an unknown answer ended it")
	}
	f.Members[1].Report.Results[0] = events.Result{Step: "g/5/retry-tasks-1", Outcome: events.Done, Why: "1 tasks of g-5 are retried"}
	o := Step(f)
	if o.Record == nil || o.Record.Retry != nil || o.Record.Retries != 1 {
		t.Fatalf("%+v", o.Record)
	}
	f.Record = o.Record
	if fs := f.taskEvidence(); len(fs) != 2 || !strings.Contains(fs[1].Value, "switchback tasks retry g") {
		t.Errorf("%+v", fs)
	}
}
