package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// groupsPage is how many groups are asked for at once.
const groupsPage = 500

func (a *app) groupsCommand() *cobra.Command {
	var match string
	cmd := &cobra.Command{
		Use: "groups", Short: "Every group in a line", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				raws, all, err := allGroups(ctx, c, match)
				if err != nil {
					return err
				}
				return a.showValue(map[string]any{"groups": raws}, func(p *page) { p.groups(all) })
			})
		},
	}
	cmd.Flags().StringVar(&match, "match", "", "only groups whose name contains this")
	return cmd
}

// allGroups reads every page. Between two pages the fleet may change; each group is as it was when its page was read.
func allGroups(ctx context.Context, c *client.Client, match string) (raws []json.RawMessage, all []fleet.GroupView, err error) {
	raws, after := []json.RawMessage{}, ""
	for {
		var answer struct {
			Groups []json.RawMessage
			More   bool
		}
		if err := c.Query(ctx, "groups", map[string]any{"match": match, "after": after, "limit": groupsPage}, &answer); err != nil {
			return nil, nil, err
		}
		for _, raw := range answer.Groups {
			var g fleet.GroupView
			if err := json.Unmarshal(raw, &g); err != nil {
				return nil, nil, fmt.Errorf("read a group: %w", err)
			}
			raws, all, after = append(raws, raw), append(all, g), g.Group
		}
		if !answer.More || len(answer.Groups) == 0 {
			return raws, all, nil
		}
	}
}

func (p *page) groups(all []fleet.GroupView) {
	if len(all) == 0 {
		p.line("no groups")
		return
	}
	var rows [][]string
	heads, noted := []string{"GROUP", "PROJECT", "MODE", "ACTIVE", "HOME", ">EPOCH", "PROTECTED", "READINESS", ">LAG", "RULE"}, false
	for i := range all {
		note := p.note(&all[i])
		noted = noted || note != ""
		rows = append(rows, append(groupRow(&all[i]), note))
	}
	if noted {
		heads = append(heads, "NOTE")
	} else {
		for i := range rows {
			rows[i] = rows[i][:len(heads)]
		}
	}
	p.table(heads, rows)
}

// note is what is being done to a group's clusters, or waits to be, in a few words.
func (p *page) note(g *fleet.GroupView) string {
	var notes []string
	if g.Record != nil && g.Record.Gone != "" {
		return ""
	}
	for i := range g.Clusters {
		c := &g.Clusters[i]
		switch {
		case c.Op != "":
			notes = append(notes, fmt.Sprintf("%s %s %s", c.Cluster.Region, events.StateRebuilding, workText(c.Work)))
		case c.Role == events.RoleFailed && c.Hold != "":
			notes = append(notes, c.Cluster.Region+" failed, waits for a person")
		case c.Role == events.RoleFailed:
			notes = append(notes, c.Cluster.Region+" failed")
		}
		if c.Override != "" {
			notes = append(notes, c.Cluster.Region+" OVERRIDDEN by a person")
		}
		if c.Quiet != nil {
			notes = append(notes, fmt.Sprintf("%s in maintenance until %s", c.Cluster.Region, p.clock(c.Quiet.Until)))
		}
	}
	return strings.Join(notes, "; ")
}

func groupRow(g *fleet.GroupView) []string {
	active, home, epoch, protected, least := "-", "-", "-", "-", int64(-1)
	if r := g.Record; r != nil && r.Gone != "" {
		protected = "released"
	} else if r != nil {
		active, home, epoch, protected = r.Active.Region, "home", fmt.Sprint(r.Epoch), "NO"
		if r.Active != g.Config.Primary {
			home = "AWAY"
		}
		switch {
		case g.Protected && !g.Sync():
			protected = "yes"
		case g.Protected && len(r.Sync.Members()) > 0:
			protected = "sync"
		case g.Protected:
			protected = "not in sync"
		}
	}
	passive := false
	for _, c := range g.Clusters {
		if c.Role == events.RolePassive {
			passive = true
			if c.Lag >= 0 && (least < 0 || c.Lag < least) {
				least = c.Lag
			}
		}
	}
	behind := "-"
	if passive {
		behind = lag(least)
	}
	ready := cmp.Or(string(g.Readiness), "-")
	return []string{g.Group, g.Config.Project, string(g.Config.Mode), active, home, epoch, protected, ready, behind, g.Rule}
}
