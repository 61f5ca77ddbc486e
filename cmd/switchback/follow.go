package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// protectLimit is how long a swap that is done is followed on until its group is protected.
const protectLimit = 60 * time.Second

// trip is one ask that takes time, followed to its end.
type trip struct {
	a     *app
	c     *client.Client
	f     *client.Follower
	ask   events.Ask
	began time.Time
	line  *progress
	waits string // why what is done is not protected yet
}

// move asks for something that takes time and follows it to its end.
func (a *app) move(cmd *cobra.Command, ask events.Ask, detach bool) error {
	c, done, err := a.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	f, err := c.Follow() // before it is asked, so that nothing is missed
	if err != nil {
		return err
	}
	defer f.Stop()
	t := &trip{a: a, c: c, f: f, ask: ask, began: a.now()}
	short, cancel := context.WithTimeout(cmd.Context(), a.limit(answerLimit))
	defer cancel()
	ans, err := c.Ask(short, ask)
	if err != nil {
		return err
	}
	var items []events.AnswerItem
	for _, i := range ans.Items {
		if i.Accepted && i.Operation != "" {
			items = append(items, i)
		}
	}
	if a.output == "table" {
		a.page().answer(&ans)
	}
	if detach || len(items) == 0 {
		if a.output != "table" {
			if err := a.showValue(answered{Answer: ans}, nil); err != nil {
				return err
			}
		}
		return verdict(&ans, nil)
	}
	ops, err := t.follow(cmd.Context(), items)
	if a.output != "table" {
		err = errors.Join(err, a.showValue(answered{ans, ops}, nil))
	}
	if err != nil {
		return err
	}
	return verdict(&ans, ops)
}

// copyVerbs are the verbs that may copy a whole database.
var copyVerbs = []string{events.AskRestore, events.AskRebuild, events.AskProtect, events.AskFailback}

// swapVerbs are the verbs after which a healthy passive is soon there: both sides are well.
var swapVerbs = []string{events.AskSwitchover, events.AskFailback}

// follow prints the steps of operations as they are told, then the report of each.
func (t *trip) follow(ctx context.Context, items []events.AnswerItem) ([]events.Operation, error) {
	limit := followLimit
	if slices.Contains(copyVerbs, t.ask.Verb) {
		limit = restoreLimit
	}
	ctx, cancel := context.WithTimeout(ctx, t.a.limit(limit))
	defer cancel()
	table := t.a.output == "table"
	t.line = t.a.progress(table && t.a.terminal, t.began)
	stop := func() {}
	if table && t.ask.Region == "" {
		stop = t.watch(ctx, items[0].Group)
	}
	ops, err := t.ends(ctx, items)
	stop()
	t.line.end()
	if table {
		for i := range ops {
			t.a.page().report(&ops[i], t.keptAt(ctx, groupFor(items, ops[i].ID), &ops[i]))
		}
		if t.waits != "" {
			t.a.page().line("%s", t.waits)
		}
	}
	if errors.Is(err, client.ErrStillRunning) {
		see := "switchback group " + items[0].Group
		if len(items) > 1 {
			see = "switchback report OPERATION"
		}
		return ops, &failure{exitFailed, fmt.Errorf("%w: it goes on without this command, see: %s", err, see)}
	}
	return ops, err
}

// groupFor is the group of an operation; one that follows another is of the same group.
func groupFor(items []events.AnswerItem, operation string) string {
	for _, i := range items {
		if i.Operation == operation {
			return i.Group
		}
	}
	return items[0].Group
}

// ends follows operations to their ends, and a swap on until its group is protected. A failback that has to restore first goes on with the swap home.
func (t *trip) ends(ctx context.Context, items []events.AnswerItem) ([]events.Operation, error) {
	ops, err := t.f.Until(ctx, items, t.tell)
	if err != nil || !slices.Contains(swapVerbs, t.ask.Verb) {
		return ops, err
	}
	if last := ops[len(ops)-1]; words.Restores(&last) {
		if last.Ended != "done" {
			return ops, nil
		}
		next, err := t.f.Next(ctx, t.ask.ID, events.AnswerItem{Group: items[0].Group, Operation: last.ID}, t.tell)
		if err != nil {
			return ops, err
		}
		if next.ID == last.ID { // given up
			return append(ops, next), nil
		}
		swap, err := t.f.Until(ctx, []events.AnswerItem{{Group: items[0].Group, Operation: next.ID}}, t.tell)
		if ops = append(ops, swap...); err != nil {
			return ops, err
		}
	}
	i := len(ops) - 1
	if ops[i].Ended == "done" && ops[i].Protected == 0 {
		ops[i] = t.protected(ctx, items[0].Group, ops[i])
	}
	return ops, nil
}

// protected goes on until a healthy passive is there, or says what that waits for. The move is done either way.
func (t *trip) protected(ctx context.Context, group string, o events.Operation) events.Operation {
	short, cancel := context.WithTimeout(ctx, protectLimit)
	defer cancel()
	again, err := t.f.Protected(short, []events.AnswerItem{{Group: group, Operation: o.ID}}, t.tell)
	if err == nil {
		return again[0]
	}
	t.waits = fmt.Sprintf("not protected yet: see `switchback group %s`", group)
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchLimit)
	defer cancel()
	if g, err := groupOf(look, t.c, group, ""); err == nil {
		t.waits = "not protected yet: " + words.Lacks(g)
	}
	return o
}

func (t *trip) tell(e client.Event) {
	if t.a.output == "table" {
		t.line.print(func(p *page) { p.step(e, t.a.now().Sub(t.began)) })
	}
}

// step prints one event of an operation by the time since it was asked for, as seen here.
func (p *page) step(e client.Event, since time.Duration) {
	n := &e.Notice
	word := words.Plain(n.Type)
	switch n.Type {
	case events.NoticeServing, events.NoticeRestored, events.NoticeProtected, events.NoticeAborted, events.NoticeFailed:
		word = strings.ToUpper(word)
	}
	p.line("%6.1f s  %s  %s  %s", since.Seconds(), words.Plain(n.Group), p.paint(word), words.Plain(n.Why))
}
