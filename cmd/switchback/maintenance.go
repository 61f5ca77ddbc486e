package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

func (a *app) maintenanceCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskMaintenance}
	var length time.Duration
	var end bool
	cmd := &cobra.Command{
		Use: "maintenance REGION/CLUSTER --for DURATION | --end", Short: "Say that a cluster is worked on: its absence is not counted", Args: cobra.ExactArgs(1),
		Long: `Says that a cluster is worked on. Until then its absence is not counted and automation leaves its group alone: nothing of it is failed over or restored by itself.
Fencing goes on, and people may still move the group. It ends by itself; asked for again, the new time counts.`,
		Example: `  switchback maintenance eu-west-1/orders-a --for 30m --reason "new disk"
  switchback maintenance eu-west-1/orders-a --end`,
		ValidArgsFunction: a.completeCluster,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Cluster = args[0]
			switch {
			case end == cmd.Flags().Changed("for"):
				return usage("want --for DURATION, as in --for 30m, or --end")
			case !end && length <= 0:
				return usage("--for %v: want more than 0, or --end", length)
			}
			ask.For = events.Duration(length)
			if err := a.prepare(&ask); err != nil {
				return err
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	f := cmd.Flags()
	f.DurationVar(&length, "for", 0, fmt.Sprintf("for how long from now, at most %v", events.MaintenanceMost))
	f.BoolVar(&end, "end", false, "it is over")
	return cmd
}

func (a *app) restartCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskRestart}
	var detach bool
	cmd := &cobra.Command{
		Use: "restart REGION/CLUSTER", Short: "Restart a cluster cleanly in its role", Args: cobra.ExactArgs(1),
		Long: `Stops a cluster cleanly and starts it again in its role, and follows that to its end. It does not count as lost meanwhile. To keep serving, switch over first.`,
		Example: `  switchback restart eu-central-1/orders-b --reason "shared_buffers"
  switchback restart eu-west-1/orders-a --yes`,
		ValidArgsFunction: a.completeCluster,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Cluster = args[0]
			if err := a.prepare(&ask); err != nil {
				return err
			}
			if ask.DryRun {
				return a.throw(cmd, ask)
			}
			if err := a.sureOfRestart(cmd, &ask); err != nil {
				return err
			}
			return a.move(cmd, ask, detach)
		},
	}
	askFlags(cmd, &ask)
	moveFlags(cmd, &ask, &detach)
	return cmd
}

// sureOfRestart asks before an active is restarted, and before one of which nobody can say whether it is.
func (a *app) sureOfRestart(cmd *cobra.Command, ask *events.Ask) error {
	if a.yes {
		return nil
	}
	g, err := a.peek(cmd, ask)
	if err != nil {
		return err
	}
	what := "if it is active, its clients are disconnected and writes wait until it is up again"
	if ref, err := events.ParseRef(ask.Cluster); err == nil && g != nil {
		c := words.ClusterIn(g, ref)
		switch {
		case c != nil && c.Role == events.RolePassive:
			return nil
		case c != nil && c.Role == events.RoleActive:
			what = fmt.Sprintf("it is the active of %s: its clients are disconnected and writes wait until it is up again", g.Group)
		}
	}
	return a.confirm(fmt.Sprintf("restart of %s: %s", ask.Cluster, what), ask.Cluster)
}
