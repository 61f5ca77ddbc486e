//go:build airflow

package airflow

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/account"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// TestLiveTasks loses a region under running tasks, then the metadata database in place for 35 s, and judges what became of every task by Airflow's own database and by what the tasks wrote
// outside. The environment names DAGs etl (w0 and w1 without retries, w2 with one), held (tag dr:hold) and never (tag dr:never), each of whose tasks takes 25 s and notes its begin and end in
// SWITCHBACK_AIRFLOW_OUT; SWITCHBACK_AIRFLOW_PG stops or starts the database.
func TestLiveTasks(t *testing.T) {
	a, b := liveSide(t, "a"), liveSide(t, "b")
	ctx := t.Context()
	policy := events.DefaultTaskPolicy()
	do := func(d *Driver, v driver.Verb) {
		t.Helper()
		began := time.Now()
		r := d.Do(ctx, driver.Action{Verb: v, Limit: time.Minute, Tasks: &policy})
		for n := 0; r.Outcome == events.Retry && n < 20; n++ {
			time.Sleep(time.Second)
			r = d.Do(ctx, driver.Action{Verb: v, Limit: time.Minute, Tasks: &policy})
		}
		t.Logf("%s %s: %s in %v (%s)", d.cfg.Cluster, v, r.Outcome, time.Since(began).Round(10*time.Millisecond), r.Why)
		if !r.Outcome.OK() {
			t.Fatal("it was not done")
		}
	}
	query := func(sql string, args ...any) (lines []string) {
		t.Helper()
		c, err := pgx.Connect(ctx, os.Getenv("SWITCHBACK_AIRFLOW_DSN"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(ctx)
		rows, err := c.Query(ctx, sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		if lines, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	until := func(what string, limit time.Duration, is func() bool) {
		t.Helper()
		began := time.Now()
		for !is() {
			if time.Since(began) > limit {
				t.Fatalf("%s: not within %v", what, limit)
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("%s after %v", what, time.Since(began).Round(10*time.Millisecond))
	}
	parts := map[string]events.TaskPart{}
	k, err := account.New(account.Config{
		Cluster: b.cfg.Cluster, Dir: filepath.Join(t.TempDir(), "tasks"), Airflow: b.Tasks(), Metrics: account.NewMetrics(prometheus.NewRegistry()).Of(b.cfg.Cluster),
		May:     func(context.Context) error { return nil },
		Publish: func(_ context.Context, p events.TaskPart) error { parts[p.Summary.Operation] = p; return nil },
		Told:    func(context.Context, *events.TaskSummary) {},
	}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	open := func(o account.Order) {
		t.Helper()
		o.Group, o.Policy = "af", policy
		r := k.Open(ctx, o)
		for n := 0; r.Outcome == events.Retry && n < 30; n++ {
			time.Sleep(500 * time.Millisecond)
			r = k.Open(ctx, o)
		}
		if !r.Outcome.OK() {
			t.Fatalf("%+v", r)
		}
		t.Log(r.Why)
	}
	work := func(operation string) events.TaskPart {
		t.Helper()
		life, end := context.WithTimeout(ctx, 3*time.Minute)
		defer end()
		done := make(chan struct{})
		go func() { defer close(done); k.Run(life) }()
		for closed := false; !closed && life.Err() == nil; time.Sleep(time.Second) {
			sums := k.Summaries()
			closed = len(sums) > 0 && sums[len(sums)-1].Closed
		}
		time.Sleep(3 * time.Second) // what was closed is told
		end()
		<-done
		p := parts[operation]
		for _, e := range p.Entries {
			t.Logf("  %s.%s: %s, found %s, try %d→%d, %s: %s", e.DAG, e.Task, e.Class, e.Found, e.Try, e.After, e.Action, e.Result)
		}
		if !p.Summary.Closed {
			t.Errorf("%+v", p.Summary)
		}
		return p
	}
	entry := func(p events.TaskPart, dag, task string) string {
		for _, e := range p.Entries {
			if e.DAG == dag && e.Task == task {
				return strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Class, e.Action, e.Result))
			}
		}
		return "not listed"
	}
	trigger := func(run string) {
		t.Helper()
		for _, dag := range []string{"etl", "held", "never"} {
			until("trigger "+dag, 40*time.Second, func() bool { _, err := b.API().Trigger(ctx, dag, run); return err == nil })
		}
		until("5 tasks run", time.Minute, func() bool {
			return len(query("SELECT task_id FROM task_instance WHERE run_id = $1 AND state = 'running'", run)) == 5 && len(outside(t, run)) == 5
		})
	}
	do(a, driver.StartStandby)
	do(b, driver.StartStandby)
	do(a, driver.Promote)
	until("the DAGs are known", time.Minute, func() bool { return len(query("SELECT dag_id FROM serialized_dag")) == 3 })

	// A region is lost.
	run := fmt.Sprintf("lost-%d", time.Now().Unix())
	trigger(run)
	before := query("SELECT dag_id || '.' || task_id FROM task_instance WHERE run_id = $1 AND state = 'running' ORDER BY 1", run)
	if _, err := freezer.Kill(ctx, a.Tree()); err != nil {
		t.Fatal(err)
	}
	do(b, driver.Promote)
	open(account.Order{Operation: "af-8", Epoch: 8})
	p := work("af-8")
	var listed []string
	for _, e := range p.Entries {
		want := map[string]string{"etl": "ghost none success", "held": "ghost waits", "never": "ghost left-alone"}[e.DAG]
		if listed = append(listed, e.DAG+"."+e.Task); entry(p, e.DAG, e.Task) != want {
			t.Errorf("%s: %s, want %s", listed[len(listed)-1], entry(p, e.DAG, e.Task), want)
		}
	}
	if slices.Sort(listed); !slices.Equal(listed, before) {
		t.Errorf("hit were %v, listed are %v", before, listed)
	}
	for _, s := range query("SELECT dag_id || '.' || task_id || ' ' || state || ' ' || try_number FROM task_instance WHERE run_id = $1 AND task_id <> 'join'", run) {
		if want := map[bool]string{true: " success 2", false: " failed 1"}[strings.HasPrefix(s, "etl.")]; !strings.HasSuffix(s, want) {
			t.Errorf("Airflow's database: %s", s)
		}
	}
	for task, lines := range outside(t, run) {
		if want := map[bool]string{true: "begin 1 begin 2 end 2", false: "begin 1"}[strings.HasPrefix(task, "etl.")]; strings.Join(lines, " ") != want {
			t.Errorf("outside: %s %v", task, lines)
		}
	}

	// The metadata database is away for 35 s, in place: what has no retry fails.
	run = fmt.Sprintf("away-%d", time.Now().Unix())
	trigger(run)
	pg := func(what string) {
		t.Helper()
		if out, err := exec.Command(os.Getenv("SWITCHBACK_AIRFLOW_PG"), what).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", what, err, out)
		}
	}
	pg("stop")
	time.Sleep(35 * time.Second)
	pg("start")
	do(b, driver.Start)
	time.Sleep(2 * time.Second)
	open(account.Order{Epoch: 8})
	op := k.Summaries()[len(k.Summaries())-1].Operation
	p = work(op)
	for _, s := range query("SELECT dag_id || '.' || task_id || ' ' || coalesce(state, 'none') || ' ' || try_number FROM task_instance WHERE run_id = $1 ORDER BY 1", run) {
		t.Log("Airflow's database: ", s)
	}
	var cleared int
	for _, e := range p.Entries {
		switch {
		case e.Class == events.TaskFailed && e.DAG == "etl":
			if cleared++; e.Action != events.TaskCleared || e.Result != events.TaskOK {
				t.Errorf("%s: %s %s", e.Task, e.Action, e.Result)
			}
			tries := query("SELECT state FROM task_instance_history WHERE run_id = $1 AND dag_id = 'etl' AND task_id = $2", run, e.Task)
			if len(tries) != 1 {
				t.Errorf("%s has %d earlier tries: it was retried by us more than once", e.Task, len(tries))
			}
		case e.Result == events.TaskBad && e.DAG == "etl":
			t.Errorf("%s: %s %s %s", e.Task, e.Class, e.Action, e.Result)
		}
	}
	if s := query("SELECT state FROM dag_run WHERE run_id = $1 AND dag_id = 'etl'", run); s[0] != "success" {
		t.Errorf("run of etl: %s", s)
	}
	if s := entry(p, "never", "w0"); s == "failed left-alone" {
		if now := query("SELECT state || ' ' || try_number FROM task_instance WHERE run_id = $1 AND dag_id = 'never' AND task_id = 'w0'", run); now[0] != "failed 1" {
			t.Errorf("what is left alone is %s", now)
		}
	}
	t.Logf("%d were cleared; held: %s; never: %s; outside: %v", cleared, entry(p, "held", "w0"), entry(p, "never", "w0"), outside(t, run))
	if p.Summary.Waits == 0 {
		return
	}
	if r := k.Retry(&events.TaskRetry{No: 1, Operation: op, By: "ann", Reason: "looked at it"}); r.Outcome != events.Done {
		t.Fatalf("%+v", r)
	}
	p = work(op)
	if s := entry(p, "held", "w0"); !strings.HasSuffix(s, "cleared success") {
		t.Errorf("held, once a person said so: %s", s)
	}
	t.Log(query("SELECT ti.dag_id || '.' || ti.task_id || ': ' || n.content FROM task_instance ti JOIN task_instance_note n ON n.ti_id = ti.id WHERE run_id = $1", run))
}

// outside is what the tasks of a run wrote, by task.
func outside(t *testing.T, run string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(os.Getenv("SWITCHBACK_AIRFLOW_OUT"), "*."+run+".*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(f)] = strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	return all
}
