package events

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// longest is the longest name of a DAG, run or task that Airflow takes.
var longest = strings.Repeat("ä", 125)

// A ledger of ten thousand tasks with the longest names there are travels in pieces that the bus takes, and arrives whole.
func TestALedgerOfAnySizeArrivesWhole(t *testing.T) {
	t.Parallel()
	const n, payload = 10_000, 1 << 20
	all := make([]TaskEntry, n)
	for i := range all {
		all[i] = TaskEntry{
			TaskKey: TaskKey{longest, longest, fmt.Sprintf("t%d", i), i % 7}, Try: 1, Found: "running", Class: TaskClasses()[i%6], Rule: "ghost", Tags: []string{"dr:hold"}, Policy: TaskHold,
			Action: TaskWaits, Why: strings.Repeat("w", 300),
		}
	}
	totals, waits := CountTasks(all)
	if waits != n || len(totals) != 6 {
		t.Fatalf("%d wait, %v", waits, totals)
	}
	sum := TaskSummary{Operation: "airflow-8", Entries: n, Totals: totals, Waits: waits, Window: TaskWindow{From: at, To: at.Add(time.Minute), Cut: at, Jobs: []int64{1, 2}}}
	var back []TaskEntry
	for part := range TaskParts(n) {
		b, err := json.Marshal(TaskPart{Group: "airflow", Summary: sum, Part: part, Parts: TaskParts(n), Entries: all[part*TaskPartEntries : min(n, (part+1)*TaskPartEntries)]})
		if err != nil || len(b) >= payload {
			t.Fatalf("piece %d has %d bytes, %v: the bus takes %d", part, len(b), err, payload)
		}
		var p TaskPart
		if err := strict(b, &p); err != nil {
			t.Fatal(err)
		}
		if !p.Summary.Same(&sum) {
			t.Errorf("the summary came back as %+v", p.Summary)
		}
		back = append(back, p.Entries...)
	}
	if !reflect.DeepEqual(back, all) {
		t.Error("the entries came back otherwise")
	}
	if TaskParts(0) != 1 || TaskParts(TaskPartEntries) != 1 || TaskParts(TaskPartEntries+1) != 2 {
		t.Errorf("%d, %d, %d pieces", TaskParts(0), TaskParts(TaskPartEntries), TaskParts(TaskPartEntries+1))
	}
}

func TestTotalsAreInOrder(t *testing.T) {
	t.Parallel()
	es := []TaskEntry{
		{Class: TaskTwice, Action: TaskLeft, Result: TaskOK}, {Class: TaskFailed, Action: TaskCleared, Result: TaskOK}, {Class: TaskFailed, Action: TaskWaits},
		{Class: TaskGhost, Action: TaskNone, Result: TaskRunning}, {Class: TaskFailed, Action: TaskCleared, Result: TaskOK},
	}
	got, waits := CountTasks(es)
	want := []TaskTotal{
		{TaskGhost, TaskNone, TaskRunning, 1}, {TaskFailed, TaskCleared, TaskOK, 2}, {TaskFailed, TaskWaits, TaskPending, 1}, {TaskTwice, TaskLeft, TaskOK, 1},
	}
	if !reflect.DeepEqual(got, want) || waits != 1 {
		t.Errorf("%v, %d wait", got, waits)
	}
	for i, over := range []bool{true, true, true, false, true} {
		if es[i].Over() != over {
			t.Errorf("%+v over: %v", es[i], es[i].Over())
		}
	}
}

func TestARetryTakesWhatWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r    TaskRetry
		e    TaskEntry
		want bool
	}{
		{TaskRetry{}, TaskEntry{Action: TaskWaits}, true},
		{TaskRetry{}, TaskEntry{Action: TaskCleared}, false},
		{TaskRetry{}, TaskEntry{Action: TaskLeft}, false},
		{TaskRetry{DAG: "a"}, TaskEntry{TaskKey: TaskKey{DAG: "a"}, Action: TaskWaits}, true},
		{TaskRetry{DAG: "b"}, TaskEntry{TaskKey: TaskKey{DAG: "a"}, Action: TaskWaits}, false},
		{TaskRetry{DAG: "a", Task: "x"}, TaskEntry{TaskKey: TaskKey{DAG: "a", Task: "y"}, Action: TaskWaits}, false},
	} {
		if got := c.r.Takes(&c.e); got != c.want {
			t.Errorf("%+v takes %+v: %v", c.r, c.e, got)
		}
	}
}

func TestARetryOfTasksIsChecked(t *testing.T) {
	t.Parallel()
	for body, says := range map[string]string{
		`{"group":"af","reason":"r"}`:                                           "",
		`{"group":"af","reason":"r","operation":"af-8","dag":"a b","task":"x"}`: "",
		`{"group":"af"}`:                                 "gives no reason",
		`{"group":"af","reason":"r","task":"x"}`:         "names task \"x\" and no dag",
		`{"group":"af","reason":"r","operation":"af.8"}`: "operation \"af.8\" has '.'",
		`{"reason":"r"}`:                                 "names neither group",
		`{"group":"af","reason":"r","dag":"` + strings.Repeat("d", 251) + `"}`: "more than 250 characters",
	} {
		_, err := DecodeAsk("ann", AskRetryTasks, []byte(body))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", body, err, says)
		}
	}
	if _, err := DecodeAsk("ann", AskFailover, []byte(`{"group":"af","dag":"x"}`)); err == nil {
		t.Error("a failover took a dag")
	}
}
