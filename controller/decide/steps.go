package decide

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// The rows that others refer to: a promotion is recorded, the new active serves, a restore is done.
const (
	rulePromote  = "promote"
	ruleServing  = "done.serving"
	ruleRestored = "restore.done"
)

// The names of steps, as they stand in their ids.
const (
	stepPrepare = "prepare"
	stepRelease = "release"
)

// stepFor is the work the record wants of a member now, nil if none. An agent does each id once, so this may be said as often as one likes.
func stepFor(r *events.Record, c events.Ref, d events.Durations) *events.Step {
	m := r.Member(c)
	step := func(name string, v events.Verb) *events.Step {
		return &events.Step{ID: events.StepID(r.Group, r.Epoch, name), Verb: v}
	}
	verb := func(v events.Verb) *events.Step { return step(string(v), v) }
	switch {
	case r.Gone != "":
		return step(stepRelease, events.VerbRelease)
	case r.Phase != events.PhaseActive && c == r.Active:
		s := verb(events.VerbStop)
		s.Deadline = d.FenceAck
		if swaps(r.Op) {
			s.Deadline = d.SwitchGap / 2
		}
		return s
	case r.Phase == events.PhaseFencing && c == r.Target && r.Op.Cut && r.Sync.Holds(c): // C3e
		s := verb(events.VerbCut)
		s.Deadline = d.FenceAck
		return s
	case r.Phase == events.PhaseFencing && c == r.Target && r.Op.External:
		old := r.Member(r.Active)
		s := verb(events.VerbFence)
		s.Victim = &events.Victim{Cluster: old.Cluster, Agent: old.Agent, Address: old.Address, Peer: old.Peer}
		return s
	case r.Phase == events.PhaseProved && c == r.Target:
		s := verb(events.VerbCut)
		s.Until, s.Deadline = r.Op.Stopped, d.FenceAck
		return s
	case m.Work != nil:
		s := step(workName(m.Work), events.VerbRestore)
		s.Source, s.Copy = r.Member(r.Active).Address, m.Work.Copy
		return s
	case r.Restart != nil && r.Restart.To == c:
		s := step(workName(r.Restart), events.VerbRestart)
		s.Deadline = d.Restart
		return s
	case preparing(r) && c == r.Active:
		return step(stepPrepare, events.VerbCheckpoint)
	case r.Phase == events.PhaseActive && c == r.Active && r.Drain != nil:
		return step(workName(r.Drain), events.VerbCheckpoint)
	case r.Phase == events.PhaseActive && c != r.Active && m.Role == events.RolePassive && (len(r.Forks) > 0 || r.Op != nil):
		s := verb(events.VerbFollow) // after any move, for whoever was away then too, and where an abort, or another target, left a receiver cut
		s.Source = r.Member(r.Active).Address
		return s
	}
	return nil
}

// workName is the part of an operation's id behind the group's name: restore-3.
func workName(o *events.Operation) string {
	parts := strings.Split(o.ID, "-")
	return strings.Join(parts[max(0, len(parts)-2):], "-")
}

// workID is the id of the next restore, rebuild, protect or restart of a group; unlike a move it has no epoch of its own.
func workID(r *events.Record, verb string) string {
	r.Works++
	return fmt.Sprintf("%s-%s-%d", r.Group, verb, r.Works)
}

// swaps reports whether an operation is a planned swap: nothing may be lost, and anything that is missed gives the group back.
func swaps(o *events.Operation) bool {
	return o != nil && (o.Verb == events.AskSwitchover || o.Verb == events.AskFailback || o.Verb == events.AskDrill)
}

// preparing reports whether a planned swap runs whose intent is not recorded yet.
func preparing(r *events.Record) bool {
	return r.Running() && r.Op.Stage == events.StagePrepare
}

// result is a cluster's answer to the step of that name at the record's epoch.
func (f *Facts) result(c *Cluster, name string) (events.Result, bool) {
	if !c.Reported {
		return events.Result{}, false
	}
	return c.Report.Result(events.StepID(f.Record.Group, f.Record.Epoch, name))
}
