package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// drillLook is how often a drill that is followed is looked at: what tells of its end may be missed.
const drillLook = 500 * time.Millisecond

// drilled is what -o json and yaml show of a drill.
type drilled struct {
	Answer events.Answer `json:"answer"`
	Drill  *events.Drill `json:"drill,omitempty"`
}

func (a *app) drillCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskDrill}
	m, detach := &manyFlags{}, false
	cmd := &cobra.Command{
		Use: "drill GROUP | --region REGION | --groups … | --select … | --plan ID", Short: "Find out whether a group can be moved: swap it there and back, without loss", Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		Long: `Swaps a group to a passive and back, each half as by switchover: every gate is checked first, nothing is lost, and whatever is missed gives it back to its active. It
begins only when nothing at all is wrong, and a real incident in its middle is handled as any other. PASS says how long writes paused each way; readiness counts from there.`,
		Example: `  switchback drill orders
  switchback drill orders --to eu-central-1/orders-b --yes
  switchback drill orders --dry-run
  switchback drill --select project=shop --canary 2 --soak 30s`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.open(cmd, m, &ask, args, detach); done || err != nil {
				return err
			}
			danger := func(*fleet.GroupView) string {
				return fmt.Sprintf("drill of %s: it is swapped there and back, and each time %s", ask.Group, words.Swap)
			}
			if err := a.sure(cmd, &ask, ask.Group, danger); err != nil {
				return err
			}
			if detach {
				return a.move(cmd, ask, true)
			}
			return a.drill(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	m.add(cmd, events.AskDrill)
	limitFlags(cmd, m)
	moveFlags(cmd, &ask, &detach)
	cmd.Flags().StringVar(&ask.To, "to", "", "region/cluster to swap with (default: the best candidate)")
	return cmd
}

// drill asks for a drill and follows both halves to its verdict.
func (a *app) drill(cmd *cobra.Command, ask events.Ask) error {
	c, done, err := a.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	began := a.now()
	told := make(chan client.Event, 256)
	stop, err := c.Events(func(e client.Event) {
		if e.Notice.Group == ask.Group {
			select {
			case told <- e:
			default: // who is that slow sees the end all the same
			}
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	short, cancel := context.WithTimeout(cmd.Context(), a.limit(answerLimit))
	defer cancel()
	ans, err := c.Ask(short, ask)
	if err != nil {
		return err
	}
	table := a.output == "table"
	if table {
		a.page().answer(&ans)
	}
	if !ans.Accepted {
		if !table {
			err = a.showValue(drilled{Answer: ans}, nil)
		}
		if err != nil {
			return err
		}
		return verdict(&ans, nil)
	}
	long, cancel := context.WithTimeout(cmd.Context(), a.limit(followLimit))
	defer cancel()
	line := a.progress(table && a.terminal, began)
	d, err := drillEnd(long, c, &ask, told, func(e client.Event) {
		if table {
			line.print(func(p *page) { p.step(e, a.now().Sub(began)) })
		}
	})
	line.end()
	if err != nil {
		return err
	}
	if err := a.showValue(drilled{ans, d}, func(p *page) { p.line("%s", p.drillText(d)) }); err != nil {
		return err
	}
	if d.Ended != events.DrillPass {
		return &failure{exitFailed, errSilent}
	}
	return nil
}

// drillEnd waits for the end of the drill that an ask began. ErrStillRunning when ctx ends.
func drillEnd(ctx context.Context, c *client.Client, ask *events.Ask, told <-chan client.Event, tell func(client.Event)) (*events.Drill, error) {
	tick := time.NewTicker(drillLook)
	defer tick.Stop()
	for {
		select {
		case e := <-told:
			tell(e)
			if d := e.Notice.Drill; d != nil && d.Ask == ask.ID && d.Ended != "" {
				return d, nil
			}
		case <-tick.C:
			short, cancel := context.WithTimeout(ctx, watchLimit)
			g, err := groupOf(short, c, ask.Group, "")
			cancel()
			if err == nil && g.Record != nil && g.Record.Drill != nil && g.Record.Drill.Ask == ask.ID && g.Record.Drill.Ended != "" {
				return g.Record.Drill, nil
			}
		case <-ctx.Done():
			return nil, &failure{exitFailed, fmt.Errorf("the drill of %s: %w: it goes on without this command, see: switchback group %s", ask.Group, client.ErrStillRunning, ask.Group)}
		}
	}
}

// drillText is a drill in a line.
func (p *page) drillText(d *events.Drill) string {
	if d.Running() {
		return fmt.Sprintf("drill %s under way: %s → %s and back, by %s", d.ID, d.From, d.To, words.Plain(d.By))
	}
	return fmt.Sprintf("%s  %s", p.paint(strings.ToUpper(d.Ended)), words.Plain(d.End))
}
