package events

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// TaskPolicy is what a workflow's group says about the tasks that a move, or an outage in place, hit.
type TaskPolicy struct {
	Retry  TaskWord `json:"retry"`            // of what no tag names
	Pace   Duration `json:"pace,omitempty"`   // least time between two retries; 0 = as fast as they go
	Budget int      `json:"budget,omitempty"` // the most retries per DAG and ledger that nobody asked for; 0 = none
	Never  []string `json:"never,omitempty"`  // tags of DAGs that are left alone
	Ask    []string `json:"ask,omitempty"`    // tags of DAGs that wait for a person
}

// What holds for a workflow's group unless its file says otherwise.
const (
	DefaultTaskPace   = Duration(50 * time.Millisecond) // 20/s
	DefaultTaskBudget = 200
	TagNever          = "dr:never"
	TagHold           = "dr:hold"
)

// DefaultTaskPolicy is the policy of a workflow's group that says nothing.
func DefaultTaskPolicy() TaskPolicy {
	return TaskPolicy{Retry: TaskSafe, Pace: DefaultTaskPace, Budget: DefaultTaskBudget, Never: []string{TagNever}, Ask: []string{TagHold}}
}

// TaskWord is what may be done with the tasks of a DAG.
type TaskWord string

// The words of a policy.
const (
	TaskSafe  TaskWord = "safe"  // retried by themselves
	TaskHold  TaskWord = "hold"  // retried when a person asks
	TaskNever TaskWord = "never" // left alone
)

// TaskClass is what became of a task instance in the window.
type TaskClass string

// The classes.
const (
	TaskGhost          TaskClass = "ghost"              // queued or running, by word of the database, and whoever ran it is dead: Airflow resets it
	TaskFailed         TaskClass = "failed"             // it failed in the window
	TaskUpForRetry     TaskClass = "up-for-retry"       // its try failed in the window, and Airflow tries it again by itself
	TaskUpstreamFailed TaskClass = "upstream-failed"    // it was not run because one before it failed in the window
	TaskDeferred       TaskClass = "deferred"           // it waits in a triggerer
	TaskTwice          TaskClass = "possibly-run-twice" // its success is of the window: what came after it may have begun on the old side, and begin again
)

// TaskClasses lists the classes in the order surfaces show them.
func TaskClasses() []TaskClass {
	return []TaskClass{TaskGhost, TaskFailed, TaskUpForRetry, TaskUpstreamFailed, TaskDeferred, TaskTwice}
}

// TaskAction is what was done with a task instance.
type TaskAction string

// The actions.
const (
	TaskNone    TaskAction = "none"       // Airflow sees to it by itself, and it is watched
	TaskClear   TaskAction = "clear"      // it is to be cleared, so that it runs again; not done yet
	TaskCleared TaskAction = "cleared"    // it was cleared, with what comes after it
	TaskWaits   TaskAction = "waits"      // for a person: switchback tasks retry
	TaskLeft    TaskAction = "left-alone" // by its policy, or because somebody else was first
)

// TaskResult is what came of a task instance in the end.
type TaskResult string

// The results. An entry without one is not decided yet.
const (
	TaskPending TaskResult = ""
	TaskRunning TaskResult = "running" // begun again
	TaskOK      TaskResult = "success"
	TaskBad     TaskResult = "failed"
	TaskSkipped TaskResult = "skipped"
	TaskGone    TaskResult = "gone"    // it is in no run any more
	TaskUnknown TaskResult = "unknown" // nobody could say before the ledger was closed
)

// Final reports whether nothing more will come.
func (r TaskResult) Final() bool { return r != TaskPending && r != TaskRunning }

// TaskWindow is the failover window of a workflow, by what stands in Airflow's own database: no clock of Switchback's is in it.
type TaskWindow struct {
	From time.Time `json:"from"` // the last instant the old side was known good
	By   string    `json:"by"`   // what that was judged by
	Cut  time.Time `json:"cut"`  // when the old side's schedulers were marked failed, by the database's clock
	To   time.Time `json:"to"`   // when the new side was healthy: its scheduler's first heartbeat that counted
	Till string    `json:"till"` // what that was judged by
	Jobs []int64   `json:"jobs"` // the schedulers that died in it, by their rows; sorted
}

// Length is how long the window was; 0 while its end is not known.
func (w TaskWindow) Length() time.Duration {
	if w.To.IsZero() || w.From.IsZero() {
		return 0
	}
	return max(0, w.To.Sub(w.From))
}

// TaskKey names one task instance.
type TaskKey struct {
	DAG  string `json:"dag"`
	Run  string `json:"run"`
	Task string `json:"task"`
	Map  int    `json:"map"` // index of a mapped task; else -1
}

// String names it as people read it.
func (k TaskKey) String() string {
	s := k.DAG + " " + k.Run + " " + k.Task
	if k.Map >= 0 {
		s += fmt.Sprintf("[%d]", k.Map)
	}
	return s
}

// TaskEntry is one task instance of a ledger.
type TaskEntry struct {
	TaskKey
	Try    int        `json:"try"`   // that was hit
	Found  string     `json:"found"` // its state then, in Airflow's words
	Class  TaskClass  `json:"class"`
	Rule   string     `json:"rule"`           // the row that says why it has this class and this action
	Tags   []string   `json:"tags,omitempty"` // of its DAG, those that decided
	Policy TaskWord   `json:"policy"`
	Action TaskAction `json:"action"`
	Why    string     `json:"why,omitempty"` // what the row does not say by itself: an error, whom it waits for
	By     string     `json:"by,omitempty"`  // who asked for its retry
	Result TaskResult `json:"result,omitempty"`
	After  int        `json:"after,omitempty"` // its try when last looked at
}

// Over reports whether nothing of the entry is to be done or watched any more: it has its result, or it waits, or it is left alone.
func (e *TaskEntry) Over() bool {
	return e.Result.Final() || e.Action == TaskWaits || e.Action == TaskLeft
}

// TaskTotal counts the entries of one class, action and result.
type TaskTotal struct {
	Class  TaskClass  `json:"class"`
	Action TaskAction `json:"action"`
	Result TaskResult `json:"result,omitempty"`
	Count  int        `json:"count"`
}

// TaskSummary is a ledger without its entries: what reports and records carry.
type TaskSummary struct {
	Operation string      `json:"operation"` // whose ledger it is: of a move, or made up by the agent for an outage in place
	Local     bool        `json:"local,omitempty"`
	Epoch     Epoch       `json:"epoch"`
	Window    TaskWindow  `json:"window"`
	Entries   int         `json:"entries"`
	Totals    []TaskTotal `json:"totals,omitempty"` // by class, action and result, in their order
	Waits     int         `json:"waits,omitempty"`  // entries that wait for a person
	Closed    bool        `json:"closed,omitempty"` // nothing is to be done or watched any more
	Stuck     string      `json:"stuck,omitempty"`  // why nothing comes of it at the moment; empty = it goes on, or is closed
	Retry     uint64      `json:"retry,omitempty"`  // the last retry that people asked for and that it has taken
}

// Same reports whether two summaries say the same.
func (s *TaskSummary) Same(t *TaskSummary) bool {
	if s == nil || t == nil {
		return s == t
	}
	return s.Operation == t.Operation && s.Local == t.Local && s.Epoch == t.Epoch && s.Window.From.Equal(t.Window.From) && s.Window.To.Equal(t.Window.To) && s.Entries == t.Entries && s.Waits == t.Waits &&
		s.Closed == t.Closed && s.Stuck == t.Stuck && s.Retry == t.Retry && slices.Equal(s.Totals, t.Totals)
}

// CountTasks totals entries.
func CountTasks(entries []TaskEntry) (totals []TaskTotal, waits int) {
	for i := range entries {
		e := &entries[i]
		if e.Action == TaskWaits {
			waits++
		}
		x := TaskTotal{e.Class, e.Action, e.Result, 0}
		at, there := slices.BinarySearchFunc(totals, x, compareTotals)
		if !there {
			totals = slices.Insert(totals, at, x)
		}
		totals[at].Count++
	}
	return totals, waits
}

func compareTotals(a, b TaskTotal) int {
	order := TaskClasses()
	return cmp.Or(cmp.Compare(slices.Index(order, a.Class), slices.Index(order, b.Class)), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Result, b.Result))
}

// TaskPart is one piece of a ledger, so that a ledger of any size arrives whole: a message of the bus takes no more than 1 MiB. Each carries the summary of its revision;
// the pieces of one revision have Parts in common and are numbered from 0.
type TaskPart struct {
	Group    string      `json:"group"`
	Cluster  Ref         `json:"cluster"` // whose agent keeps it
	Policy   TaskPolicy  `json:"policy"`
	Summary  TaskSummary `json:"summary"`
	Revision uint64      `json:"revision"` // of this piece: it rises whenever the piece changes
	Part     int         `json:"part"`
	Parts    int         `json:"parts"`
	Entries  []TaskEntry `json:"entries"`
}

// EventType names the payload in the catalogue.
func (TaskPart) EventType() string { return "switchback.tasks" }

// TaskPartEntries is the most entries of one piece. The longest names Airflow takes (250 characters each) make one of about 1.2 kB.
const TaskPartEntries = 400

// TaskParts is how many pieces a ledger of n entries has: an empty one has one.
func TaskParts(n int) int { return max(1, (n+TaskPartEntries-1)/TaskPartEntries) }

// TaskRetry is a person's word that what waits for one is to be retried.
type TaskRetry struct {
	No        uint64 `json:"no"` // counts the retries of a group
	Operation string `json:"operation"`
	DAG       string `json:"dag,omitempty"`  // of this DAG only
	Task      string `json:"task,omitempty"` // of this task only
	By        string `json:"by"`
	Reason    string `json:"reason,omitempty"`
	Ask       string `json:"ask"`
}

// Takes reports whether the retry is of an entry.
func (r *TaskRetry) Takes(e *TaskEntry) bool {
	return e.Action == TaskWaits && (r.DAG == "" || r.DAG == e.DAG) && (r.Task == "" || r.Task == e.Task)
}
