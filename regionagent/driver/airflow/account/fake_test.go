package account

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
)

// fake is an Airflow at the port: rows of instances, what comes after them, and a scheduler that runs what is due when it is told to.
type fake struct {
	mu      sync.Mutex
	rows    map[events.TaskKey]*tasks.Instance
	after   map[events.TaskKey][]events.TaskKey // what comes after a task, in its run
	tags    map[string][]string
	ends    map[events.TaskKey]string // how its next try ends; success if it is not named
	now     time.Time
	window  events.TaskWindow
	clears  map[events.TaskKey]int // clears that took effect, by task
	calls   int
	crash   func(call int, when string) // "before" or "after" a change took effect; may end the process by panic
	refuse  error                       // of every change
	noSched bool
}

func (f *fake) Window(context.Context) (events.TaskWindow, error) {
	if f.noSched {
		return events.TaskWindow{}, ErrNoScheduler
	}
	return f.window, nil
}

func (f *fake) Look(context.Context, events.TaskWindow) (tasks.Sight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := tasks.Sight{Tags: f.tags}
	for _, i := range f.rows {
		s.Instances = append(s.Instances, *i)
	}
	return s, nil
}

func (f *fake) Again(_ context.Context, keys []events.TaskKey) (time.Time, map[events.TaskKey]tasks.Instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[events.TaskKey]tasks.Instance{}
	for _, k := range keys {
		if i := f.rows[k]; i != nil {
			seen[k] = *i
		}
	}
	return f.now, seen, nil
}

func (f *fake) Clear(_ context.Context, k events.TaskKey, note string) error {
	return f.change(func() error {
		i := f.rows[k]
		if i.State == tasks.Running {
			return errors.New("BROKEN: a running instance was cleared")
		}
		n := 0
		for _, x := range append([]events.TaskKey{k}, f.after[k]...) {
			if i := f.rows[x]; i.State == tasks.Failed || i.State == tasks.UpstreamFailed {
				i.State, i.Job, i.Note, i.Open = "", 0, note, true
				f.clears[x]++
				n++
			}
		}
		if n == 0 {
			return &Refusal{"nothing of it is failed any more"}
		}
		return nil
	})
}

func (f *fake) Fail(_ context.Context, k events.TaskKey) error {
	return f.change(func() error {
		f.rows[k].State = tasks.Failed
		return nil
	})
}

func (f *fake) change(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.crash != nil {
		f.crash(f.calls, "before")
	}
	if f.refuse != nil {
		return f.refuse
	}
	err := do()
	if f.crash != nil {
		f.crash(f.calls, "after")
	}
	return err
}

// schedule is one round of the new scheduler, job 2: it resets ghosts if it is to, begins what is due, and ends what runs.
func (f *fake) schedule(reset bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range slices.SortedFunc(maps.Keys(f.rows), func(a, b events.TaskKey) int { return compare(a.String(), b.String()) }) {
		i := f.rows[k]
		switch {
		case i.Job == 1 && (i.State == tasks.Running || i.State == tasks.Queued):
			if reset {
				i.Lost, i.State, i.Job = &tasks.Try{Try: i.Try, End: f.now, Job: 1}, "", 0
			}
		case i.State == "" || i.State == tasks.UpForRetry:
			i.State, i.Job, i.Try = tasks.Running, 2, i.Try+1
		case i.State == tasks.Running:
			if i.State = f.ends[k]; i.State == "" {
				i.State = tasks.Success
			}
			i.End = f.now
		}
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
