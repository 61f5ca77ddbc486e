package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

func (a *app) planCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskPlan}
	m := &manyFlags{}
	cmd := &cobra.Command{
		Use: "plan failover|failback|switchover|drill", Short: "What moving many groups would do now: operations, waves, loss, time, what blocks it. Nothing moves",
		Long: `Computes what moving many groups would do, stores it and shows it: every operation in its wave and order (what is depended on first, then by priority), what may be
lost now, how long it takes, what is left out and how to clear that. Nothing moves. A plan is good for 15 minutes and is run by its id: then exactly what was shown is
done, or nothing if reality has moved since.`,
		Example: `  switchback plan failback --region eu-west-1
  switchback plan failover --region eu-west-1 -o json
  switchback plan switchover --groups orders,billing --canary 0 --soak 0
  switchback plan drill --select project=shop,kind=postgres`,
		Args: cobra.ExactArgs(1), ValidArgs: events.PlanVerbs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Do = args[0]
			m.into(cmd, &ask)
			if err := a.prepare(&ask); err != nil {
				return err
			}
			return a.asking(cmd, func(ctx context.Context, c *client.Client) error {
				_, err := a.showPlan(ctx, c, ask)
				return err
			})
		},
	}
	askFlags(cmd, &ask)
	m.add(cmd, "")
	limitFlags(cmd, m)
	cmd.Flags().BoolVar(&ask.AcceptLoss, "accept-loss", false, "failover: plan it although more may be lost than the budgets allow")
	cmd.Flags().BoolVar(&ask.WhileBlind, "while-blind", false, "plan it to go on while the controller reaches fewer than half of the regions; needs --reason")
	return cmd
}

// manyFlags say which groups a verb is about, if not one, and how they are paced.
type manyFlags struct {
	region, sel, plan string
	groups            []string
	limits            events.Limits
}

// add adds the flags; run is the verb whose plans can be run, empty for none.
func (m *manyFlags) add(cmd *cobra.Command, run string) {
	f := cmd.Flags()
	what := "every group that is active in this region"
	if run == events.AskFailback {
		what = "every group whose home is this region and that is away from it"
	}
	if run == "" {
		what = "a region: groups active there, or for failback groups whose home it is"
	}
	f.StringVar(&m.region, "region", "", what)
	f.StringSliceVar(&m.groups, "groups", nil, "these groups, with commas")
	f.StringVar(&m.sel, "select", "", "groups with these labels, with commas: project=NAME, kind=KIND, region=REGION (where it is active)")
	f.StringVar(&m.sel, "selector", "", "the same as --select")
	if run != "" {
		f.StringVar(&m.plan, "plan", "", "run this plan, as it was shown: its id from switchback plan "+run)
	}
}

// limitFlags are how a rollout is paced. What is not given is the verb's default; a given 0 is none.
func limitFlags(cmd *cobra.Command, m *manyFlags) {
	f := cmd.Flags()
	f.IntVar(&m.limits.Canary, "canary", 0, "groups of the first wave (default 1; failover 0)")
	f.IntVar(&m.limits.AtOnce, "at-once", 0, "moves at once in all, up to which the pace grows (default 16; failover 64)")
	f.IntVar(&m.limits.PerAgent, "per-agent", 0, "moves at once that one host takes part in (default 4; failover 8)")
	f.IntVar(&m.limits.PerRegion, "per-region", 0, "moves at once towards one region (default 16; failover 64)")
	f.IntVar(&m.limits.Restores, "restores", 0, "restores at once that one host takes part in (default restores_per_host of the fleet's file, 2)")
	f.IntVar(&m.limits.Restoring, "restores-per-region", 0, "restores at once towards one region (default restores_per_region of the fleet's file, 16)")
	f.DurationVar((*time.Duration)(&m.limits.Soak), "soak", 0, "how long a wave must be well before the next one (default 2m; failover none)")
	f.Float64Var(&m.limits.Budget, "budget", 0, "percent of the moves that may be failed or unknown before it halts (default 2; failover 10)")
}

// about puts what a verb is about into its ask: one group, or many. What only one of the two takes is refused.
func (m *manyFlags) about(cmd *cobra.Command, ask *events.Ask, args []string) (many bool, err error) {
	m.into(cmd, ask)
	n := len(args)
	for _, given := range []bool{ask.Region != "", len(ask.Groups) > 0, ask.Select != "", ask.Plan != ""} {
		if given {
			n++
		}
	}
	if n != 1 {
		return false, usage("want a GROUP or --region REGION, --groups, --select or --plan, one of them")
	}
	if len(args) > 0 {
		ask.Group = args[0]
	}
	many = ask.Many()
	switch {
	case many && ask.To != "":
		return many, usage("--to names one cluster, and this moves many groups: want one of them")
	case many && ask.Unfenced:
		return many, usage("--unfenced is for one group at a time: want a GROUP")
	case !many && ask.Limits != nil:
		return many, usage("how a rollout is paced says nothing of one group: want --region, --groups or --select")
	}
	return many, nil
}

// into puts the flags into an ask.
func (m *manyFlags) into(cmd *cobra.Command, ask *events.Ask) {
	ask.Region, ask.Groups, ask.Select, ask.Plan = m.region, m.groups, m.sel, m.plan
	l, given := m.limits, false
	none := func(flag string, zero func()) {
		if cmd.Flags().Changed(flag) {
			given = true
			zero()
		}
	}
	for flag, n := range map[string]*int{"canary": &l.Canary, "at-once": &l.AtOnce, "per-agent": &l.PerAgent, "per-region": &l.PerRegion, "restores": &l.Restores, "restores-per-region": &l.Restoring} {
		none(flag, func() {
			if *n == 0 {
				*n = -1
			}
		})
	}
	none("soak", func() {
		if l.Soak == 0 {
			l.Soak = -1
		}
	})
	none("budget", func() {
		if l.Budget == 0 {
			l.Budget = -1
		}
	})
	if given {
		ask.Limits = &l
	}
}

// stored is a plan or rollout with all its moves, as -o json and yaml show it.
type storedRollout struct {
	Rollout events.Rollout `json:"rollout"`
	Moves   []events.Move  `json:"moves"`
}

// rolloutOf asks for a plan or rollout and all its moves.
func rolloutOf(ctx context.Context, c *client.Client, id string) (*storedRollout, error) {
	s := &storedRollout{Moves: []events.Move{}}
	for {
		var page answers.Rollout
		if err := c.Query(ctx, "rollout", map[string]any{"rollout": id, "from": len(s.Moves)}, &page); err != nil {
			return nil, err
		}
		s.Rollout, s.Moves = page.Rollout, append(s.Moves, page.Moves...)
		if !page.More {
			return s, nil
		}
	}
}

// showPlan has a plan made and shows it.
func (a *app) showPlan(ctx context.Context, c *client.Client, ask events.Ask) (*storedRollout, error) {
	ans, err := c.Ask(ctx, ask)
	if err != nil {
		return nil, err
	}
	if !ans.Accepted {
		if err := a.showValue(answered{Answer: ans}, func(p *page) { p.answer(&ans) }); err != nil {
			return nil, err
		}
		return nil, &failure{exitRefused, errSilent}
	}
	s, err := rolloutOf(ctx, c, ans.Rollout)
	if err != nil {
		return nil, err
	}
	if err := a.showValue(s, func(p *page) { p.plan(s) }); err != nil {
		return nil, err
	}
	if s.Rollout.Defunct != "" || s.Rollout.Moves == s.Rollout.Tally.Left {
		return s, &failure{exitRefused, errSilent}
	}
	return s, nil
}

// named bounds how many groups a row names.
const named = 6

// plan prints what would be done.
func (p *page) plan(s *storedRollout) {
	r := &s.Rollout
	if r.Defunct != "" {
		p.line("plan %s of a %s: %s  %s", r.ID, r.Verb, p.paint("REFUSED"), words.Plain(r.Defunct))
		return
	}
	old := "made now"
	if since := p.now.Sub(r.Made); since > 5*time.Second {
		old = "made " + words.Age(since) + " ago"
	}
	p.line("plan %s (%s, good for %s)  %s of %s  %s  ~%s  expected loss %s", r.ID, old, words.Age(events.PlanGood), r.Verb, r.About(), towards(s.Moves), words.Age(r.Takes.D()), words.PlanLoss(r))
	var rows [][]string
	for n, w := range r.Waves {
		gate := "all well"
		if w.Soak > 0 {
			gate += ", soak " + words.Age(w.Soak.D())
		}
		rows = append(rows, []string{w.Name, fmt.Sprint(w.Moves), does(s.Moves, n, &w), words.Age(w.Takes.D()), gate})
	}
	if len(rows) > 0 {
		p.table([]string{"STAGE", ">GROUPS", "DOES", ">EST", "GATE"}, rows)
	}
	for i := range s.Moves {
		if m := &s.Moves[i]; m.State == events.MoveLeft {
			p.line("left out  %s: %s", m.Group, words.Plain(m.Why))
		}
	}
	for _, n := range r.Notes {
		p.line("note: %s", words.Plain(n))
	}
	if r.Moves == r.Tally.Left {
		p.line("nothing moves")
		return
	}
	p.line("halts when more than %g %% of the moves failed or are unknown; at most %d at once, %d of one host", r.Limits.Budget, r.Limits.AtOnce, r.Limits.PerAgent)
	if slices.ContainsFunc(s.Moves, func(m events.Move) bool { return m.Verb == events.AskRestore }) {
		p.line("restores: at most %d at once of one host, %d towards one region", r.Limits.Restores, r.Limits.Restoring)
	}
	p.line("unprotected afterwards: %d.   run it: switchback %s --plan %s", r.Bare, r.Verb, r.ID)
}

// towards says how many groups move, and where to.
func towards(moves []events.Move) string {
	groups, to := map[string]bool{}, map[string]bool{}
	for i := range moves {
		if m := &moves[i]; m.State != events.MoveLeft {
			groups[m.Group] = true
			to[m.To.Region] = true
		}
	}
	var names []string
	for r := range words.Sorted(to) {
		names = append(names, r)
	}
	return fmt.Sprintf("%d groups → %s", len(groups), strings.Join(names, ", "))
}

// does says what a wave does to its groups.
func does(moves []events.Move, n int, w *events.Wave) string {
	var names []string
	for i := range moves {
		if moves[i].Wave == n {
			names = append(names, moves[i].Group)
		}
	}
	what := map[string]string{
		events.AskRestore: "rewound, or copied where that can't be: ", events.AskFailover: "", events.AskSwitchover: "", events.AskFailback: "",
	}[w.Verb]
	if len(names) > named {
		names = append(slices.Clone(names[:named]), fmt.Sprintf("and %d more", len(names)-named))
	}
	return what + strings.Join(names, ", ")
}
