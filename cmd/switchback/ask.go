package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// refuseAsk is the rule of a refusal that concerns the ask as a whole; the leader tells it so, too.
const refuseAsk = "refuse.ask"

// answered is what -o json and yaml show of an ask.
type answered struct {
	Answer     events.Answer      `json:"answer"`
	Operations []events.Operation `json:"operations,omitempty"`
}

// askFlags are those that every ask takes.
func askFlags(cmd *cobra.Command, ask *events.Ask) {
	cmd.Flags().StringVar(&ask.Reason, "reason", "", "why, for the record")
	cmd.Flags().StringVar(&ask.ID, "id", "", "id of this ask: asked again with the same one, nothing is done twice (default: a new one)")
}

// moveFlags are those of every ask that may be refused because the controller is blind, and that can be tried. What nobody follows has no detach.
func moveFlags(cmd *cobra.Command, ask *events.Ask, detach *bool) {
	f := cmd.Flags()
	f.BoolVar(&ask.WhileBlind, "while-blind", false, "do it although the controller reaches fewer than half of the regions; needs --reason")
	f.BoolVar(&ask.DryRun, "dry-run", false, "say what it would do, and do nothing")
	if detach != nil {
		f.BoolVar(detach, "detach", false, "print the operation's id and return")
	}
}

// prepare fills in who asks and checks the ask by itself.
func (a *app) prepare(ask *events.Ask) error {
	ask.Actor = a.actor
	if ask.ID == "" {
		ask.ID = rand.Text()
	}
	if err := ask.Check(); err != nil {
		return usage("%w", err)
	}
	return nil
}

// confirm has the person type a name before something dangerous. The name itself, not y: the hand that types it has read it.
func (a *app) confirm(what, name string) error {
	if a.yes {
		return nil
	}
	if !a.asks {
		return usage("%s: nobody is here to confirm it, want --yes", what)
	}
	fmt.Fprintf(a.err, "%s\ntype %s to go on: ", words.Plain(what), name)
	typed, err := bufio.NewReader(a.in).ReadString('\n')
	if strings.TrimSpace(typed) != name {
		return &failure{exitFailed, fmt.Errorf("%q was typed, not %s: nothing was done", words.Plain(strings.TrimSpace(typed)), name)}
	}
	if err != nil && typed == "" {
		return fmt.Errorf("read the confirmation: %w", err)
	}
	return nil
}

// sure has the person confirm something dangerous, told what the group looks like now; what gets nil where the leader can't say.
func (a *app) sure(cmd *cobra.Command, ask *events.Ask, name string, what func(g *fleet.GroupView) string) error {
	var g *fleet.GroupView
	if !a.yes && a.asks {
		var err error
		if g, err = a.peek(cmd, ask); err != nil {
			return err
		}
	}
	return a.confirm(what(g), name)
}

// peek looks at the group an ask is about; nil if the leader knows none: it says so itself when it is asked.
func (a *app) peek(cmd *cobra.Command, ask *events.Ask) (g *fleet.GroupView, err error) {
	err = a.asking(cmd, func(ctx context.Context, c *client.Client) error {
		g, err = groupOf(ctx, c, ask.Group, ask.Cluster)
		return err
	})
	if _, refused := errors.AsType[client.Refusal](err); refused {
		return nil, nil
	}
	return g, err
}

// groupOf asks for a group by its name, or by that of a cluster of its.
func groupOf(ctx context.Context, c *client.Client, group, cluster string) (*fleet.GroupView, error) {
	var g fleet.GroupView
	err := c.Query(ctx, "group", map[string]string{"group": group, "cluster": cluster}, &g)
	return &g, err
}

// askedAbout takes what a verb is about: a group, or one cluster by region/name, as an argument or by --cluster.
func askedAbout(ask *events.Ask, args []string) error {
	switch {
	case len(args) == 0 && ask.Cluster == "":
		return usage("want a GROUP, or a REGION/CLUSTER")
	case len(args) == 0:
	case !strings.Contains(args[0], "/"):
		ask.Group = args[0]
	case ask.Cluster != "" && ask.Cluster != args[0]:
		return usage("%s and --cluster %s: want one of them", args[0], ask.Cluster)
	default:
		ask.Cluster = args[0]
	}
	return nil
}

// throw asks for something that is done once it is answered.
func (a *app) throw(cmd *cobra.Command, ask events.Ask) error {
	return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
		ans, err := c.Ask(ctx, ask)
		if err != nil {
			return err
		}
		if err := a.showValue(answered{Answer: ans}, func(p *page) { p.answer(&ans) }); err != nil {
			return err
		}
		return verdict(&ans, nil)
	})
}

// answer prints what was accepted and what was refused, each with its rule.
func (p *page) answer(ans *events.Answer) {
	if len(ans.Items) == 0 {
		if ans.Accepted {
			p.line("%s", words.Plain(ans.Why))
		} else {
			p.line("%s  %s (rule %s)", p.paint("REFUSED"), words.Plain(ans.Why), refuseAsk)
		}
	}
	for _, i := range ans.Items {
		word := "ok"
		if !i.Accepted {
			word = "REFUSED"
		}
		op := ""
		if i.Operation != "" {
			op = "  operation " + i.Operation
		}
		p.line("%s  %s  %s (rule %s)%s", p.paint(word), i.Group, words.Plain(i.Why), i.Rule, op)
		for _, f := range i.Facts {
			p.line("    %s: %s", f.What, words.Plain(f.Value))
		}
	}
}

// verdict is the exit code of an ask: what failed counts more than what was refused.
func verdict(ans *events.Answer, ops []events.Operation) error {
	for _, o := range ops {
		if o.Ended != "done" {
			return &failure{exitFailed, errSilent}
		}
	}
	if !ans.Accepted {
		return &failure{exitRefused, errSilent}
	}
	for _, i := range ans.Items {
		if !i.Accepted {
			return &failure{exitRefused, errSilent}
		}
	}
	return nil
}
