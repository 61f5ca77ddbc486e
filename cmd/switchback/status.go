package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

const (
	watchEvery = time.Second     // how often --watch looks again
	watchLimit = 3 * time.Second // and how long it waits before it says that nobody answers
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "status", Short: "Regions, verdicts, counts, and what needs you", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, done, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if !watch {
				return a.status(cmd.Context(), c, a.limit(answerLimit), false)
			}
			return a.watch(cmd.Context(), c)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every second until interrupted")
	return cmd
}

// watch goes on while nobody answers, and says so: that is when somebody watches.
func (a *app) watch(ctx context.Context, c *client.Client) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := a.status(ctx, c, a.limit(watchLimit), a.terminal); err != nil && ctx.Err() == nil {
			fmt.Fprintf(a.err, "%s  %s\n", a.now().Format(time.TimeOnly), words.Plain(err.Error()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (a *app) status(ctx context.Context, c *client.Client, limit time.Duration, clear bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var raw json.RawMessage
	var s answers.Status
	if err := query(ctx, c, "status", struct{}{}, &raw, &s); err != nil {
		return err
	}
	waits := ""
	if a.output == "table" && s.Unprotected > 0 && s.Groups <= groupsPage {
		waits = unprotected(ctx, c)
	}
	if clear {
		fmt.Fprint(a.out, "\x1b[H\x1b[2J")
	}
	return a.show(raw, func(p *page) { p.status(&s, waits) })
}

// unprotected says what the unprotected groups of a fleet of one page wait for; "" if that can't be learned at once.
func unprotected(ctx context.Context, c *client.Client) string {
	ctx, cancel := context.WithTimeout(ctx, watchLimit/3)
	defer cancel()
	var gs answers.Groups
	if err := c.Query(ctx, "groups", map[string]any{"match": "", "after": "", "limit": groupsPage}, &gs); err != nil {
		return ""
	}
	return words.Waits(gs.Groups)
}

// query asks and decodes, and keeps the answer as it came.
func query(ctx context.Context, c *client.Client, what string, q any, raw *json.RawMessage, into any) error {
	if err := c.Query(ctx, what, q, raw); err != nil {
		return err
	}
	if err := json.Unmarshal(*raw, into); err != nil {
		return fmt.Errorf("read the answer to %s: %w", what, err)
	}
	return nil
}

// status prints the fleet; waits is what its unprotected groups wait for, empty if that is not known.
func (p *page) status(s *answers.Status, waits string) {
	up := 0
	for _, ok := range s.Bus {
		if ok {
			up++
		}
	}
	armed, blind := "ARMED", "no"
	if s.View.Automation.Disarmed != "" {
		armed = p.paint("DISARMED") + " (" + words.Plain(s.View.Automation.Disarmed) + ")"
	}
	if s.View.Blind {
		blind = "YES: the controller reaches fewer than half of the regions, automation moves nothing"
	}
	p.line("leader %s (term %d)   bus %d/%d   automation %s   blind %s", s.Leader, s.Term, up, len(s.Bus), armed, blind)
	var rows [][]string
	for _, r := range s.View.Regions {
		rows = append(rows, words.RegionRow(&r))
	}
	p.table([]string{"REGION", "VERDICT", ">AGENTS", ">ACTIVE", ">PASSIVE", ">FAILED", ">UNPROTECTED", ">WORST LAG", ">SINCE"}, rows)
	for _, r := range s.View.Regions {
		p.remarks(&r, s.View.Automation.Regions[r.Region])
	}
	for _, kind := range events.Kinds() {
		if why, ok := s.View.Automation.Kinds[kind]; ok {
			p.line("kind %s is %s: %s", kind, p.paint("DISARMED"), words.Plain(why))
		}
	}
	for region, ok := range words.Sorted(s.Bus) {
		if !ok {
			p.line("the hub server in %s does not answer the leader", region)
		}
	}
	p.needs(s, waits)
}

// remarks says of a region what its row can't.
func (p *page) remarks(r *fleet.RegionView, auto events.RegionAutomation) {
	if r.Verdict != events.VerdictHealthy {
		p.line("%s is %s: %s (rule %s)", r.Region, p.paint(string(r.Verdict)), words.Plain(r.Why), r.Rule)
	}
	if r.Disarmed != "" {
		p.line("%s is %s: %s", r.Region, p.paint("DISARMED"), words.Plain(r.Disarmed))
	}
	if auto.Approved != "" {
		p.line("%s is approved to move although more regions are out than allowed: %s", r.Region, words.Plain(auto.Approved))
	}
}

func (p *page) needs(s *answers.Status, waits string) {
	switch {
	case s.Groups == 0:
		p.line("no groups yet: switchback apply -f fleet.yaml")
	case s.Unprotected > 0:
		if waits == "" {
			waits = "no healthy passive"
		}
		p.line("groups: %d, of which %d unprotected: %s", s.Groups, s.Unprotected, waits)
	default:
		p.line("groups: %d; each one under care has a healthy passive", s.Groups)
	}
	if len(s.Needs) == 0 {
		return
	}
	count := fmt.Sprint(len(s.Needs))
	if len(s.Needs) == mostNeeds {
		count += " or more"
	}
	p.line("%s %s you:", count, map[bool]string{true: "needs", false: "need"}[len(s.Needs) == 1])
	for _, g := range s.Needs {
		p.line("  %s: %s (rule %s) → switchback why %s", g.Group, words.Plain(g.Why), g.Rule, g.Group)
	}
}

// mostNeeds is how many groups that need a person the leader names.
const mostNeeds = 20
