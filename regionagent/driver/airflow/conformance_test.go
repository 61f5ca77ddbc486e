package airflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/drivertest"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// tables are the columns of the metadata database that the driver reads and writes, as 2.x and 3 both have them.
const tables = `CREATE TABLE job (id serial PRIMARY KEY, job_type text, state text, latest_heartbeat timestamptz, end_date timestamptz);
CREATE TABLE dag (dag_id text PRIMARY KEY, is_paused boolean); CREATE TABLE task_instance (state text)`

// subject is one side of a pair of stand-ins on a real database.
type subject struct {
	d *Driver
}

var (
	serverOnce sync.Once
	server     *postgrestest.Server
)

// metadata makes a metadata database.
func metadata(t *testing.T) string {
	t.Helper()
	serverOnce.Do(func() {
		l := postgrestest.Shared(t)
		s, err := l.Primary("airflow-metadata", "max_connections = 300")
		if err != nil {
			t.Fatal(err)
		}
		server = s
	})
	name := postgrestest.Name("airflow")
	if _, err := server.SQL(t.Context(), fmt.Sprintf(`CREATE DATABASE %q`, name)); err != nil {
		t.Fatal(err)
	}
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s target_session_attrs=read-write", server.Port, postgrestest.Shared(t).User, name)
	d := newDatabase(file(t, dsn))
	t.Cleanup(d.close)
	err := d.use(t.Context(), func(c *pgx.Conn) error {
		_, err := c.Exec(t.Context(), tables, pgx.QueryExecModeSimpleProtocol)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func file(t *testing.T, content string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(f, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func newSubject(t *testing.T, name, dsn string, change ...func(*Config)) *subject {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "standin")
	if err := os.Symlink(self, bin); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Cluster: events.Ref{Region: "r1", Cluster: name}, Bin: bin, Home: dir, EnvFile: file(t, "# the stand-in's\nSTANDIN_DSN=\""+dsn+"\"\n"), Run: []string{"scheduler", "dag-processor"},
		DSNFile: file(t, dsn), Dir: filepath.Join(dir, "state"), Self: []string{self, "hold"}, Advertise: name + ":1",
	}
	for _, f := range change {
		f(&cfg)
	}
	d, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &subject{d}
	t.Cleanup(func() {
		err := s.Kill()
		if err = errors.Join(err, d.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *subject) Driver() driver.Driver { return s.d }
func (s *subject) Address() string       { return s.d.cfg.Advertise }

// Write is this side at work: its scheduler runs, and was seen to beat since it was begun here.
func (s *subject) Write(ctx context.Context) error {
	p, err := freezer.Find(s.d.Tree())
	if err != nil {
		return err
	}
	_, parts, _, err := s.d.run.found(p)
	if err != nil {
		return err
	}
	if !parts["scheduler"] {
		return errors.New("no scheduler")
	}
	last, err := s.d.last()
	if err != nil {
		return err
	}
	var beats bool
	err = s.d.db.use(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM job WHERE id > $1 AND state = 'running' AND job_type = 'SchedulerJob')", last.Job).Scan(&beats)
	})
	if err == nil && !beats {
		err = errors.New("its scheduler does not beat")
	}
	return err
}

func (s *subject) Freeze() error {
	_, err := freezer.Freeze(context.Background(), s.d.Tree())
	return err
}

func (s *subject) Thaw() error {
	_, err := freezer.Thaw(context.Background(), s.d.Tree())
	return err
}

func (s *subject) Kill() error {
	_, err := freezer.Kill(context.Background(), s.d.Tree())
	return err
}

// Boot begins its holder beside the driver, as whoever does not know of it might.
func (s *subject) Boot(ctx context.Context) error {
	h := s.d.run.(*held)
	_, err := h.hold(ctx, &h.spec, "")
	return err
}

// TestConforms runs the suite of all drivers on pairs of stand-ins with a real database.
func TestConforms(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Env{
		Settle: 30 * time.Second, ProbeLimit: 5 * time.Second, NoLog: true,
		Pair: func(t *testing.T) (active, passive drivertest.Subject) {
			dsn := metadata(t)
			a, p := newSubject(t, "a", dsn), newSubject(t, "b", dsn)
			for _, x := range []*subject{p, a} {
				if r := x.d.Do(t.Context(), driver.Action{Verb: driver.StartStandby, Source: a.Address(), Limit: 30 * time.Second}); !r.Outcome.OK() {
					t.Fatalf("start: %s (%s)", r.Outcome, r.Why)
				}
			}
			if r := a.d.Do(t.Context(), driver.Action{Verb: driver.Promote, Limit: 30 * time.Second}); !r.Outcome.OK() {
				t.Fatalf("promote: %s (%s)", r.Outcome, r.Why)
			}
			return a, p
		},
	})
}
