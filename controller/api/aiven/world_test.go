package aiven

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

var (
	homeRef  = events.Ref{Region: "eu-west-1", Cluster: "orders-a"}
	awayRef  = events.Ref{Region: "eu-central-1", Cluster: "orders-b"}
	thirdRef = events.Ref{Region: "eu-north-1", Cluster: "orders-c"}
	since    = time.Date(2026, 11, 30, 14, 2, 11, 0, time.UTC)
)

// world is a fleet as its leader would show it, moved at once by whatever its door accepts.
type world struct {
	groups  []fleet.GroupView
	gone    error                       // nobody can say
	refuses string                      // the door refuses whatever is asked, with this sentence
	asked   []events.Ask                // what came to the door
	forbids map[string]bool             // verbs that the caller may not ask for
	sees    string                      // the only project that it sees; empty = all
	moves   func(w *world, verb string) // what an accepted ask does; nil = it is done at once
}

// Project is the leader's word.
func (w *world) Project(_ context.Context, project string, named ...string) (out []fleet.GroupView, err error) {
	is := func(c fleet.ClusterView) bool { return slices.Contains(named, c.Cluster.Cluster) }
	for _, g := range w.groups {
		if g.Config.Project == project && (len(named) == 0 || slices.ContainsFunc(g.Clusters, is)) {
			out = append(out, g)
		}
	}
	return out, w.gone
}

// Ask accepts, and moves orders at once to where the verb leads.
func (w *world) Ask(_ context.Context, a events.Ask) (events.Answer, error) {
	if err := a.Check(); err != nil {
		return events.Answer{}, err
	}
	if w.gone != nil {
		return events.Answer{}, w.gone
	}
	w.asked = append(w.asked, a)
	if w.refuses != "" {
		return events.Answer{ID: a.ID, Why: w.refuses, Items: []events.AnswerItem{{Group: "orders", Rule: "refuse.loss", Why: w.refuses}}}, nil
	}
	move := w.moves
	if move == nil {
		move = (*world).move
	}
	move(w, a.Verb)
	return events.Answer{ID: a.ID, Accepted: true, Items: []events.AnswerItem{{Group: "orders", Accepted: true, Operation: fmt.Sprintf("orders-%d", w.orders().Record.Epoch)}}}, nil
}

func (w *world) orders() *fleet.GroupView { return &w.groups[0] }

func (w *world) cluster(r events.Ref) *fleet.ClusterView {
	for i := range w.orders().Clusters {
		if c := &w.orders().Clusters[i]; c.Cluster == r {
			return c
		}
	}
	return nil
}

// move has a verb done: its operation is the record's last.
func (w *world) move(verb string) {
	r := w.orders().Record.Clone()
	w.orders().Record = r
	r.Epoch++
	op := &events.Operation{ID: fmt.Sprintf("orders-%d", r.Epoch), Verb: verb, From: r.Active, Ended: "done", Protected: time.Second}
	switch verb {
	case events.AskFailover:
		op.To = w.passive()
		w.set(r.Active, events.RoleFailed, events.StatePoweroff)
		w.set(op.To, events.RoleActive, events.StateRunning)
		w.orders().Protected, op.Protected = false, 0
	case events.AskRestore, events.AskProtect:
		w.restoring()
		return
	case events.AskFailback, events.AskSwitchover:
		op.To = w.passive()
		w.set(r.Active, events.RolePassive, events.StateRunning)
		w.set(op.To, events.RoleActive, events.StateRunning)
	case events.AskRelease:
		r.Gone = "alice"
		return
	}
	r.Active, r.Op = op.To, op
}

func (w *world) passive() events.Ref {
	for _, c := range w.orders().Clusters {
		if c.Role == events.RolePassive {
			return c.Cluster
		}
	}
	return events.Ref{}
}

func (w *world) set(c events.Ref, role events.Role, state events.State) {
	v := w.cluster(c)
	v.Role, v.State = role, state
	if m := w.orders().Record.Member(c); m != nil {
		m.Role = role
	}
}

// restoring has the failed cluster copied, 40 % of the way.
func (w *world) restoring() {
	r := w.orders().Record.Clone()
	w.orders().Record = r
	for i := range w.orders().Clusters {
		c := &w.orders().Clusters[i]
		if c.Role != events.RoleFailed {
			continue
		}
		w.set(c.Cluster, events.RolePassive, events.StateRebuilding)
		c.Op, c.Work = "orders-8-restore-1", &events.Work{Phase: "copy", Done: 400, Total: 1000}
		r.Member(c.Cluster).Work = &events.Operation{ID: c.Op, Verb: events.AskRestore, From: r.Active, To: c.Cluster}
	}
}

// restored has it follow.
func (w *world) restored() {
	r := w.orders().Record.Clone()
	w.orders().Record = r
	for i := range w.orders().Clusters {
		if c := &w.orders().Clusters[i]; c.Work != nil {
			c.State, c.Op, c.Work = events.StateRunning, "", nil
			r.Member(c.Cluster).Work = nil
		}
	}
	w.orders().Protected = true
}

// home is group orders of project shop, at home and protected; beside it one of another project, one of another kind, and one that nobody cares for.
func home() *world {
	orders := pairOf("orders", "shop", homeRef, awayRef)
	orders.Record = &events.Record{Group: "orders", Epoch: 7, Phase: events.PhaseActive, Active: homeRef, Since: since, Members: []events.Member{
		{Cluster: homeRef, Home: events.HomePrimary, Role: events.RoleActive}, {Cluster: awayRef, Home: events.HomeRecovery, Role: events.RolePassive},
	}}
	orders.Protected, orders.Rule, orders.Why = true, "ok", homeRef.String()+" is active and nothing speaks against it"
	orders.Clusters[0].Role, orders.Clusters[1].Role = events.RoleActive, events.RolePassive
	search := pairOf("search", "find", events.Ref{Region: "eu-west-1", Cluster: "search-a"}, events.Ref{Region: "eu-central-1", Cluster: "search-b"})
	plain := pairOf("plain", "shop", events.Ref{Region: "eu-west-1", Cluster: "plain-a"}, events.Ref{Region: "eu-central-1", Cluster: "plain-b"})
	plain.Config.Kind = events.KindExec
	young := pairOf("young", "shop", events.Ref{Region: "eu-west-1", Cluster: "young-a"}, events.Ref{Region: "eu-central-1", Cluster: "young-b"})
	young.Rule, young.Why = "birth.not-following", "eu-central-1/young-b does not stream from eu-west-1/young-a"
	return &world{groups: []fleet.GroupView{orders, search, plain, young}, forbids: map[string]bool{}}
}

func pairOf(group, project string, a, b events.Ref) fleet.GroupView {
	return fleet.GroupView{
		Group: group, Config: events.GroupConfig{Group: group, Project: project, Kind: events.KindPostgres, Mode: events.ModeAuto, Primary: a, Recovery: []events.Ref{b}},
		Clusters: []fleet.ClusterView{
			{Cluster: a, Home: events.HomePrimary, State: events.StateRunning, Lag: -1, Address: "10.0.1.17:5432"},
			{Cluster: b, Home: events.HomeRecovery, State: events.StateRunning, Lag: 96, Address: "10.1.1.17:5433"},
		},
	}
}

// server is the handler on a world.
func (w *world) server() *Handler {
	h := New(func(*http.Request) api.Caller {
		return api.Caller{Groups: w, Door: w, Actor: "alice", Sees: func(p string) bool { return w.sees == "" || p == w.sees }, MayAsk: func(a *events.Ask) error {
			if w.forbids[a.Verb] {
				return errors.New(a.Verb + " needs the role operator")
			}
			return nil
		}}
	})
	h.settle = 50 * time.Millisecond
	return h
}

// do sends one request and returns what came, decoded.
func (w *world) do(t *testing.T, method, path, body string) (status int, v map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/octet-stream") // as avn does even where there is no body
	rec := httptest.NewRecorder()
	w.server().ServeHTTP(rec, r)
	b, err := io.ReadAll(rec.Body)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, b)
	}
	if rec.Code >= 400 && (v["message"] == "" || v["message"] == nil || len(v["errors"].([]any)) != 1) {
		t.Errorf("%s %s: %d in another shape than Aiven's: %s", method, path, rec.Code, b)
	}
	return rec.Code, v
}

// ok sends one request that must succeed.
func (w *world) ok(t *testing.T, method, path, body string) map[string]any {
	t.Helper()
	status, v := w.do(t, method, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %v", method, path, status, v)
	}
	return v
}

// not sends one that must be refused, and change nothing.
func (w *world) not(t *testing.T, want int, says, method, path, body string) {
	t.Helper()
	before := len(w.asked)
	status, v := w.do(t, method, path, body)
	if text := fmt.Sprint(v["message"]); status != want || !strings.Contains(text, says) {
		t.Errorf("%s %s %s: %d %s; want %d and %q", method, path, body, status, text, want, says)
	}
	if len(w.asked) != before && w.refuses == "" {
		t.Errorf("%s %s: refused, and yet it asked %+v", method, path, w.asked[before:])
	}
}

// last is the verb that was asked for last, and what about.
func (w *world) last() string {
	if len(w.asked) == 0 {
		return ""
	}
	a := w.asked[len(w.asked)-1]
	return strings.TrimSpace(fmt.Sprintf("%s %s%s %s", a.Verb, a.Group, a.Cluster, a.To))
}

const (
	service = "/v1/project/shop/service/"
	toA     = service + "orders-a"
	toB     = service + "orders-b"
)

// roles is what the documentation's jq line shows of both services.
func (w *world) roles(t *testing.T) string {
	t.Helper()
	var all []string
	for _, path := range []string{toA, toB} {
		s := w.ok(t, "GET", path, "")["service"].(map[string]any)
		all = append(all, fmt.Sprintf("%v/%v", s["state"], s["disaster_recovery_role"]))
	}
	return strings.Join(all, " ")
}
