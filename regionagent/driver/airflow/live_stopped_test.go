//go:build airflow

package airflow

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/account"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/rest"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
)

// TestLiveStopped: what was cut off of a DAG that must not run by itself is set failed with its scheduler, so that no scheduler resets it, and the ledger knows it for what it was. It needs the
// database and the API of a real Airflow that runs no scheduler, with DAGs etl, held (dr:hold) and never (dr:never).
func TestLiveStopped(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	dsn, password := filepath.Join(dir, "dsn"), filepath.Join(dir, "password")
	for file, text := range map[string]string{dsn: os.Getenv("SWITCHBACK_AIRFLOW_DSN"), password: "admin"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	api, err := rest.New(rest.Config{URL: os.Getenv("SWITCHBACK_AIRFLOW_API"), User: "admin", PasswordFile: password})
	if err != nil {
		t.Fatal(err)
	}
	run := fmt.Sprintf("stopped-%d", time.Now().Unix())
	for _, dag := range []string{"etl", "held", "never"} {
		if _, err := api.Trigger(ctx, dag, run); err != nil {
			t.Fatal(err)
		}
	}
	db, err := pgx.Connect(ctx, os.Getenv("SWITCHBACK_AIRFLOW_DSN"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := db.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("UPDATE job SET state = 'success' WHERE state = 'running'")
	exec("INSERT INTO job (job_type, state, start_date, latest_heartbeat) VALUES ('SchedulerJob', 'running', now() - interval '600 s', now() - interval '60 s')")
	exec("UPDATE dag_run SET state = 'running' WHERE run_id = $1", run)
	exec("UPDATE task_instance SET state = 'running', try_number = 1, start_date = now() - interval '70 s', queued_by_job_id = (SELECT max(id) FROM job) WHERE run_id = $1 AND task_id = 'w0'", run)
	p := events.DefaultTaskPolicy()
	if _, err := newDatabase(dsn).failJobs(ctx, &p); err != nil {
		t.Fatal(err)
	}
	exec("INSERT INTO job (job_type, state, start_date, latest_heartbeat) VALUES ('SchedulerJob', 'running', now(), now())")
	live := &account.Live{DSN: dsn, API: api}
	defer live.Close()
	w, err := live.Window(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s, err := live.Look(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range tasks.Classify(s, w, p) {
		if e.Run == run {
			got = append(got, fmt.Sprintf("%s.%s %s found %s: %s, %s", e.DAG, e.Task, e.Class, e.Found, e.Action, e.Rule))
		}
	}
	want := []string{"etl.w0 ghost found running: none, ghost", "held.w0 ghost found failed: waits, ghost.stopped", "never.w0 ghost found failed: left-alone, ghost.stopped"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	exec("UPDATE job SET state = 'success' WHERE state = 'running'")
	exec("DELETE FROM dag_run WHERE run_id = $1", run)
}
