package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// queryLimit is how long a query may take.
const queryLimit = 3 * time.Second

// query is what the loop is asked for: the picture, and what asks about a group would be answered.
type query struct {
	asks  []events.Ask
	reply chan look
}

type look struct {
	view  fleet.View
	would []events.AnswerItem
}

// errBusy: the leader did not get to it in time. Asking again helps.
var errBusy = errors.New("the leader is busy, or leads no more")

// query answers one request. The loop gives the picture; everything else is done beside it.
func (t *term) query(ctx context.Context, m bus.Message) []byte {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	v, err := t.ask(ctx, strings.TrimPrefix(m.Subject, events.Prefix+"q."), m.Data)
	if err != nil {
		v = map[string]any{"error": err.Error(), "busy": errors.Is(err, errBusy)}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(`{"error":"the answer can't be encoded"}`)
	}
	return b
}

func (t *term) ask(ctx context.Context, what string, data []byte) (any, error) {
	var q answers.Query
	if len(data) > 0 {
		if err := json.Unmarshal(data, &q); err != nil {
			return nil, fmt.Errorf("query %s: %w", what, err)
		}
	}
	for i := range q.Asks {
		if err := q.Asks[i].Check(); err != nil {
			return nil, fmt.Errorf("query %s: ask %d: %w", what, i, err)
		}
	}
	reply := make(chan look, 1)
	select {
	case t.queries <- query{q.Asks, reply}:
	case <-ctx.Done():
		return nil, errBusy
	}
	var l look
	select {
	case l = <-reply:
	case <-ctx.Done():
		return nil, errBusy
	}
	v := l.view.Of(q.Projects)
	switch what {
	case "would":
		return answers.Would{Items: seen(v, q.Asks, l.would)}, nil
	case "status":
		return t.status(v), nil
	case "groups":
		return answers.List(v.Groups, q)
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
	case "tasks":
		return t.tasks(ctx, v, q)
	}
	return nil, fmt.Errorf("query %q: want status, groups, group, would, why, report, rollouts, rollout or tasks", what)
}

// seen leaves of what would be answered what is about groups and rollouts that may be seen.
func seen(v fleet.View, asks []events.Ask, would []events.AnswerItem) []events.AnswerItem {
	for i := range would {
		_, err := find(v, asks[i].Group)
		if asks[i].Rollout != "" {
			_, err = rolloutOf(v, answers.Query{Rollout: asks[i].Rollout, Limit: 1})
		}
		if err != nil {
			would[i] = events.AnswerItem{Group: asks[i].Group, Why: err.Error()}
		}
	}
	return would
}

// pictureGood is for how long a picture of the fleet answers queries while nothing is stored: of many groups it takes the loop a good part of a second, and every open page of a
// console asks again every second.
const pictureGood = 250 * time.Millisecond

// answer gives the picture to one query. What is in it is read by many at once, and changed by none.
func (t *term) answer(q query) look {
	now := t.c.now()
	if t.picture == nil || now.Boot.Sub(t.pictured) > pictureGood {
		v := t.fleet.View(now)
		t.picture, t.pictured = &v, now.Boot
	}
	return look{*t.picture, t.fleet.Would(now, q.asks)}
}

func (t *term) status(v fleet.View) answers.Status {
	s := answers.Status{Leader: t.c.name, Term: t.n, Bus: t.c.bus.Regions(), View: v, Groups: len(v.Groups), Needs: []fleet.GroupView{}}
	for _, g := range v.Groups {
		if g.Record != nil && !g.Protected {
			s.Unprotected++
		}
		if g.NeedsPerson && len(s.Needs) < 20 {
			s.Needs = append(s.Needs, g)
		}
	}
	s.View.Groups = nil
	s.View.Rollouts = slices.DeleteFunc(slices.Clone(s.View.Rollouts), func(r fleet.RolloutView) bool { return r.State == events.RolloutPlanned || r.State.Over() })
	return s
}

func rollouts(v fleet.View) answers.Rollouts {
	all := answers.Rollouts{Rollouts: []events.Rollout{}}
	for _, r := range v.Rollouts {
		all.Rollouts = append(all.Rollouts, r.Rollout)
	}
	return all
}

func rolloutOf(v fleet.View, q answers.Query) (answers.Rollout, error) {
	limit := q.Limit
	if limit <= 0 || limit > answers.Most {
		limit = answers.Most
	}
	for i := range v.Rollouts {
		if r := &v.Rollouts[i]; r.ID == q.Rollout || r.Hash == q.Rollout {
			moves := r.Moves(q.From, limit)
			return answers.Rollout{Rollout: r.Rollout, Moves: moves, More: q.From+len(moves) < r.Rollout.Moves}, nil
		}
	}
	return answers.Rollout{}, fmt.Errorf("no plan or rollout is called %q: `switchback rollout list` lists them", q.Rollout)
}

func find(v fleet.View, name string) (fleet.GroupView, error) {
	i := sort.Search(len(v.Groups), func(i int) bool { return v.Groups[i].Group >= name })
	if i == len(v.Groups) || v.Groups[i].Group != name {
		return fleet.GroupView{}, fmt.Errorf("no group is called %q: `switchback groups` lists them", name)
	}
	return v.Groups[i], nil
}

// group finds a group by its name, or by one of its clusters.
func (t *term) group(v fleet.View, q answers.Query) (fleet.GroupView, error) {
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

func (t *term) why(ctx context.Context, v fleet.View, q answers.Query) (answers.Why, error) {
	if q.Region != "" {
		for _, r := range v.Regions {
			if r.Region == q.Region {
				h := t.history(ctx, q.Region)
				if len(q.Projects) > 0 {
					h = []events.Envelope{} // with evidence about everybody's
				}
				return answers.Why{Rule: r.Rule, Why: string(r.Verdict) + ": " + r.Why, Facts: r.Facts, History: h}, nil
			}
		}
		return answers.Why{}, fmt.Errorf("no region is called %q: `switchback status` lists them", q.Region)
	}
	g, err := find(v, q.Group)
	if err != nil {
		return answers.Why{}, err
	}
	facts := g.Facts
	if g.Rollout != "" {
		facts = append(slices.Clone(facts), events.Fact{What: "rollout", Value: g.Rollout})
	}
	if home := comesHome(g, time.Now()); home != "" {
		facts = append(slices.Clone(facts), events.Fact{What: "failback", Value: home})
	}
	return answers.Why{Rule: g.Rule, Why: g.Why, Facts: facts, History: t.history(ctx, g.Group)}, nil
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

func (t *term) report(ctx context.Context, v fleet.View, q answers.Query) (answers.Report, error) {
	if q.Group != "" {
		g, err := find(v, q.Group)
		if err != nil {
			return answers.Report{}, err
		}
		if g.Record == nil || g.Record.Op == nil {
			return answers.Report{}, fmt.Errorf("%s has not been moved yet: nothing to report", q.Group)
		}
		return answers.Report{Group: g.Group, Operation: *g.Record.Op}, nil
	}
	for _, g := range v.Groups {
		if op := g.Record.Operation(q.Operation); op != nil {
			return answers.Report{Group: g.Group, Operation: *op}, nil
		}
	}
	m, err := t.c.bus.Last(ctx, events.StreamEvents, events.SubjectOperation(q.Operation))
	if err != nil {
		return answers.Report{}, fmt.Errorf("read the report of %q: %w", q.Operation, err)
	}
	if m == nil {
		return answers.Report{}, fmt.Errorf("no operation is called %q: `switchback report GROUP` shows a group's last one", q.Operation)
	}
	var e events.Envelope
	var n events.Notice
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return answers.Report{}, fmt.Errorf("read the report of %q: %w", q.Operation, err)
	}
	if err := json.Unmarshal(e.Data, &n); err != nil || n.Report == nil {
		return answers.Report{}, fmt.Errorf("the report of %q can't be read", q.Operation)
	}
	if _, err := find(v, n.Group); err != nil && len(q.Projects) > 0 {
		return answers.Report{}, fmt.Errorf("no operation is called %q", q.Operation)
	}
	return answers.Report{Group: n.Group, Operation: *n.Report}, nil
}
