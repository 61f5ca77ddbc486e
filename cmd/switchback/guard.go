package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent"
)

const agentFile = "/etc/switchback/agent.yaml"

func (a *app) guardCommand() *cobra.Command {
	cmd := daemon(a, "guard", "The guard of this host: fences what the agent does not speak for in time", agentFile, config.LoadAgent, regionagent.RunGuard)
	cmd.AddCommand(a.gateCommand(), a.unitStopCommand(), a.overrideCommand())
	return cmd
}

// hostVerb is a verb about one cluster of this host, which is named or is what a unit runs.
func hostVerb(cmd *cobra.Command, path, unit *string) *cobra.Command {
	cmd.Args = cobra.MaximumNArgs(1)
	cmd.Flags().StringVarP(path, "config", "c", agentFile, "the agent's file")
	if unit != nil {
		cmd.Flags().StringVar(unit, "unit", "", "the systemd unit that runs it, in place of its name; a unit of no cluster is left alone")
	}
	return cmd
}

// hostCluster reads the agent's file and the name of the one cluster that is meant.
func hostCluster(path, unit string, args []string) (*config.Agent, string, error) {
	if (len(args) == 1) == (unit != "") {
		return nil, "", usage("want the name of a cluster of this host, or --unit")
	}
	cfg, err := config.LoadAgent(path)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return nil, "", usage("%s is not as it should be:\n%w", path, problems)
	} else if err != nil {
		return nil, "", err
	}
	return cfg, append(args, "")[0], nil
}

func (a *app) gateCommand() *cobra.Command {
	var path, unit string
	return hostVerb(&cobra.Command{
		Use: "gate CLUSTER | --unit UNIT", Short: "Before a server is started: read-only, unless its agent permitted this one start",
		Long: `What a unit runs before it starts a server (ExecStartPre). Unless the agent has permitted this one start, it puts standby.signal into the data directory, so that
whatever starts the server brings it up read-only: a reboot, a restart of the package, a person. Its agent starts it writable once it may. A server that is not
under care, or only observed, is left alone. If it fails nothing may be started.`,
		Example: `  switchback guard gate orders-a
  ExecStartPre=+/usr/bin/switchback guard gate --unit %n`,
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, name, err := hostCluster(path, unit, args)
			if err != nil {
				return err
			}
			p, err := regionagent.UnitGate(cfg, name, unit, telemetry.NewLogger(a.err, slog.LevelWarn))
			if err != nil {
				return fmt.Errorf("not to be started: %w", err)
			}
			what := map[bool]string{true: "comes up read-only", false: "let through"}[p.Closed]
			if p.Alone {
				what = "left alone"
			}
			fmt.Fprintf(a.out, "gate %s: %s (%s)\n", what, p.Why, p.Row)
			return nil
		},
	}, &path, &unit)
}

func (a *app) unitStopCommand() *cobra.Command {
	var path, unit string
	return hostVerb(&cobra.Command{
		Use: "stop CLUSTER | --unit UNIT", Short: "Stop a server of this host: cleanly, or where it stands if it is frozen",
		Long: `What a unit runs to stop a server (ExecStop). One that runs is stopped cleanly. One that is frozen is killed where it stands, never let go to end by itself: it would
answer what waits in it first. A server that is not under care, or only observed, is left to its unit.`,
		Example: `  switchback guard stop orders-a
  ExecStop=+/usr/bin/switchback guard stop --unit %n`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, name, err := hostCluster(path, unit, args)
			if err != nil {
				return err
			}
			what, err := regionagent.UnitStop(cmd.Context(), cfg, name, unit, telemetry.NewLogger(a.err, slog.LevelWarn))
			if err != nil {
				return err
			}
			fmt.Fprintln(a.out, what)
			return nil
		},
	}, &path, &unit)
}

func (a *app) overrideCommand() *cobra.Command {
	var path, reason string
	var end bool
	cmd := hostVerb(&cobra.Command{
		Use: "override CLUSTER --reason WHY | --end", Short: "Break glass: start or let go a cluster of this host now, whatever its right",
		Long: `Starts a cluster of this host, or lets it go if it is frozen, whatever its right, and keeps its guard from freezing it: for when the rest of the fleet is out of reach
and you know that nobody else has been made active. TWO COPIES MAY ACCEPT WRITES if you are wrong. It needs root on the host.
It holds until the fleet's record names the cluster anew, which kills it if its group moved on, or until it has the right to run again. It is written down on the
host and shown by status, why and metrics until you say --end.`,
		Example: `  switchback guard override orders-a --reason "both other regions are gone for good, ticket 4711"
  switchback guard override orders-a --end`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, name, err := hostCluster(path, "", args)
			switch {
			case err != nil:
				return err
			case end == (reason != ""):
				return usage("want --reason WHY, or --end")
			case os.Geteuid() != 0:
				return &failure{exitRefused, errors.New("this needs root: the guard and the servers are not yours")}
			}
			log := telemetry.NewLogger(a.err, slog.LevelError)
			if end {
				was, err := regionagent.EndOverride(cmd.Context(), cfg, name, log)
				if err == nil {
					fmt.Fprintf(a.out, "ended: %s\n", words.Plain(was))
				}
				return refusedByRule(err)
			}
			if !a.yes {
				if err := a.confirm(fmt.Sprintf("override of %s: it runs whatever its right; if another copy was made active, BOTH ACCEPT WRITES", name), name); err != nil {
					return err
				}
			}
			what, err := regionagent.UnitOverride(cmd.Context(), cfg, name, a.actor, reason, log)
			if err == nil {
				fmt.Fprintf(a.out, "%s: %s; nothing freezes it until the record names it anew or it has the right again\n", name, what)
			}
			return refusedByRule(err)
		},
	}, &path, nil)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept, and shown to everybody")
	cmd.Flags().BoolVar(&end, "end", false, "end it: the lease rules again, and nobody is told of it any more")
	return cmd
}

// refusedByRule gives a rule's refusal its exit code.
func refusedByRule(err error) error {
	if errors.Is(err, regionagent.ErrRefused) {
		return &failure{exitRefused, err}
	}
	return err
}
