package account

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/rest"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
)

// Live is a real Airflow: it is looked at in its metadata database, where one query shows all of a moment, with the scheduler that queued each try, which the API does not tell; it is
// changed through its API only.
type Live struct {
	DSN string // file with the connection string of the metadata database
	API *rest.Client

	mu   sync.Mutex
	conn *pgx.Conn
	note string // query for the note of an instance ti, by the generation of the database
}

// Close lets the connection go.
func (l *Live) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

func (l *Live) drop() {
	if l.conn != nil {
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = l.conn.Close(short) // whatever was wrong with it was told
		l.conn = nil
	}
}

// with runs f in one read-only transaction, of one moment.
func (l *Live) with(ctx context.Context, f func(tx pgx.Tx) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.IsClosed() {
		dsn, err := os.ReadFile(l.DSN) // again each time: it may be changed
		if err != nil {
			return fmt.Errorf("read the connection string of the metadata database: %w", err)
		}
		conn, err := pgx.Connect(ctx, strings.TrimSpace(string(dsn)))
		if err != nil {
			return fmt.Errorf("connect to the metadata database: %w", err)
		}
		l.conn, l.note = conn, ""
	}
	err := pgx.BeginTxFunc(ctx, l.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := l.generation(ctx, tx); err != nil {
			return err
		}
		return f(tx)
	})
	if err != nil {
		l.drop()
		return fmt.Errorf("look at the metadata database: %w", err)
	}
	return nil
}

// generation finds out how notes are kept: 3.x by the id of a try, 2.x by the name of the instance.
func (l *Live) generation(ctx context.Context, tx pgx.Tx) error {
	if l.note != "" {
		return nil
	}
	var byID, history bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'task_instance_note' AND column_name = 'ti_id'),
		EXISTS (SELECT FROM information_schema.tables WHERE table_name = 'task_instance_history')`).Scan(&byID, &history)
	switch {
	case err != nil:
		return err
	case !history:
		return errors.New("it keeps no history of tries: want Airflow 2.10 or newer")
	case byID:
		l.note = `(SELECT n.content FROM task_instance_note n WHERE n.ti_id = ti.id)`
	default:
		l.note = `(SELECT n.content FROM task_instance_note n WHERE n.dag_id = ti.dag_id AND n.run_id = ti.run_id AND n.task_id = ti.task_id AND n.map_index = ti.map_index)`
	}
	return nil
}

// jobsRead is how many rows of schedulers are read, the newest first: whoever died longer ago has nothing left.
const jobsRead = 200

// Window implements Airflow.
func (l *Live) Window(ctx context.Context) (w events.TaskWindow, err error) {
	err = l.with(ctx, func(tx pgx.Tx) error {
		w, err = window(ctx, tx)
		return err
	})
	return w, err
}

// job is the row of a scheduler that is not running any more.
type job struct {
	id          int64
	start, beat time.Time // by its host's clock
	end         time.Time // when it ended, or was marked failed; zero = nobody said
}

// shortLived is how long a scheduler lives at least to count as one that was well: one that died sooner belongs to the outage that began before it.
const shortLived = 20 * time.Second

// since finds the last scheduler that was well, of dead ones in order of their last heartbeats, the newest first.
func since(dead []job) job {
	for _, j := range dead {
		if j.beat.Sub(j.start) >= shortLived {
			return j
		}
	}
	return dead[len(dead)-1]
}

func window(ctx context.Context, tx pgx.Tx) (events.TaskWindow, error) {
	var w events.TaskWindow
	rows, err := tx.Query(ctx, `SELECT id, coalesce(state, ''), start_date, coalesce(latest_heartbeat, start_date), coalesce(end_date, '-infinity'::timestamptz) = '-infinity', coalesce(end_date, now()), now()
		FROM job WHERE job_type = 'SchedulerJob' AND start_date IS NOT NULL ORDER BY id DESC LIMIT $1`, jobsRead)
	if err != nil {
		return w, err
	}
	var live job
	var dead []job
	for rows.Next() {
		var j job
		var state string
		var open bool
		if err := rows.Scan(&j.id, &state, &j.start, &j.beat, &open, &j.end, &w.To); err != nil {
			return w, err
		}
		switch {
		case state != "running":
			w.Jobs = append(w.Jobs, j.id)
			dead = append(dead, j)
			if !open && j.end.After(w.Cut) {
				w.Cut = j.end
			}
		case live.id == 0:
			live = j
		}
	}
	if err := rows.Err(); err != nil {
		return w, err
	}
	if live.id == 0 {
		return w, ErrNoScheduler
	}
	w.From, w.By = live.start, fmt.Sprintf("the start of scheduler job %d, before which there was none", live.id)
	if len(dead) > 0 {
		slices.SortStableFunc(dead, func(a, b job) int { return b.beat.Compare(a.beat) })
		last := since(dead)
		w.From, w.By = last.beat, fmt.Sprintf("the last heartbeat of scheduler job %d, which is not running any more", last.id)
	}
	if w.Cut.Before(w.From) {
		w.Cut = w.From
	}
	w.From, w.Cut, w.To = w.From.UTC(), w.Cut.UTC(), w.To.UTC()
	w.Till = fmt.Sprintf("the database's clock, when scheduler job %d was found running", live.id)
	slices.Sort(w.Jobs)
	return w, nil
}

const columns = `ti.dag_id, ti.run_id, ti.task_id, ti.map_index, coalesce(ti.state, ''), ti.try_number, ti.end_date, coalesce(ti.queued_by_job_id, 0), ti.start_date IS NOT NULL,
	dr.state IN ('running', 'queued')`

func fields(i *tasks.Instance, end **time.Time) []any {
	return []any{&i.DAG, &i.Run, &i.Task, &i.Map, &i.State, &i.Try, end, &i.Job, &i.Begun, &i.Open}
}

// Look implements Airflow. Only runs that are open, or that ended in the window, are looked into: by their names there is an index.
func (l *Live) Look(ctx context.Context, w events.TaskWindow) (s tasks.Sight, err error) {
	s.Tags = map[string][]string{}
	err = l.with(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+columns+`, h.try_number, h.end_date, h.queued_by_job_id
			FROM dag_run dr JOIN task_instance ti ON ti.dag_id = dr.dag_id AND ti.run_id = dr.run_id
			LEFT JOIN LATERAL (SELECT h.try_number, h.end_date, coalesce(h.queued_by_job_id, 0) AS queued_by_job_id FROM task_instance_history h
				WHERE h.dag_id = ti.dag_id AND h.run_id = ti.run_id AND h.task_id = ti.task_id AND h.map_index = ti.map_index AND h.end_date > $1 ORDER BY h.try_number LIMIT 1) h ON true
			WHERE (dr.state IN ('running', 'queued') OR dr.end_date > $1)
				AND (ti.state IN ('queued', 'running', 'restarting', 'deferred') OR ti.end_date > $1 AND ti.state IN ('failed', 'up_for_retry', 'upstream_failed', 'success') OR h.try_number IS NOT NULL)`,
			w.From)
		if err != nil {
			return err
		}
		for rows.Next() {
			var i tasks.Instance
			var end, lost *time.Time
			var try *int
			var job *int64
			if err := rows.Scan(append(fields(&i, &end), &try, &lost, &job)...); err != nil {
				return err
			}
			if end != nil {
				i.End = *end
			}
			if try != nil {
				i.Lost = &tasks.Try{Try: *try, End: *lost, Job: *job}
			}
			s.Instances = append(s.Instances, i)
			s.Tags[i.DAG] = nil
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return tagsOf(ctx, tx, s.Tags)
	})
	return s, err
}

// tagsOf fills in the tags of the DAGs named.
func tagsOf(ctx context.Context, tx pgx.Tx, tags map[string][]string) error {
	var dags []string
	for d := range tags {
		dags = append(dags, d)
	}
	rows, err := tx.Query(ctx, `SELECT dag_id, name FROM dag_tag WHERE dag_id = ANY($1) ORDER BY dag_id, name`, dags)
	if err != nil {
		return err
	}
	for rows.Next() {
		var dag, tag string
		if err := rows.Scan(&dag, &tag); err != nil {
			return err
		}
		tags[dag] = append(tags[dag], tag)
	}
	return rows.Err()
}

// Again implements Airflow.
func (l *Live) Again(ctx context.Context, keys []events.TaskKey) (now time.Time, seen map[events.TaskKey]tasks.Instance, err error) {
	var dags, runs, names []string
	var maps []int
	for _, k := range keys {
		dags, runs, names, maps = append(dags, k.DAG), append(runs, k.Run), append(names, k.Task), append(maps, k.Map)
	}
	seen = make(map[events.TaskKey]tasks.Instance, len(keys))
	err = l.with(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+columns+`, coalesce(`+l.note+`, '')
			FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) k (dag, run, task, map)
			JOIN task_instance ti ON ti.dag_id = k.dag AND ti.run_id = k.run AND ti.task_id = k.task AND ti.map_index = k.map
			JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id`, dags, runs, names, maps)
		if err != nil {
			return err
		}
		for rows.Next() {
			var i tasks.Instance
			var end *time.Time
			if err := rows.Scan(append(fields(&i, &end), &i.Note)...); err != nil {
				return err
			}
			if end != nil {
				i.End = *end
			}
			seen[i.TaskKey] = i
		}
		return rows.Err()
	})
	return now, seen, err
}

// Clear implements Airflow.
func (l *Live) Clear(ctx context.Context, k events.TaskKey, note string) error {
	key := rest.TaskKey{DAG: k.DAG, Run: k.Run, Task: k.Task, Index: k.Map}
	cleared, err := l.API.Clear(ctx, k.DAG, rest.ClearOrder{Run: k.Run, Tasks: []rest.TaskKey{key}, OnlyFailed: true, Downstream: true, Note: note, NotRunning: true, Do: true})
	if err != nil {
		return refusal(err)
	}
	if len(cleared) == 0 {
		return &Refusal{"nothing of it is failed any more"}
	}
	if g, err := l.API.Generation(ctx); err == nil && g == rest.V2 {
		return refusal(l.API.SetNote(ctx, key, note))
	}
	return nil
}

// Fail implements Airflow. It leaves no note: the note says that it was cleared.
func (l *Live) Fail(ctx context.Context, k events.TaskKey) error {
	return refusal(l.API.SetState(ctx, rest.TaskKey{DAG: k.DAG, Run: k.Run, Task: k.Task, Index: k.Map}, rest.Failed, ""))
}

// refusal tells a definite no from an answer that leaves open what was done.
func refusal(err error) error {
	if s := rest.Status(err); s >= 400 && s < 500 {
		return &Refusal{err.Error()}
	}
	return err
}

var _ Airflow = (*Live)(nil)
