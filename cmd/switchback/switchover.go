package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

func (a *app) switchoverCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskSwitchover}
	cmd := a.swapCommand(&ask, "switchover GROUP | --region REGION | --groups … | --select … | --plan ID", "Swap active and passive without loss, both sides healthy",
		`Swaps the active with a passive: the active is stopped cleanly, the passive has everything and is promoted, the old active follows it. Nothing is lost; writes
pause for about a second. Every gate is checked before anything is stopped, and whatever is missed before the promotion gives the group back to its active. It
is followed until the old active protects the group again.`,
		`  switchback switchover orders
  switchback switchover orders --to eu-central-1/orders-b --reason "kernel update"
  switchback switchover orders --dry-run
  switchback switchover --region eu-west-1 --soak 5m`,
		func(g *fleet.GroupView) string { return words.SwitchoverDanger(&ask, g) })
	cmd.Flags().StringVar(&ask.To, "to", "", "region/cluster to promote (default: the best candidate)")
	return cmd
}

func (a *app) failbackCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskFailback}
	return a.swapCommand(&ask, "failback GROUP | --region REGION | --groups … | --select … | --plan ID", "Bring a group home: restore its home if it is failed, then switch over to it",
		`Brings a group home and follows it all the way. If its home is failed it is restored first; the active serves on meanwhile. Then they swap as by switchover: nothing
is lost, writes pause for about a second. If the home can't take over within minutes of its restore the swap is given up, and the group stays where it is.`,
		`  switchback failback orders
  switchback failback orders --dry-run
  switchback failback --region eu-west-1         # shows the plan, asks, and brings the region home in waves
  switchback failback orders --yes --detach     # and later: switchback report orders`,
		func(g *fleet.GroupView) string { return words.FailbackDanger(&ask, g) })
}

func (a *app) swapCommand(ask *events.Ask, use, short, long, example string, danger func(*fleet.GroupView) string) *cobra.Command {
	m, detach := &manyFlags{}, false
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.open(cmd, m, ask, args, detach); done || err != nil {
				return err
			}
			if err := a.sure(cmd, ask, ask.Group, danger); err != nil {
				return err
			}
			return a.move(cmd, *ask, detach)
		},
	}
	askFlags(cmd, ask)
	m.add(cmd, ask.Verb)
	limitFlags(cmd, m)
	moveFlags(cmd, ask, &detach)
	return cmd
}
