package main

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

func (a *app) runbookCommand() *cobra.Command {
	form := "markdown"
	cmd := &cobra.Command{
		Use: "runbook", Short: "Write this fleet's own procedures: what happens by itself, and what a person types when it does not", Args: cobra.NoArgs,
		Long: `Writes the procedures of this very fleet, from its configuration and its state as they are now: for each region what happens when it goes dark, group by group, which groups
wait for a person and with which command; how it comes home; what to do when a database, the bus or the record is lost. Keep it where it can be read without the fleet,
and write it anew after every apply.`,
		Example: `  switchback runbook >runbook.md
  switchback runbook --format html >runbook.html`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.checkForm(form); err != nil {
				return err
			}
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				var raw json.RawMessage
				var s answers.Status
				if err := query(ctx, c, "status", nil, &raw, &s); err != nil {
					return err
				}
				_, groups, err := allGroups(ctx, c, "")
				if err != nil {
					return err
				}
				d, err := events.Profile(s.View.Fleet.Profile)
				if err != nil {
					return err
				}
				if s.View.Fleet.Confirm != 0 {
					d.Confirm = s.View.Fleet.Confirm.D()
				}
				b := runbook{status: &s, durations: d, groups: byPriority(groups), now: a.now()}
				return a.write(b.document(), form)
			})
		},
	}
	cmd.Flags().StringVar(&form, "format", form, "markdown, or html (one printable page)")
	complete(cmd, "format", forms)
	return cmd
}

// byPriority orders groups as they move: the lower the priority the earlier. What waits for another group says so itself.
func byPriority(groups []fleet.GroupView) []fleet.GroupView {
	slices.SortStableFunc(groups, func(x, y fleet.GroupView) int { return cmp.Compare(x.Config.Priority, y.Config.Priority) })
	return groups
}
