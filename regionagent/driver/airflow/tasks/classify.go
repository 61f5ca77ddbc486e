// Package tasks judges the task instances of a workflow after a failover, or after an outage in place: which of them were hit, what each was, and what is to be done with it.
//
//	rows of Airflow's database, window, policy ─▶ Classify: first row that matches ─▶ entries ─▶ Next: what each needs now ─▶ Settle: what came of it
//
// Two ordered tables decide: classes (once, when the ledger is opened) and turns (whenever an entry is looked at). First match wins. Whatever is not known for certain waits for a person.
//
// Pure: standard library and events only; no clock, I/O, goroutine, logging, randomness or map order.
package tasks

import (
	"cmp"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// The states of a task instance in Airflow's words that the tables know.
const (
	Queued         = "queued"
	Running        = "running"
	Restarting     = "restarting"
	Success        = "success"
	Failed         = "failed"
	UpForRetry     = "up_for_retry"
	UpstreamFailed = "upstream_failed"
	Skipped        = "skipped"
	Deferred       = "deferred"
	Removed        = "removed"
)

// Instance is one task instance as Airflow's database has it, with the last of its earlier tries that ended in the window, if one did.
type Instance struct {
	events.TaskKey
	State string
	Try   int
	End   time.Time // zero = not over
	Job   int64     // scheduler that queued this try; 0 = none, or not known any more
	Begun bool      // this try has begun
	Note  string
	Lost  *Try
	Open  bool // its run is not over
}

// Try is an earlier try of a task instance.
type Try struct {
	Try int
	End time.Time
	Job int64
}

// Sight is what one look at Airflow's database showed.
type Sight struct {
	Instances []Instance          // unfinished ones, and those that ended in the window or have a try that did; in any order
	Tags      map[string][]string // of the DAGs of Instances
}

// facts is what a row of classes looks at.
type facts struct {
	i    *Instance
	w    *events.TaskWindow
	dead bool // this try was queued by a scheduler that died in the window
}

// class is one line of the table: what an instance was, and what is to be done with it where its DAG's policy is safe.
type class struct {
	id   string
	is   func(f *facts) bool
	when string // in words, for DESIGN.md
	what events.TaskClass
	do   events.TaskAction
	why  string
}

// classes is the table. What it does not name was not hit.
var classes = [...]class{
	{"ghost.reset", func(f *facts) bool { return f.i.Lost != nil && f.ofDead(f.i.Lost.Job) && !f.i.Lost.End.Before(f.w.Cut) }, "a try of a dead scheduler was ended after that scheduler was marked failed",
		events.TaskGhost, events.TaskNone, "it was cut off; Airflow has reset it already, and runs it again by itself"},
	{"ghost", func(f *facts) bool { return f.dead && among(f.i.State, Queued, Running, Restarting) && f.i.Open }, "queued, running or restarting by a dead scheduler, in a run that is not over",
		events.TaskGhost, events.TaskNone, "it was cut off; the new scheduler resets it in its first pass, and runs it again by itself"},
	{"ghost.run-over", func(f *facts) bool { return f.dead && among(f.i.State, Queued, Running, Restarting) }, "the same, in a run that is over", events.TaskGhost, events.TaskLeft,
		"it was cut off in a run that is over: no scheduler looks at it any more"},
	{"deferred", func(f *facts) bool { return f.i.State == Deferred && f.i.Open }, "deferred, in a run that is not over", events.TaskDeferred, events.TaskNone,
		"it waits for its trigger, which the new side's triggerer takes up by itself"},
	{"up-for-retry", func(f *facts) bool { return f.i.State == UpForRetry && f.old(f.i.Job) && f.within(f.i.End) }, "up for retry, its try is of a dead scheduler and ended in the window", events.TaskUpForRetry, events.TaskNone,
		"its try failed in the window; Airflow tries it again by itself"},
	{"up-for-retry.begun", func(f *facts) bool { return f.i.Lost != nil && f.old(f.i.Lost.Job) && f.within(f.i.Lost.End) }, "an earlier try of it is of a dead scheduler and ended in the window", events.TaskUpForRetry, events.TaskNone,
		"its try failed in the window; Airflow has begun to try it again already"},
	{"ghost.stopped", func(f *facts) bool { return f.dead && f.i.State == Failed && f.i.End.Equal(f.w.Cut) }, "failed at the very instant its scheduler was marked failed, by the same transaction", events.TaskGhost, events.TaskClear,
		"it was cut off, and set failed before a scheduler could run it again: its DAG's policy does not let it run by itself"},
	{"failed", func(f *facts) bool { return f.i.State == Failed && f.old(f.i.Job) && f.within(f.i.End) }, "failed in the window, its try is of a dead scheduler", events.TaskFailed, events.TaskClear,
		"it failed in the window and has no try left: it is cleared, with what comes after it"},
	{"upstream-failed", func(f *facts) bool { return f.i.State == UpstreamFailed && f.within(f.i.End) }, "upstream failed in the window", events.TaskUpstreamFailed, events.TaskNone,
		"one before it failed in the window: it runs again when that one is cleared"},
	{"possibly-run-twice", func(f *facts) bool { return f.i.State == Success && f.old(f.i.Job) && f.within(f.i.End) }, "its success is of the window, its try of a dead scheduler", events.TaskTwice, events.TaskLeft,
		"it succeeded when the old side was not known good any more: what came after it may have begun there, and begins again here"},
}

// ofDead reports whether a scheduler died in the window.
func (f *facts) ofDead(job int64) bool {
	_, dead := slices.BinarySearch(f.w.Jobs, job)
	return job != 0 && dead
}

// old reports whether a try is of the old side: its scheduler died, or is not known. One that a living scheduler queued has its end to itself, however its host's clock stands.
func (f *facts) old(job int64) bool { return job == 0 || f.ofDead(job) }

// within reports whether an instant is of the window. All of them are Airflow's own.
func (f *facts) within(at time.Time) bool {
	return !at.IsZero() && at.After(f.w.From) && (f.w.To.IsZero() || !at.After(f.w.To))
}

func among(s string, of ...string) bool { return slices.Contains(of, s) }

// words is the table of what a DAG's tags and the policy say; first match wins.
var words = [...]struct {
	tags func(p *events.TaskPolicy) []string
	word events.TaskWord
}{
	{func(p *events.TaskPolicy) []string { return p.Never }, events.TaskNever},
	{func(p *events.TaskPolicy) []string { return p.Ask }, events.TaskHold},
}

// wordOf is what may be done with a DAG of these tags, and the tags that say so.
func wordOf(p *events.TaskPolicy, tags []string) (events.TaskWord, []string) {
	for _, w := range words {
		var named []string
		for _, t := range tags {
			if slices.Contains(w.tags(p), t) {
				named = append(named, t)
			}
		}
		if len(named) > 0 {
			slices.Sort(named)
			return w.word, named
		}
	}
	return p.Retry, nil
}

// Classify lists the instances that were hit, in order of their names, each with its class and what is to be done with it.
func Classify(s Sight, w events.TaskWindow, p events.TaskPolicy) []events.TaskEntry {
	var es []events.TaskEntry
	for k := range s.Instances {
		i := &s.Instances[k]
		f := facts{i: i, w: &w}
		f.dead = f.ofDead(i.Job)
		for c := range classes {
			if !classes[c].is(&f) {
				continue
			}
			e := events.TaskEntry{TaskKey: i.TaskKey, Try: i.Try, Found: cmp.Or(i.State, "none"), Class: classes[c].what, Rule: classes[c].id, Action: classes[c].do, After: i.Try}
			if i.Lost != nil {
				e.Try = i.Lost.Try
			}
			e.Policy, e.Tags = wordOf(&p, s.Tags[i.DAG])
			es = append(es, e)
			break
		}
	}
	slices.SortFunc(es, func(a, b events.TaskEntry) int {
		return cmp.Or(cmp.Compare(a.DAG, b.DAG), cmp.Compare(a.Run, b.Run), cmp.Compare(a.Task, b.Task), cmp.Compare(a.Map, b.Map))
	})
	return obey(es, p)
}

// obey has each entry that would be cleared do what its DAG's policy says.
func obey(es []events.TaskEntry, p events.TaskPolicy) []events.TaskEntry {
	spent := map[string]int{}
	for i := range es {
		e := &es[i]
		if e.Action != events.TaskClear {
			continue
		}
		for _, r := range policies {
			if r.is(e, spent[e.DAG], &p) {
				e.Action = r.do
				if e.Class == events.TaskFailed {
					e.Rule = r.id
				}
				break
			}
		}
		if e.Action == events.TaskClear {
			spent[e.DAG]++
		}
	}
	return es
}

// policies is the table of what keeps a task that failed in the window from being retried by itself.
var policies = [...]struct {
	id  string
	is  func(e *events.TaskEntry, spent int, p *events.TaskPolicy) bool
	do  events.TaskAction
	why string
}{
	{"failed.never", func(e *events.TaskEntry, _ int, _ *events.TaskPolicy) bool { return e.Policy == events.TaskNever }, events.TaskLeft,
		"it failed in the window; its DAG's policy says never: it is left alone"},
	{"failed.hold", func(e *events.TaskEntry, _ int, _ *events.TaskPolicy) bool { return e.Policy == events.TaskHold }, events.TaskWaits,
		"it failed in the window; its DAG's policy says ask: it waits for `switchback tasks retry`"},
	{"failed.budget", func(_ *events.TaskEntry, spent int, p *events.TaskPolicy) bool { return spent >= p.Budget }, events.TaskWaits,
		"it failed in the window; as many tasks of its DAG as its budget allows are retried by themselves: it waits for `switchback tasks retry`"},
}
