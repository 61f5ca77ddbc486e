package postgres_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/drivertest"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// subject is a real server under the conformance suite.
type subject struct {
	*postgrestest.Server
	t testing.TB
	d driver.Driver
}

func newSubject(t testing.TB, s *postgrestest.Server, change ...func(*postgres.Config)) subject {
	t.Helper()
	cfg := s.Config(events.Ref{Region: "eu-west-1", Cluster: s.Name})
	for _, f := range change {
		f(&cfg)
	}
	d, err := postgres.New(cfg, slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return subject{s, t, d}
}

// testLog sends a driver's log to its test, which shows it only if it fails.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) { l.t.Log(string(b)); return len(b), nil }

func (s subject) Driver() driver.Driver { return s.d }

func (s subject) Write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := s.SQL(ctx, "CREATE TABLE IF NOT EXISTS written (at timestamptz); INSERT INTO written VALUES (now())")
	return err
}

func (s subject) Kill() error {
	if err := s.Server.Write("standby.signal", ""); err != nil {
		return err
	}
	return s.Server.Kill()
}

func (s subject) Boot(context.Context) error { return s.Start() }

func pair(t testing.TB, lines ...string) (a, b subject) {
	t.Helper()
	pa, pb := postgrestest.Pair(t, lines...)
	a, b = newSubject(t, pa), newSubject(t, pb)
	a.must("CREATE TABLE written (at timestamptz)")
	until(t, "the standby has it", func() bool { out, _ := b.SQL(t.Context(), "SELECT to_regclass('written')"); return out != "" })
	return a, b
}

// TestConformance runs the suite on every PostgreSQL of this host.
func TestConformance(t *testing.T) {
	t.Parallel()
	bins := postgrestest.Bins()
	if len(bins) == 0 {
		t.Fatal("no PostgreSQL is installed: nothing was tested")
	}
	for _, bin := range bins {
		t.Run(filepath.Base(filepath.Dir(bin)), func(t *testing.T) {
			t.Parallel()
			lab := postgrestest.Shared(t)
			if bin != lab.Bin {
				var err error
				if lab, err = postgrestest.Open(bin); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { lab.Close() })
			}
			drivertest.Run(t, drivertest.Env{
				Settle: 20 * time.Second, ProbeLimit: 2 * time.Second,
				Pair: func(t *testing.T) (drivertest.Subject, drivertest.Subject) {
					a, b := lab.Pair(t, "autovacuum = off") // which commits, too
					return newSubject(t, a), newSubject(t, b)
				},
			})
		})
	}
}

// until waits for a fact.
func until(t testing.TB, fact string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !is(); time.Sleep(3 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 15 s", fact)
		}
	}
}

// probe gives the driver a second.
func (s subject) probe() events.ClusterHealth {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	return s.d.Probe(ctx)
}

func (s subject) untilServer(want events.Server) {
	s.t.Helper()
	until(s.t, s.Name+" is "+string(want), func() bool { return s.probe().Server == want })
}

// do fails the test unless the outcome is as wanted.
func (s subject) do(want events.Outcome, a driver.Action) events.Result {
	s.t.Helper()
	r := s.d.Do(s.t.Context(), a)
	if r.Outcome != want {
		s.t.Fatalf("%s: %s (%s), want %s", a.Verb, r.Outcome, r.Why, want)
	}
	return r
}

func (s subject) must(sql string) string {
	s.t.Helper()
	out, err := s.SQL(s.t.Context(), sql)
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.Name, sql, err)
	}
	return out
}

// session is one open connection of a client.
func (s subject) session() *pgx.Conn {
	s.t.Helper()
	c, err := s.Connect(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.give(c.Close) })
	return c
}

// give bounds a farewell to a server that may be gone or frozen.
func (s subject) give(f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f(ctx) // nobody has to be there any more
}

// commits tries one write in an open session.
func commits(t testing.TB, c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := c.Exec(ctx, "INSERT INTO written VALUES (now())")
	return err
}

// pidOf finds one process of the server by its kind.
func (s subject) pidOf(backendType string) int {
	s.t.Helper()
	pid := 0
	until(s.t, backendType+" is there", func() bool {
		out, err := s.SQL(s.t.Context(), "SELECT pid FROM pg_stat_activity WHERE backend_type = '"+backendType+"' LIMIT 1")
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(out)
		return err == nil
	})
	return pid
}

func (s subject) postmaster() int {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Data, "postmaster.pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

func signal(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %d: %v", pid, err)
	}
}

// controlField is one line of what pg_controldata says of it.
func (s subject) controlField(name string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(postgrestest.Shared(s.t).Bin, "pg_controldata"), s.Data)
	cmd.Env = []string{"LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	s.t.Fatalf("pg_controldata has no %q", name)
	return ""
}

func one(t testing.TB, lines ...string) subject {
	t.Helper()
	s := newSubject(t, postgrestest.Primary(t, lines...))
	s.must("CREATE TABLE written (at timestamptz)")
	return s
}

func exists(t testing.TB, s subject, name string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(s.Data, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}
