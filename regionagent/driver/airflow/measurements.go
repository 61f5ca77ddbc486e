package airflow

// measured is one query of the numbers worth keeping: its first columns are labels, each of the others is a metric of its own.
type measured struct {
	needs   string // table, or table.column, that it asks: versions of Airflow differ; what is not there is not measured
	labels  []string
	columns []column
	query   string
}

type column struct{ name, help string }

// Which states a task instance, or a try of one, is not done in.
const unfinished = `('scheduled','queued','running','restarting','up_for_retry','up_for_reschedule','deferred')`

// measurements are Airflow's own numbers under the names that its dashboards know from StatsD. What StatsD counts is counted here in the metadata database, which a failover does not set
// back to zero; so it falls where old rows are cleaned out of it. Durations are in seconds. What only a process knows, such as how often a scheduler killed a task, is not there.
var measurements = []measured{
	{"job", []string{"type"}, []column{
		{"airflow_scheduler_heartbeat", "Last heartbeat of the youngest job of this type, in seconds since 1970: it grows while there is one that beats."},
		{"airflow_heartbeat_age_seconds", "Age of the last heartbeat of any job of this type."},
		{"airflow_jobs_running", "Jobs of this type that the database takes for running."},
	}, `SELECT CASE job_type WHEN 'SchedulerJob' THEN 'scheduler' WHEN 'DagProcessorJob' THEN 'dag_processor' ELSE 'triggerer' END,
 extract(epoch FROM max(latest_heartbeat))::float8, greatest(extract(epoch FROM clock_timestamp() - max(latest_heartbeat)), 0)::float8, count(*) FILTER (WHERE state = 'running')::float8
 FROM job WHERE job_type IN ('SchedulerJob', 'DagProcessorJob', 'TriggererJob') AND latest_heartbeat IS NOT NULL GROUP BY 1`},
	{"task_instance", []string{"state"}, []column{{"airflow_task_instances_unfinished", "Task instances by state, those that are not done."}},
		`SELECT s, count(t.state)::float8 FROM unnest(ARRAY['scheduled','queued','running','restarting','up_for_retry','up_for_reschedule','deferred']) s
 LEFT JOIN task_instance t ON t.state = s AND t.state IN ` + unfinished + ` GROUP BY 1`},
	{"task_instance", nil, []column{
		{"airflow_executor_running_tasks", "Task instances that run."},
		{"airflow_executor_queued_tasks", "Task instances that were given to the executor and do not run yet."},
	}, `SELECT count(*) FILTER (WHERE state IN ('running','restarting'))::float8, count(*) FILTER (WHERE state = 'queued')::float8
 FROM task_instance WHERE state IN ('queued','running','restarting')`},
	{"slot_pool.include_deferred", []string{"pool"}, []column{
		{"airflow_pool_open_slots", "Slots of the pool that are free; negative if more are taken than it has."},
		{"airflow_pool_used_slots", "Slots of the pool that are taken by what runs or is queued."},
		{"airflow_pool_running_slots", "Slots of the pool that are taken by what runs."},
		{"airflow_pool_queued_slots", "Slots of the pool that are taken by what is queued."},
		{"airflow_pool_deferred_slots", "Slots that deferred task instances of the pool would take."},
		{"airflow_pool_scheduled_slots", "Slots that scheduled task instances of the pool wait for."},
		{"airflow_pool_starving_tasks", "Task instances that wait for a slot of the pool while it has none."},
	}, `SELECT pool, CASE WHEN slots < 0 THEN 'infinity' ELSE slots - taken END, used, running, queued, deferred, waiting, CASE WHEN slots >= 0 AND slots - taken <= 0 THEN starving ELSE 0 END FROM (
 SELECT p.pool, p.slots::float8 AS slots, (r.running + r.queued)::float8 AS used, (r.running + r.queued + CASE WHEN p.include_deferred THEN r.deferred ELSE 0 END)::float8 AS taken,
  r.running::float8 AS running, r.queued::float8 AS queued, r.deferred::float8 AS deferred, r.waiting::float8 AS waiting, r.starving::float8 AS starving
 FROM slot_pool p CROSS JOIN LATERAL (SELECT coalesce(sum(pool_slots) FILTER (WHERE state IN ('running','restarting')), 0) AS running, coalesce(sum(pool_slots) FILTER (WHERE state = 'queued'), 0) AS queued,
  coalesce(sum(pool_slots) FILTER (WHERE state = 'deferred'), 0) AS deferred, coalesce(sum(pool_slots) FILTER (WHERE state = 'scheduled'), 0) AS waiting,
  count(*) FILTER (WHERE state = 'scheduled') AS starving FROM task_instance t WHERE t.pool = p.pool AND t.state IN ` + unfinished + `) r) x`},
	{"task_instance_history", []string{"operator"}, []column{
		{"airflow_operator_successes", "Tries of tasks of this operator that succeeded, of those the database has."},
		{"airflow_operator_failures", "Tries of tasks of this operator that failed, of those the database has."},
	}, `SELECT coalesce(custom_operator_name, operator, 'unknown'), count(*) FILTER (WHERE state = 'success')::float8, count(*) FILTER (WHERE state = 'failed')::float8 FROM (
 SELECT custom_operator_name, operator, state FROM task_instance WHERE state IN ('success','failed')
 UNION ALL SELECT custom_operator_name, operator, state FROM task_instance_history WHERE state IN ('success','failed')) x GROUP BY 1`},
	{"task_instance_history", nil, []column{
		{"airflow_ti_successes", "Tries of tasks that succeeded, of those the database has."},
		{"airflow_ti_failures", "Tries of tasks that failed, of those the database has."},
	}, `SELECT count(*) FILTER (WHERE state = 'success')::float8, count(*) FILTER (WHERE state = 'failed')::float8 FROM (
 SELECT state FROM task_instance WHERE state IN ('success','failed') UNION ALL SELECT state FROM task_instance_history WHERE state IN ('success','failed')) x`},
	{"task_instance.duration", []string{"dag_id"}, []column{{"airflow_task_duration", "How long tasks that succeeded took that ended within the last hour, on average."}},
		`SELECT dag_id, avg(duration)::float8 FROM task_instance WHERE state = 'success' AND duration IS NOT NULL AND end_date > now() - interval '1 hour' GROUP BY 1`},
	{"dag_run", []string{"dag_id"}, []column{{"airflow_dagrun_duration", "How long the last DAG run that succeeded took."}},
		`SELECT DISTINCT ON (dag_id) dag_id, extract(epoch FROM end_date - start_date)::float8 FROM dag_run WHERE state = 'success' AND end_date IS NOT NULL AND start_date IS NOT NULL ORDER BY dag_id, end_date DESC`},
	{"dag_run", []string{"dag_id"}, []column{{"airflow_dagrun_failed", "How long the last DAG run that failed took."}},
		`SELECT DISTINCT ON (dag_id) dag_id, extract(epoch FROM end_date - start_date)::float8 FROM dag_run WHERE state = 'failed' AND end_date IS NOT NULL AND start_date IS NOT NULL ORDER BY dag_id, end_date DESC`},
	{"dag_run.run_after", []string{"dag_id"}, []column{{"airflow_dagrun_schedule_delay", "How long after its time the last scheduled DAG run started."}},
		`SELECT DISTINCT ON (dag_id) dag_id, extract(epoch FROM start_date - run_after)::float8 FROM dag_run WHERE run_type = 'scheduled' AND start_date IS NOT NULL ORDER BY dag_id, start_date DESC`},
	{"dag_run", []string{"state"}, []column{{"airflow_dagruns_unfinished", "DAG runs by state, those that are not done."}},
		`SELECT s, count(r.state)::float8 FROM unnest(ARRAY['queued','running']) s LEFT JOIN dag_run r ON r.state = s AND r.state IN ('queued','running') GROUP BY 1`},
	{"import_error", nil, []column{{"airflow_dag_processing_import_errors", "Files with DAGs that can't be imported."}}, `SELECT count(*)::float8 FROM import_error`},
	{"dag.is_stale", nil, []column{
		{"airflow_dagbag_size", "DAGs there are."},
		{"airflow_dags_paused", "DAGs there are that are paused."},
		{"airflow_dag_processing_last_run_seconds_ago", "How long ago the DAG was parsed whose turn was longest ago."},
	}, `SELECT count(*)::float8, count(*) FILTER (WHERE is_paused)::float8, coalesce(extract(epoch FROM clock_timestamp() - min(last_parsed_time)), 0)::float8 FROM dag WHERE NOT is_stale`},
	{"dag.is_active", nil, []column{
		{"airflow_dagbag_size", "DAGs there are."},
		{"airflow_dags_paused", "DAGs there are that are paused."},
		{"airflow_dag_processing_last_run_seconds_ago", "How long ago the DAG was parsed whose turn was longest ago."},
	}, `SELECT count(*)::float8, count(*) FILTER (WHERE is_paused)::float8, coalesce(extract(epoch FROM clock_timestamp() - min(last_parsed_time)), 0)::float8 FROM dag WHERE is_active`},
	{"dag.last_parse_duration", nil, []column{
		{"airflow_dag_processing_total_parse_time", "How long it takes to parse every file with DAGs once."},
		{"airflow_dag_processing_last_runtime", "How long the file takes that takes longest."},
	}, `SELECT coalesce(sum(took), 0)::float8, coalesce(max(took), 0)::float8 FROM (SELECT max(last_parse_duration) AS took FROM dag WHERE NOT is_stale GROUP BY fileloc) x`},
	{"trigger", nil, []column{{"airflow_triggers_running", "Triggers that a triggerer has taken."}}, `SELECT count(*)::float8 FROM trigger WHERE triggerer_id IS NOT NULL`},
	{"asset_event", nil, []column{{"airflow_dataset_updates", "Updates of assets, of those the database has."}}, `SELECT count(*)::float8 FROM asset_event`},
	{"dataset_event", nil, []column{{"airflow_dataset_updates", "Updates of assets, of those the database has."}}, `SELECT count(*)::float8 FROM dataset_event`},
	{"asset_active", nil, []column{{"airflow_dataset_orphaned", "Assets that no DAG names any more."}},
		`SELECT count(*)::float8 FROM asset a WHERE NOT EXISTS (SELECT FROM asset_active x WHERE x.name = a.name AND x.uri = a.uri)`},
	{"dag_run", nil, []column{{"airflow_dataset_triggered_dagruns", "DAG runs that updates of assets began, of those the database has."}},
		`SELECT count(*)::float8 FROM dag_run WHERE run_type IN ('asset_triggered','dataset_triggered')`},
}
