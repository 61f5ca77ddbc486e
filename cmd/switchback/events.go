package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/pkg/client"
)

func (a *app) eventsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "events [GROUP or REGION]", Short: "What was decided, and what was not, with reasons", Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		Long: `Shows the newest event of each kind about each group and region, oldest first; with -f those that are told from now on, until interrupted.
With -o json every event is one line, a CloudEvent.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			about := ""
			if len(args) > 0 {
				about = args[0]
				if err := checkNames(about, ""); err != nil {
					return err
				}
			}
			if follow {
				return a.followEvents(cmd.Context(), about)
			}
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				es, err := c.History(ctx, about)
				for _, e := range es {
					if err := a.event(e); err != nil {
						return err
					}
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "follow what is told from now on")
	return cmd
}

func (a *app) followEvents(ctx context.Context, about string) error {
	c, done, err := a.client(ctx)
	if err != nil {
		return err
	}
	defer done()
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	failed := make(chan error, 1)
	stop, err := c.Events(func(e client.Event) {
		if about != "" && !slices.Contains([]string{e.Notice.Group, e.Notice.Region}, about) {
			return
		}
		if err := a.event(e); err != nil {
			select {
			case failed <- err: // a pipe whose reader has gone
			default:
			}
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// event prints one event: JSON in one line each, so that a program can follow.
func (a *app) event(e client.Event) error {
	if a.output == "json" {
		b, err := json.Marshal(e.Envelope)
		if err == nil {
			_, err = fmt.Fprintf(a.out, "%s\n", b)
		}
		return err
	}
	if a.output == "yaml" {
		if _, err := fmt.Fprintln(a.out, "---"); err != nil {
			return err
		}
	}
	return a.showValue(e.Envelope, func(p *page) { p.notice("", e) })
}

func (p *page) notice(indent string, e client.Event) {
	n := &e.Notice
	about := n.Group
	if about == "" {
		about = n.Region
	}
	if about == "" {
		about = "fleet"
	}
	by := ""
	if n.By != "" && n.By != automation {
		by = ", by " + words.Plain(n.By)
	}
	rule := ""
	if n.Rule != "" {
		rule = "  (rule " + words.Plain(n.Rule) + by + ")"
	}
	p.line("%s%s  %-10s  %s  %s%s", indent, words.Clock(e.Time, p.now), words.Plain(n.Type), words.Plain(about), words.Plain(n.Why), rule)
}
