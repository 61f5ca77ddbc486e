package regionagent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// home is one host with one server under care, without an agent or a guard: what its unit runs has to do without them.
type home struct {
	*testing.T
	*postgrestest.Server
	cfg *config.Agent
	h   *hosted
}

func newHome(t *testing.T, entry lease.Entry, lines ...string) *home {
	t.Helper()
	s := postgrestest.Primary(t, lines...)
	c := s.Config(events.Ref{Region: "eu-west-1", Cluster: "orders-a"})
	cfg := &config.Agent{Region: "eu-west-1", Name: "h", State: t.TempDir(), Clusters: []config.Cluster{{
		Name: "orders-a", Postgres: &config.Postgres{Data: c.Data, Bin: c.Bin, User: c.User, Advertise: c.Advertise},
	}}}
	h, err := openHosted(cfg, "eu-west-1/orders-a", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.agent.closeDrivers)
	entry.Cluster, entry.Group, entry.Seen = h.ref, "orders", 1
	f, err := ledger.Open[lease.Ledger](cfg.Ledger())
	if err == nil {
		err = f.Save(lease.Ledger{ID: "x", Entries: []lease.Entry{entry}})
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	x := &home{t, s, cfg, h}
	if r := h.driver.Do(t.Context(), driver.Action{Verb: driver.Start}); !r.Outcome.OK() { // what an agent does with an active it finds: the signal file is kept beside it
		t.Fatal(r.Why)
	}
	if _, err := s.SQL(t.Context(), "CREATE TABLE w (n int)"); err != nil {
		t.Fatal(err)
	}
	return x
}

var underCare = lease.Entry{Role: events.RoleActive, Mode: events.ModeAuto, Primary: true}

func (s *home) unitStop() string {
	s.Helper()
	what, err := UnitStop(s.Context(), s.cfg, "orders-a", "", slog.New(slog.DiscardHandler))
	if err != nil {
		s.Fatal(err)
	}
	return what
}

func (s *home) pids() []int {
	s.Helper()
	p, err := freezer.Find(s.h.driver.Tree())
	if err != nil {
		s.Fatal(err)
	}
	return p.PIDs()
}

// crowd is sessions that write one row after another.
type crowd struct {
	acks, failed atomic.Int64
	backends     []uint32
	over         func()
}

func (s *home) crowd(n int) *crowd {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	w := &crowd{}
	var all sync.WaitGroup
	w.over = func() { cancel(); all.Wait() }
	s.Cleanup(w.over)
	conns := make([]*pgx.Conn, n)
	for i := range conns {
		c, err := s.Connect(ctx)
		if err != nil {
			s.Fatal(err)
		}
		conns[i] = c
		w.backends = append(w.backends, c.PgConn().PID())
	}
	for i, c := range conns {
		all.Go(func() {
			defer c.Close(context.WithoutCancel(ctx))
			for ctx.Err() == nil {
				if _, err := c.Exec(ctx, "INSERT INTO w VALUES ($1)", i); err != nil {
					if ctx.Err() == nil {
						w.failed.Add(1)
					}
					return
				}
				w.acks.Add(1)
			}
		})
	}
	return w
}

func (s *home) until(what string, is func() bool) {
	s.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("30 s passed before %s", what)
		}
	}
}

// TestUnitStopOfAFrozenServerLetsNoCommitOut is a service manager's stop of a server that signals hold, with 30 sessions in the middle of their writes: the unit's
// ExecStop, then what systemd does to every process of the unit.
func TestUnitStopOfAFrozenServerLetsNoCommitOut(t *testing.T) {
	s := newHome(t, underCare)
	w := s.crowd(30)
	s.until("everybody writes", func() bool { return w.acks.Load() > 300 })
	pids := s.pids()
	if _, err := freezer.Freeze(t.Context(), s.h.driver.Tree()); err != nil {
		t.Fatal(err)
	}
	before := w.settled()
	if what := s.unitStop(); !strings.Contains(what, "killed") {
		t.Errorf("it says %q: want killed", what)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		for _, pid := range pids {
			_ = syscall.Kill(pid, sig) // gone, as it should be
		}
	}
	s.until("every session has ended", func() bool { return w.failed.Load() == 30 })
	if after := w.acks.Load() - before; after != 0 {
		t.Errorf("%d commits were acknowledged after the freeze", after)
	}
	s.until("nothing is left", func() bool { return len(s.pids()) == 0 })
	if err := s.Start(); err != nil { // by hand, around every gate
		t.Fatal(err)
	}
	if in, err := s.SQL(t.Context(), "SELECT pg_is_in_recovery()"); err != nil || in != "t" {
		t.Errorf("started by hand it is in recovery: %q, %v; want t", in, err)
	}
}

// settled is the number of acknowledgements once those that were on their way have arrived.
func (w *crowd) settled() int64 {
	last, since := w.acks.Load(), time.Now()
	for time.Since(since) < 200*time.Millisecond {
		<-time.After(5 * time.Millisecond)
		if now := w.acks.Load(); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}

func TestUnitStopOfARunningServerIsClean(t *testing.T) {
	s := newHome(t, underCare)
	w := s.crowd(5)
	s.until("everybody writes", func() bool { return w.acks.Load() > 50 })
	if what := s.unitStop(); what != "stopped cleanly" {
		t.Errorf("it says %q", what)
	}
	h := s.h.driver.Probe(t.Context())
	if h.Server != events.ServerDown || h.Error != "control file: shut down" {
		t.Errorf("it is %s, %s", h.Server, h.Error)
	}
	if what := s.unitStop(); what != "stopped cleanly" { // a unit stops what went by itself, too
		t.Errorf("stopped again it says %q", what)
	}
}

// TestUnitStopFrozenOnTheWay: the right lapses while a slow stop is under way.
func TestUnitStopFrozenOnTheWay(t *testing.T) {
	s := newHome(t, underCare, "archive_mode = on", "archive_command = 'sleep 30'") // its archiver keeps it
	said := make(chan string, 1)
	go func() {
		what, err := UnitStop(t.Context(), s.cfg, "orders-a", "", slog.New(slog.DiscardHandler))
		if err != nil {
			what = err.Error()
		}
		said <- what
	}()
	s.until("it stops", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.Data, "postmaster.pid"))
		return strings.Contains(string(b), "stopping")
	})
	if _, err := freezer.Freeze(t.Context(), s.h.driver.Tree()); err != nil {
		t.Fatal(err)
	}
	if what := <-said; !strings.Contains(what, "killed") {
		t.Errorf("it says %q: want killed", what)
	}
	s.until("nothing is left", func() bool { return len(s.pids()) == 0 })
}

func TestUnitLeavesAloneWhatIsNotFenced(t *testing.T) {
	s := newHome(t, lease.Entry{Role: events.RoleActive, Mode: events.ModeObserve, Primary: true})
	if what := s.unitStop(); !strings.Contains(what, "observed only") {
		t.Errorf("it says %q", what)
	}
	if len(s.pids()) == 0 {
		t.Error("it was stopped")
	}
	if p, err := UnitGate(s.cfg, "", "some-other.service", slog.New(slog.DiscardHandler)); err != nil || !p.Alone {
		t.Errorf("a unit of nobody: %+v, %v", p, err)
	}
	if _, err := UnitGate(s.cfg, "orders-b", "", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a cluster that is not there was let through")
	}
}
