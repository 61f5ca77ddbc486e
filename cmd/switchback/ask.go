package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
	fmt.Fprintf(a.err, "%s\ntype %s to go on: ", plain(what), name)
	typed, err := bufio.NewReader(a.in).ReadString('\n')
	if strings.TrimSpace(typed) != name {
		return &failure{exitFailed, fmt.Errorf("%q was typed, not %s: nothing was done", plain(strings.TrimSpace(typed)), name)}
	}
	if err != nil && typed == "" {
		return fmt.Errorf("read the confirmation: %w", err)
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
			p.line("%s", plain(ans.Why))
		} else {
			p.line("%s  %s (rule %s)", p.paint("REFUSED"), plain(ans.Why), refuseAsk)
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
		p.line("%s  %s  %s (rule %s)%s", p.paint(word), i.Group, plain(i.Why), i.Rule, op)
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

// move asks for something that takes time and follows it to its end.
func (a *app) move(cmd *cobra.Command, ask events.Ask, detach bool) error {
	b, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer b.Close()
	c := client.New(b)
	f, err := c.Follow() // before it is asked, so that nothing is missed
	if err != nil {
		return err
	}
	defer f.Stop()
	began := a.now()
	short, cancel := context.WithTimeout(cmd.Context(), a.limit(answerLimit))
	defer cancel()
	ans, err := c.Ask(short, ask)
	if err != nil {
		return err
	}
	var follow []events.AnswerItem
	for _, i := range ans.Items {
		if i.Accepted && i.Operation != "" {
			follow = append(follow, i)
		}
	}
	if a.output == "table" {
		a.page().answer(&ans)
	}
	if detach || len(follow) == 0 {
		if a.output != "table" {
			if err := a.showValue(answered{Answer: ans}, nil); err != nil {
				return err
			}
		}
		return verdict(&ans, nil)
	}
	ops, err := a.follow(cmd.Context(), f, follow, began)
	if a.output != "table" {
		err = errors.Join(err, a.showValue(answered{ans, ops}, nil))
	}
	if err != nil {
		return err
	}
	return verdict(&ans, ops)
}

// follow prints the steps of operations as they are told, then the report of each.
func (a *app) follow(ctx context.Context, f *client.Follower, items []events.AnswerItem, began time.Time) ([]events.Operation, error) {
	ctx, cancel := context.WithTimeout(ctx, a.limit(followLimit))
	defer cancel()
	table := a.output == "table"
	line := a.progress(table && a.terminal, began)
	ops, err := f.Until(ctx, items, func(e client.Event) {
		if table {
			line.print(func(p *page) { p.step(e, a.now().Sub(began)) })
		}
	})
	line.end()
	if table {
		for i := range ops {
			a.page().report(&ops[i])
		}
	}
	if errors.Is(err, client.ErrStillRunning) {
		return ops, &failure{exitFailed, fmt.Errorf("%w: it goes on without this command, see: switchback report OPERATION", err)}
	}
	return ops, err
}

// step prints one event of an operation by the time since it was asked for, as seen here.
func (p *page) step(e client.Event, since time.Duration) {
	n := &e.Notice
	word := plain(n.Type)
	switch n.Type {
	case events.NoticeServing, events.NoticeAborted, events.NoticeFailed:
		word = strings.ToUpper(word)
	}
	p.line("%6.1f s  %s  %s  %s", since.Seconds(), plain(n.Group), p.paint(word), plain(n.Why))
}
