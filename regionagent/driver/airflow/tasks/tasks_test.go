package tasks

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// The window of every example: the old side was known good at 0 s, its scheduler (job 1) was marked failed at 30 s, the new one (job 2) was found running at 45 s.
var (
	zero   = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	window = events.TaskWindow{From: zero, Cut: at(30), To: at(45), Jobs: []int64{1}}
	policy = events.TaskPolicy{Retry: events.TaskSafe, Budget: 2, Never: []string{"dr:never"}, Ask: []string{"dr:hold"}}
)

func at(s int) time.Time { return zero.Add(time.Duration(s) * time.Second) }

// want is what the test of a row expects; an empty class: it was not hit.
type want struct {
	rule   string
	class  events.TaskClass
	action events.TaskAction
	try    int
}

func TestClasses(t *testing.T) {
	t.Parallel()
	of := func(state string, end time.Time, job int64) Instance {
		return Instance{State: state, Try: 1, End: end, Job: job, Begun: true, Open: true}
	}
	lost := func(i Instance, end time.Time, job int64) Instance {
		i.Try, i.Lost = 2, &Try{Try: 1, End: end, Job: job}
		return i
	}
	over := of(Running, time.Time{}, 1)
	over.Open = false
	seen := map[string]bool{}
	for name, c := range map[string]struct {
		i    Instance
		tags []string
		want want
	}{
		"runs under the dead scheduler":                    {of(Running, time.Time{}, 1), nil, want{"ghost", events.TaskGhost, events.TaskNone, 1}},
		"queued by the dead scheduler":                     {of(Queued, time.Time{}, 1), nil, want{"ghost", events.TaskGhost, events.TaskNone, 1}},
		"restarting under the dead scheduler":              {of(Restarting, time.Time{}, 1), nil, want{"ghost", events.TaskGhost, events.TaskNone, 1}},
		"a ghost of a held DAG is Airflow's to reset":      {of(Running, time.Time{}, 1), []string{"dr:hold"}, want{"ghost", events.TaskGhost, events.TaskNone, 1}},
		"runs under the dead scheduler, its run is over":   {over, nil, want{"ghost.run-over", events.TaskGhost, events.TaskLeft, 1}},
		"runs under the live scheduler":                    {of(Running, time.Time{}, 2), nil, want{}},
		"queued by the live scheduler":                     {of(Queued, time.Time{}, 2), nil, want{}},
		"was reset before it was looked at":                {lost(of("", time.Time{}, 0), at(36), 1), nil, want{"ghost.reset", events.TaskGhost, events.TaskNone, 1}},
		"was reset, and runs again":                        {lost(of(Running, time.Time{}, 2), at(36), 1), nil, want{"ghost.reset", events.TaskGhost, events.TaskNone, 1}},
		"was reset, ran again and is done":                 {lost(of(Success, at(44), 2), at(36), 1), nil, want{"ghost.reset", events.TaskGhost, events.TaskNone, 1}},
		"deferred":                                         {of(Deferred, time.Time{}, 1), nil, want{"deferred", events.TaskDeferred, events.TaskNone, 1}},
		"its try failed, another is due":                   {of(UpForRetry, at(10), 1), nil, want{"up-for-retry", events.TaskUpForRetry, events.TaskNone, 1}},
		"its try failed, another has begun":                {lost(of(Running, time.Time{}, 2), at(10), 1), nil, want{"up-for-retry.begun", events.TaskUpForRetry, events.TaskNone, 1}},
		"its try failed before, another is due":            {of(UpForRetry, at(-10), 1), nil, want{}},
		"failed":                                           {of(Failed, at(10), 1), nil, want{"failed", events.TaskFailed, events.TaskClear, 1}},
		"failed, by whom it was queued is not known":       {of(Failed, at(10), 0), nil, want{"failed", events.TaskFailed, events.TaskClear, 1}},
		"failed before":                                    {of(Failed, at(-1), 1), nil, want{}},
		"failed the very instant it was known good":        {of(Failed, at(0), 1), nil, want{}},
		"failed afterwards":                                {of(Failed, at(46), 1), nil, want{}},
		"failed under the live scheduler":                  {of(Failed, at(40), 2), nil, want{}},
		"failed, left alone by its tag":                    {of(Failed, at(10), 1), []string{"x", "dr:never"}, want{"failed.never", events.TaskFailed, events.TaskLeft, 1}},
		"failed, held by its tag":                          {of(Failed, at(10), 1), []string{"dr:hold"}, want{"failed.hold", events.TaskFailed, events.TaskWaits, 1}},
		"failed, never is stronger than hold":              {of(Failed, at(10), 1), []string{"dr:hold", "dr:never"}, want{"failed.never", events.TaskFailed, events.TaskLeft, 1}},
		"cut off, set failed by its policy never":          {of(Failed, at(30), 1), []string{"dr:never"}, want{"ghost.stopped", events.TaskGhost, events.TaskLeft, 1}},
		"cut off, set failed by its policy ask":            {of(Failed, at(30), 1), []string{"dr:hold"}, want{"ghost.stopped", events.TaskGhost, events.TaskWaits, 1}},
		"upstream failed":                                  {of(UpstreamFailed, at(10), 0), nil, want{"upstream-failed", events.TaskUpstreamFailed, events.TaskNone, 1}},
		"succeeded when the old side was not known good":   {of(Success, at(5), 1), nil, want{"possibly-run-twice", events.TaskTwice, events.TaskLeft, 1}},
		"succeeded before":                                 {of(Success, at(-5), 1), nil, want{}},
		"succeeded under the live scheduler in the window": {of(Success, at(44), 2), nil, want{}},
		"scheduled":             {of("scheduled", time.Time{}, 0), nil, want{}},
		"skipped in the window": {of(Skipped, at(10), 1), nil, want{}},
	} {
		c.i.TaskKey = events.TaskKey{DAG: "d", Run: "r", Task: "t", Map: -1}
		es := Classify(Sight{Instances: []Instance{c.i}, Tags: map[string][]string{"d": c.tags}}, window, policy)
		var got want
		if len(es) == 1 {
			got = want{es[0].Rule, es[0].Class, es[0].Action, es[0].Try}
			if es[0].Class == events.TaskFailed && Sentence(&es[0]) == "" {
				t.Errorf("%s: rule %s says nothing", name, es[0].Rule)
			}
			seen[es[0].Rule] = true
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	for i := range classes {
		if !seen[classes[i].id] {
			t.Errorf("no example reaches class %s", classes[i].id)
		}
	}
}

// Of a DAG only so many are retried by themselves as its budget allows; the others wait, and other DAGs have a budget of their own.
func TestBudget(t *testing.T) {
	t.Parallel()
	var s Sight
	for n := range 5 {
		for _, dag := range []string{"b", "a"} {
			s.Instances = append(s.Instances, Instance{TaskKey: events.TaskKey{DAG: dag, Run: "r", Task: fmt.Sprintf("t%d", 4-n), Map: -1}, State: Failed, Try: 1, End: at(1), Job: 1, Open: true})
		}
	}
	es := Classify(s, window, policy)
	var got []string
	for _, e := range es {
		got = append(got, e.DAG+e.Task+" "+string(e.Action)+" "+e.Rule)
	}
	want := []string{
		"at0 clear failed", "at1 clear failed", "at2 waits failed.budget", "at3 waits failed.budget", "at4 waits failed.budget",
		"bt0 clear failed", "bt1 clear failed", "bt2 waits failed.budget", "bt3 waits failed.budget", "bt4 waits failed.budget",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	if n := Retry(es, &events.TaskRetry{DAG: "b", By: "ann", Reason: "all is well"}); n != 3 {
		t.Errorf("%d were released", n)
	}
	for _, e := range es {
		if e.DAG == "b" && (e.Action != events.TaskClear || e.Task > "t1" && Sentence(&e) != "ann asked to retry it: all is well") || e.DAG == "a" && e.Task > "t1" && e.Action != events.TaskWaits {
			t.Errorf("%+v: %s", e, Sentence(&e))
		}
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	const op = "af-8"
	entry := func(class events.TaskClass, a events.TaskAction) events.TaskEntry {
		return events.TaskEntry{Class: class, Action: a, Try: 1, Policy: events.TaskSafe}
	}
	of := func(state string, try int, job int64) *Instance {
		return &Instance{State: state, Try: try, Job: job, Open: true}
	}
	marked := of("", 1, 0)
	marked.Note = Note(op, "", "")
	over := of("scheduled", 2, 0)
	over.Open = false
	up := of(UpstreamFailed, 0, 0)
	up.Open = false
	held, never, asked := entry(events.TaskGhost, events.TaskNone), entry(events.TaskGhost, events.TaskNone), entry(events.TaskGhost, events.TaskClear)
	held.Policy, never.Policy = events.TaskHold, events.TaskNever
	done := entry(events.TaskFailed, events.TaskCleared)
	done.Result = events.TaskOK
	seen := map[string]bool{}
	for name, c := range map[string]struct {
		e      events.TaskEntry
		i      *Instance
		intent *Intent
		since  time.Duration
		row    string
		do     Do
		action events.TaskAction
		result events.TaskResult
	}{
		"nothing is done to what is over":                        {done, of(Failed, 2, 2), nil, 0, "over", Nothing, events.TaskCleared, events.TaskOK},
		"its run was deleted":                                    {entry(events.TaskFailed, events.TaskClear), nil, nil, 0, "gone", Nothing, events.TaskClear, events.TaskGone},
		"it was removed":                                         {entry(events.TaskFailed, events.TaskClear), of(Removed, 1, 1), &Intent{Clear, 1}, 0, "gone", Nothing, events.TaskClear, events.TaskGone},
		"the crash came after the clear":                         {entry(events.TaskFailed, events.TaskClear), marked, &Intent{Clear, 1}, 0, "intent.done", Nothing, events.TaskCleared, ""},
		"the crash came before the clear":                        {entry(events.TaskFailed, events.TaskClear), of(Failed, 1, 1), &Intent{Clear, 1}, 0, "intent.not-done", Clear, events.TaskClear, ""},
		"the crash came between setting it failed and the clear": {entry(events.TaskGhost, events.TaskNone), of(Failed, 1, 1), &Intent{FailClear, 1}, 0, "intent.failed-by-us", Clear, events.TaskNone, ""},
		"the crash came before it was set failed":                {entry(events.TaskGhost, events.TaskNone), of(Running, 1, 1), &Intent{FailClear, 1}, 0, "intent.ghost-still", FailClear, events.TaskNone, ""},
		"it runs, and the mark is gone":                          {entry(events.TaskFailed, events.TaskClear), of(Running, 2, 2), &Intent{Clear, 1}, 0, "intent.moved", Nothing, events.TaskLeft, ""},
		"it ran after the clear, failed again, mark gone":        {entry(events.TaskFailed, events.TaskClear), of(Failed, 2, 2), &Intent{Clear, 1}, 0, "intent.moved", Nothing, events.TaskLeft, ""},
		"a person cleared it first":                              {entry(events.TaskFailed, events.TaskClear), of(Running, 2, 2), nil, 0, "clear.moved", Nothing, events.TaskLeft, ""},
		"a person cleared it first, and it failed again":         {entry(events.TaskFailed, events.TaskClear), of(Failed, 2, 2), nil, 0, "clear.moved", Nothing, events.TaskLeft, ""},
		"failed, to be cleared":                                  {entry(events.TaskFailed, events.TaskClear), of(Failed, 1, 1), nil, 0, "clear", Clear, events.TaskClear, ""},
		"a ghost is watched":                                     {entry(events.TaskGhost, events.TaskNone), of(Running, 1, 1), nil, time.Second, "ghost.wait", Nothing, events.TaskNone, ""},
		"a ghost that nobody resets":                             {entry(events.TaskGhost, events.TaskNone), of(Running, 1, 1), nil, ResetLimit, "ghost.stuck", FailClear, events.TaskNone, ""},
		"a ghost that nobody resets, held":                       {held, of(Running, 1, 1), nil, ResetLimit, "ghost.held", Nothing, events.TaskWaits, ""},
		"a ghost that nobody resets, never":                      {never, of(Running, 1, 1), nil, ResetLimit, "ghost.left", Nothing, events.TaskLeft, ""},
		"a ghost that a person wants retried":                    {asked, of(Running, 1, 1), nil, ResetLimit, "clear.ghost", FailClear, events.TaskClear, ""},
		"a ghost runs again":                                     {entry(events.TaskGhost, events.TaskNone), of(Running, 2, 2), nil, ResetLimit, "running", Nothing, events.TaskNone, events.TaskRunning},
		"it succeeded":                                           {entry(events.TaskGhost, events.TaskNone), of(Success, 2, 2), nil, 0, "success", Nothing, events.TaskNone, events.TaskOK},
		"it was skipped":                                         {entry(events.TaskUpstreamFailed, events.TaskNone), of(Skipped, 1, 2), nil, 0, "skipped", Nothing, events.TaskNone, events.TaskSkipped},
		"it failed again after it was cleared":                   {entry(events.TaskFailed, events.TaskCleared), of(Failed, 2, 2), nil, 0, "failed.again", Nothing, events.TaskCleared, events.TaskBad},
		"up for retry failed in the end":                         {entry(events.TaskUpForRetry, events.TaskNone), of(Failed, 2, 2), nil, 0, "failed.again", Nothing, events.TaskNone, events.TaskBad},
		"what is before it never succeeded":                      {entry(events.TaskUpstreamFailed, events.TaskNone), up, nil, 0, "upstream-failed", Nothing, events.TaskNone, events.TaskBad},
		"its run ended without it":                               {entry(events.TaskGhost, events.TaskNone), over, nil, 0, "run-over", Nothing, events.TaskNone, events.TaskUnknown},
		"it waits to be scheduled":                               {entry(events.TaskFailed, events.TaskCleared), of("", 1, 0), nil, 0, "waiting", Nothing, events.TaskCleared, ""},
	} {
		got, do, row := Turn(c.e, c.i, c.intent, &window, op, c.since)
		if row != c.row || do != c.do || got.Action != c.action || got.Result != c.result {
			t.Errorf("%s: row %s, do %q, %s, %q; want %s, %q, %s, %q", name, row, do, got.Action, got.Result, c.row, c.do, c.action, c.result)
		}
		seen[row] = true
		if c.i != nil && c.i.State == Running && do == Clear {
			t.Errorf("%s: a running instance is cleared", name)
		}
	}
	for i := range turns {
		if !seen[turns[i].id] {
			t.Errorf("no example reaches row %s", turns[i].id)
		}
	}
}

// Whatever an entry, its instance and an intent are, a running instance is never cleared, and nothing at all is done to one of a live scheduler.
func TestARunningInstanceIsNeverCleared(t *testing.T) {
	t.Parallel()
	for _, class := range events.TaskClasses() {
		for _, action := range []events.TaskAction{events.TaskNone, events.TaskClear, events.TaskCleared, events.TaskWaits, events.TaskLeft} {
			for _, state := range []string{Queued, Running, Restarting, Deferred, "scheduled", ""} {
				for _, job := range []int64{0, 1, 2} {
					for _, intent := range []*Intent{nil, {Clear, 1}, {FailClear, 1}, {FailClear, 2}} {
						for _, since := range []time.Duration{0, 2 * ResetLimit} {
							e := events.TaskEntry{Class: class, Action: action, Try: 1, Policy: events.TaskSafe}
							i := Instance{State: state, Try: 1, Job: job, Open: true}
							_, do, row := Turn(e, &i, intent, &window, "af-8", since)
							if do == Clear || do == FailClear && (job != 1 || class != events.TaskGhost || !among(state, Queued, Running, Restarting)) {
								t.Errorf("%s of %s, %s under job %d, %+v: %s by row %s", action, class, state, job, intent, do, row)
							}
						}
					}
				}
			}
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	n := Note("af-8", "ann asked", "mine: look at the disk")
	if n != "switchback af-8 ann asked\nmine: look at the disk" || !Marked(n, "af-8") || Marked(n, "af-80") || Marked(n, "af") || Marked("", "af-8") {
		t.Errorf("%q", n)
	}
	if again := Note("af-9", "", n); again != "switchback af-9" || !Marked(again, "af-9") {
		t.Errorf("%q", again)
	}
	if l := len([]rune(Note("af-8", strings.Repeat("ä", 2000), "x"))); l != maxNote {
		t.Errorf("a note of %d characters", l)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	up := events.TaskEntry{TaskKey: events.TaskKey{DAG: "d", Run: "r", Task: "join"}, Class: events.TaskUpstreamFailed, Action: events.TaskNone, Result: events.TaskBad}
	other := up
	other.Run = "s"
	es := []events.TaskEntry{{TaskKey: events.TaskKey{DAG: "d", Run: "r", Task: "a"}, Class: events.TaskFailed, Action: events.TaskWaits}, up, other}
	Retry(es, &events.TaskRetry{})
	if es[1].Over() || !es[2].Over() {
		t.Errorf("%+v", es)
	}
}

var update = flag.Bool("update", false, "write TABLE.md anew")

func TestTableIsUpToDate(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Tasks of a workflow\n\nGenerated from the tables in the code (`go test ./regionagent/driver/airflow/tasks -update`). First match wins; what no class names was not hit.\n")
	b.WriteString("\n## Classes\n\n| # | row | when | class | action where its DAG is safe | sentence |\n|---|---|---|---|---|---|\n")
	for i, c := range classes {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s | %s | %s |\n", i+1, c.id, c.when, c.what, c.do, c.why)
	}
	b.WriteString("\n## What keeps a failed one from being cleared by itself\n\n| # | row | action | sentence |\n|---|---|---|---|\n")
	for i, p := range policies {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", i+1, p.id, p.do, p.why)
	}
	b.WriteString("\n## What an entry needs when it is looked at\n\n| # | row | what is done |\n|---|---|---|\n")
	for i, r := range turns {
		do := string(r.do)
		if r.do == Nothing {
			do = "nothing"
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s |\n", i+1, r.id, do)
	}
	if *update {
		if err := os.WriteFile("TABLE.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("TABLE.md")
	if err != nil || string(got) != b.String() {
		t.Fatalf("TABLE.md is not what the tables say, %v: go test ./regionagent/driver/airflow/tasks -update", err)
	}
}
