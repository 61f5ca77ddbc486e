package postgres_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

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
	return a, b
}

func TestConformance(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Env{
		Settle: 20 * time.Second, ProbeLimit: 2 * time.Second,
		Pair: func(t *testing.T) (drivertest.Subject, drivertest.Subject) { a, b := pair(t); return a, b },
	})
}

func exists(t testing.TB, s subject, name string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(s.Data, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}
