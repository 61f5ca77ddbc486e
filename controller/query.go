package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// queryLimit is how long a query may take.
const queryLimit = 3 * time.Second

// Query names what a query is about. A query takes some of it.
type Query struct {
	Group     string `json:"group,omitempty"`
	Region    string `json:"region,omitempty"`
	Cluster   string `json:"cluster,omitempty"` // region/cluster
	Operation string `json:"operation,omitempty"`
	Match     string `json:"match,omitempty"`   // substring of a group's name
	After     string `json:"after,omitempty"`   // groups come in order of name, after this one
	Limit     int    `json:"limit,omitempty"`   // at most so many; 0 = 500
	Rollout   string `json:"rollout,omitempty"` // or a plan's id
	From      int    `json:"from,omitempty"`    // its moves from this one on
}

// Status is the answer to q.status.
type Status struct {
	Leader      string            `json:"leader"`
	Term        events.Seq        `json:"term"`
	Bus         map[string]bool   `json:"bus"`
	View        fleet.View        `json:"view"` // without groups
	Needs       []fleet.GroupView `json:"needs"`
	Unprotected int               `json:"unprotected"`
	Groups      int               `json:"groups"`
}

// Groups is the answer to q.groups.
type Groups struct {
	Groups []fleet.GroupView `json:"groups"`
	More   bool              `json:"more"`
}

// Why is the answer to q.why.
type Why struct {
	Rule    string            `json:"rule"`
	Why     string            `json:"why"`
	Facts   []events.Fact     `json:"facts"`
	History []events.Envelope `json:"history"` // newest last
}

// Report is the answer to q.report.
type Report struct {
	Group     string           `json:"group"`
	Operation events.Operation `json:"operation"`
}

// Rollouts is the answer to q.rollouts: plans and rollouts, the newest first.
type Rollouts struct {
	Rollouts []events.Rollout `json:"rollouts"`
}

// Rollout is the answer to q.rollout: one, and some of its moves in order.
type Rollout struct {
	Rollout events.Rollout `json:"rollout"`
	Moves   []events.Move  `json:"moves"`
	More    bool           `json:"more"`
}

// most bounds the lists of an answer.
const most = 500

type query struct{ reply chan fleet.View }

// query answers one request. The loop gives the picture; everything else is done beside it.
func (t *term) query(ctx context.Context, m bus.Message) []byte {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	v, err := t.ask(ctx, strings.TrimPrefix(m.Subject, events.Prefix+"q."), m.Data)
	if err != nil {
		v = map[string]string{"error": err.Error()}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(`{"error":"the answer can't be encoded"}`)
	}
	return b
}

func (t *term) ask(ctx context.Context, what string, data []byte) (any, error) {
	var q Query
	if len(data) > 0 {
		if err := json.Unmarshal(data, &q); err != nil {
			return nil, fmt.Errorf("query %s: %w", what, err)
		}
	}
	reply := make(chan fleet.View, 1)
	select {
	case t.queries <- query{reply}:
	case <-ctx.Done():
		return nil, fmt.Errorf("the leader is busy: %w", ctx.Err())
	}
	var v fleet.View
	select {
	case v = <-reply:
	case <-ctx.Done():
		return nil, fmt.Errorf("the leader is busy: %w", ctx.Err())
	}
	switch what {
	case "status":
		return t.status(v), nil
	case "groups":
		return groups(v, q), nil
	case "group":
		return t.group(v, q)
	case "why":
		return t.why(ctx, v, q)
	case "report":
		return t.report(ctx, v, q)
	case "rollouts":
		return rollouts(v), nil
	case "rollout":
		return rolloutOf(v, q)
	}
	return nil, fmt.Errorf("query %q: want status, groups, group, why, report, rollouts or rollout", what)
}

func (t *term) answer(query) fleet.View { return t.fleet.View(t.c.now()) }

func (t *term) status(v fleet.View) Status {
	s := Status{Leader: t.c.name, Term: t.n, Bus: t.c.bus.Regions(), View: v, Groups: len(v.Groups), Needs: []fleet.GroupView{}}
	for _, g := range v.Groups {
		if g.Record != nil && !g.Protected {
			s.Unprotected++
		}
		if g.NeedsPerson && len(s.Needs) < 20 {
			s.Needs = append(s.Needs, g)
		}
	}
	s.View.Groups = nil
	s.View.Rollouts = slices.DeleteFunc(s.View.Rollouts, func(r fleet.RolloutView) bool { return r.State == events.RolloutPlanned || r.State.Over() })
	return s
}

func rollouts(v fleet.View) Rollouts {
	all := Rollouts{Rollouts: []events.Rollout{}}
	for _, r := range v.Rollouts {
		all.Rollouts = append(all.Rollouts, r.Rollout)
	}
	return all
}

func rolloutOf(v fleet.View, q Query) (Rollout, error) {
	limit := q.Limit
	if limit <= 0 || limit > most {
		limit = most
	}
	for i := range v.Rollouts {
		if r := &v.Rollouts[i]; r.ID == q.Rollout || r.Hash == q.Rollout {
			moves := r.Moves(q.From, limit)
			return Rollout{r.Rollout, moves, q.From+len(moves) < r.Rollout.Moves}, nil
		}
	}
	return Rollout{}, fmt.Errorf("no plan or rollout is called %q: `switchback rollout list` lists them", q.Rollout)
}

func groups(v fleet.View, q Query) Groups {
	limit := q.Limit
	if limit <= 0 || limit > most {
		limit = most
	}
	out := Groups{Groups: []fleet.GroupView{}}
	for _, g := range v.Groups {
		switch {
		case g.Group <= q.After || !strings.Contains(g.Group, q.Match):
		case len(out.Groups) == limit:
			out.More = true
			return out
		default:
			out.Groups = append(out.Groups, g)
		}
	}
	return out
}

func find(v fleet.View, name string) (fleet.GroupView, error) {
	i := sort.Search(len(v.Groups), func(i int) bool { return v.Groups[i].Group >= name })
	if i == len(v.Groups) || v.Groups[i].Group != name {
		return fleet.GroupView{}, fmt.Errorf("no group is called %q: `switchback groups` lists them", name)
	}
	return v.Groups[i], nil
}

// group finds a group by its name, or by one of its clusters.
func (t *term) group(v fleet.View, q Query) (fleet.GroupView, error) {
	if q.Group != "" || q.Cluster == "" {
		return find(v, q.Group)
	}
	for _, g := range v.Groups {
		for _, c := range g.Clusters {
			if c.Cluster.String() == q.Cluster {
				return g, nil
			}
		}
	}
	return fleet.GroupView{}, fmt.Errorf("no group has a cluster %q: `switchback groups` lists them", q.Cluster)
}

func (t *term) why(ctx context.Context, v fleet.View, q Query) (Why, error) {
	if q.Region != "" {
		for _, r := range v.Regions {
			if r.Region == q.Region {
				return Why{r.Rule, string(r.Verdict) + ": " + r.Why, r.Facts, t.history(ctx, q.Region)}, nil
			}
		}
		return Why{}, fmt.Errorf("no region is called %q: `switchback status` lists them", q.Region)
	}
	g, err := find(v, q.Group)
	if err != nil {
		return Why{}, err
	}
	facts := g.Facts
	if g.Rollout != "" {
		facts = append(slices.Clone(facts), events.Fact{What: "rollout", Value: g.Rollout})
	}
	if home := comesHome(g, time.Now()); home != "" {
		facts = append(slices.Clone(facts), events.Fact{What: "failback", Value: home})
	}
	return Why{g.Rule, g.Why, facts, t.history(ctx, g.Group)}, nil
}

// history reads the newest notice of each type about a group or region, oldest first.
func (t *term) history(ctx context.Context, about string) []events.Envelope {
	out := []events.Envelope{}
	ms, err := t.c.bus.All(ctx, events.StreamEvents, events.Prefix+"event.*."+about)
	if err != nil {
		return out
	}
	for _, m := range ms {
		var e events.Envelope
		if json.Unmarshal(m.Data, &e) == nil && e.SpecVersion != "" {
			out = append(out, e)
		}
	}
	return out
}

func (t *term) report(ctx context.Context, v fleet.View, q Query) (Report, error) {
	if q.Group != "" {
		g, err := find(v, q.Group)
		if err != nil {
			return Report{}, err
		}
		if g.Record == nil || g.Record.Op == nil {
			return Report{}, fmt.Errorf("%s has not been moved yet: nothing to report", q.Group)
		}
		return Report{g.Group, *g.Record.Op}, nil
	}
	for _, g := range v.Groups {
		if op := g.Record.Operation(q.Operation); op != nil {
			return Report{g.Group, *op}, nil
		}
	}
	m, err := t.c.bus.Last(ctx, events.StreamEvents, events.SubjectOperation(q.Operation))
	if err != nil {
		return Report{}, fmt.Errorf("read the report of %q: %w", q.Operation, err)
	}
	if m == nil {
		return Report{}, fmt.Errorf("no operation is called %q: `switchback report GROUP` shows a group's last one", q.Operation)
	}
	var e events.Envelope
	var n events.Notice
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return Report{}, fmt.Errorf("read the report of %q: %w", q.Operation, err)
	}
	if err := json.Unmarshal(e.Data, &n); err != nil || n.Report == nil {
		return Report{}, fmt.Errorf("the report of %q can't be read", q.Operation)
	}
	return Report{n.Group, *n.Report}, nil
}
