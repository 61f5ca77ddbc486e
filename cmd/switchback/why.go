package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

func (a *app) whyCommand() *cobra.Command {
	var region string
	cmd := &cobra.Command{
		Use: "why GROUP | --region REGION", Short: "The rule that holds, its facts with their ages, and what was decided before",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			group, err := one(args, region)
			if err != nil {
				return err
			}
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				var raw json.RawMessage
				var w answers.Why
				if err := query(ctx, c, "why", about(group, region), &raw, &w); err != nil {
					return err
				}
				var g *fleet.GroupView
				if group != "" && a.output == "table" {
					short, cancel := context.WithTimeout(ctx, watchLimit)
					defer cancel()
					g, _ = groupOf(short, c, group, "") // its clusters are shown if they can be
				}
				return a.show(raw, func(p *page) { p.why(group+region, &w, g) })
			})
		},
	}
	cmd.Flags().StringVar(&region, "region", "", "a region instead of a group")
	return cmd
}

// one checks that a group or a region is named, and not both.
func one(args []string, region string) (group string, err error) {
	if len(args) > 0 {
		group = args[0]
	}
	if (group == "") == (region == "") {
		return "", usage("want a GROUP or --region REGION")
	}
	return group, checkNames(group, region)
}

func checkNames(group, region string) error {
	for what, name := range map[string]string{"group": group, "region": region} {
		if name != "" {
			if err := events.CheckName(what, name); err != nil {
				return usage("%w", err)
			}
		}
	}
	return nil
}

func about(group, region string) map[string]string {
	if group != "" {
		return map[string]string{"group": group}
	}
	return map[string]string{"region": region}
}

// why prints what holds, and of a group what becomes of its clusters; g may be nil.
func (p *page) why(name string, w *answers.Why, g *fleet.GroupView) {
	if w.Rule == "" {
		p.line("%s: not judged yet: the leader has only just heard of it", name)
	} else {
		p.line("%s: %s (rule %s)", name, words.Plain(w.Why), w.Rule)
	}
	var rows [][]string
	for _, f := range w.Facts {
		blocks, old := "", ""
		if f.Blocks {
			blocks = "blocks"
		}
		if f.Age > 0 {
			old = words.Age(f.Age.D()) + " old"
		}
		rows = append(rows, []string{"  " + words.Plain(f.What), words.Plain(f.Value), blocks, old})
	}
	if len(rows) > 0 {
		p.table([]string{"  FACT", "VALUE", "", ""}, rows)
	}
	if g != nil {
		p.clusters(g)
		p.next(g)
	}
	if len(w.History) > 0 {
		p.line("before:")
	}
	for _, e := range told(w) {
		p.notice("  ", e)
	}
}

// told is what was told before, oldest first.
func told(w *answers.Why) (all []client.Event) {
	for _, e := range w.History {
		var n events.Notice
		if json.Unmarshal(e.Data, &n) == nil {
			all = append(all, client.Event{Envelope: e, Notice: n})
		}
	}
	return all
}
