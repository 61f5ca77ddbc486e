package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/events"
)

// fleetWord is typed to confirm what concerns the whole fleet.
const fleetWord = "fleet"

func (a *app) armCommand() *cobra.Command {
	return a.switchCommand(events.AskArm, "Switch automation on", "for the fleet, a region or a group. Each has a switch of its own; automation moves a group only if all three are on.", nil)
}

func (a *app) disarmCommand() *cobra.Command {
	return a.switchCommand(events.AskDisarm, "Switch automation off", "for the fleet, a region or a group. Fencing goes on: an active cut off from everybody is still frozen. People may still move groups.",
		func(name string) error {
			return a.confirm("disarm "+name+": nothing of it is failed over automatically from now on", name)
		})
}

// switchCommand is arm or disarm; sure may be nil.
func (a *app) switchCommand(verb, short, long string, sure func(name string) error) *cobra.Command {
	ask := events.Ask{Verb: verb}
	cmd := &cobra.Command{
		Use: verb + " [GROUP | --region REGION]", Short: short, Long: short + " " + long, Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := fleetWord
			if len(args) > 0 || cmd.Flags().Changed("region") { // an empty name must not mean everything
				var err error
				if ask.Group, err = one(args, ask.Region); err != nil {
					return err
				}
				name = ask.Group + ask.Region
			}
			if err := a.prepare(&ask); err != nil {
				return err
			}
			if sure != nil {
				if err := sure(name); err != nil {
					return err
				}
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	cmd.Flags().StringVar(&ask.Region, "region", "", "a region")
	return cmd
}

func (a *app) approveCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskApprove}
	cmd := &cobra.Command{
		Use: "approve --region REGION", Short: "Let automation move a region although more are out than allowed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.prepare(&ask); err != nil {
				return err
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	cmd.Flags().StringVar(&ask.Region, "region", "", "the region to approve")
	return cmd
}
