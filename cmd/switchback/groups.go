package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
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
		note := words.Note(&all[i], p.now)
		noted = noted || note != ""
		rows = append(rows, append(words.GroupRow(&all[i]), note))
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
