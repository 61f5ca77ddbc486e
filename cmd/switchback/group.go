package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

func (a *app) groupCommand() *cobra.Command {
	var dsn bool
	cmd := &cobra.Command{
		Use: "group NAME", Short: "One group: its clusters, who is active, what is known of each", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				var raw json.RawMessage
				var g fleet.GroupView
				if err := query(ctx, c, "group", map[string]string{"group": args[0]}, &raw, &g); err != nil {
					return err
				}
				if !dsn {
					return a.show(raw, func(p *page) { p.group(&g) })
				}
				s, err := dsnOf(&g)
				if err != nil {
					return err
				}
				return a.showValue(map[string]string{"dsn": s}, func(p *page) { p.line("%s", s) })
			})
		},
	}
	cmd.Flags().BoolVar(&dsn, "dsn", false, "print a libpq connection string that finds the active cluster by itself")
	return cmd
}

// dsnOf is a libpq multi-host string in order of homes, so that it stays the same whoever is active. A frozen server accepts TCP and says nothing: without
// connect_timeout a client would wait for it for ever.
func dsnOf(g *fleet.GroupView) (string, error) {
	var hosts, ports []string
	for _, c := range g.Clusters {
		if c.Address == "" {
			return "", fmt.Errorf("the address of %s is not known: its agent has not reported one yet", c.Cluster)
		}
		host, port, err := net.SplitHostPort(c.Address)
		if err != nil {
			return "", fmt.Errorf("address %q of %s: want host:port, by advertise: in its agent's file", c.Address, c.Cluster)
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	if len(hosts) == 0 {
		return "", fmt.Errorf("%s has no clusters", g.Group)
	}
	return fmt.Sprintf("host=%s port=%s target_session_attrs=read-write connect_timeout=2", strings.Join(hosts, ","), strings.Join(ports, ",")), nil
}

func (p *page) group(g *fleet.GroupView) {
	head := fmt.Sprintf("%s   %s, %s", g.Group, g.Config.Kind, g.Config.Mode)
	switch r := g.Record; {
	case r == nil:
		head += "      not under care yet"
	case r.Gone != "":
		head += "      RELEASED by " + words.Plain(r.Gone)
	default:
		home := "home"
		if r.Active != g.Config.Primary {
			home = "AWAY from home"
		}
		head += fmt.Sprintf("      active %s (%s)   epoch %d   since %s (%s)", r.Active.Region, home, r.Epoch, words.Clock(r.Since, p.now), words.Age(p.now.Sub(r.Since)))
	}
	p.line("%s", head)
	var rows [][]string
	for i := range g.Clusters {
		rows = append(rows, words.ClusterRow(&g.Clusters[i]))
	}
	p.table([]string{"CLUSTER", "HOME", "ROLE", "STATE", ">TIMELINE", "LSN", ">LAG", "AGENT"}, rows)
	p.clusters(g)
	if g.Record != nil && g.Record.Gone == "" {
		p.care(g)
	}
	p.line("now: %s (rule %s)", words.Plain(g.Why), g.Rule)
	p.next(g)
}

// care says how well a recorded group is off.
func (p *page) care(g *fleet.GroupView) {
	r, protected := g.Record, "yes"
	if !g.Protected {
		protected = p.paint("NO")
	}
	line := "protected " + protected
	if r.Op != nil && !r.Running() {
		line += fmt.Sprintf("   last move %s (%s)", r.Op.ID, r.Op.Ended)
		switch lost := r.Op.Lost; {
		case lost != nil:
			line += "   lost: " + words.Lost(lost, "", p.now)
		case r.Op.Ended == "done":
			line += fmt.Sprintf("   loss at %s: %s", r.Op.Verb, decide.LossText(r.Op.Loss))
		}
	}
	p.line("%s", line)
	p.sync(g)
	if len(g.Fences) > 0 {
		p.line("fences: %s", words.Plain(strings.Join(g.Fences, ", ")))
	}
	var leases []string
	for _, c := range g.Clusters {
		if c.Role == events.RoleActive && c.Kernel != "" {
			leases = append(leases, c.Cluster.String()+" "+words.Plain(c.Kernel))
		}
	}
	if len(leases) > 0 {
		p.line("kernel lease: %s", strings.Join(leases, ", "))
	}
	if r.Running() {
		phase := "phase " + string(r.Phase)
		if r.Op.Stage == events.StagePrepare {
			phase = r.Op.From.String() + " writes a checkpoint and serves on"
		}
		p.line("under way: %s %s → %s, %s, by %s", r.Op.ID, r.Op.From, r.Op.To, phase, words.Plain(r.Op.By))
	}
	if d := r.Drill; d != nil {
		ago := ""
		if !d.Running() {
			ago = fmt.Sprintf(" (%s ago, by %s)", words.Age(p.now.Sub(d.At)), words.Plain(d.By))
		}
		p.line("last drill: %s%s", p.drillText(d), ago)
	}
	if g.Readiness != "" {
		p.line("readiness  %s: %s", p.paint(string(g.Readiness)), words.Plain(g.ReadyWhy))
	}
	if r.Restart != nil {
		p.line("under way: %s restart of %s, by %s", r.Restart.ID, r.Restart.To, words.Plain(r.Restart.By))
	}
	if r.Approve != "" {
		p.line("approved %s: automation may move it in this incident", words.Plain(r.Approve))
	}
	if r.Disarm != "" {
		p.line("automation %s for it: %s", p.paint("DISARMED"), words.Plain(r.Disarm))
	}
}

// completeGroup offers names of groups.
func (a *app) completeGroup(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, args, begun, begun, func(g *fleet.GroupView) []string { return []string{g.Group} })
}

// completeCluster offers clusters, by region/name.
func (a *app) completeCluster(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, args, begun, "", func(g *fleet.GroupView) (all []string) {
		for _, c := range g.Clusters {
			all = append(all, c.Cluster.String())
		}
		return all
	})
}

// completeFrom offers names out of the first groups that match. It has little time, and no answer is no error.
func (a *app) completeFrom(cmd *cobra.Command, args []string, begun, match string, names func(*fleet.GroupView) []string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 || a.begin() != nil {
		return nil, none
	}
	a.timeout = 2 * time.Second
	var found []string
	_ = a.asking(cmd, func(ctx context.Context, c *client.Client) error {
		var gs answers.Groups
		err := c.Query(ctx, "groups", map[string]any{"match": match, "limit": 200}, &gs)
		for i := range gs.Groups {
			for _, n := range names(&gs.Groups[i]) {
				if strings.HasPrefix(n, begun) {
					found = append(found, n)
				}
			}
		}
		return err
	})
	return found, none
}
