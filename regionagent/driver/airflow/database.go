package airflow

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
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchback-dr/switchback/events"
)

const (
	lookEvery = 300 * time.Millisecond // how often the metadata database is looked at
	lookLimit = 3 * time.Second        // … and how long that may take, with a connection to whichever host accepts writes
	oldLook   = 4 * time.Second        // what was seen longer ago says nothing
)

// database is the metadata database, wherever it accepts writes now. It is watched beside the probes, which must answer whatever it does.
type database struct {
	file  string
	mu    sync.Mutex
	seen  look
	beats map[int]beat // by job
	busy  chan struct{}
	conn  *pgx.Conn
}

// look is what was seen of it.
type look struct {
	at   time.Time // zero = not yet
	back time.Time // since when it accepts writes without a break
	why  string    // why it does not; empty = it does
	jobs []jobRow
}

// jobRow is one process of Airflow that says of itself that it runs.
type jobRow struct {
	id   int
	kind string
	beat time.Time
	age  time.Duration // by the database's clock
}

// beat is when a heartbeat was seen to move on: by our own clock, as the clock of the host that wrote it is another.
type beat struct {
	value time.Time
	at    time.Time
}

func newDatabase(file string) *database {
	return &database{file: file, beats: map[int]beat{}, busy: make(chan struct{}, 1)}
}

// watch looks until ctx ends.
func (d *database) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		d.look(ctx)
		select {
		case <-ctx.Done():
			d.close()
			return
		case <-tick.C:
		}
	}
}

func (d *database) look(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	var jobs []jobRow
	err := d.use(short, func(c *pgx.Conn) error {
		rows, err := c.Query(short, `SELECT id, job_type, latest_heartbeat, greatest(extract(epoch FROM now() - latest_heartbeat), 0)::float8 FROM job
WHERE state = 'running' AND job_type IN ('SchedulerJob', 'DagProcessorJob', 'TriggererJob') AND latest_heartbeat IS NOT NULL`)
		if err != nil {
			return err
		}
		jobs, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (j jobRow, err error) {
			var age float64
			err = r.Scan(&j.id, &j.kind, &j.beat, &age)
			j.age = time.Duration(age * float64(time.Second))
			return j, err
		})
		return err
	})
	if ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	l := look{at: now, jobs: jobs}
	if err != nil {
		l.why = err.Error()
	} else if l.back = d.seen.back; l.back.IsZero() {
		l.back = now
	}
	d.seen = l
	if err == nil {
		kept := make(map[int]beat, len(jobs))
		for _, j := range jobs {
			b, known := d.beats[j.id]
			switch {
			case !known:
				b = beat{j.beat, now.Add(-j.age)}
			case !b.value.Equal(j.beat):
				b = beat{j.beat, now}
			}
			kept[j.id] = b
		}
		d.beats = kept
	}
}

// waits says why it accepts no writes as far as anybody saw; empty = it does.
func (d *database) waits() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.seen.at.IsZero():
		return "its database has not been looked at yet"
	case time.Since(d.seen.at) > oldLook:
		return "its database does not answer"
	case d.seen.why != "":
		return d.seen.why
	}
	return ""
}

// back is for how long it has accepted writes without a break.
func (d *database) back() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen.back.IsZero() {
		return 0
	}
	return time.Since(d.seen.back)
}

// silent is for how long no job of a kind, newer than the ones that were there at the last launch, has beaten; false: there is none.
func (d *database) silent(kind string, after int) (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	least, any := time.Duration(0), false
	for _, j := range d.seen.jobs {
		if j.kind != kind || j.id <= after {
			continue
		}
		if s := time.Since(d.beats[j.id].at); !any || s < least {
			least, any = s, true
		}
	}
	return least, any
}

// errReadOnly says that whoever answers accepts no writes.
var errReadOnly = errors.New("it is in recovery, or accepts no writes")

// use hands a connection to f: to a server that accepts writes, or not at all. A warm connection that turns out to be dead, or whose server was demoted, is tried once more anew.
func (d *database) use(ctx context.Context, f func(*pgx.Conn) error) error {
	select {
	case d.busy <- struct{}{}:
		defer func() { <-d.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	warm := d.conn != nil && !d.conn.IsClosed()
	err := d.once(ctx, f)
	if warm && err != nil && ctx.Err() == nil && (d.conn == nil || d.conn.IsClosed()) {
		err = d.once(ctx, f)
	}
	return err
}

func (d *database) once(ctx context.Context, f func(*pgx.Conn) error) error {
	if d.conn == nil || d.conn.IsClosed() {
		conn, err := d.open(ctx)
		if err != nil {
			return err
		}
		d.conn = conn
	}
	var no bool
	err := d.conn.QueryRow(ctx, "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool").Scan(&no)
	if err == nil && no {
		err = errReadOnly
	}
	if err == nil {
		return f(d.conn)
	}
	d.drop()
	return err
}

// drop lets the connection go without a farewell: a frozen server would not read it.
func (d *database) drop() {
	if d.conn == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.conn.Close(ctx) // it is of no use whatever this says
	d.conn = nil
}

func (d *database) close() {
	d.busy <- struct{}{}
	d.drop()
	<-d.busy
}

func (d *database) open(ctx context.Context) (*pgx.Conn, error) {
	b, err := os.ReadFile(d.file)
	if err != nil {
		return nil, fmt.Errorf("read dsn_file: %w", err)
	}
	cfg, err := pgx.ParseConfig(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("read dsn_file %s: it is no connection string", d.file) // the parser's error could quote the secret
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared: poolers do no harm
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = time.Second // for each host: a black hole must not hide the next one
	}
	cfg.RuntimeParams["application_name"] = "switchback"
	cfg.RuntimeParams["statement_timeout"] = "10s"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectError(err)
	}
	return conn, nil
}

// connectError is why no host was to be had, without the user's name and the like that the library adds.
func connectError(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("connect: %s", pg.Message)
	}
	lines := strings.Split(err.Error(), "\n")
	return fmt.Errorf("connect: %s", strings.TrimSpace(lines[len(lines)-1]))
}

// failJobs marks what says of itself that it runs as failed, and returns the newest row: whatever runs from now on has a newer one. A scheduler that begins takes the tasks of a failed
// one at once; of one that only fell silent it would let them lie for its health threshold, or for up to 5 minutes (facts E2, E3).
//
// It takes all of them, whatever their DAGs' policy says; so those that are not to run again by themselves are set failed in the same transaction, which their ledger knows by its instant.
func (d *database) failJobs(ctx context.Context, p *events.TaskPolicy) (newest int, err error) {
	err = d.use(ctx, func(c *pgx.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE job SET state = 'failed', end_date = now() WHERE state = 'running' AND job_type IN ('SchedulerJob', 'DagProcessorJob', 'TriggererJob')")
			if err == nil && p != nil {
				_, err = tx.Exec(ctx, `UPDATE task_instance ti SET state = 'failed', end_date = now(), updated_at = now() WHERE ti.state IN ('queued', 'running', 'restarting')
					AND EXISTS (SELECT FROM job j WHERE j.id = ti.queued_by_job_id AND j.state IS DISTINCT FROM 'running')
					AND ($1 OR EXISTS (SELECT FROM dag_tag t WHERE t.dag_id = ti.dag_id AND t.name = ANY($2)))`, p.Retry != events.TaskSafe, slices.Concat(p.Never, p.Ask))
			}
			if err == nil {
				err = tx.QueryRow(ctx, "SELECT coalesce(max(id), 0) FROM job").Scan(&newest)
			}
			return err
		})
	})
	return newest, err
}
