package postgres_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

func TestTrapPromotionDeletesSignal(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	c := newSubject(t, postgrestest.Standby(t, a.Server))
	c.must("SELECT pg_promote(true)")
	if exists(t, c, "standby.signal") {
		t.Fatal("the trap is gone? a plain promotion kept standby.signal")
	}
	b.do(events.Done, driver.Action{Verb: driver.Promote})
	if !exists(t, b, "standby.signal") {
		t.Error("promoted, and standby.signal is not back")
	}
	until(t, "restart_after_crash is off", func() bool { return b.must("SHOW restart_after_crash") == "off" })
}

// promotedUnchecked promotes a standby whose checkpointer is held, so that nothing has written the new timeline into the control file.
func promotedUnchecked(t *testing.T) (b subject, checkpointer int) {
	_, b = pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	checkpointer = b.pidOf("checkpointer")
	signal(t, checkpointer, syscall.SIGSTOP)
	if r := b.do(events.Done, driver.Action{Verb: driver.Promote}); r.Timeline != 2 || r.LSN == 0 {
		t.Errorf("promote: %+v, want timeline 2", r)
	}
	return b, checkpointer
}

func TestTrapControlFileShowsOldTimeline(t *testing.T) {
	t.Parallel()
	b, checkpointer := promotedUnchecked(t)
	if tli := b.controlField("Latest checkpoint's TimeLineID"); tli != "1" {
		t.Fatalf("the trap is gone? the control file shows timeline %s", tli)
	}
	if h := b.probe(); h.Timeline != 2 || !h.CanaryOK {
		t.Errorf("probe: %+v, want timeline 2", h)
	}
	b.do(events.Unknown, driver.Action{Verb: driver.Checkpoint, Limit: 200 * time.Millisecond})
	signal(t, checkpointer, syscall.SIGCONT)
	if r := b.d.Do(t.Context(), driver.Action{Verb: driver.Checkpoint}); !r.Outcome.OK() || r.Timeline != 2 {
		t.Errorf("checkpoint: %+v", r)
	}
	if tli := b.controlField("Latest checkpoint's TimeLineID"); tli != "2" {
		t.Errorf("after the checkpoint the control file shows timeline %s", tli)
	}
}

func TestTrapKilledBeforeFirstCheckpoint(t *testing.T) {
	t.Parallel()
	b, _ := promotedUnchecked(t)
	b.must("INSERT INTO written VALUES (now())")
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	b.untilServer(events.ServerDown)
	if err := b.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.untilServer(events.ServerRecovery)
	if r := b.do(events.Done, driver.Action{Verb: driver.Start}); r.Timeline != 2 {
		t.Errorf("the gate opened timeline %d, want 2", r.Timeline)
	}
	if n := b.must("SELECT count(*) FROM written"); n != "1" {
		t.Errorf("%s rows, want the one written after the promotion", n)
	}
}

func TestTrapPositionBeforePromotionIsTooEarly(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	b.must("SELECT pg_wal_replay_pause()")
	until(t, "paused", func() bool { return b.must("SELECT pg_get_wal_replay_pause_state()") == "paused" })
	a.must("INSERT INTO written SELECT now() FROM generate_series(1, 1000)")
	sent := a.probe().LSN
	until(t, "received", func() bool { return b.probe().LSN >= sent })
	before := b.probe()
	if before.Replayed >= sent {
		t.Fatalf("replayed %v of %v while paused", before.Replayed, sent)
	}
	r := b.do(events.Done, driver.Action{Verb: driver.Promote})
	if r.LSN < sent {
		t.Errorf("promoted at %v, it had received %v", r.LSN, sent)
	}
	if n := b.must("SELECT count(*) FROM written"); n != "1000" {
		t.Errorf("%s rows, want all 1000 that were received", n)
	}
}

func TestTrapStandbyFollowsNewTimeline(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	c := newSubject(t, postgrestest.Standby(t, a.Server))
	until(t, "both stream", func() bool { return b.probe().Streaming && c.probe().Streaming })
	sent := a.probe().LSN
	until(t, "both have all", func() bool { return b.probe().Replayed >= sent && c.probe().Replayed >= sent })
	c.do(events.Done, driver.Action{Verb: driver.Cut})
	b.do(events.Done, driver.Action{Verb: driver.Promote}) // no checkpoint: a follower needs none
	c.do(events.Done, driver.Action{Verb: driver.Follow, Source: b.Address()})
	b.must("INSERT INTO written VALUES (now())")
	end := b.probe().LSN
	until(t, "it follows", func() bool { h := c.probe(); return h.Streaming && h.Replayed >= end && h.Timeline == 2 })
}

func TestTrapPromotedButNobodyAcknowledges(t *testing.T) {
	t.Parallel()
	_, b := pair(t, "synchronous_standby_names = ''")
	until(t, "streaming", func() bool { return b.probe().Streaming })
	b.must("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	b.must("SELECT pg_reload_conf()")
	until(t, "reloaded", func() bool { return b.must("SHOW synchronous_standby_names") == "nobody" })
	r := b.do(events.Unknown, driver.Action{Verb: driver.Promote, Limit: time.Second})
	if !strings.Contains(r.Why, "no write was acknowledged") {
		t.Errorf("why %q", r.Why)
	}
	if h := b.probe(); h.Server != events.ServerWritable || h.CanaryOK {
		t.Errorf("probe: %+v, want writable without a canary", h)
	}
	if !exists(t, b, "standby.signal") {
		t.Error("standby.signal is not back")
	}
}
