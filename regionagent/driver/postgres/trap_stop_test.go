package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
)

func pidsOf(s subject) ([]string, error) {
	pids, err := postgres.PIDs(s.Data)
	text := make([]string, len(pids))
	for i, p := range pids {
		text[i] = strconv.Itoa(p)
	}
	return text, err
}

func TestTrapCleanShutdownProvesNoDelivery(t *testing.T) {
	t.Parallel()
	a, b := pair(t, "wal_sender_timeout = 1s")
	until(t, "streaming", func() bool { return b.probe().Streaming })
	signal(t, b.pidOf("walreceiver"), syscall.SIGSTOP)
	a.must("INSERT INTO written SELECT now() FROM generate_series(1, 20000)")
	stop := a.do(events.Done, driver.Action{Verb: driver.Stop})
	if s := a.controlField("Database cluster state"); s != "shut down" {
		t.Fatalf("control file: %q", s)
	}
	h := b.probe()
	if h.Server != events.ServerRecovery || h.Replayed == 0 {
		t.Fatalf("standby: %+v", h)
	}
	if postgres.Delivered(stop.LSN, h.Replayed) {
		t.Errorf("stopped at %v, the standby is at %v: taken for delivered", stop.LSN, h.Replayed)
	}
	if n := b.must("SELECT count(*) FROM written"); n != "0" {
		t.Errorf("the trap is gone? %s rows on the standby", n)
	}
	if l := postgres.Lost(stop.LSN, h.Replayed); !l.Known || l.Bytes < 20000*24 {
		t.Errorf("loss %+v, want at least the rows", l)
	}
}

func TestTrapSlowArchiveCommand(t *testing.T) {
	t.Parallel()
	a, b := pair(t, "archive_mode = on", "archive_command = 'sleep 4'")
	until(t, "streaming", func() bool { return b.probe().Streaming })
	began := time.Now()
	r := a.do(events.Done, driver.Action{Verb: driver.Stop})
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("stop took %v: it waited for the archiver", took)
	}
	if s := a.controlField("Database cluster state"); s != "shut down" {
		t.Errorf("control file: %q", s)
	}
	if h := a.probe(); h.Server != events.ServerUnknown {
		t.Errorf("probe while it archives: %s, want unknown: processes of it exist", h.Server)
	}
	until(t, "delivered", func() bool { return postgres.Delivered(r.LSN, b.probe().Replayed) })
	again := a.do(events.AlreadyDone, driver.Action{Verb: driver.Stop})
	if again.LSN != r.LSN {
		t.Errorf("stopped at %v, then said %v", r.LSN, again.LSN)
	}
	a.do(events.Done, driver.Action{Verb: driver.Start}) // waits for those who are left
}

func TestTrapShutdownLSNIsStartOfRecord(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	crossed := false
	for range 3 {
		// Leave less than the record's length on the page, so that it runs into the next one.
		a.must("CHECKPOINT")
		left, err := strconv.Atoi(a.must("SELECT 8192 - ('x' || lpad(split_part(pg_current_wal_insert_lsn()::text, '/', 2), 8, '0'))::bit(32)::bigint % 8192"))
		if err != nil {
			t.Fatal(err)
		}
		if left < 300 {
			left += 8192 - 24
		}
		a.must(fmt.Sprintf("SELECT pg_logical_emit_message(false, '', repeat('x', %d))", left-56-48-56)) // header, snapshot at shutdown, half the record
		until(t, "streaming", func() bool { return b.probe().Streaming })
		stop := a.do(events.Done, driver.Action{Verb: driver.Stop})
		start, err := events.ParseLSN(a.controlField("Latest checkpoint location"))
		if err != nil {
			t.Fatal(err)
		}
		until(t, "standby at the end", func() bool { return b.probe().Replayed > start })
		if h := b.probe(); h.Replayed != stop.LSN || !postgres.Delivered(stop.LSN, h.Replayed) || postgres.Delivered(stop.LSN, start) {
			t.Errorf("record from %v to %v, standby replayed to %v", start, stop.LSN, h.Replayed)
		}
		crossed = crossed || start/8192 != (stop.LSN-1)/8192
		a.do(events.Done, driver.Action{Verb: driver.Start})
	}
	if !crossed {
		t.Error("no record crossed a page: the arithmetic was not tested")
	}
}

func TestTrapWalsenderOutlivesCleanStop(t *testing.T) {
	t.Parallel()
	a, b := pair(t) // wal_sender_timeout is 60 s
	until(t, "streaming", func() bool { return b.probe().Streaming })
	receiver := b.pidOf("walreceiver")
	signal(t, receiver, syscall.SIGSTOP)
	a.must("INSERT INTO written SELECT now() FROM generate_series(1, 1000)")
	r := a.do(events.Done, driver.Action{Verb: driver.Stop, Limit: 5 * time.Second}) // the log has its end, the walsender is still at it
	if h := a.probe(); h.Server != events.ServerUnknown {
		t.Errorf("probe: %s, want unknown: processes of it exist", h.Server)
	}
	if postgres.Delivered(r.LSN, b.probe().Replayed) {
		t.Error("taken for delivered")
	}
	signal(t, receiver, syscall.SIGCONT)
	until(t, "delivered", func() bool { return postgres.Delivered(r.LSN, b.probe().Replayed) })
	a.untilServer(events.ServerDown)
}

func TestTrapStopBeyondItsLimit(t *testing.T) {
	t.Parallel()
	a := one(t)
	session := a.session()
	stuck := int(session.PgConn().PID())
	signal(t, stuck, syscall.SIGSTOP) // as a backend in a hung disk would be
	r := a.do(events.Unknown, driver.Action{Verb: driver.Stop, Limit: 500 * time.Millisecond})
	if !strings.Contains(r.Why, strconv.Itoa(stuck)) || !strings.Contains(r.Why, "in production") {
		t.Errorf("why %q: want what is true", r.Why)
	}
	if h := a.probe(); h.Server != events.ServerUnknown {
		t.Errorf("probe: %s", h.Server)
	}
	signal(t, stuck, syscall.SIGCONT)
	if r = a.d.Do(t.Context(), driver.Action{Verb: driver.Stop}); !r.Outcome.OK() || r.LSN == 0 {
		t.Errorf("stop, asked again: %+v", r)
	}
	if err := commits(t, session); err == nil {
		t.Error("a session outlived the stop")
	}
}

// syncPair is a pair whose standby acknowledges every commit, until it is frozen.
func syncPair(t *testing.T, lines ...string) (a, b subject) {
	a, b = pair(t, lines...)
	a.untilServer(events.ServerWritable)
	a.must("ALTER SYSTEM SET synchronous_standby_names = '*'")
	a.must("SELECT pg_reload_conf()")
	until(t, "sync", func() bool { return a.must("SELECT coalesce(max(sync_state), '') FROM pg_stat_replication") == "sync" })
	if h := a.probe(); !h.CanaryOK {
		t.Fatalf("probe: %+v", h)
	}
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestTrapStopReleasesSyncWait(t *testing.T) {
	t.Parallel()
	a, b := syncPair(t, "wal_sender_timeout = 1s")
	session := a.session()
	answer := make(chan error, 1)
	go func() {
		_, err := session.Exec(t.Context(), "INSERT INTO written VALUES (now())")
		answer <- err
	}()
	until(t, "the commit waits", func() bool {
		return a.must("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "0"
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	a.d.Do(ctx, driver.Action{Verb: driver.Stop})
	if err := <-answer; err == nil {
		t.Error("a commit that no standby has was acknowledged by a stop")
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
}

// TestTrapLogFileMadeForLater: the server makes files of its log ahead of time. pg_waldump that is told no file looks at any of them for their size, and one without a header
// ends it, so a clean stop would not know where its log ends.
func TestTrapLogFileMadeForLater(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	for no := range 32 { // directories are read in no order: one of these comes first
		made := filepath.Join(a.Data, "pg_wal", fmt.Sprintf("0000000100000000000001%02X", no))
		if err := os.WriteFile(made, make([]byte, 1<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if r := a.do(events.Done, driver.Action{Verb: driver.Stop}); r.LSN == 0 {
		t.Fatalf("stopped, but where its log ends is not known: %+v", r)
	}
}
