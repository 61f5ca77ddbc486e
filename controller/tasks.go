package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// tasks answers with the newest ledger of each group, or with one ledger of a group and some of its entries. The entries are read from the bus, where the agent that keeps them puts them:
// no leader holds them.
func (t *term) tasks(ctx context.Context, v fleet.View, q answers.Query) (answers.Tasks, error) {
	out := answers.Tasks{Entries: []events.TaskEntry{}}
	if q.Group == "" {
		if q.Operation != "" || q.Class != "" || q.DAG != "" {
			return out, fmt.Errorf("tasks of operation %q, class %q, dag %q: want the group they are of, too", q.Operation, q.Class, q.DAG)
		}
		for _, g := range v.Groups {
			if g.Record != nil && g.Record.Tasks != nil {
				out.Ledgers = append(out.Ledgers, answers.Ledger{Group: g.Group, Cluster: g.Record.Active, Summary: *g.Record.Tasks})
			}
		}
		return out, nil
	}
	g, err := find(v, q.Group)
	if err != nil {
		return out, err
	}
	if q.Class != "" && !slices.Contains(events.TaskClasses(), q.Class) {
		return out, fmt.Errorf("class %q: want one of %v", q.Class, events.TaskClasses())
	}
	op := q.Operation
	if op == "" && g.Record != nil && g.Record.Tasks != nil {
		op = g.Record.Tasks.Operation
	}
	if op == "" {
		return out, fmt.Errorf("%s has no ledger of tasks: one is opened after a move of a workflow, and after an outage of it in place", q.Group)
	}
	if err := events.CheckName("operation", op); err != nil {
		return out, err
	}
	parts, err := t.parts(ctx, q.Group, op)
	if err != nil {
		return out, err
	}
	all, l := ledgerOf(q.Group, parts)
	if r := g.Record; r != nil && r.Tasks != nil && r.Tasks.Operation == op {
		l.Summary.Closed = r.Tasks.Closed
	}
	out.Ledgers = []answers.Ledger{l}
	limit := q.Limit
	if limit <= 0 || limit > answers.Most {
		limit = answers.Most
	}
	at := 0
	for _, e := range all {
		switch {
		case q.Class != "" && e.Class != q.Class || q.DAG != "" && e.DAG != q.DAG:
			continue
		case at >= q.From && len(out.Entries) == limit:
			out.More = true
			return out, nil
		case at >= q.From:
			out.Entries = append(out.Entries, e)
		}
		at++
	}
	return out, nil
}

// parts reads every piece of a ledger, in order.
func (t *term) parts(ctx context.Context, group, op string) ([]events.TaskPart, error) {
	ms, err := t.c.bus.All(ctx, events.StreamEvents, events.SubjectLedger(group, op))
	if err != nil {
		return nil, fmt.Errorf("read the ledger of %q: %w", op, err)
	}
	var parts []events.TaskPart
	for _, m := range ms {
		var p events.TaskPart
		if err := json.Unmarshal(m.Data, &p); err != nil {
			return nil, fmt.Errorf("read the ledger of %q: %s: %w", op, m.Subject, err)
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("no ledger of %s is called %q: `switchback tasks list` shows the newest of each group", group, op)
	}
	slices.SortFunc(parts, func(a, b events.TaskPart) int { return cmp.Compare(a.Part, b.Part) })
	return parts, nil
}

// ledgerOf puts a ledger together. What its pieces say in sum is counted anew: each of them is of its own moment.
func ledgerOf(group string, parts []events.TaskPart) ([]events.TaskEntry, answers.Ledger) {
	var all []events.TaskEntry
	for _, p := range parts {
		all = append(all, p.Entries...)
	}
	last := parts[len(parts)-1]
	l := answers.Ledger{Group: group, Cluster: last.Cluster, Policy: &last.Policy, Summary: last.Summary, Missing: last.Parts - len(parts)}
	l.Summary.Totals, l.Summary.Waits = events.CountTasks(all)
	return all, l
}
