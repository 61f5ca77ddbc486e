package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller"
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// automation is who decided when nobody asked.
const automation = decide.Automation

func (a *app) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "report OPERATION or GROUP", Short: "One operation: times by phase, fence proof, loss", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				var raw json.RawMessage
				var r controller.Report
				err := query(ctx, c, "report", map[string]string{"operation": args[0]}, &raw, &r)
				if _, refused := errors.AsType[client.Refusal](err); refused {
					err = query(ctx, c, "report", map[string]string{"group": args[0]}, &raw, &r)
				}
				if err != nil {
					return err
				}
				return a.show(raw, func(p *page) { p.report(&r.Operation) })
			})
		},
	}
}

func (p *page) report(o *events.Operation) {
	state := "RUNNING"
	if o.Ended != "" {
		state = strings.ToUpper(o.Ended)
	}
	by := fmt.Sprintf("by %s (rule %s)", plain(o.By), o.Rule)
	if o.By == "" {
		by = ""
	}
	p.line("%s %s %s → %s   %s   %s", o.ID, o.Verb, o.From, o.To, by, p.paint(state))
	if o.Why != "" {
		p.line("why          %s", plain(o.Why))
	}
	if o.EndWhy != "" {
		p.line("end          %s", plain(o.EndWhy))
	}
	p.phases(o)
	if o.Proof != nil {
		p.line("fence proof  %s", plain(decide.ProofText(o.Proof)))
	}
	if o.Promoted != 0 {
		p.line("data         %s", dataOf(o))
	}
}

// phases prints the time of each phase, and their sum as the time to serving again, for an operation that got there.
func (p *page) phases(o *events.Operation) {
	var parts []string
	var sum time.Duration
	for _, t := range o.Phases {
		parts = append(parts, t.Phase+" "+gate.Round(t.Took))
		sum += t.Took
	}
	if len(parts) == 0 {
		return
	}
	if o.Ended == "done" {
		p.line("serving again after %s", gate.Round(sum))
	}
	p.line("%s", strings.Join(parts, " | "))
}

func dataOf(o *events.Operation) string {
	var parts []string
	if o.Stopped != 0 {
		parts = append(parts, "stopped at "+o.Stopped.String())
	} else if o.Sent != 0 {
		parts = append(parts, "sent ≥ "+o.Sent.String())
	}
	promoted := "promoted " + o.Promoted.String()
	if o.Timeline != 0 {
		promoted += fmt.Sprintf(" on timeline %d", o.Timeline)
	}
	return strings.Join(append(parts, promoted, "loss "+decide.LossText(o.Loss)), ", ")
}
