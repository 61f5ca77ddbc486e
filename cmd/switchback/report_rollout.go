package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
	"github.com/switchback-dr/switchback/pkg/document"
)

// rolloutReport is a rollout with what came of each group.
type rolloutReport struct {
	Rollout   events.Rollout `json:"rollout"`
	Serving   clockSums      `json:"serving"`   // how long its groups were not served, by their own reports
	Protected clockSums      `json:"protected"` // until each had a healthy passive again
	Lost      rolloutLoss    `json:"lost"`
	Groups    []groupResult  `json:"groups"`
}

// clockSums are a clock over the groups of which it stopped.
type clockSums struct {
	Groups  int           `json:"groups"`
	Median  time.Duration `json:"median"`
	Slowest time.Duration `json:"slowest"`
	Of      string        `json:"of,omitempty"` // the slowest
}

// rolloutLoss is what its groups lost, as far as that is known.
type rolloutLoss struct {
	Commits int   `json:"commits"` // counted, of those that were restored
	Bytes   int64 `json:"bytes"`   // of the same
	Bounded int   `json:"bounded"` // groups of which it is bounded only: their old side was not restored yet
	Unknown int   `json:"unknown"` // groups of which nobody can say
}

// groupResult is one move and its operation, if its report can still be had.
type groupResult struct {
	events.Move
	Operation *events.Operation `json:"operation,omitempty"`
}

// reportOf puts the report of a rollout together.
func reportOf(ctx context.Context, c *client.Client, id string) (*rolloutReport, error) {
	s, err := rolloutOf(ctx, c, id)
	if err != nil {
		return nil, err
	}
	if s.Rollout.State == events.RolloutPlanned {
		return nil, usage("plan %s was not run: nothing to report; `switchback rollout show %s` shows it", s.Rollout.ID, s.Rollout.ID)
	}
	r := &rolloutReport{Rollout: s.Rollout}
	var serving, protected []clocked
	for i := range s.Moves {
		g := groupResult{Move: s.Moves[i]}
		var of answers.Report
		if g.Op != "" && c.Query(ctx, "report", map[string]string{"operation": g.Op}, &of) == nil {
			o := of.Operation
			g.Operation = &o
			if d := words.Served(&o); d > 0 && !words.Restores(&o) {
				serving = append(serving, clocked{d, g.Group})
			}
			if o.Protected > 0 {
				protected = append(protected, clocked{o.Protected, g.Group})
			}
			r.Lost.add(&o)
		}
		r.Groups = append(r.Groups, g)
	}
	r.Serving, r.Protected = sums(serving), sums(protected)
	return r, nil
}

type clocked struct {
	took  time.Duration
	group string
}

func sums(all []clocked) (s clockSums) {
	if len(all) == 0 {
		return s
	}
	slices.SortStableFunc(all, func(a, b clocked) int { return int(a.took - b.took) })
	last := all[len(all)-1]
	return clockSums{len(all), all[len(all)/2].took, last.took, last.group}
}

func (l *rolloutLoss) add(o *events.Operation) {
	switch {
	case o.Verb != events.AskFailover || o.Ended != "done":
	case o.Lost != nil:
		l.Commits, l.Bytes = l.Commits+o.Lost.Commits, l.Bytes+o.Lost.Bytes
	case o.Loss != nil && o.Loss.Known && o.Loss.Exact:
		l.Bytes += o.Loss.Bytes
	case o.Loss != nil && o.Loss.Known:
		l.Bounded++
	default:
		l.Unknown++
	}
}

// String says it in one line.
func (l rolloutLoss) String() string {
	text := fmt.Sprintf("%s counted", words.Commits(l.Commits))
	if l.Commits == 0 {
		text = "nothing counted"
	}
	if l.Bounded > 0 {
		text += fmt.Sprintf("; of %s it is bounded, and counted when the old side is restored", groupsText(l.Bounded))
	}
	if l.Unknown > 0 {
		text += fmt.Sprintf("; of %s nobody can say", groupsText(l.Unknown))
	}
	return text
}

func groupsText(n int) string {
	if n == 1 {
		return "1 group"
	}
	return fmt.Sprintf("%d groups", n)
}

// String says a clock in one line.
func (s clockSums) String() string {
	if s.Groups == 0 {
		return "of no group yet"
	}
	return fmt.Sprintf("%s in the median, %s at most (%s), of %s", gate.Round(s.Median), gate.Round(s.Slowest), s.Of, groupsText(s.Groups))
}

// took is how long the rollout has taken.
func (p *page) took(r *events.Rollout) time.Duration {
	if r.Ended.IsZero() {
		return p.now.Sub(r.Began)
	}
	return r.Ended.Sub(r.Began)
}

// rolloutReport prints it.
func (p *page) rolloutReport(r *rolloutReport) {
	h := &r.Rollout
	p.line("rollout %s  %s of %s by %s  %s for %s: %s", h.ID, h.Verb, h.About(), words.Plain(h.By), p.paint(string(h.State)), words.Age(p.took(h)), h.Tally)
	if h.Reason != "" {
		p.line("why              %s", words.Plain(h.Reason))
	}
	p.line("serving again    %s", r.Serving)
	p.line("protected again  %s", r.Protected)
	if h.Verb == events.AskFailover {
		p.line("lost             %s", r.Lost)
	}
	var rows [][]string
	for i := range r.Groups {
		rows = append(rows, r.Groups[i].row())
	}
	p.table([]string{"GROUP", "VERB", "CAME", "OPERATION", ">SERVING", ">PROTECTED", "LOST, OR WHY"}, rows)
}

// row is a group as a table shows it.
func (g *groupResult) row() []string {
	came := string(g.State)
	if g.State == events.MoveWaits {
		came = "waits"
	}
	serving, protected, why := "-", "-", words.Plain(g.Why)
	if o := g.Operation; o != nil {
		if !words.Restores(o) {
			serving = words.ClockOf(words.Served(o))
		}
		protected = words.ClockOf(o.Protected)
		switch {
		case g.State != events.MoveDone:
		case o.Lost != nil && o.Lost.Commits > 0:
			why = words.Commits(o.Lost.Commits)
		case o.Lost != nil:
			why = "nothing"
		case o.Verb == events.AskFailover:
			why = decide.LossText(o.Loss)
		default:
			why = "nothing"
		}
	}
	return []string{g.Group, g.Verb, came, g.Op, serving, protected, why}
}

// rolloutDocument writes it down for people who were not there.
func (p *page) rolloutDocument(r *rolloutReport) *document.Document {
	h := &r.Rollout
	d := &document.Document{Title: fmt.Sprintf("%s of %s: rollout %s", h.Verb, h.About(), h.ID), Subtitle: fmt.Sprintf("%s; written at %s", h.State, p.now.UTC().Format(time.RFC3339))}
	s := d.Section("What happened and why")
	s.Heads = []string{"fact", "value"}
	s.Row("by", h.By)
	for _, x := range []struct{ what, value string }{{"why", h.Reason}, {"asked as", h.Ask}, {"stands", h.Why}, {"answers the schedule of", h.Calls}} {
		if x.value != "" {
			s.Row(x.what, x.value)
		}
	}
	s.Row("began", h.Began.UTC().Format(time.RFC3339))
	if !h.Ended.IsZero() {
		s.Row("ended", h.Ended.UTC().Format(time.RFC3339))
	}
	s.Row("took", words.Age(p.took(h)))
	s.Row("groups", h.Tally.String())
	s.Row("plan", h.Hash)
	for _, f := range h.Facts {
		s.Row(f.What, f.Value)
	}
	t := d.Section("The two clocks, and what was lost")
	t.Heads = []string{"what", "how much"}
	t.Row("serving again", r.Serving.String())
	t.Row("protected again", r.Protected.String())
	if h.Verb == events.AskFailover {
		t.Row("lost", r.Lost.String())
	}
	g := d.Section("Group by group")
	g.Heads = []string{"group", "verb", "came", "operation", ">serving again", ">protected again", "lost, or why"}
	for i := range r.Groups {
		g.Row(r.Groups[i].row()...)
	}
	proofs := d.Section("Fence proofs: why no old active could acknowledge a write any more")
	for i := range r.Groups {
		if o := r.Groups[i].Operation; o != nil && o.Proof != nil {
			proofs.Point(r.Groups[i].Group + ": " + decide.ProofText(o.Proof))
		}
	}
	if len(proofs.List) == 0 {
		proofs.Say("None was needed.")
	}
	if len(h.Notes) > 0 {
		d.Section("Notes of its plan").List = slices.Clone(h.Notes)
	}
	return d
}

// looksLikeRollout reports whether a name may be a rollout's: the first characters of a hash.
func looksLikeRollout(name string) bool {
	return len(name) >= 8 && strings.Trim(name, "0123456789abcdef") == ""
}
