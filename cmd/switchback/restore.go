package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

func (a *app) restoreCommand() *cobra.Command {
	return a.buildCommand(events.AskRestore, "Make a failed cluster follow the active again",
		`Makes the failed clusters of a group, or one of them, follow the active again, and follows that to its end. The active serves on meanwhile.
What only the failed cluster has is counted and kept first. Then it is rewound, which fetches what differs, or copied anew where that can't be. It never becomes
active by this: `+"`switchback failback GROUP`"+` restores and brings the group home in one go. A group that says restore: auto does this by itself, except after
a failover that a person asked for.`,
		`  switchback restore orders
  switchback restore orders --cluster eu-west-1/orders-a
  switchback restore orders --dry-run
  switchback report orders --commits          # what was lost, once it is counted`)
}

func (a *app) rebuildCommand() *cobra.Command {
	return a.buildCommand(events.AskRebuild, "Make a broken passive follow the active again",
		`The same as restore for a cluster that is passive and does not follow. A passive that follows is rebuilt only if --cluster names it.
With --copy it is copied anew whatever could be kept: until it follows it protects nothing.`,
		`  switchback rebuild orders
  switchback rebuild orders --cluster eu-central-1/orders-b --copy --reason "checksums"`)
}

func (a *app) protectCommand() *cobra.Command {
	return a.buildCommand(events.AskProtect, "Build a recovery cluster where there is no data yet",
		`Copies the active to the clusters of a group whose data directory is empty, or to one of them, and follows that to its end. From then on they are passives.`,
		`  switchback protect orders
  switchback protect eu-north-1/orders-c`)
}

// buildCommand is one of the verbs that make a cluster follow.
func (a *app) buildCommand(verb, short, long, example string) *cobra.Command {
	ask := events.Ask{Verb: verb}
	var detach bool
	cmd := &cobra.Command{
		Use: verb + " GROUP | REGION/CLUSTER", Short: short, Long: long, Example: example, Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := askedAbout(&ask, args); err != nil {
				return err
			}
			if err := a.prepare(&ask); err != nil {
				return err
			}
			if ask.DryRun {
				return a.throw(cmd, ask)
			}
			if verb == events.AskRebuild && ask.Copy {
				name := ask.Cluster
				if name == "" {
					name = ask.Group
				}
				if err := a.sure(cmd, &ask, name, func(*fleet.GroupView) string { return copyDanger(name) }); err != nil {
					return err
				}
			}
			return a.move(cmd, ask, detach)
		},
	}
	askFlags(cmd, &ask)
	f := cmd.Flags()
	f.StringVar(&ask.Cluster, "cluster", "", "region/name of the one cluster it is about (default: every one of the group that needs it)")
	if verb != events.AskProtect {
		f.BoolVar(&ask.Copy, "copy", false, "copy it anew, even where its data could be kept: takes the time and the room of a whole copy")
	}
	moveFlags(cmd, &ask, &detach)
	return cmd
}

func copyDanger(name string) string {
	return fmt.Sprintf("rebuild of %s by a copy: its data is replaced by the active's, and until it follows again it protects nothing", name)
}
