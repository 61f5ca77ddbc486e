package airflow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/regionagent/driver/drivertest"
)

// rows are the columns of Airflow 3 that are measured, with something in them. `make e2e-airflow` asks a real one.
const rows = `
ALTER TABLE dag ADD is_stale boolean DEFAULT false, ADD last_parsed_time timestamptz DEFAULT now() - interval '7 s', ADD last_parse_duration float, ADD fileloc text;
INSERT INTO dag VALUES ('a', false, false, DEFAULT, 2, '/a.py'), ('b', true, false, DEFAULT, 3, '/a.py'), ('c', false, false, DEFAULT, 4, '/c.py'), ('gone', false, true, DEFAULT, 9, '/g.py');
ALTER TABLE task_instance ADD dag_id text DEFAULT 'a', ADD pool text DEFAULT 'default_pool', ADD pool_slots int DEFAULT 1, ADD operator text DEFAULT 'Bash', ADD custom_operator_name text,
 ADD duration float, ADD end_date timestamptz;
CREATE TABLE task_instance_history (state text, operator text, custom_operator_name text);
CREATE TABLE slot_pool (pool text, slots int, include_deferred boolean);
CREATE TABLE dag_run (dag_id text, state text, run_type text, run_after timestamptz, start_date timestamptz, end_date timestamptz);
CREATE TABLE import_error (id int);
CREATE TABLE trigger (triggerer_id int);
CREATE TABLE asset (name text, uri text);
CREATE TABLE asset_active (name text, uri text);
CREATE TABLE asset_event (id int);
INSERT INTO slot_pool VALUES ('default_pool', 3, false), ('endless', -1, true);
INSERT INTO task_instance (state, pool_slots) VALUES ('running', 2), ('queued', 1), ('scheduled', 1), ('scheduled', 1), (NULL, 1);
INSERT INTO task_instance (state, duration, end_date, custom_operator_name) VALUES ('success', 2, now(), 'Copy'), ('success', 4, now(), NULL), ('success', 9, now() - interval '2 h', NULL), ('failed', 1, now(), NULL);
INSERT INTO task_instance_history VALUES ('failed', 'Bash', NULL), ('failed', NULL, NULL);
INSERT INTO dag_run VALUES ('a', 'success', 'scheduled', now() - interval '70 s', now() - interval '60 s', now() - interval '50 s'), ('a', 'success', 'manual', now(), now() - interval '30 s', now() - interval '10 s'),
 ('a', 'failed', 'asset_triggered', now(), now() - interval '5 s', now()), ('b', 'running', 'manual', now(), now(), NULL);
INSERT INTO job (job_type, state, latest_heartbeat) VALUES ('SchedulerJob', 'failed', now() - interval '1 h'), ('SchedulerJob', 'running', now() - interval '3 s');
INSERT INTO import_error VALUES (1);
INSERT INTO trigger VALUES (7), (NULL);
INSERT INTO asset VALUES ('x', 'x'), ('y', 'y');
INSERT INTO asset_active VALUES ('x', 'x');
INSERT INTO asset_event VALUES (1), (2);
`

// TestMeasurements: what is measured is what stands in the database, under names that Prometheus's own tool finds nothing wrong with; of an Airflow that lacks a table the rest is.
func TestMeasurements(t *testing.T) {
	t.Parallel()
	dsn := metadata(t)
	d := newDatabase(file(t, dsn))
	t.Cleanup(d.close)
	bare := newMeter(d.open)
	t.Cleanup(bare.close)
	some, err := bare.measure(t.Context())
	if err != nil || len(some) == 0 {
		t.Fatalf("of tables that are few: %v, %v", some, err)
	}
	if err := execute(t, d, rows); err != nil {
		t.Fatal(err)
	}
	m := newMeter(d.open)
	t.Cleanup(m.close)
	all, err := m.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, x := range all {
		got[strings.Join(append([]string{x.Name}, x.Labels...), " ")] = x.Value
	}
	for name, want := range map[string]float64{
		"airflow_jobs_running type scheduler":             1,
		"airflow_task_instances_unfinished state running": 1, "airflow_task_instances_unfinished state scheduled": 2, "airflow_task_instances_unfinished state deferred": 0,
		"airflow_executor_running_tasks": 1, "airflow_executor_queued_tasks": 1,
		"airflow_pool_open_slots pool default_pool": 0, "airflow_pool_used_slots pool default_pool": 3, "airflow_pool_running_slots pool default_pool": 2,
		"airflow_pool_queued_slots pool default_pool": 1, "airflow_pool_scheduled_slots pool default_pool": 2, "airflow_pool_starving_tasks pool default_pool": 2, "airflow_pool_starving_tasks pool endless": 0,
		"airflow_operator_successes operator Bash": 2, "airflow_operator_successes operator Copy": 1, "airflow_operator_failures operator Bash": 2, "airflow_operator_failures operator unknown": 1,
		"airflow_ti_successes": 3, "airflow_ti_failures": 3, "airflow_task_duration dag_id a": 3,
		"airflow_dagrun_duration dag_id a": 20, "airflow_dagrun_failed dag_id a": 5, "airflow_dagrun_schedule_delay dag_id a": 10, "airflow_dagruns_unfinished state running": 1,
		"airflow_dag_processing_import_errors": 1, "airflow_dagbag_size": 3, "airflow_dags_paused": 1, "airflow_dag_processing_total_parse_time": 7, "airflow_dag_processing_last_runtime": 4,
		"airflow_triggers_running": 1, "airflow_dataset_updates": 2, "airflow_dataset_orphaned": 1, "airflow_dataset_triggered_dagruns": 1,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, there, want)
		}
	}
	for name, least := range map[string]float64{"airflow_heartbeat_age_seconds type scheduler": 3, "airflow_dag_processing_last_run_seconds_ago": 7, "airflow_scheduler_heartbeat type scheduler": 1e9} {
		if got[name] < least {
			t.Errorf("%s is %v, want %v or more", name, got[name], least)
		}
	}
	drivertest.WellNamed(t, all)
}

// TestMeasuresSparingly: a query is not asked again before it has waited a hundred times as long as it took.
func TestMeasuresSparingly(t *testing.T) {
	t.Parallel()
	d := newDatabase(file(t, metadata(t)))
	t.Cleanup(d.close)
	m := newMeter(d.open)
	t.Cleanup(m.close)
	first, err := m.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.answers {
		m.answers[i].due = m.answers[i].due.Add(measureLimit * measureShare) // as if each had taken its whole limit
	}
	if err := execute(t, d, "INSERT INTO task_instance VALUES ('running')"); err != nil {
		t.Fatal(err)
	}
	if again, err := m.measure(t.Context()); err != nil || fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("asked again at once: %v, %v, was %v", again, err, first)
	}
}

func execute(t *testing.T, d *database, sql string) error {
	t.Helper()
	return d.use(t.Context(), func(c *pgx.Conn) error {
		_, err := c.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}
