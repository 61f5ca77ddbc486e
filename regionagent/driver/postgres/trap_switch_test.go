package postgres_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// TestTrapCutDropsWhatStillArrives stops an active whose last log is still on its way to the standby.
func TestTrapCutDropsWhatStillArrives(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	receiver := b.pidOf("walreceiver")
	signal(t, receiver, syscall.SIGSTOP)
	a.must("INSERT INTO written SELECT now() FROM generate_series(1, 1000)")
	stop := a.do(events.Done, driver.Action{Verb: driver.Stop, Limit: 5 * time.Second})
	answer := make(chan events.Result, 1)
	go func() { answer <- b.d.Do(t.Context(), driver.Action{Verb: driver.Cut, Until: stop.LSN}) }()
	until(t, "the cut waits", func() bool {
		return b.must("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'switchback' AND query LIKE '%pg_last_wal_receive_lsn%streaming%'") != "0"
	})
	signal(t, receiver, syscall.SIGCONT)
	if r := <-answer; r.Outcome != events.Done || r.Replayed < stop.LSN {
		t.Errorf("cut: %+v, the active stopped at %v", r, stop.LSN)
	}
	if n := b.must("SELECT count(*) FROM written"); n != "1000" {
		t.Errorf("%s rows on the standby, want 1000", n)
	}
}

// TestCutWaitsForNothingThatCannotCome cuts a standby whose upstream is gone with log that it never sent.
func TestCutWaitsForNothingThatCannotCome(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	at := a.probe().LSN
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "the link is down", func() bool { return !b.probe().Streaming })
	began := time.Now()
	r := b.do(events.Done, driver.Action{Verb: driver.Cut, Until: at + 1<<20, Limit: 20 * time.Second})
	if took := time.Since(began); took > 3*time.Second || r.Replayed >= at+1<<20 {
		t.Errorf("cut after %v: %+v", took, r)
	}
}
