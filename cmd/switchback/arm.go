package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/events"
)

// fleetWord is typed to confirm what concerns the whole fleet.
const fleetWord = "fleet"

func (a *app) armCommand() *cobra.Command {
	return a.switchCommand(events.AskArm, "Switch automation on", "for the fleet, a region, a kind or a group. Each has a switch of its own; automation moves a group only if all that concern it are on.", nil)
}

func (a *app) disarmCommand() *cobra.Command {
	return a.switchCommand(events.AskDisarm, "Switch automation off", "for the fleet, a region, a kind or a group. Fencing goes on: an active cut off from everybody is still frozen. People may still move groups.",
		func(name string) error {
			return a.confirm("disarm "+name+": nothing of it is failed over automatically from now on", name)
		})
}

// switchCommand is arm or disarm; sure may be nil.
func (a *app) switchCommand(verb, short, long string, sure func(name string) error) *cobra.Command {
	ask := events.Ask{Verb: verb}
	cmd := &cobra.Command{
		Use: verb + " [GROUP | --region REGION | --kind KIND]", Short: short, Long: short + " " + long, Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := fleetWord
			switch {
			case cmd.Flags().Changed("kind"):
				if name = string(ask.Kind); len(args) > 0 || cmd.Flags().Changed("region") || name == "" {
					return usage("want a GROUP, --region REGION or --kind KIND, one of them")
				}
			case len(args) > 0 || cmd.Flags().Changed("region"): // an empty name must not mean everything
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
	cmd.Flags().StringVar((*string)(&ask.Kind), "kind", "", "every group of a kind: postgres, airflow or exec")
	complete(cmd, "kind", []string{string(events.KindPostgres), string(events.KindAirflow), string(events.KindExec)})
	cmd.Flags().BoolVar(&ask.DryRun, "dry-run", false, "say what it would do, and do nothing")
	return cmd
}

func (a *app) approveCommand() *cobra.Command {
	return a.concerning(events.AskApprove, "Let automation move what waits for a person", `A region, when more are out at once than max_regions_out allows; or a group whose priority is of a class that is approved first, alone or with all of its region.
It is for this incident: once the region or the group is well again, the next one needs an approval of its own.`)
}

func (a *app) acknowledgeCommand() *cobra.Command {
	return a.concerning(events.AskAcknowledge, "Say that you have looked at what automation did: it may move the group again", `After automation moved a group it leaves it alone until it was stable and protected for a while (wait.flapping). This ends the wait, for a group, or for every group moved out of or into a region.`)
}

// concerning is a verb about a group or a region that is done once it is answered.
func (a *app) concerning(verb, short, long string) *cobra.Command {
	ask := events.Ask{Verb: verb}
	cmd := &cobra.Command{
		Use: verb + " GROUP | --region REGION", Short: short, Long: short + ".\n\n" + long, Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if ask.Group, err = one(args, ask.Region); err != nil {
				return err
			}
			if err := a.prepare(&ask); err != nil {
				return err
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	cmd.Flags().StringVar(&ask.Region, "region", "", "a region instead of a group")
	cmd.Flags().BoolVar(&ask.DryRun, "dry-run", false, "say what it would do, and do nothing")
	return cmd
}
