package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// automation is who decided when nobody asked.
const automation = decide.Automation

func (a *app) reportCommand() *cobra.Command {
	var commits bool
	var form string
	cmd := &cobra.Command{
		Use: "report OPERATION, GROUP or ROLLOUT", Short: "One operation: both clocks, times by phase, fence proof, what was lost; or a rollout, group by group", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeGroup,
		Long: `Shows one operation, or the last move of a group. What a failover lost is bounded at first, and counted to the commit once its old side is restored.
Of a rollout, also of one that the loss of a region began, it shows what came of each group, both clocks over all of them, and what all of them lost.`,
		Example: `  switchback report orders
  switchback report orders-8 --commits
  switchback report orders-8 --format html >orders-8.html
  switchback report orders-restore-3 -o json
  switchback report 7f3a91c2 --format html >failback.html`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checkForm(form); err != nil {
				return err
			}
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				var raw json.RawMessage
				var r answers.Report
				err := query(ctx, c, "report", map[string]string{"operation": args[0]}, &raw, &r)
				if _, refused := errors.AsType[client.Refusal](err); refused && looksLikeRollout(args[0]) {
					if r, err := reportOf(ctx, c, args[0]); err == nil {
						if form != "" {
							return a.write(a.page().rolloutDocument(r), form)
						}
						return a.showValue(r, func(p *page) { p.rolloutReport(r) })
					} else if _, refused := errors.AsType[client.Refusal](err); !refused {
						return err
					}
				}
				if _, refused := errors.AsType[client.Refusal](err); refused {
					other := query(ctx, c, "report", map[string]string{"group": args[0]}, &raw, &r)
					if _, refused := errors.AsType[client.Refusal](other); refused {
						other = fmt.Errorf("%w; %w", err, other) // it may be either
					}
					err = other
				}
				if err != nil {
					return err
				}
				kept := ""
				if a.output == "table" {
					kept = keptAt(ctx, c, r.Group, &r.Operation)
				}
				var waiting []events.TaskEntry
				if t := r.Operation.Tasks; t != nil && t.Waits > 0 && a.output == "table" {
					waiting = waitingTasks(ctx, c, r.Group, t.Operation)
				}
				if form != "" {
					d := words.Report(r.Group, &r.Operation, kept, noticesOf(ctx, c, r.Group, r.Operation.ID), a.now())
					return a.write(d, form)
				}
				return a.show(raw, func(p *page) {
					p.report(&r.Operation, kept)
					p.waiting(waiting, &r)
					if commits {
						p.commits(&r.Operation, kept)
					}
				})
			})
		},
	}
	formFlag(cmd, &form)
	cmd.Flags().BoolVar(&commits, "commits", false, "list the lost commits one by one")
	return cmd
}

// report prints an operation; kept is where what it lost is kept, by host and directory.
func (p *page) report(o *events.Operation, kept string) {
	state := "RUNNING"
	if o.Ended != "" {
		state = strings.ToUpper(o.Ended)
	}
	by := ""
	if o.By != "" {
		by = fmt.Sprintf("   by %s (rule %s)", words.Plain(o.By), o.Rule)
	}
	p.line("%s%s%s   %s", o.ID, words.Headline(o), by, p.paint(state))
	if o.Why != "" {
		p.line("why          %s", words.Plain(o.Why))
	}
	if o.EndWhy != "" {
		p.line("end          %s", words.Plain(o.EndWhy))
	}
	p.clocks(o)
	p.phases(o)
	if o.Proof != nil {
		p.line("fence proof  %s", words.Plain(decide.ProofText(o.Proof)))
	}
	if o.Answered != "" {
		p.line("answered     %s", words.Plain(o.Answered))
	}
	if o.How != "" {
		p.line("how          %s", words.How(o))
	}
	if o.Promoted != 0 || o.Loss != nil && o.Loss.NoLog {
		p.line("data         %s", words.Data(o))
	}
	if o.Lost != nil {
		p.line("lost         %s", words.Lost(o.Lost, kept, p.now))
	}
	if o.Tasks != nil {
		p.line("tasks        %s", words.Plain(decide.TasksText(o.Tasks)))
	}
	if words.Restores(o) && o.Then != "" {
		p.line("then         %s by itself", words.Plain(o.Then))
	}
}

// clocks prints when it served and when it was protected again. What ended otherwise than done has neither.
func (p *page) clocks(o *events.Operation) {
	if o.Ended != "" && o.Ended != "done" || o.Verb == "" {
		return
	}
	serving, protected := words.ClockOf(words.Served(o)), words.ClockOf(o.Protected)
	switch {
	case words.Restores(o):
		p.line("%s", clockText("protected again", protected))
	case o.Verb == events.AskRestart:
		p.line("%s", clockText("serving again", serving))
	default:
		p.line("%s   %s", clockText("serving again", serving), clockText("protected again", protected))
	}
}

func clockText(what, when string) string {
	if when == "not yet" {
		return what + ": " + when
	}
	return what + " " + when
}

// phases prints the time of each phase.
func (p *page) phases(o *events.Operation) {
	var parts []string
	for _, t := range o.Phases {
		parts = append(parts, t.Phase+" "+gate.Round(t.Took))
	}
	if len(parts) > 0 {
		p.line("%s", strings.Join(parts, " | "))
	}
}
