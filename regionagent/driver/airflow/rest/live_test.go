//go:build airflow

package rest

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestLive asks a real Airflow, whose address, user and password stand in the environment. DAG d1 has tasks short, long (600 s), bad and after, which comes after bad; all without retries.
func TestLive(t *testing.T) {
	api := os.Getenv("SWITCHBACK_AIRFLOW_API")
	if api == "" {
		t.Fatal("no Airflow to ask: want SWITCHBACK_AIRFLOW_API, as in http://127.0.0.1:8080")
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("admin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URL: api, User: "admin", PasswordFile: file})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	g, err := c.Generation(ctx)
	must("generation", err)
	v, err := c.Version(ctx)
	must("version", err)
	h, err := c.Health(ctx)
	must("health", err)
	t.Logf("generation %d, version %s, health %+v", g, v.Version, h)
	if g != V3 || !h.Metadatabase.OK() || !h.Scheduler.OK() || !h.DAGProcessor.OK() || h.Triggerer.OK() || time.Since(h.Scheduler.Beat) > time.Minute {
		t.Errorf("health %+v", h)
	}
	jobs, err := c.Jobs(ctx, "SchedulerJob")
	must("jobs", err)
	if !slices.ContainsFunc(jobs, func(j Job) bool { return j.State == "running" && time.Since(j.Beat) < time.Minute }) {
		t.Errorf("jobs %+v", jobs)
	}
	dags, err := c.DAGs(ctx)
	must("dags", err)
	if len(dags) != 1 || dags[0].ID != "d1" || dags[0].Paused || !slices.Contains(dags[0].Tags, "dr:hold") {
		t.Fatalf("dags %+v", dags)
	}
	for _, paused := range []bool{true, false} {
		must("pause", c.Pause(ctx, "d1", paused))
		dags, err = c.DAGs(ctx)
		must("dags", err)
		if dags[0].Paused != paused {
			t.Errorf("paused %v, want %v", dags[0].Paused, paused)
		}
	}
	pools, err := c.Pools(ctx)
	must("pools", err)
	if len(pools) == 0 || pools[0].Slots == 0 {
		t.Errorf("pools %+v", pools)
	}
	bad, err := c.ImportErrors(ctx)
	must("import errors", err)
	conns, err := c.Connections(ctx)
	must("connections", err)
	t.Logf("pools %+v, import errors %d, connections %d", pools, len(bad), len(conns))

	from := time.Now().Add(-time.Second)
	id := "live+" + from.UTC().Format(time.RFC3339)
	r, err := c.Trigger(ctx, "d1", id)
	must("trigger", err)
	if _, err := c.Trigger(ctx, "d1", id); Status(err) != http.StatusConflict {
		t.Errorf("triggered twice: %v", err)
	}
	key := func(task string) TaskKey { return TaskKey{"d1", r.ID, task, -1} }
	await := func(task string, s State) TaskInstance {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); ; {
			ti, err := c.TaskInstance(ctx, key(task))
			must(task, err)
			if ti.State == s {
				return ti
			}
			if time.Now().After(end) {
				t.Fatalf("%s is %s, want %s", task, ti.State, s)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	await("long", Running)
	await("short", Success)
	await("after", UpstreamFailed)
	hit, err := c.TaskInstances(ctx, TaskQuery{StartedBefore: time.Now().Add(time.Second), EndedAfter: from})
	must("overlap", err)
	var names []string
	for _, x := range hit {
		if x.Run == r.ID {
			names = append(names, x.Task+" "+string(x.State))
		}
	}
	slices.Sort(names)
	t.Logf("hit %v", names)
	for _, want := range []string{"bad failed", "long running", "short success"} {
		if !slices.Contains(names, want) {
			t.Errorf("hit %v: want %s among them", names, want)
		}
	}
	only, err := c.TaskInstances(ctx, TaskQuery{DAG: "d1", Run: r.ID, States: []State{Failed, UpstreamFailed}})
	must("by state", err)
	if len(only) != 2 {
		t.Errorf("by state: %+v", only)
	}
	runs, err := c.Runs(ctx, "", Running)
	must("runs", err)
	if !slices.ContainsFunc(runs, func(x Run) bool { return x.ID == r.ID }) {
		t.Errorf("runs %+v", runs)
	}
	one, err := c.Run(ctx, "d1", r.ID)
	must("run", err)
	if one.State != Running {
		t.Errorf("run %+v", one)
	}
	order := ClearOrder{Run: r.ID, Tasks: []TaskKey{key("bad")}, OnlyFailed: true, Downstream: true, Note: "op 1", NotRunning: true}
	dry, err := c.Clear(ctx, "d1", order)
	must("dry run", err)
	if len(dry) != 2 {
		t.Errorf("dry run %+v", dry)
	}
	if ti := await("bad", Failed); ti.Try != 1 {
		t.Errorf("after a dry run: %+v", ti)
	}
	order.Do = true
	_, err = c.Clear(ctx, "d1", order)
	must("clear", err)
	for end := time.Now().Add(time.Minute); ; {
		ti, err := c.TaskInstance(ctx, key("bad"))
		must("bad", err)
		if ti.Try == 2 && ti.State == Failed {
			if ti.Note != "op 1" {
				t.Errorf("note %q", ti.Note)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("bad: %+v", ti)
		}
		time.Sleep(200 * time.Millisecond)
	}
	tries, err := c.Tries(ctx, key("bad"))
	must("tries", err)
	if len(tries) != 2 || tries[0].Try != 1 || tries[0].State != Failed || tries[1].Try != 2 {
		t.Errorf("tries %+v", tries)
	}
	must("note", c.SetNote(ctx, key("bad"), "op 2"))
	if ti := await("bad", Failed); ti.Note != "op 2" || ti.Try != 2 {
		t.Errorf("note: %+v", ti)
	}
	_, err = c.Clear(ctx, "d1", ClearOrder{Run: r.ID, Tasks: []TaskKey{key("long")}, NotRunning: true, Do: true})
	if Status(err) != http.StatusConflict {
		t.Errorf("cleared one that runs: %v", err)
	}
	must("force failed", c.SetState(ctx, key("long"), Failed, "op 3"))
	if ti := await("long", Failed); ti.Note != "op 3" {
		t.Errorf("forced: %+v", ti)
	}
	_, err = c.TaskInstance(ctx, key("none"))
	if Status(err) != http.StatusNotFound {
		t.Errorf("of nobody: %v", err)
	}
	// A token that does not hold any more is asked for anew.
	c.mu.Lock()
	c.word = "eyJhbGciOiJIUzUxMiJ9.e30.x"
	c.mu.Unlock()
	_, err = c.DAGs(ctx)
	must("with a token that ran out", err)
	if err := os.WriteFile(file, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.forget(c.kept())
	if _, err := c.DAGs(ctx); Status(err) != http.StatusUnauthorized {
		t.Errorf("with a wrong password: %v", err)
	}
}
