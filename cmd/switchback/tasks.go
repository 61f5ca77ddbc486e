package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
)

func (a *app) tasksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tasks", Short: "What became of the tasks of a workflow that a move or an outage hit, and retrying what waits for you",
		Long: `After every move of a workflow, and after an outage of it in place, each task that was hit stands in a ledger: what it was, what was done with it and what came of it.
What failed is retried by itself, but for DAGs with a tag that says otherwise (dr:hold: when you say so; dr:never: never).`,
	}
	cmd.AddCommand(a.tasksListCommand(), a.tasksRetryCommand())
	return cmd
}

func (a *app) tasksListCommand() *cobra.Command {
	q := map[string]any{}
	var operation, class, dag string
	cmd := &cobra.Command{
		Use: "list [GROUP]", Short: "The newest ledger of each group, or every task of one", Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		Example: `  switchback tasks list
  switchback tasks list airflow
  switchback tasks list airflow --operation airflow-8 --class failed -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if err := checkNames(args[0], ""); err != nil {
					return err
				}
				q["group"] = args[0]
			}
			for k, v := range map[string]string{"operation": operation, "class": class, "dag": dag} {
				if v != "" {
					q[k] = v
				}
			}
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				all, err := ledgerOf(ctx, c, q)
				if err != nil {
					return err
				}
				return a.showValue(all, func(p *page) { p.tasks(&all, len(args) > 0) })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&operation, "operation", "", "the ledger of this operation (default: the newest)")
	f.StringVar(&class, "class", "", "only tasks of this class")
	f.StringVar(&dag, "dag", "", "only tasks of this DAG")
	var names []string
	for _, c := range events.TaskClasses() {
		names = append(names, string(c))
	}
	complete(cmd, "class", names)
	return cmd
}

// ledgerOf reads a ledger to its end.
func ledgerOf(ctx context.Context, c *client.Client, q map[string]any) (all answers.Tasks, err error) {
	for {
		q["from"] = len(all.Entries)
		var page answers.Tasks
		if err := c.Query(ctx, "tasks", q, &page); err != nil {
			return all, err
		}
		all.Ledgers, all.Entries = page.Ledgers, append(all.Entries, page.Entries...)
		if !page.More {
			return all, nil
		}
	}
}

func (p *page) tasks(all *answers.Tasks, one bool) {
	if len(all.Ledgers) == 0 {
		p.line("no group has a ledger of tasks: one is opened after a move of a workflow, and after an outage of it in place")
		return
	}
	for i := range all.Ledgers {
		l := &all.Ledgers[i]
		p.line("%s   %s", l.Group, words.Plain(decide.TasksText(&l.Summary)))
		if !one {
			continue
		}
		w := l.Summary.Window
		p.line("window  %s   from %s (%s) to %s (%s)", w.Length(), w.From.Format("15:04:05.000"), words.Plain(w.By), w.To.Format("15:04:05.000"), words.Plain(w.Till))
		if l.Summary.Stuck != "" {
			p.line("%s   %s", p.paint("STUCK"), words.Plain(l.Summary.Stuck))
		}
		if l.Missing > 0 {
			p.line("%d pieces of it are not on the bus: they are with the agent of %s", l.Missing, l.Cluster)
		}
	}
	if !one {
		return
	}
	var rows [][]string
	for i := range all.Entries {
		e := &all.Entries[i]
		task, result := e.Task, string(e.Result)
		if e.Map >= 0 {
			task += fmt.Sprintf("[%d]", e.Map)
		}
		if e.Result == events.TaskPending {
			result = "-"
		}
		rows = append(rows, []string{words.Plain(e.DAG), words.Plain(e.Run), words.Plain(task), fmt.Sprintf("%d→%d", e.Try, e.After), e.Found, string(e.Class), policyOf(e), p.paint(string(e.Action)), result, words.Plain(tasks.Sentence(e))})
	}
	if len(rows) > 0 {
		p.table([]string{"DAG", "RUN", "TASK", ">TRY", "FOUND", "CLASS", "POLICY", "ACTION", "RESULT", "WHY"}, rows)
	}
	if l := &all.Ledgers[0]; l.Summary.Waits > 0 {
		p.line("next: `switchback tasks retry %s --operation %s --reason …` retries what waits", l.Group, l.Summary.Operation)
	}
}

// waitingShown is how many of the tasks that wait a report names.
const waitingShown = 10

// waitingTasks are the tasks of a ledger that wait for a person; none where the leader can't say.
func waitingTasks(ctx context.Context, c *client.Client, group, operation string) (es []events.TaskEntry) {
	all, err := ledgerOf(ctx, c, map[string]any{"group": group, "operation": operation})
	if err != nil {
		return nil
	}
	for _, e := range all.Entries {
		if e.Action == events.TaskWaits {
			es = append(es, e)
		}
	}
	return es
}

// waiting names what waits for a person.
func (p *page) waiting(es []events.TaskEntry, r *answers.Report) {
	for i := range es[:min(len(es), waitingShown)] {
		p.line("  waits      %s: %s", words.Plain(es[i].TaskKey.String()), words.Plain(tasks.Sentence(&es[i])))
	}
	if t := r.Operation.Tasks; t != nil && t.Waits > 0 {
		p.line("  next: `switchback tasks retry %s --operation %s --reason …`; `switchback tasks list %s --operation %s` shows all of them", r.Group, t.Operation, r.Group, t.Operation)
	}
}

// policyOf is what may be done with an entry, with the tags that say so.
func policyOf(e *events.TaskEntry) string {
	if len(e.Tags) == 0 {
		return string(e.Policy)
	}
	return string(e.Policy) + " (" + words.Plain(strings.Join(e.Tags, ", ")) + ")"
}

func (a *app) tasksRetryCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskRetryTasks}
	cmd := &cobra.Command{
		Use: "retry GROUP", Short: "Retry the tasks of a workflow that wait for a person", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeGroup,
		Long: `Has the agent of the active clear what waits in a ledger, with what comes after it in its run. What is left alone by its policy (dr:never) is never retried from here, nor is
anything that runs.`,
		Example: `  switchback tasks retry airflow --reason "the file has come"
  switchback tasks retry airflow --dag billing --task charge --reason "nothing was charged"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Group = args[0]
			if err := a.prepare(&ask); err != nil {
				return err
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	f := cmd.Flags()
	f.StringVar(&ask.Operation, "operation", "", "of the ledger of this operation (default: the newest)")
	f.StringVar(&ask.DAG, "dag", "", "only tasks of this DAG")
	f.StringVar(&ask.Task, "task", "", "only this task; needs --dag")
	f.BoolVar(&ask.DryRun, "dry-run", false, "say whether it would be done, and do nothing")
	return cmd
}
