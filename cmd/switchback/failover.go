package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

func (a *app) failoverCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskFailover}
	m, detach := &manyFlags{}, false
	cmd := &cobra.Command{
		Use: "failover GROUP | --region REGION | --groups … | --select … | --plan ID", Short: "Make a recovery cluster active, and give the active one up",
		Long: `Makes a recovery cluster active, of one group or of many, and follows it to its end. The old active is fenced first and is failed until somebody restores it. If its
agent answers it is stopped cleanly and nothing is lost. Many groups move as a rollout: what is depended on first, then by priority, paced, and halted by its error budget.`,
		Example: `  switchback failover orders --reason "disk smells"
  switchback failover orders --to eu-central-1/orders-b
  switchback failover --region eu-west-1 --dry-run
  switchback failover --plan 7f3a91c2`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.open(cmd, m, &ask, args, detach); done || err != nil {
				return err
			}
			if err := a.confirm(words.FailoverDanger(&ask), ask.Group); err != nil {
				return err
			}
			return a.move(cmd, ask, detach)
		},
	}
	askFlags(cmd, &ask)
	f := cmd.Flags()
	m.add(cmd, events.AskFailover)
	limitFlags(cmd, m)
	f.StringVar(&ask.To, "to", "", "region/cluster to promote (default: the best candidate)")
	f.BoolVar(&ask.AcceptLoss, "accept-loss", false, "move although more may be lost than the budget allows, or nobody knows how much")
	f.BoolVar(&ask.Unfenced, "unfenced", false, "move without a fence proof: TWO COPIES MAY ACCEPT WRITES; needs --reason")
	moveFlags(cmd, &ask, &detach)
	return cmd
}

func (a *app) abortCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskAbort}
	cmd := &cobra.Command{
		Use: "abort GROUP", Short: "Stop a move whose promotion is not recorded yet: the old active goes on. Or stop a restore", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Group = args[0]
			if err := a.prepare(&ask); err != nil {
				return err
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	return cmd
}

// open is how every verb that moves one group or many begins: the ask is completed and checked; many groups go by a plan, and a dry run is only asked. Done: nothing
// is left to do.
func (a *app) open(cmd *cobra.Command, m *manyFlags, ask *events.Ask, args []string, detach bool) (done bool, err error) {
	many, err := m.about(cmd, ask, args)
	if err != nil {
		return false, err
	}
	if err := a.prepare(ask); err != nil {
		return false, err
	}
	if many {
		return true, a.moveMany(cmd, *ask, detach)
	}
	if ask.DryRun {
		return true, a.throw(cmd, *ask)
	}
	return false, nil
}
