package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// moveMany moves many groups: it shows the plan, has it confirmed, runs exactly that plan and follows it.
func (a *app) moveMany(cmd *cobra.Command, ask events.Ask, detach bool) error {
	if !a.yes && !a.asks && !ask.DryRun {
		return usage("%s of many groups: nobody is here to confirm it, want --yes", ask.Verb)
	}
	c, done, err := a.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	short, cancel := context.WithTimeout(cmd.Context(), a.limit(answerLimit))
	defer cancel()
	if ask.DryRun {
		_, err := a.showPlan(short, c, ask)
		return err
	}
	if !a.yes {
		if ask, err = a.confirmPlan(short, c, ask); err != nil {
			return err
		}
		short, cancel = context.WithTimeout(cmd.Context(), a.limit(answerLimit)) // the person took as long as it took
		defer cancel()
	}
	ans, err := c.Ask(short, ask)
	if err != nil {
		return err
	}
	if a.output == "table" {
		a.page().begun(&ans)
	}
	if !ans.Accepted || detach {
		if a.output != "table" {
			err = a.showValue(answered{Answer: ans}, nil)
		}
		return errors.Join(err, verdict(&ans, nil))
	}
	if ans.Rollout == "" {
		return verdict(&ans, nil)
	}
	return a.followRollout(cmd.Context(), c, ans.Rollout, &ans)
}

// confirmPlan shows what would be done, has the person type what it is of, and pins the ask to what was shown.
func (a *app) confirmPlan(ctx context.Context, c *client.Client, ask events.Ask) (events.Ask, error) {
	var s *storedRollout
	var err error
	if ask.Plan == "" {
		dry := ask
		dry.DryRun, dry.ID = true, ask.ID+"-plan"
		s, err = a.showPlan(ctx, c, dry)
	} else if s, err = rolloutOf(ctx, c, ask.Plan); err == nil {
		a.page().plan(s)
	}
	if err != nil {
		return ask, err
	}
	name := ask.Region
	if name == "" {
		name = s.Rollout.ID
	}
	if err := a.confirm(fmt.Sprintf("%s of %d groups: %s", ask.Verb, s.Rollout.Moves-s.Rollout.Tally.Left, manyDanger[ask.Verb]), name); err != nil {
		return ask, err
	}
	return events.Ask{ID: ask.ID, Verb: ask.Verb, Actor: ask.Actor, Reason: ask.Reason, Plan: s.Rollout.ID}, nil
}

// manyDanger is what a verb does to those who use the databases.
var manyDanger = map[string]string{
	events.AskFailover:   "their active clusters are given up",
	events.AskSwitchover: "each one's clients are disconnected once, and its writes pause for about a second; nothing is lost",
	events.AskFailback:   "each one's clients are disconnected once, and its writes pause for about a second; nothing is lost",
	events.AskDrill:      "each one's clients are disconnected twice, and its writes pause for about a second each time; nothing is lost",
}

// begun prints the answer to a run: the rollout, and what it leaves out.
func (p *page) begun(ans *events.Answer) {
	if !ans.Accepted {
		p.line("%s  %s (rule %s)", p.paint("REFUSED"), words.Plain(ans.Why), refuseAsk)
	} else {
		p.line("%s", words.Plain(ans.Why))
	}
	for _, i := range ans.Items {
		p.line("left out  %s: %s", i.Group, words.Plain(i.Why))
	}
}

// pursuit is a rollout being followed.
type pursuit struct {
	a     *app
	line  *progress
	began time.Time
	id    string
	names map[string]bool
}

// followRollout prints what happens until the rollout is over or halted: a bar on a terminal, lines in a pipe. ans is the answer that began it, nil if there is none.
func (a *app) followRollout(ctx context.Context, c *client.Client, id string, ans *events.Answer) error {
	table := a.output == "table"
	f := &pursuit{a: a, began: a.now(), id: id, names: map[string]bool{}}
	told := make(chan client.Event, 1024)
	stop, err := c.Events(func(e client.Event) {
		select {
		case told <- e:
		default: // the end counts, and is asked for
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	f.line = a.progress(table && a.terminal, f.began)
	s, err := f.until(ctx, c, told)
	f.line.end()
	if err != nil {
		return &failure{exitFailed, fmt.Errorf("%w: it goes on without this command, see: switchback rollout show %s", err, id)}
	}
	if table {
		a.page().rollout(s)
	} else if err := a.showValue(s, nil); err != nil {
		return err
	}
	switch t := s.Rollout.Tally; {
	case s.Rollout.State != events.RolloutDone || t.Failed+t.Unknown+t.Held > 0:
		return &failure{exitFailed, errSilent}
	case t.Left > 0 || ans != nil && len(ans.Items) > 0:
		return &failure{exitRefused, errSilent}
	}
	return nil
}

// until looks at the rollout again and again, and tells what is told meanwhile.
func (f *pursuit) until(ctx context.Context, c *client.Client, told <-chan client.Event) (*storedRollout, error) {
	ctx, cancel := context.WithTimeout(ctx, f.a.limit(restoreLimit))
	defer cancel()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	s, err := rolloutOf(ctx, c, f.id)
	if err != nil {
		return nil, err
	}
	for i := range s.Moves {
		f.names[s.Moves[i].Group] = true
	}
	for {
		var head answers.Rollout
		if err := c.Query(ctx, "rollout", map[string]any{"rollout": f.id, "limit": 1}, &head); err != nil {
			return nil, err
		}
		r := &head.Rollout
		f.line.say(barText(r))
		if r.State == events.RolloutHalted || r.State.Over() && r.Tally.Runs == 0 {
			f.drain(told)
			return rolloutOf(ctx, c, f.id)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case e := <-told:
			f.tell(e)
			f.drain(told)
		case <-tick.C:
		}
	}
}

func (f *pursuit) drain(told <-chan client.Event) {
	for {
		select {
		case e := <-told:
			f.tell(e)
		default:
			return
		}
	}
}

// followed are the types of notices about a group that are shown of a rollout.
var followed = []string{events.NoticeServing, events.NoticeRestored, events.NoticeAborted, events.NoticeFailed}

func (f *pursuit) tell(e client.Event) {
	n := &e.Notice
	ours := n.Rollout == f.id && n.Type == events.NoticeRollout || f.names[n.Group] && slices.Contains(followed, n.Type)
	if !ours || f.a.output != "table" {
		return
	}
	f.line.print(func(p *page) { p.step(e, f.a.now().Sub(f.began)) })
}

// barText is the progress line of a rollout.
func barText(r *events.Rollout) string {
	wave := ""
	if r.Wave < len(r.Waves) {
		wave = r.Waves[r.Wave].Name
	}
	return fmt.Sprintf("[%s] %d/%d  %s", bar(&r.Tally, r.Moves-r.Tally.Left), r.Tally.Done+r.Tally.Skipped, r.Moves-r.Tally.Left, wave)
}
