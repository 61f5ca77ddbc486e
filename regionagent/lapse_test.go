package regionagent

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/guard"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// guardIt runs a guard of the host as its own process would, and returns how to end it.
func (s *home) guardIt(d events.Durations) (end func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() {
		cs := []guard.Cluster{s.h.guarded()}
		done <- guard.Run(ctx, guard.Config{
			Socket: s.cfg.GuardSocket(), Handover: s.cfg.GuardHandover(), Durations: d, Clusters: cs, InProcess: true,
			Log: slog.New(slog.DiscardHandler), Metrics: guard.NewMetrics(prometheus.NewRegistry()),
			Held: func() ([]lease.Guarded, error) { return guard.ReadHeld(s.cfg.Ledger(), s.cfg.Overrides(), cs) },
		})
	}()
	var over atomic.Bool
	end = func() {
		if cancel(); !over.Swap(true) {
			if err := <-done; err != nil {
				s.Error(err)
			}
		}
	}
	s.Cleanup(end)
	return end
}

// speaker is an agent of a cluster that has as much left of its right as the test says.
type speaker struct {
	*guard.Client
	left  atomic.Int64
	fence atomic.Value // lease.Fence
}

func (s *home) speak(d events.Durations) *speaker {
	s.Helper()
	x := &speaker{}
	x.left.Store(int64(d.Run))
	s.until("the guard listens", func() bool {
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		var err error
		x.Client, err = guard.Dial(ctx, s.cfg.GuardSocket(), d, s.T.Name(), []guard.Cluster{s.h.guarded()})
		return err == nil
	})
	x.fence.Store(x.Held[0].Fence)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-x.Gone():
				return
			case c := <-x.States():
				x.fence.Store(c.Fence)
			case n := <-x.Asks():
				_ = x.Answer(n, []lease.Left{{Cluster: s.h.ref.String(), Left: time.Duration(x.left.Load()), Held: true}}) // an end shows in Gone
			}
		}
	}()
	s.Cleanup(func() { _ = x.Close(); <-over })
	return x
}

func (s *home) is(x *speaker, f lease.Fence) {
	s.Helper()
	s.until("the fence is "+string(f), func() bool { return x.fence.Load() == f })
}

// thaws lets it go once the guard heard of a right.
func (s *home) thaws(x *speaker) {
	s.Helper()
	s.until("it is let go", func() bool {
		done, err := x.Do(s.Context(), guard.Thaw, s.h.ref.String())
		return err == nil && done.OK
	})
}

func lapsing(t *testing.T) events.Durations {
	t.Helper()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	d.Freeze, d.KillAfter = 10*time.Second, time.Minute // the host that tests is busy, and S is measured elsewhere
	return d
}

// TestSessionsSurviveALapse: the lease lapses, 200 sessions stand still for 5 s, it is back, and they go on: not one error, the same backends.
func TestSessionsSurviveALapse(t *testing.T) {
	s := newHome(t, underCare, "max_connections = 230")
	d := lapsing(t)
	s.guardIt(d)
	x := s.speak(d)
	s.thaws(x) // it freezes first
	w := s.crowd(200)
	s.until("all of them write", func() bool { return w.acks.Load() > 1000 })
	x.left.Store(0)
	s.is(x, lease.FenceFrozen)
	before := w.settled()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if n := w.acks.Load() - before; n != 0 {
			t.Fatalf("%d commits were acknowledged while it was frozen", n)
		}
	}
	x.left.Store(int64(time.Hour))
	if err := x.Nudge(); err != nil {
		t.Fatal(err)
	}
	s.thaws(x)
	s.until("they write again", func() bool { return w.acks.Load() > before+1000 })
	if n := w.failed.Load(); n != 0 {
		t.Errorf("%d of 200 sessions failed", n)
	}
	c, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	rows, err := c.Query(t.Context(), "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var now []uint32
	for rows.Next() {
		var pid uint32
		if err := rows.Scan(&pid); err != nil {
			t.Fatal(err)
		}
		now = append(now, pid)
	}
	for _, pid := range w.backends {
		if !slices.Contains(now, pid) {
			t.Errorf("backend %d is gone", pid)
		}
	}
}

// TestOverride breaks the glass: a frozen server is let go and stays so, whatever its right and whoever guards it next; a stopped one is started; ended, the lease rules again.
func TestOverride(t *testing.T) {
	s := newHome(t, underCare)
	d := lapsing(t)
	end := s.guardIt(d)
	x := s.speak(d)
	x.left.Store(0)
	s.is(x, lease.FenceFrozen)
	override := func() string {
		t.Helper()
		what, err := UnitOverride(t.Context(), s.cfg, "orders-a", "alice", "the rest is gone", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return what
	}
	writes := func() bool { _, err := s.SQL(t.Context(), "INSERT INTO w VALUES (1)"); return err == nil }
	if what := override(); !strings.Contains(what, "it runs") {
		t.Errorf("it says %q", what)
	}
	if !writes() {
		t.Error("it does not accept writes")
	}
	if done, err := x.Do(t.Context(), guard.Freeze, s.h.ref.String()); err != nil || done.OK {
		t.Errorf("an agent that has not heard of it froze it: %+v, %v", done, err)
	}
	end()
	s.guardIt(d) // whose only word on it is what stands on disk
	y := s.speak(d)
	y.left.Store(0)
	if _, err := y.Do(t.Context(), guard.Freeze, s.h.ref.String()); err != nil {
		t.Fatal(err)
	}
	if f := y.fence.Load(); f != lease.FenceNone || !writes() {
		t.Errorf("the next guard made it %q", f)
	}
	if what := s.unitStop(); what != "stopped cleanly" {
		t.Errorf("stop: %q", what)
	}
	if err := s.Start(); err != nil { // past the gate: read-only
		t.Fatal(err)
	}
	if writes() {
		t.Error("started by hand it accepts writes")
	}
	if what := override(); !strings.Contains(what, "started") || !writes() {
		t.Errorf("it says %q", what)
	}
	if matches, _ := filepath.Glob(s.cfg.Permit("*")); len(matches) > 0 {
		t.Errorf("permits left: %q", matches)
	}
	was, err := EndOverride(t.Context(), s.cfg, "orders-a", slog.New(slog.DiscardHandler))
	if err != nil || !strings.Contains(was, "alice") || !strings.Contains(was, "the rest is gone") {
		t.Errorf("ended %q, %v", was, err)
	}
	if _, err := EndOverride(t.Context(), s.cfg, "orders-a", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("ended twice")
	}
}
