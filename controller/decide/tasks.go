package decide

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// A workflow's move is done when its scheduler runs again. What became of the tasks it hit is listed, retried and watched by the agent of the active, for as long as that takes; the record
// keeps what the agent's ledger says in sum, so that it outlives the leader that heard it.

// stepAccount names the step that opens the ledger of a move.
const stepAccount = "account"

// openLimit bounds the opening of a ledger; until then the agent does nothing else with the cluster.
const openLimit = 20 * time.Second

// taskStep is the work with tasks that the record wants of a member now, nil if none.
func taskStep(cfg *events.GroupConfig, r *events.Record, c events.Ref) *events.Step {
	if cfg.Tasks == nil || r.Gone != "" || r.Phase != events.PhaseActive || c != r.Active {
		return nil
	}
	if r.Retry != nil {
		return &events.Step{ID: events.StepID(r.Group, r.Epoch, retryName(r.Retry)), Verb: events.VerbRetryTasks, Retry: r.Retry, Deadline: openLimit}
	}
	if op := r.Op; op != nil && op.To == c && (op.Ended == "" || op.Ended == "done") {
		return &events.Step{ID: events.StepID(r.Group, r.Epoch, stepAccount), Verb: events.VerbAccount, Account: op.ID, Deadline: openLimit}
	}
	return nil
}

func retryName(r *events.TaskRetry) string { return fmt.Sprintf("%s-%d", events.VerbRetryTasks, r.No) }

// ledger is what the active's agent says of its newest ledger, nil if that is older than what the record has: the agent of another side kept that one.
func (f *Facts) ledger() *events.TaskSummary {
	a := f.active()
	if !a.Reported || a.Report.Tasks == nil || f.Record.Tasks != nil && a.Report.Tasks.Epoch < f.Record.Tasks.Epoch {
		return nil
	}
	return a.Report.Tasks
}

// counted reports whether a ledger was opened, closed, or has come to wait for another number of persons' words. How far it is on the way there stands in the agent's report only.
func (f *Facts) counted() bool {
	s, was := f.ledger(), f.Record.Tasks
	return s != nil && (was == nil || was.Operation != s.Operation || was.Closed != s.Closed || was.Waits != s.Waits)
}

func count(f *Facts, o *Outcome) {
	r, s := o.draft(f), f.ledger()
	r.Tasks = s
	n := o.notice(f, events.NoticeTasks)
	n.Why, n.Operation, n.By = TasksText(s), s.Operation, Automation
	if r.Op != nil && r.Op.ID == s.Operation {
		r.Op.Tasks = s
		n.Report, n.By = r.Op, r.Op.By
	}
}

// TasksText says what a ledger counts.
func TasksText(s *events.TaskSummary) string {
	if s.Entries == 0 {
		return fmt.Sprintf("no task was hit in a window of %s (%s)", round(s.Window.Length()), s.Operation)
	}
	var parts []string
	for _, c := range events.TaskClasses() {
		all, ends := 0, []string{}
		for _, t := range s.Totals {
			if t.Class != c {
				continue
			}
			all += t.Count
			ends = append(ends, fmt.Sprintf("%d %s", t.Count, endText(t)))
		}
		if all > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", all, c, strings.Join(ends, ", ")))
		}
	}
	tail := ""
	switch {
	case s.Waits > 0:
		tail = fmt.Sprintf("; %d wait for a person", s.Waits)
	case !s.Closed:
		tail = "; under way"
	}
	return fmt.Sprintf("%d tasks were hit in a window of %s (%s): %s%s", s.Entries, round(s.Window.Length()), s.Operation, strings.Join(parts, ", "), tail)
}

// endText says what was done with entries, and what came of them.
func endText(t events.TaskTotal) string {
	result := string(t.Result)
	if t.Result == events.TaskPending {
		result = "open"
	}
	switch t.Action {
	case events.TaskNone:
		return result
	case events.TaskWaits:
		return "waiting for a person"
	case events.TaskLeft:
		return "left alone"
	case events.TaskClear:
		return "to be cleared"
	}
	return string(t.Action) + ", " + result
}

// notRetried says why no task can be retried now, and what would make it possible; "" if one can.
func (f *Facts) notRetried() string {
	r, g := f.Record, f.Config.Group
	switch {
	case f.Config.Tasks == nil:
		return fmt.Sprintf("%s is of kind %s, which runs no tasks: want a group of kind %s", g, f.Config.Kind, events.KindAirflow)
	case f.Config.Mode == events.ModeObserve:
		return g + " is only observed: nothing of it is changed until its mode is manual or auto"
	case r.Phase != events.PhaseActive:
		return fmt.Sprintf("%s is under way (%s): its own ledger is opened when it is done, ask then", r.Op.ID, r.Phase)
	case r.Retry != nil:
		return fmt.Sprintf("the retry that %s asked for has no answer yet: ask again when it has", r.Retry.By)
	case f.active().Silent > 0:
		return fmt.Sprintf("agent %s, which keeps the ledger, is silent for %s: ask again when it beats", f.active().Agent, round(f.active().Silent))
	case r.Tasks == nil:
		return g + " has no ledger of tasks: one is opened after a move, and after an outage in place"
	case f.Ask.Operation == "" || f.Ask.Operation == r.Tasks.Operation:
		if r.Tasks.Waits == 0 {
			return fmt.Sprintf("nothing of %s waits for a person: `switchback tasks list %s` shows what became of each", r.Tasks.Operation, g)
		}
	}
	return ""
}

func retryTasks(f *Facts, o *Outcome) {
	r := o.draft(f)
	r.Retries++
	r.Retry = &events.TaskRetry{No: r.Retries, Operation: f.Ask.Operation, DAG: f.Ask.DAG, Task: f.Ask.Task, By: f.Ask.Actor, Reason: f.Ask.Reason, Ask: f.Ask.ID}
	if r.Retry.Operation == "" {
		r.Retry.Operation = r.Tasks.Operation
	}
	o.Sets = append(o.Sets, f.set(r, r.Active))
	o.answer(f, true, r.Retry.Operation)
	n := o.notice(f, events.NoticeTasks)
	n.By, n.Operation = f.Ask.Actor, r.Retry.Operation
}

// retried is the answer to the retry that was asked for, once there is one.
func (f *Facts) retried() (events.Result, bool) {
	if f.Record.Retry == nil {
		return events.Result{}, false
	}
	r, ok := f.result(f.active(), retryName(f.Record.Retry))
	return r, ok && (r.Outcome.OK() || r.Outcome == events.Refused)
}

func endRetry(f *Facts, o *Outcome) {
	res, _ := f.retried()
	r := o.draft(f)
	n := o.notice(f, events.NoticeTasks)
	n.By, n.Operation, n.Why = r.Retry.By, r.Retry.Operation, res.Why
	if res.Outcome == events.Refused {
		n.Type = events.NoticeRefused
	}
	r.Retry = nil
	o.Sets = append(o.Sets, f.set(r, r.Active))
}

// taskEvidence is what stands of tasks among the facts of a group.
func (f *Facts) taskEvidence() (fs []events.Fact) {
	s := f.Record.Tasks
	if s == nil {
		return nil
	}
	if now := f.ledger(); now != nil && now.Operation == s.Operation {
		s = now
	}
	if s.Closed && s.Waits == 0 {
		return nil
	}
	fs = append(fs, events.Fact{What: "tasks", Value: TasksText(s)})
	if s.Stuck != "" {
		fs = append(fs, events.Fact{What: "tasks", Value: "nothing comes of it at the moment: " + s.Stuck, Blocks: true})
	}
	if s.Waits > 0 {
		fs = append(fs, events.Fact{What: "tasks", Value: fmt.Sprintf("`switchback tasks list %s` shows what waits, `switchback tasks retry %s --reason …` retries it", f.Config.Group, f.Config.Group)})
	}
	return fs
}
