package astro

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

var rewrite = flag.Bool("update", false, "write the golden files anew")

var homeRef, awayRef = events.Ref{Region: "eu-west-1", Cluster: "af-a"}, events.Ref{Region: "eu-central-1", Cluster: "af-b"}

// world is a fleet with one workflow group, and the door in front of it.
type world struct {
	groups  []fleet.GroupView
	silence error
	refuses string
	asked   []events.Ask
	viewer  bool
	moves   func(*world, string)
}

func (w *world) Project(_ context.Context, project string, _ ...string) (out []fleet.GroupView, err error) {
	for _, g := range w.groups {
		if g.Config.Project == project {
			out = append(out, g)
		}
	}
	return out, w.silence
}

func (w *world) Ask(_ context.Context, a events.Ask) (events.Answer, error) {
	if err := a.Check(); err != nil {
		return events.Answer{}, err
	}
	w.asked = append(w.asked, a)
	if w.refuses != "" {
		return events.Answer{Items: []events.AnswerItem{{Rule: "refuse.no-candidate", Why: w.refuses}}}, nil
	}
	if w.moves != nil {
		w.moves(w, a.Verb)
	}
	return events.Answer{Accepted: true}, nil
}

func (w *world) g() *fleet.GroupView { return &w.groups[0] }

func home() *world {
	af := fleet.GroupView{
		Group: "airflow", Config: events.GroupConfig{Group: "airflow", Project: "shop", Kind: events.KindAirflow, Primary: homeRef, Recovery: []events.Ref{awayRef}},
		Protected: true, Rule: "ok", Why: homeRef.String() + " is active and nothing speaks against it",
		Clusters: []fleet.ClusterView{
			{Cluster: homeRef, Home: events.HomePrimary, Role: events.RoleActive, State: events.StateRunning}, {Cluster: awayRef, Home: events.HomeRecovery, Role: events.RolePassive, State: events.StateRunning},
		},
		Record: &events.Record{Group: "airflow", Epoch: 3, Active: homeRef, Since: time.Date(2026, 11, 30, 14, 2, 11, 0, time.UTC), Members: []events.Member{{Cluster: homeRef}, {Cluster: awayRef}}},
	}
	db := fleet.GroupView{Group: "airflow-db", Config: events.GroupConfig{Group: "airflow-db", Project: "shop", Kind: events.KindPostgres, Primary: homeRef, Recovery: []events.Ref{awayRef}}}
	return &world{groups: []fleet.GroupView{af, db}}
}

// gone is the group after a failover.
func gone() *world {
	w := home()
	g := w.g()
	g.Record.Active, g.Record.Op = awayRef, &events.Operation{ID: "airflow-4", Verb: events.AskFailover, From: homeRef, To: awayRef, Ended: "done"}
	g.Clusters[0].Role, g.Clusters[0].State = events.RoleFailed, events.StatePoweroff
	g.Clusters[1].Role, g.Protected = events.RoleActive, false
	g.Why = awayRef.String() + " is active and nothing speaks against it"
	return w
}

func (w *world) do(method, path, body string) *httptest.ResponseRecorder {
	h := New(func(*http.Request) api.Caller {
		return api.Caller{Groups: w, Door: w, Actor: "alice", Sees: func(p string) bool { return p == "shop" }, MayAsk: func(*events.Ask) error {
			if w.viewer {
				return errors.New("needs the role operator")
			}
			return nil
		}}
	})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec
}

const (
	clusters = "/platform/v1beta1/organizations/shop/clusters"
	cluster  = clusters + "/airflow"
)

// body is an update as Astro's client sends it.
func body(failedOver bool) string {
	return fmt.Sprintf(`{"clusterType":"DEDICATED","name":"airflow","k8sTags":[],"isFailedOver":%t}`, failedOver)
}

func (w *world) shown(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var c Cluster
	if err := json.Unmarshal(rec.Body.Bytes(), &c); err != nil || rec.Code != 200 {
		t.Fatalf("%d %v %s", rec.Code, err, rec.Body)
	}
	return fmt.Sprintf("%v %v %s %s", c.IsFailedOver, c.FailoverInProgress, c.Status, c.Health.Value)
}

// TestFlow fails a group over and back.
func TestFlow(t *testing.T) {
	t.Parallel()
	w := home()
	step := func(what string, rec *httptest.ResponseRecorder, want string, asks int) {
		t.Helper()
		if got := w.shown(t, rec); got != want || len(w.asked) != asks {
			t.Errorf("%s: %s after %d asks; want %s after %d", what, got, len(w.asked), want, asks)
		}
	}
	step("at home", w.do("GET", cluster, ""), "false false CREATED HEALTHY", 0)
	step("it is not failed over", w.do("POST", cluster, body(false)), "false false CREATED HEALTHY", 0)
	w.moves = func(w *world, verb string) {
		r := w.g().Record.Clone()
		w.g().Record, r.Op = r, &events.Operation{ID: "airflow-4", Verb: verb, From: homeRef, To: awayRef}
	}
	step("fail over", w.do("POST", cluster, body(true)), "false true FAILING_OVER HEALTHY", 1)
	step("once more", w.do("POST", cluster, body(true)), "false true FAILING_OVER HEALTHY", 1)
	w.groups[0] = gone().groups[0]
	step("it is", w.do("POST", cluster, body(true)), "true false CREATED UNHEALTHY", 1)
	w.moves = func(w *world, verb string) {
		r := w.g().Record.Clone()
		w.g().Record, r.Members[0].Work = r, &events.Operation{Verb: events.AskRestore, Then: verb}
	}
	step("fail back", w.do("POST", cluster, body(false)), "true true FAILING_OVER UNHEALTHY", 2)
	step("once more", w.do("POST", cluster, body(false)), "true true FAILING_OVER UNHEALTHY", 2)
	if w.asked[0].Verb != events.AskFailover || w.asked[1].Verb != events.AskFailback || w.asked[1].Group != "airflow" || w.asked[1].Actor != "alice" {
		t.Errorf("asked for %+v", w.asked)
	}
	w.groups[0] = gone().groups[0]
	w.g().Record.Op.Ended = "aborted"
	step("a failed one", w.do("GET", cluster, ""), "true false FAILOVER_FAILED UNHEALTHY", 2)
	w.groups[0] = gone().groups[0]
	w.g().Record.Members[0].Work = &events.Operation{Verb: events.AskRestore}
	step("a restore alone", w.do("GET", cluster, ""), "true false UPDATING UNHEALTHY", 2)
	w.g().Record = nil
	step("not under care", w.do("GET", cluster, ""), "false false CREATING UNKNOWN", 2)
	w.groups[0] = home().groups[0]
	w.g().Clusters[0].Silent = time.Minute
	step("its region is dark", w.do("GET", cluster, ""), "false false CREATED UNKNOWN", 2)
}

// TestRefused is everything that must be refused, and ask nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		status                   int
		says, method, path, body string
		set                      func(*world)
	}{
		{404, "no workflow group", "GET", clusters + "/airflow-db", "", nil},
		{403, "does not see", "GET", "/platform/v1beta1/organizations/find/clusters", "", nil},
		{400, "organization", "GET", "/platform/v1beta1/organizations/SHOP/clusters", "", nil},
		{400, "is not answered here", "DELETE", cluster, "", nil},
		{400, "limit", "GET", clusters + "?limit=x", "", nil},
		{400, "no JSON object", "POST", cluster, "null", nil},
		{400, "want true or false", "POST", cluster, `{"isFailedOver":"yes"}`, nil},
		{400, "no such field", "POST", cluster, `{"isFailedOver":true,"isFailedover":true}`, nil},
		{400, `name "other"`, "POST", cluster, `{"isFailedOver":true,"name":"other"}`, nil},
		{400, "nodePools can't be set", "POST", cluster, `{"isFailedOver":true,"nodePools":[{}]}`, nil},
		{400, "clusterType", "POST", cluster, `{"isFailedOver":true,"clusterType":"HYBRID"}`, nil},
		{400, "drRegion", "POST", cluster, `{"drRegion":"eu-north-1"}`, nil},
		{409, "switchback release airflow", "POST", cluster, `{"enableDr":false}`, nil},
		{409, "switchback why airflow", "POST", cluster, body(true), func(w *world) { w.g().Record = nil }},
		{409, "nothing to promote (rule refuse.no-candidate)", "POST", cluster, body(true), func(w *world) { w.refuses = "nothing to promote" }},
		{403, "needs the role operator", "POST", cluster, body(true), func(w *world) { w.viewer = true }},
		{503, "no controller answers", "GET", cluster, "", func(w *world) { w.silence = errors.New("no controller answers") }},
	} {
		w := home()
		if x.set != nil {
			x.set(w)
		}
		rec := w.do(x.method, x.path, x.body)
		var f fault
		if err := json.Unmarshal(rec.Body.Bytes(), &f); err != nil || rec.Code != x.status || f.StatusCode != x.status || f.RequestID == "" || !strings.Contains(f.Message, x.says) {
			t.Errorf("%s %s %s: %d %s; want %d and %q", x.method, x.path, x.body, rec.Code, rec.Body, x.status, x.says)
		}
		if len(w.asked) > 0 && w.refuses == "" {
			t.Errorf("%s %s: refused, and yet it asked %+v", x.method, x.path, w.asked)
		}
	}
}

// TestGoldens is what is answered, byte by byte.
func TestGoldens(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		w    *world
		path string
	}{"home": {home(), cluster}, "away": {gone(), cluster}, "list": {home(), clusters + "?limit=1"}} {
		var got bytes.Buffer
		if err := json.Indent(&got, x.w.do("GET", x.path, "").Body.Bytes(), "", "  "); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".json")
		if *rewrite {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%s has no golden: %v (go test ./controller/api/astro -update writes it)", name, err)
		}
		if d := cmp.Diff(string(want), got.String()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
