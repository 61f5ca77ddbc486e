//go:build airflow

package account

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/rest"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
)

// TestLiveWithoutScheduler has a real Airflow's database say what a failover leaves behind, and clears through its real API; no scheduler runs, so nothing moves by itself, and what is done
// is seen as it is. DAGs etl (w0 to w4, then join), held (dr:hold) and never (dr:never) are serialized. It judges by the database.
func TestLiveWithoutScheduler(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	db, err := pgx.Connect(ctx, os.Getenv("SWITCHBACK_AIRFLOW_DSN"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := db.Exec(ctx, sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	rows := func(sql string, args ...any) []string {
		t.Helper()
		r, err := db.Query(ctx, sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(r, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	api, err := rest.New(rest.Config{URL: os.Getenv("SWITCHBACK_AIRFLOW_API"), User: "admin", PasswordFile: file("password", "admin")})
	if err != nil {
		t.Fatal(err)
	}
	live := &Live{DSN: file("dsn", os.Getenv("SWITCHBACK_AIRFLOW_DSN")), API: api}
	defer live.Close()
	run := fmt.Sprintf("crafted-%d", time.Now().Unix())
	for _, dag := range []string{"etl", "held", "never"} {
		if _, err := api.Trigger(ctx, dag, run); err != nil {
			t.Fatal(err)
		}
	}

	// The old side: job o lived for ten minutes until 60 s ago, and was marked failed 20 s ago. The new one is n.
	exec("UPDATE job SET state = 'success' WHERE state = 'running'")
	var o, n int64
	if err := db.QueryRow(ctx, `INSERT INTO job (job_type, state, start_date, latest_heartbeat, end_date) VALUES ('SchedulerJob', 'failed', now() - interval '600 s', now() - interval '60 s',
		now() - interval '20 s') RETURNING id`).Scan(&o); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow(ctx, `INSERT INTO job (job_type, state, start_date, latest_heartbeat) VALUES ('SchedulerJob', 'running', now() - interval '15 s', now()) RETURNING id`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	exec("UPDATE dag_run SET state = 'running' WHERE run_id = $1", run)
	set := func(dag, task, state string, ended string, job int64) {
		t.Helper()
		exec(`UPDATE task_instance SET state = $4, try_number = 1, queued_by_job_id = nullif($5, 0), start_date = now() - interval '80 s', end_date = CASE WHEN $6 = '' THEN NULL ELSE now() - $6::interval END
			WHERE run_id = $1 AND dag_id = $2 AND task_id = $3`, run, dag, task, state, job, ended)
	}
	set("etl", "w0", "failed", "40 s", o)
	set("etl", "w1", "failed", "40 s", o)
	set("etl", "w2", "running", "", o)
	set("etl", "w3", "success", "300 s", o) // long before
	set("etl", "w4", "running", "", n)      // begun by the new scheduler
	set("etl", "join", "upstream_failed", "10 s", 0)
	set("held", "w0", "failed", "40 s", o)
	set("never", "w0", "failed", "40 s", o)

	policy := events.DefaultTaskPolicy()
	stop := error(nil)
	begin := func() *Keeper {
		k, err := New(Config{
			Cluster: events.Ref{Region: "r2", Cluster: "af-b"}, Dir: filepath.Join(dir, "tasks"), Airflow: live, May: func(context.Context) error { return stop },
			Publish: func(context.Context, events.TaskPart) error { return nil }, Told: func(context.Context, *events.TaskSummary) {}, Metrics: NewMetrics(prometheus.NewRegistry()).Of(events.Ref{}),
		}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := begin()
	if r := k.Open(ctx, Order{Operation: "af-8", Group: "af", Epoch: 8, Policy: policy}); r.Outcome != events.Done {
		t.Fatalf("%+v", r)
	}
	w := k.all[0].Window
	t.Logf("window %+v of %v", w, w.Length())
	if l := w.Length(); l < 59*time.Second || l > 70*time.Second {
		t.Errorf("a window of %v: want about 60 s", l)
	}
	got := func() string {
		var all []string
		for _, e := range k.all[0].entries {
			if e.Run == run {
				all = append(all, strings.TrimSpace(fmt.Sprintf("%s.%s %s %s %s", e.DAG, e.Task, e.Class, e.Action, e.Result)))
			}
		}
		return strings.Join(all, "\n")
	}
	expect := func(when, want string) {
		t.Helper()
		if g := got(); g != want {
			t.Errorf("%s:\n%s\nwant\n%s", when, g, want)
		}
	}
	expect("opened", "etl.join upstream-failed none\netl.w0 failed clear\netl.w1 failed clear\netl.w2 ghost none\nheld.w0 failed waits\nnever.w0 failed left-alone")

	// The process is lost right after the clear of the first: it stands in the file as an intent, and in Airflow as our note.
	b := k.all[0]
	at := map[string]int{}
	for i := range b.entries {
		at[b.entries[i].DAG+"."+b.entries[i].Task] = i
	}
	if err := b.write(line{I: at["etl.w0"], Intent: &tasks.Intent{Do: tasks.Clear, Try: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := live.Clear(ctx, b.entries[at["etl.w0"]].TaskKey, tasks.Note("af-8", "", "")); err != nil {
		t.Fatal(err)
	}
	if err := b.write(line{I: at["etl.w1"], Intent: &tasks.Intent{Do: tasks.Clear, Try: 1}}); err != nil { // and this one before it
		t.Fatal(err)
	}
	k.Close()
	k = begin()
	k.calm = time.Now().Add(3 * time.Second)
	for range 4 {
		k.pass(ctx)
		time.Sleep(time.Second)
	}
	expect("after the crash", "etl.join upstream-failed none\netl.w0 failed cleared\netl.w1 failed cleared\netl.w2 ghost none\nheld.w0 failed waits\nnever.w0 failed left-alone")
	for _, s := range rows(`SELECT ti.dag_id || '.' || ti.task_id || ' ' || coalesce(ti.state, 'none') || ' earlier tries ' || (SELECT count(*) FROM task_instance_history h
		WHERE h.run_id = ti.run_id AND h.dag_id = ti.dag_id AND h.task_id = ti.task_id) || ' note ' || coalesce(n.content, '-')
		FROM task_instance ti LEFT JOIN task_instance_note n ON n.ti_id = ti.id WHERE ti.run_id = $1 ORDER BY 1`, run) {
		t.Log("Airflow's database: ", s)
		switch name, rest, _ := strings.Cut(s, " "); name {
		case "etl.w0", "etl.w1":
			if rest != "none earlier tries 1 note switchback af-8" {
				t.Errorf("%s", s)
			}
		case "etl.join":
			if !strings.HasPrefix(rest, "none ") {
				t.Errorf("what comes after was not cleared: %s", s)
			}
		case "etl.w2", "etl.w4":
			if !strings.HasPrefix(rest, "running earlier tries 0") {
				t.Errorf("a running one was touched: %s", s)
			}
		case "never.w0", "held.w0":
			if rest != "failed earlier tries 0 note -" {
				t.Errorf("%s", s)
			}
		}
	}

	// Nobody resets the ghost: it is set failed, then cleared. A person has the held one retried.
	if r := k.Retry(&events.TaskRetry{No: 1, Operation: "af-8", By: "ann", Reason: "looked at it"}); r.Outcome != events.Done {
		t.Fatalf("%+v", r)
	}
	k.all[0].Window.To = k.all[0].Window.To.Add(-tasks.ResetLimit)
	k.pass(ctx)
	for _, x := range []struct{ dag, task, want string }{{"etl", "w2", "none 1 switchback af-8"}, {"held", "w0", "none 1 switchback af-8 looked at it"}, {"never", "w0", "failed 0 -"}} {
		s := rows(`SELECT coalesce(ti.state, 'none') || ' ' || (SELECT count(*) FROM task_instance_history h WHERE h.run_id = ti.run_id AND h.dag_id = ti.dag_id AND h.task_id = ti.task_id) || ' ' ||
			coalesce(n.content, '-') FROM task_instance ti LEFT JOIN task_instance_note n ON n.ti_id = ti.id WHERE ti.run_id = $1 AND ti.dag_id = $2 AND ti.task_id = $3`, run, x.dag, x.task)
		if s[0] != x.want {
			t.Errorf("%s.%s: %s, want %s", x.dag, x.task, s[0], x.want)
		}
	}
	// The note outlives the next try's begin, as the scheduler would do it.
	exec("UPDATE task_instance SET state = 'success', try_number = 2, queued_by_job_id = $2, end_date = now() WHERE run_id = $1 AND state IS NULL", run, n)
	k.pass(ctx)
	expect("in the end", "etl.join upstream-failed none success\netl.w0 failed cleared success\netl.w1 failed cleared success\netl.w2 ghost cleared success\nheld.w0 failed cleared success\nnever.w0 failed left-alone")
	if s := k.Summaries()[0]; !s.Closed || s.Waits != 0 {
		t.Errorf("%+v", s)
	}
	exec("UPDATE job SET state = 'success' WHERE id = $1", n)
	exec("DELETE FROM dag_run WHERE run_id = $1", run)
}
