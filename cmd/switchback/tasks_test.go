package main

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
)

func TestTasksPage(t *testing.T) {
	t.Parallel()
	es := []events.TaskEntry{
		{TaskKey: events.TaskKey{DAG: "etl", Run: "r1", Task: "load", Map: 3}, Try: 1, After: 2, Found: "running", Class: events.TaskGhost, Rule: "ghost", Policy: events.TaskSafe, Action: events.TaskNone, Result: events.TaskOK},
		{
			TaskKey: events.TaskKey{DAG: "billing", Run: "r2", Task: "charge", Map: -1}, Try: 1, After: 1, Found: "failed", Class: events.TaskFailed, Rule: "failed.hold", Tags: []string{"dr:hold"},
			Policy: events.TaskHold, Action: events.TaskWaits,
		},
	}
	sum := events.TaskSummary{Operation: "af-8", Entries: 2, Window: events.TaskWindow{From: noon, To: noon.Add(40 * time.Second), By: "heartbeat", Till: "clock"}, Closed: true}
	sum.Totals, sum.Waits = events.CountTasks(es)
	all := answers.Tasks{Ledgers: []answers.Ledger{{Group: "af", Summary: sum}}, Entries: es}
	var b strings.Builder
	p := &page{now: noon, w: &b}
	p.tasks(&all, true)
	p.waiting(es[1:], &answers.Report{Group: "af", Operation: events.Operation{ID: "af-8", Tasks: &sum}})
	for _, want := range []string{
		"af   2 tasks were hit in a window of 40.0 s (af-8): 1 ghost (1 success), 1 failed (1 waiting for a person); 1 wait for a person", "load[3]", "1→2", "hold (dr:hold)",
		"its DAG's policy says ask: it waits for `switchback tasks retry`", "next: `switchback tasks retry af --operation af-8 --reason …` retries what waits",
		"waits      billing r2 charge: ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	p.tasks(&answers.Tasks{}, false)
	if !strings.Contains(b.String(), "no group has a ledger of tasks") {
		t.Error(b.String())
	}
}
