package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

func (a *app) releaseCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskRelease}
	cmd := &cobra.Command{
		Use: "release GROUP", Short: "Let a group go: its databases run on as a plain pair", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeGroup,
		Long: `Lets a group go: the marks, gates and slots of Switchback are taken out, and its databases run on as a plain pair. Nothing of it is fenced, failed over or restored
any more. Take it out of the fleet's file too; a group that is only taken out of the file is released by itself.`,
		Example: `  switchback release orders --dry-run
  switchback release orders --reason "moves to another fleet"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Group = args[0]
			if err := a.prepare(&ask); err != nil {
				return err
			}
			if !ask.DryRun {
				what := func(*fleet.GroupView) string {
					return fmt.Sprintf("release of %s: its databases run on as a plain pair, and nothing fences them, fails them over or restores them any more", ask.Group)
				}
				if err := a.sure(cmd, &ask, ask.Group, what); err != nil {
					return err
				}
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	moveFlags(cmd, &ask, nil)
	return cmd
}
