package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

func (a *app) rolloutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rollout", Short: "Plans being run in waves: list, show, follow, pause, resume, skip, retry, abort",
		Long: `A rollout is a plan being run: its waves open one after the other, each once the one before is over, well, and has soaked. Whoever leads goes on with it. pause, resume,
skip, retry and abort act at once; an operation that is under way ends by itself.`,
		Example: `  switchback rollout list
  switchback rollout show 7f3a91c2
  switchback rollout pause 7f3a91c2 --reason "looks odd"
  switchback rollout skip 7f3a91c2 billing`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listRollouts(cmd) },
	}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "The newest plans and rollouts", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return a.listRollouts(cmd) }},
		a.showRolloutCommand(), a.followRolloutCommand(),
		a.steerCommand(events.AskPause, "pause ROLLOUT", "Nothing begins any more until it is resumed", cobra.ExactArgs(1)),
		a.steerCommand(events.AskResume, "resume ROLLOUT", "Go on, also after it halted: what failed so far counts no more against its budget", cobra.ExactArgs(1)),
		a.steerCommand(events.AskSkip, "skip ROLLOUT GROUP", "Leave a group out; what comes after it no longer waits for it", cobra.ExactArgs(2)),
		a.steerCommand(events.AskRetry, "retry ROLLOUT [GROUP]", "Take what failed up again, and go on if it halted", cobra.RangeArgs(1, 2)),
		a.steerCommand(events.AskAbort, "abort ROLLOUT", "Begin nothing more; what is done stays done", cobra.ExactArgs(1)),
	)
	return cmd
}

func (a *app) steerCommand(verb, use, short string, args cobra.PositionalArgs) *cobra.Command {
	ask := events.Ask{Verb: verb}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args, ValidArgsFunction: a.completeRollout,
		RunE: func(cmd *cobra.Command, args []string) error {
			if ask.Rollout = args[0]; len(args) > 1 {
				ask.Group = args[1]
			}
			if err := a.prepare(&ask); err != nil {
				return err
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	cmd.Flags().BoolVar(&ask.DryRun, "dry-run", false, "say what it would do, and do nothing")
	return cmd
}

func (a *app) completeRollout(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all answers.Rollouts
	if err := a.asking(cmd, func(ctx context.Context, c *client.Client) error { return c.Query(ctx, "rollouts", struct{}{}, &all) }); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	for _, r := range all.Rollouts {
		ids = append(ids, r.ID+"\t"+r.Verb+" of "+r.About())
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) listRollouts(cmd *cobra.Command) error {
	return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
		var all answers.Rollouts
		if err := c.Query(ctx, "rollouts", struct{}{}, &all); err != nil {
			return err
		}
		return a.showValue(all, func(p *page) { p.rollouts(all.Rollouts) })
	})
}

func (p *page) rollouts(all []events.Rollout) {
	if len(all) == 0 {
		p.line("no plans and no rollouts yet: switchback plan failback --region REGION makes one")
		return
	}
	var rows [][]string
	for i := range all {
		r := &all[i]
		state := string(r.State)
		if r.State == events.RolloutPlanned && p.now.Sub(r.Made) > events.PlanGood {
			state = "expired"
		}
		wave := "-"
		if n := len(r.Waves); n > 0 && r.State != events.RolloutPlanned {
			wave = fmt.Sprintf("%d/%d", min(r.Wave+1, n), n)
		}
		rows = append(rows, []string{r.ID, r.Verb, r.About(), state, wave, r.Tally.String(), r.By, words.Age(p.now.Sub(r.Made))})
	}
	p.table([]string{"ID", "VERB", "OF", "STATE", ">WAVE", "MOVES", "BY", ">MADE"}, rows)
}

func (a *app) showRolloutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "One plan or rollout: its waves, and where each group stands", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeRollout,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				s, err := rolloutOf(ctx, c, args[0])
				if err != nil {
					return err
				}
				return a.showValue(s, func(p *page) {
					if s.Rollout.State == events.RolloutPlanned {
						p.plan(s)
						return
					}
					p.rollout(s)
				})
			})
		},
	}
}

func (a *app) followRolloutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "follow ID", Short: "Follow a rollout to its end", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeRollout,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, done, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			return a.followRollout(cmd.Context(), c, args[0], nil)
		},
	}
}

// rollout prints where a rollout stands: its waves, and every group that is not simply done.
func (p *page) rollout(s *storedRollout) {
	r := &s.Rollout
	took := p.now.Sub(r.Began)
	if !r.Ended.IsZero() {
		took = r.Ended.Sub(r.Began)
	}
	p.line("rollout %s  %s of %s by %s  %s for %s: %s", r.ID, r.Verb, r.About(), words.Plain(r.By), p.paint(string(r.State)), words.Age(took), r.Tally)
	if r.Why != "" {
		p.line("%s (rule %s)", words.Plain(r.Why), r.Rule)
	}
	var rows [][]string
	for n, w := range r.Waves {
		var t events.Tally
		if n < len(r.Counted) {
			t = r.Counted[n]
		}
		state := ""
		switch {
		case n == r.Wave && !r.State.Over():
			state = "open"
		case n > r.Wave:
			state = "waits"
		}
		rows = append(rows, []string{w.Name, fmt.Sprint(w.Moves), bar(&t, w.Moves), t.String(), state})
	}
	p.table([]string{"WAVE", ">GROUPS", "", "MOVES", ""}, rows)
	for i := range s.Moves {
		if m := &s.Moves[i]; m.State != events.MoveDone && (m.State != events.MoveWaits || m.Wave <= r.Wave) {
			p.move(m)
		}
	}
	if next := words.RolloutNext(r); next != "" {
		p.line("next: %s", next)
	}
}

// move prints one group's place in a rollout.
func (p *page) move(m *events.Move) {
	state := string(m.State)
	if m.State == events.MoveWaits {
		state = "waits"
	}
	rule := ""
	if m.Rule != "" {
		rule = " (rule " + m.Rule + ")"
	}
	op := ""
	if m.Op != "" && m.State != events.MoveWaits {
		op = "  " + m.Op
	}
	p.line("  %s %s %s: %s%s%s", m.Verb, m.Group, p.paint(state), words.Plain(m.Why), rule, op)
}

// barWidth is how many characters a bar has.
const barWidth = 20

// bar draws how far a wave is: done, under way, failed or in doubt, not begun.
func bar(t *events.Tally, of int) string {
	b := make([]byte, 0, barWidth)
	for _, x := range []struct {
		n    int
		char byte
	}{{t.Done + t.Skipped, '#'}, {t.Failed + t.Held + t.Unknown, '!'}, {t.Runs, '>'}} {
		for range (x.n*barWidth + of - 1) / max(1, of) {
			if len(b) < barWidth {
				b = append(b, x.char)
			}
		}
	}
	for len(b) < barWidth {
		b = append(b, '.')
	}
	return string(b)
}

// followEvery is how often a rollout that is followed is looked at.
const followEvery = 300 * time.Millisecond
