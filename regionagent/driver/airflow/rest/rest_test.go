package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// server answers by path and keeps what it was asked. It stands in for what no Airflow does on command: a token that ran out, a page that is missing, version 2.
type server struct {
	mu    sync.Mutex
	asked []string // method, path with query, who, body
	*httptest.Server
}

func serve(t *testing.T, answer func(r *http.Request, body string) (int, string)) (*server, *Client) {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization")+" "+string(b)))
		s.mu.Unlock()
		code, text := answer(r, string(b))
		if code == http.StatusFound {
			w.Header().Set("Location", text)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URL: s.URL + "/", User: "ann", PasswordFile: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

func (s *server) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

// v2 answers as 2.11's API description says, below /api/v1.
func v2(answers map[string]string) func(*http.Request, string) (int, string) {
	return func(r *http.Request, _ string) (int, string) {
		if r.URL.Path == "/api/v1/version" {
			return 200, `{"version":"2.11.2","git_version":null}`
		}
		if a, there := answers[r.Method+" "+r.URL.EscapedPath()]; there {
			return 200, a
		}
		return 404, `{"title":"Not Found","status":404,"detail":"no such page","type":"x"}`
	}
}

// TestVersion2: its paths, its basic authentication, and what it words otherwise.
func TestVersion2(t *testing.T) {
	t.Parallel()
	page := `{"task_instances":[
		{"dag_id":"d","dag_run_id":"r","task_id":"old","map_index":-1,"state":"success","end_date":"2026-01-01T00:00:00+00:00","note":null},
		{"dag_id":"d","dag_run_id":"r","task_id":"on","map_index":-1,"state":"running","start_date":"2026-01-01T09:00:00+00:00","end_date":null,"pid":null},
		{"dag_id":"d","dag_run_id":"r","task_id":"hit","map_index":0,"state":"failed","end_date":"2026-01-01T10:00:00.5+00:00"}],"total_entries":3}`
	s, c := serve(t, v2(map[string]string{
		"GET /api/v1/health": `{"metadatabase":{"status":"healthy"},"scheduler":{"status":"unhealthy","latest_scheduler_heartbeat":"2026-01-01T10:00:00.5+00:00"},
			"triggerer":{"status":null,"latest_triggerer_heartbeat":null},"dag_processor":{"status":null,"latest_dag_processor_heartbeat":null}}`,
		"GET /api/v1/dags/~/dagRuns/~/taskInstances":                   page,
		"GET /api/v1/dags":                                             `{"dags":[{"dag_id":"d","is_paused":true,"tags":[{"name":"dr:never"}]}],"total_entries":1}`,
		"PATCH /api/v1/dags/d":                                         `{}`,
		"POST /api/v1/dags/d/clearTaskInstances":                       `{"task_instances":[{"dag_id":"d","dag_run_id":"r","task_id":"hit"}]}`,
		"PATCH /api/v1/dags/d/dagRuns/r+1/taskInstances/a%2Fb":         `{}`,
		"PATCH /api/v1/dags/d/dagRuns/r+1/taskInstances/a%2Fb/setNote": `{}`,
	}))
	ctx := t.Context()
	h, err := c.Health(ctx)
	if err != nil || !h.Metadatabase.OK() || h.Scheduler.OK() || h.Scheduler.Beat.IsZero() || h.DAGProcessor.Status != "" {
		t.Errorf("health %+v (%v)", h, err)
	}
	hit, err := c.TaskInstances(ctx, TaskQuery{StartedBefore: time.Date(2026, 1, 1, 11, 0, 0, 0, time.UTC), EndedAfter: time.Date(2026, 1, 1, 9, 30, 0, 0, time.UTC)})
	if err != nil || len(hit) != 2 || hit[0].Task != "on" || hit[1].Task != "hit" || hit[1].Index != 0 || hit[0].State != Running {
		t.Errorf("hit %+v (%v)", hit, err)
	}
	if got := s.last(); got != "GET /api/v1/dags/~/dagRuns/~/taskInstances?limit=100&start_date_lte=2026-01-01T11%3A00%3A00Z Basic YW5uOnB3" { // strict: not a word it does not know
		t.Errorf("asked %s", got)
	}
	if d, err := c.DAGs(ctx); err != nil || len(d) != 1 || !d[0].Paused || !slices.Equal(d[0].Tags, []string{"dr:never"}) {
		t.Errorf("dags %+v (%v)", d, err)
	}
	if err := c.Pause(ctx, "d", false); err != nil || s.last() != `PATCH /api/v1/dags/d?update_mask=is_paused Basic YW5uOnB3 {"is_paused":false}` {
		t.Errorf("pause: %v, asked %s", err, s.last())
	}
	if _, err := c.Jobs(ctx, ""); !errors.Is(err, ErrNotOffered) {
		t.Errorf("jobs: %v", err)
	}
	k := TaskKey{"d", "r+1", "a/b", -1}
	if err := c.SetState(ctx, k, Failed, ""); err != nil || !strings.HasSuffix(s.last(), `{"dry_run":false,"new_state":"failed"}`) {
		t.Errorf("set state: %v, asked %s", err, s.last())
	}
	if err := c.SetNote(ctx, k, "n"); err != nil || !strings.HasSuffix(s.last(), `{"note":"n"}`) {
		t.Errorf("set note: %v, asked %s", err, s.last())
	}
	got, err := c.Clear(ctx, "d", ClearOrder{Run: "r", Tasks: []TaskKey{{"d", "r", "hit", 0}}, OnlyFailed: true, Note: "n", NotRunning: true})
	if err != nil || len(got) != 1 {
		t.Errorf("clear %+v (%v)", got, err)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(s.last()[strings.Index(s.last(), "{"):]), &body); err != nil {
		t.Fatal(err)
	}
	for _, unknown := range []string{"note", "prevent_running_task"} {
		if _, there := body[unknown]; there {
			t.Errorf("cleared with %q, which it does not know", unknown)
		}
	}
	if body["dry_run"] != true || fmt.Sprint(body["task_ids"]) != "[hit]" {
		t.Errorf("cleared with %v", body)
	}
}

// TestTokenRunsOut: a kept token that is refused, by 401 or 403, is asked for again once; a new one that is refused is not.
func TestTokenRunsOut(t *testing.T) {
	t.Parallel()
	for _, refusal := range []int{401, 403} {
		tokens, good := 0, 1
		s, c := serve(t, func(r *http.Request, body string) (int, string) {
			switch {
			case r.URL.Path == "/api/v2/version":
				return 200, `{"version":"3.3.2"}`
			case r.URL.Path == "/auth/token":
				if body != `{"password":"pw","username":"ann"}` {
					return 401, `{"detail":"Invalid credentials"}`
				}
				tokens++
				return 201, fmt.Sprintf(`{"access_token":"t%d"}`, tokens)
			case r.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", good):
				return refusal, `{"detail":"Invalid JWT token"}`
			}
			return 200, `{"pools":[],"total_entries":0}`
		})
		for i, want := range []int{1, 1, 2} {
			if i == 2 {
				good = 2
			}
			if _, err := c.Pools(t.Context()); err != nil || tokens != want {
				t.Errorf("%d: asked for %d tokens, want %d (%v)", i, tokens, want, err)
			}
		}
		good = 99
		before := len(s.asked)
		if _, err := c.Pools(t.Context()); Status(err) != refusal || !strings.Contains(err.Error(), "Invalid JWT token") || len(s.asked)-before != 3 {
			t.Errorf("%v after %q", err, s.asked[before:])
		}
	}
}

// TestPages: cursors where they are offered, offsets where not; what can't be the whole is an error.
func TestPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pages []string
		want  int
		error string
	}{
		"cursors":      {[]string{`{"task_instances":[{},{}],"total_entries":3,"total_entries_limit":1000,"next_cursor":"n"}`, `{"task_instances":[{}],"total_entries":3,"total_entries_limit":1000}`}, 3, ""},
		"offsets":      {[]string{`{"task_instances":[{},{}],"total_entries":3}`, `{"task_instances":[{}],"total_entries":3}`}, 3, ""},
		"fewer by now": {[]string{`{"task_instances":[{},{}],"total_entries":3}`, `{"task_instances":[],"total_entries":3}`}, 2, ""},
		"in a circle":  {[]string{`{"task_instances":[{}],"total_entries_limit":9,"next_cursor":"n"}`, `{"task_instances":[{}],"total_entries_limit":9,"next_cursor":"n"}`}, 0, "in a circle"},
		"not a list":   {[]string{`{"total_entries":3}`}, 0, "no task_instances"},
		"not JSON":     {[]string{`<html>`}, 0, "read the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			s, client := serve(t, func(r *http.Request, _ string) (int, string) {
				switch r.URL.Path {
				case "/api/v2/version":
					return 200, `{"version":"3.3.2"}`
				case "/auth/token":
					return 201, `{"access_token":"t"}`
				}
				n++
				return 200, c.pages[n-1]
			})
			got, err := client.TaskInstances(t.Context(), TaskQuery{States: []State{Running, Queued}})
			if len(got) != c.want || (c.error == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.error) {
				t.Errorf("%d entries, %v; asked %q", len(got), err, s.asked)
			}
			if name == "cursors" && !strings.Contains(s.last(), "cursor=n&limit=100&order_by=id&state=running&state=queued") {
				t.Errorf("asked %s", s.last())
			}
			if name == "offsets" && !strings.Contains(s.last(), "offset=2") {
				t.Errorf("asked %s", s.last())
			}
		})
	}
}

// TestNotAnAirflow: what answers is named, and a password goes nowhere else.
func TestNotAnAirflow(t *testing.T) {
	t.Parallel()
	_, c := serve(t, func(*http.Request, string) (int, string) { return 404, "nothing here" })
	if _, err := c.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "no API of Airflow") {
		t.Errorf("%v", err)
	}
	other, _ := serve(t, func(*http.Request, string) (int, string) { return 200, `{"version":"3"}` })
	s, c := serve(t, func(*http.Request, string) (int, string) { return 302, other.URL })
	if _, err := c.Version(t.Context()); Status(err) != 302 || len(other.asked) > 0 {
		t.Errorf("%v, and the other was asked %q", err, other.asked)
	}
	s.Close()
	if _, err := c.Version(t.Context()); err == nil || Status(err) != 0 {
		t.Errorf("%v", err)
	}
}

// TestConfig: what is wrong is named.
func TestConfig(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"want http://":      {URL: "127.0.0.1:8080", TokenFile: "t"},
		"nobody to ask as":  {URL: "http://a:1"},
		"only one of user":  {URL: "http://a:1", User: "u"},
		"want one of them":  {URL: "http://a:1", User: "u", PasswordFile: "p", TokenFile: "t"},
		"want http://host":  {URL: "http://u:p@a:1", TokenFile: "t"},
		"https://host:port": {URL: "ftp://a:1", TokenFile: "t"},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
}
