package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/events"
)

func (a *app) rejoinCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskRejoin}
	cmd := &cobra.Command{
		Use: "rejoin REGION/AGENT", Short: "Free an agent's place after its host was cloned, or its ledger lost", Args: cobra.ExactArgs(1),
		Long: `An agent that finds somebody else's beats in its place can't tell a cloned host from a ledger of its own that was lost: it takes no lease until you decide.

First see to it that no other host runs as this agent. Then ask for the rejoin: the place is taken away from whoever holds it, so an active there stands still until it is
done. Once an event says that the place is free, restart the agent on the host that is to go on; what it may run is told to it by the record.`,
		Example: `  switchback rejoin eu-west-1/h1 --reason "state directory lost, the host was never cloned"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Agent = args[0]
			if _, err := events.ParseRef(ask.Agent); err != nil {
				return usage("%v: want REGION/AGENT", err)
			}
			if err := a.prepare(&ask); err != nil {
				return err
			}
			if !ask.DryRun {
				if err := a.confirm(fmt.Sprintf("rejoin of %s: whoever beats as this agent loses its lease, and an active there stands still until the agent is restarted", ask.Agent), ask.Agent); err != nil {
					return err
				}
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	cmd.Flags().BoolVar(&ask.DryRun, "dry-run", false, "say what it would do, and do nothing")
	return cmd
}
