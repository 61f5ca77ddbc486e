package main

import (
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/events"
)

// stories are the groups of the help, in the order in which one meets them.
var stories = []*cobra.Group{
	{ID: "look", Title: "Look:"}, {ID: "move", Title: "Move:"}, {ID: "steer", Title: "Steer:"}, {ID: "setup", Title: "Set up:"}, {ID: "run", Title: "Run and learn:"},
}

var outputs = []string{"table", "json", "yaml"}

// root is the whole command line.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "switchback", Short: "Fails whole regions of PostgreSQL over to another and brings them home, never with two writable copies.",
		Long: `Fails whole regions of PostgreSQL over to another, in seconds, without ever leaving two writable copies. Then brings them home.

Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a rule, 4 not reachable.`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.begin() },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.AddGroup(stories...)
	root.SetHelpCommandGroupID("run")
	root.SetCompletionCommandGroupID("run")
	f := root.PersistentFlags()
	f.StringSliceVar(&a.hub, "hub", nil, "hub servers: URLs or region=URL, with commas (also SWITCHBACK_HUB, or hub: in ~/.config/switchback/config.yaml)")
	f.StringSliceVar(&a.api, "api", nil, "go by the API of these controllers instead of the bus: URLs with commas (also SWITCHBACK_API, or api: {urls, token, ca} in config.yaml)")
	f.StringVar(&a.token, "token-file", "", "the file of the token for --api (also SWITCHBACK_TOKEN_FILE)")
	f.StringVar(&a.actor, "as", "", "who asks, as the audit shows it (default: your user name); by the API it is the token's actor")
	f.StringVarP(&a.output, "output", "o", "table", "table, json or yaml")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask for confirmation")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this long (default 15s for an answer, 10m for a move to end, 24h for a restore)")
	complete(root, "output", outputs)
	for i, cmds := range [][]*cobra.Command{
		{a.statusCommand(), a.groupsCommand(), a.groupCommand(), a.whyCommand(), a.eventsCommand(), a.reportCommand(), a.runbookCommand()},
		{a.failoverCommand(), a.restoreCommand(), a.rebuildCommand(), a.switchoverCommand(), a.failbackCommand(), a.drillCommand(), a.planCommand(), a.abortCommand()},
		{a.rolloutCommand(), a.armCommand(), a.disarmCommand(), a.approveCommand(), a.acknowledgeCommand(), a.maintenanceCommand(), a.restartCommand(), a.tasksCommand()},
		{a.protectCommand(), a.releaseCommand(), a.applyCommand(), a.diffCommand(), a.doctorCommand(), a.rejoinCommand(), a.rebuildRecordCommand(), a.tokenCommand()},
		{demoCommand(), a.hubCommand(), a.controllerCommand(), a.agentCommand(), a.guardCommand(), a.simCommand(), a.versionCommand(), a.holdCommand()},
	} {
		for _, c := range cmds {
			c.GroupID = stories[i].ID
			root.AddCommand(c)
		}
	}
	return root
}

// The help shows verbs in the order in which they are added.
func init() { cobra.EnableCommandSorting = false }

// complete offers words for a flag. It fails only for a flag that is not there.
func complete(cmd *cobra.Command, flag string, words []string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}

// begin checks the global flags.
func (a *app) begin() error {
	if !slices.Contains(outputs, a.output) {
		return usage("--output %q: want table, json or yaml", a.output)
	}
	if a.timeout < 0 {
		return usage("--timeout %v: want more than 0", a.timeout)
	}
	if a.actor == "" {
		a.actor = osUser()
	}
	if err := events.CheckName("actor", a.actor); err != nil {
		return usage("--as: %w", err)
	}
	a.running = true
	return nil
}

// osUser is the user's name as the bus takes it: what a name can't hold becomes -.
func osUser() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(u.Username))
	name = strings.TrimLeft(name, "-")
	return name[:min(len(name), 63)]
}

// limit is --timeout, or what a verb takes without it.
func (a *app) limit(normal time.Duration) time.Duration {
	if a.timeout > 0 {
		return a.timeout
	}
	return normal
}
