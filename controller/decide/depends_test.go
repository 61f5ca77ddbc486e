package decide

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// TestMoveWaitsForTasks: a planned move of what tasks run on waits, before anything is stopped, until none runs; it is given up if that does not come, and says why.
func TestMoveWaitsForTasks(t *testing.T) {
	t.Parallel()
	f := noLogs(t, false)
	f.Ask = &events.Ask{ID: "1", Verb: events.AskSwitchover, Actor: "ann", Group: "g"}
	f.Record = wantRule(t, f, "swap.asked").Record
	f.Ask = nil
	f.Members[0].Report.Results = []events.Result{{Step: events.StepID("g", f.Record.Epoch, "prepare"), Outcome: events.Done}}
	f.Uses.Busy = "af is not drained yet: 3 tasks are queued or run"
	if o := wantRule(t, f, "wait.checkpoint"); !strings.Contains(o.Why, "3 tasks") {
		t.Errorf("says %q", o.Why)
	}
	f.OpAge = f.D.Prepare
	if o := wantRule(t, f, "swap.no-checkpoint"); !strings.Contains(o.Why, "3 tasks") || o.Record.Phase != events.PhaseActive {
		t.Errorf("says %q", o.Why)
	}
	f.OpAge, f.Uses.Busy = time.Second, ""
	wantRule(t, f, "swap.intent")
}

// TestTasksAreHeldBack: while what it depends on is moved on purpose, and not when it moves itself; the step is one of its active's.
func TestTasksAreHeldBack(t *testing.T) {
	t.Parallel()
	f := noLogs(t, true)
	f.Config.Kind, f.Uses.Moves = events.KindAirflow, "db-7"
	o := Step(f)
	if o.Record == nil || o.Record.Drain == nil || o.Record.Drain.Ask != "db-7" || len(o.Sets) != 1 || o.Sets[0].Cluster != refA || o.Sets[0].Step == nil || o.Sets[0].Step.Verb != events.VerbCheckpoint {
		t.Fatalf("%+v", o)
	}
	f.Record = o.Record
	step := o.Sets[0].Step.ID
	say := func() string { return Drained(f.Record, &f.Members[0].Report, "db-7") }
	if say() == "" {
		t.Error("drained before it said so")
	}
	f.Members[0].Report.Results = []events.Result{{Step: step, Outcome: events.Retry, Why: "2 tasks"}}
	if !strings.Contains(say(), "2 tasks") {
		t.Error(say())
	}
	f.Members[0].Report.Results[0].Outcome = events.Done
	if say() != "" {
		t.Error(say())
	}
	if Drained(f.Record, &f.Members[0].Report, "db-8") == "" {
		t.Error("drained for another move")
	}
	if o := Step(f); o.Record != nil {
		t.Errorf("asked again: %+v", o.Upkeep)
	}
	f.Uses.Moves = ""
	if o := Step(f); o.Record == nil || o.Record.Drain != nil || len(o.Sets) != 1 || o.Sets[0].Step != nil && o.Sets[0].Step.ID == step {
		t.Errorf("%+v", o)
	}
}

// TestWaitsForItsDatabase: what only waits for a database that is away is not moved, however long; once that serves it is its own affair.
func TestWaitsForItsDatabase(t *testing.T) {
	t.Parallel()
	f := noLogs(t, true)
	f.Config.Kind = events.KindAirflow
	h := &f.Members[0].Health
	h.CanaryOK, h.Waits, h.Down, h.Restarts = false, "waits for its database: it is in recovery", time.Hour, 0
	f.Uses.Unserved = "failover of db is under way (db-7)"
	if o := wantRule(t, f, "wait.cluster-unconfirmed"); !strings.Contains(o.Why, "in recovery") || !strings.Contains(o.Why, "db-7") {
		t.Errorf("says %q", o.Why)
	}
	f.Uses.Unserved = ""
	wantRule(t, f, "failover.cluster-down")
}

// TestSettingsAlike: sides that could not go on with each other's work are not swapped; what only one tells of is no reason.
func TestSettingsAlike(t *testing.T) {
	t.Parallel()
	f := noLogs(t, false)
	f.Ask = &events.Ask{ID: "1", Verb: events.AskSwitchover, Actor: "ann", Group: "g"}
	f.Members[0].Health.Alike = []events.Alike{{What: "executor", Print: "LocalExecutor"}, {What: "fernet key", Print: "1"}}
	f.Members[1].Health.Alike = []events.Alike{{What: "fernet key", Print: "2"}}
	if o := wantRule(t, f, "refuse.swap"); !strings.Contains(o.Why, "fernet key") || strings.Contains(o.Why, "executor") {
		t.Errorf("says %q", o.Why)
	}
	f.Members[1].Health.Alike[0].Print = "1"
	wantRule(t, f, "swap.asked")
}
