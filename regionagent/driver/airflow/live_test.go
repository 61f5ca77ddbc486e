//go:build airflow

package airflow

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/rest"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// liveSide is one side of a pair of real Airflows on one database, both of one host. The environment says where the program, its home and its database are.
func liveSide(t *testing.T, name string) *Driver {
	t.Helper()
	dir := t.TempDir()
	dsn := filepath.Join(dir, "dsn")
	if err := os.WriteFile(dsn, []byte(os.Getenv("SWITCHBACK_AIRFLOW_DSN")), 0o600); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("admin"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{
		Cluster: events.Ref{Region: "r1", Cluster: name}, Bin: os.Getenv("SWITCHBACK_AIRFLOW_BIN"), Home: os.Getenv("SWITCHBACK_AIRFLOW_HOME"), EnvFile: os.Getenv("SWITCHBACK_AIRFLOW_ENV"),
		Run: []string{"scheduler", "dag-processor"}, DSNFile: dsn, Dir: filepath.Join(dir, "state"), Self: []string{os.Args[0], "hold"},
		API: rest.Config{URL: os.Getenv("SWITCHBACK_AIRFLOW_API"), User: "admin", PasswordFile: password},
	}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := freezer.Kill(context.Background(), d.Tree()); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestLiveFailover goes through what a region's loss, a crash of a part, and a planned move ask of the driver, on a real Airflow.
func TestLiveFailover(t *testing.T) {
	a, b := liveSide(t, "a"), liveSide(t, "b")
	do := func(d *Driver, act driver.Action, want events.Outcome) events.Result {
		t.Helper()
		if act.Limit == 0 {
			act.Limit = time.Minute
		}
		began := time.Now()
		r := d.Do(t.Context(), act)
		t.Logf("%s %s: %s in %v (%s)", d.cfg.Cluster, act.Verb, r.Outcome, time.Since(began).Round(10*time.Millisecond), r.Why)
		if r.Outcome != want {
			t.Fatalf("want %s", want)
		}
		return r
	}
	db := func(sql string, args ...any) (s string) {
		t.Helper()
		c, err := pgx.Connect(t.Context(), os.Getenv("SWITCHBACK_AIRFLOW_DSN"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		if err := c.QueryRow(t.Context(), sql, args...).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	until := func(what string, is func() bool) time.Duration {
		t.Helper()
		began := time.Now()
		for !is() {
			if time.Since(began) > 90*time.Second {
				t.Fatalf("%s: not so", what)
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("%s after %v", what, time.Since(began).Round(10*time.Millisecond))
		return time.Since(began)
	}
	probe := func(d *Driver) events.ClusterHealth {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return d.Probe(ctx)
	}
	do(a, driver.Action{Verb: driver.StartStandby}, events.Done)
	do(b, driver.Action{Verb: driver.StartStandby}, events.Done)
	do(a, driver.Action{Verb: driver.Promote}, events.Done)
	if h := probe(a); h.Server != events.ServerWritable || !h.CanaryOK {
		t.Fatalf("%+v", h)
	}
	run := fmt.Sprintf("drv-%d", time.Now().Unix())
	if _, err := a.API().Trigger(t.Context(), "d1", run); err != nil {
		t.Fatal(err)
	}
	state := func(task string) string {
		return db("SELECT coalesce(state, 'none') || ' ' || try_number FROM task_instance WHERE run_id = $1 AND task_id = $2", run, task)
	}
	until("long runs", func() bool { return state("long") == "running 1" })

	p, err := freezer.Find(a.Tree())
	if err != nil || p.Parent == 0 {
		t.Fatalf("%+v %v", p, err)
	}
	t.Logf("the tree has %d processes", len(p.All))
	// The holder alone is killed: what it leaves is found all the same, and killed.
	if err := syscall.Kill(p.Parent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until("the holder is gone", func() bool { q, err := freezer.Find(a.Tree()); return err == nil && q.Parent == 0 })
	q, err := freezer.Find(a.Tree())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d processes are left without it", len(q.All))
	began := time.Now()
	o, err := freezer.Kill(t.Context(), a.Tree())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("killed %d in %v", o.Processes, time.Since(began))
	do(b, driver.Action{Verb: driver.Promote}, events.Done)
	until("the ghost runs again", func() bool { return state("long") == "running 2" })

	// A part that dies is begun again, and the tasks go on.
	var pid int
	q, err = freezer.Find(b.Tree())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range q.All {
		if cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", x.PID)); x.Parent == q.Parent && string(cmd) != "" && strings.Contains(string(cmd), "dag-processor") {
			pid = x.PID
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until("its end is seen", func() bool { h := probe(b); return h.Lacks != "" && !h.CanaryOK && h.Server == events.ServerWritable })
	do(b, driver.Action{Verb: driver.Start}, events.Done)
	if s := state("long"); s != "running 2" {
		t.Errorf("long is %s: want the task left alone", s)
	}

	// A planned move holds back what is not paused, and lets that alone go on.
	if db("SELECT is_paused::text FROM dag WHERE dag_id = 'd1'") != "false" {
		t.Fatal("d1 is paused")
	}
	b.cfg.Drain = 4 * time.Second
	drain := driver.Action{Verb: driver.Checkpoint, Drain: true, Step: "af/4/prepare"}
	do(b, drain, events.Retry)
	if db("SELECT is_paused::text FROM dag WHERE dag_id = 'd1'") != "true" {
		t.Fatal("d1 is not paused")
	}
	do(b, drain, events.Done)
	do(b, driver.Action{Verb: driver.Stop, Limit: 15 * time.Second}, events.Done)
	do(a, driver.Action{Verb: driver.StartStandby, Source: "x:1"}, events.Done)
	do(a, driver.Action{Verb: driver.Promote}, events.Done)
	if s, err := a.Drained(t.Context()); err != nil || s != "af/4/prepare" {
		t.Errorf("%q %v", s, err)
	}
	if err := a.Undrain(t.Context(), "af/4/prepare"); err != nil {
		t.Fatal(err)
	}
	if db("SELECT is_paused::text FROM dag WHERE dag_id = 'd1'") != "false" {
		t.Fatal("d1 is still paused")
	}
	until("the task that was ended runs again", func() bool { return state("long") == "running 3" })
	if err := a.API().SetState(t.Context(), rest.TaskKey{DAG: "d1", Run: run, Task: "long", Index: -1}, rest.Failed, "test"); err != nil {
		t.Fatal(err)
	}
	do(a, driver.Action{Verb: driver.Stop, Limit: 15 * time.Second}, events.Done)
}
