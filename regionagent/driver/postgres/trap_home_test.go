package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

func tend(t testing.TB, s subject, peers ...string) {
	t.Helper()
	if err := s.d.(driver.Tender).Tend(t.Context(), peers); err != nil {
		t.Fatal(err)
	}
}

// slots names all slots of a server, sorted.
func (s subject) slots() string {
	s.t.Helper()
	return s.must("SELECT coalesce(string_agg(slot_name, ' ' ORDER BY slot_name), '') FROM pg_replication_slots")
}

// TestTrapLocalClientHammersTheSocket has clients of the host connect without end, as probes and applications do, while an active that was killed comes home.
func TestTrapLocalClientHammersTheSocket(t *testing.T) {
	t.Parallel()
	a, b, lost := failedOver(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	wrote := make(chan string, 1)
	over := make(chan struct{}, 3)
	for range 3 {
		go func() {
			defer func() { over <- struct{}{} }()
			for ctx.Err() == nil {
				short, end := context.WithTimeout(ctx, 2*time.Second)
				recovers := a.recovers()
				if c, err := pgx.Connect(short, a.DSN()); err == nil {
					if recovers && a.recovers() {
						select {
						case wrote <- "a client got in while it only recovered":
						default:
						}
					}
					if _, err := c.Exec(short, "INSERT INTO written VALUES (now())"); err == nil {
						select {
						case wrote <- "a client wrote to it while it came home":
						default:
						}
					}
					c.Close(short)
				}
				end()
			}
		}()
	}
	r := a.do(events.Done, restore(b, "s"))
	if r.How != "rewound" || r.Took > 15*time.Second {
		t.Errorf("restored: %+v", r)
	}
	cancel()
	for range 3 {
		<-over
	}
	select {
	case why := <-wrote:
		t.Error(why)
	default:
	}
	wantLost(t, r.Lost, lost)
	a.restored(b)
}

// recovers reports whether a restore has it replay its log for itself alone.
func (s subject) recovers() bool { w := s.probe().Work; return w != nil && w.Phase == "recover" }

// TestTrapDeadActiveIsStartedByHand starts an old active around every gate, by pg_ctl as a service manager or an operator would, at each stage of its way home.
func TestTrapDeadActiveIsStartedByHand(t *testing.T) {
	t.Parallel()
	readOnly := func(s subject, when string) {
		t.Helper()
		s.boot(t)
		if err := s.Write(t.Context()); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s, started by hand: insert: %v, want read-only", when, err)
		}
		s.untilServer(events.ServerRecovery)
	}
	a, b, _ := failedOver(t, 1)
	readOnly(a, "a killed active")
	a.kill(t)
	readOnly(a, "killed again")
	a.do(events.Done, restore(b, "1"))
	a.restored(b)
	a.kill(t)
	readOnly(a, "restored")
	// There and back: a becomes the active again by a switchover.
	until(t, "streaming", func() bool { return a.probe().Streaming })
	stop := b.do(events.Done, driver.Action{Verb: driver.Stop})
	a.do(events.Done, driver.Action{Verb: driver.Cut, Until: stop.LSN})
	if p := a.do(events.Done, driver.Action{Verb: driver.Promote}); p.LSN != stop.LSN {
		t.Errorf("stopped at %v, promoted at %v", stop.LSN, p.LSN)
	}
	b.untilServer(events.ServerDown)
	readOnly(b, "stopped for a switchover")
	if r := b.do(events.Done, restore(a, "2")); r.How != "followed" || r.Lost == nil || r.Lost.Commits != 0 {
		t.Errorf("after a switchover: %+v", r)
	}
	b.restored(a)
	b.kill(t)
	readOnly(b, "following after a switchover")
	a.kill(t)
	readOnly(a, "the new active, killed")
}

// TestTrapStandbyAheadOfThePromoted has one of two standbys receive more than the one that is promoted. Its pages may hold it already, or only its log,
// which it would go on replaying.
func TestTrapStandbyAheadOfThePromoted(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, wide...)
			c := newSubject(t, postgrestest.Standby(t, a.Server, append(wide, "bgwriter_lru_maxpages = 0")...)) // its pages stay as they are
			a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
			until(t, "both stream", func() bool { return b.probe().Streaming && c.probe().Streaming })
			b.do(events.Done, driver.Action{Verb: driver.Cut})
			c.must("CHECKPOINT")
			var lost []uint64
			for range 3 {
				lost = append(lost, a.commit())
			}
			at := a.probe().LSN
			until(t, "one has more", func() bool { return c.probe().Replayed >= at })
			a.kill(t)
			if killed {
				c.kill(t)
			}
			b.do(events.Done, driver.Action{Verb: driver.Promote})
			b.do(events.Done, driver.Action{Verb: driver.Checkpoint})
			r := c.do(events.Done, restore(b, "s"))
			if r.How != "rewound" && !(killed && r.How == "followed") { // killed before its pages were written, its log alone has to go
				t.Errorf("restored: %+v", r)
			}
			wantLost(t, r.Lost, lost)
			c.restored(b)
		})
	}
}

// TestTrapPromotedAndKilledAtOnce promotes a server and kills it at once; the old active runs on, so what the promoted one wrote is lost. pg_rewind
// would look only up to where its control file says the log ends, and keep pages from after that.
func TestTrapPromotedAndKilledAtOnce(t *testing.T) {
	t.Parallel()
	a, b := pair(t, append(wide, "checkpoint_timeout = 1h")...)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	until(t, "streaming", func() bool { return b.probe().Streaming })
	a.must("CREATE TABLE wide AS SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g")
	sent := a.probe().LSN
	until(t, "it has them", func() bool { return b.probe().Replayed >= sent })
	signal(t, b.pidOf("checkpointer"), syscall.SIGSTOP) // else it may have checkpointed before it is killed
	b.do(events.Done, driver.Action{Verb: driver.Promote})
	lost := []uint64{b.commit(), b.commit()}
	b.kill(t)
	if shown := b.controlField("Latest checkpoint's TimeLineID"); shown != "1" {
		t.Fatalf("the trap is not set: it has checkpointed already, on timeline %s", shown)
	}
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Checkpoint})
	r := b.do(events.Done, restore(a, "s"))
	if r.How != "copied" {
		t.Errorf("restored: %+v", r)
	}
	wantLost(t, r.Lost, lost)
	b.restored(a)
}

func TestTrapSlotsPinLog(t *testing.T) {
	t.Parallel()
	a, b := pair(t, "max_slot_wal_keep_size = 8MB", "wal_keep_size = 0", "max_wal_size = 8MB", "min_wal_size = 8MB")
	until(t, "streaming", func() bool { return b.probe().Streaming })
	a.must("SELECT pg_create_physical_replication_slot('somebody_elses')")
	tend(t, a, b.Name, "orders-c")
	tend(t, b, a.Name, "orders-c")
	own := postgres.SlotOf(b.Name)
	if got := a.slots(); got != "somebody_elses "+own+" switchback_orders_c" {
		t.Errorf("slots of the active: %s", got)
	}
	until(t, "it follows by its slot", func() bool {
		b.do(events.Done, driver.Action{Verb: driver.Cut})
		b.do(events.Done, driver.Action{Verb: driver.Follow, Source: a.Address()})
		return b.must("SHOW primary_slot_name") == own
	})
	until(t, "its slot is in use", func() bool {
		return a.must("SELECT active FROM pg_replication_slots WHERE slot_name = '"+own+"'") == "t"
	})

	// A slot that nobody moves pins the log, up to the bound; then it is lost, and made anew.
	lost := func() bool {
		return a.must("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'switchback_orders_c'") == "lost"
	}
	until(t, "the slot of the one that stays away is lost", func() bool {
		a.must("INSERT INTO written SELECT now() FROM generate_series(1, 20000)")
		a.must("SELECT pg_switch_wal()")
		a.must("CHECKPOINT")
		return lost()
	})
	tend(t, a, b.Name, "orders-c")
	if lost() {
		t.Error("a lost slot was kept")
	}
	at := a.probe().LSN
	until(t, "it has caught up", func() bool { return b.probe().Replayed >= at })
	b.must("CHECKPOINT")
	tend(t, b, a.Name, "orders-c") // they were lost there, too
	// On the standby they move along with it, or they would pin its log for ever.
	pinned := func() string {
		return b.must("SELECT min(restart_lsn) >= (SELECT redo_lsn FROM pg_control_checkpoint()) FROM pg_replication_slots")
	}
	until(t, "a restart point past the slots", func() bool { a.must("CHECKPOINT"); b.must("CHECKPOINT"); return pinned() == "f" })
	tend(t, b, a.Name, "orders-c")
	if got := pinned(); got != "t" {
		t.Error("the standby's slots did not move along")
	}
	tend(t, a, b.Name)
	tend(t, b)
	if got, theirs := a.slots(), b.slots(); got != "somebody_elses "+own || theirs != "" {
		t.Errorf("slots of nobody: %q, %q", got, theirs)
	}
	until(t, "still streaming", func() bool { return b.probe().Streaming })
}

// TestTrapSlotsWithoutABound would fill the disk of whoever has a follower that stays away.
func TestTrapSlotsWithoutABound(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	tend(t, a, b.Name)
	tend(t, b, a.Name)
	b.do(events.Done, driver.Action{Verb: driver.Follow, Source: a.Address()})
	if got := a.slots() + b.slots() + b.must("SHOW primary_slot_name"); got != "" {
		t.Errorf("slots %q where nothing bounds them", got)
	}
	a.must("SELECT pg_create_physical_replication_slot('switchback_left')") // of a time when there was a bound
	tend(t, a, b.Name)
	if got := a.slots(); got != "" {
		t.Errorf("slots %q", got)
	}
}

// TestTrapMissingSlotKeepsItFromStreaming drops the slot of a follower behind its back.
func TestTrapMissingSlotKeepsItFromStreaming(t *testing.T) {
	t.Parallel()
	a, b := pair(t, "max_slot_wal_keep_size = 64MB")
	b.do(events.Done, driver.Action{Verb: driver.Follow, Source: a.Address()})
	until(t, "streaming by a slot", func() bool { return a.must("SELECT count(*) FROM pg_replication_slots WHERE active") == "1" })
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	own := postgres.SlotOf(b.Name)
	until(t, "the slot is free", func() bool {
		_, err := a.SQL(t.Context(), "SELECT pg_drop_replication_slot('"+own+"')")
		return err == nil
	})
	b.boot(t)
	b.untilServer(events.ServerRecovery)
	until(t, "streaming again", func() bool { tend(t, b, a.Name); return b.probe().Streaming })
	if got := a.slots(); got != own {
		t.Errorf("slots %q", got)
	}
}

func TestTrapWhatHindersAPlannedMove(t *testing.T) {
	t.Parallel()
	a, b := pair(t, "archive_mode = on", "archive_command = 'false'")
	hinders := func(s subject) string { return strings.Join(s.probe().Hinders, "; ") }
	until(t, "nothing hinders", func() bool { return hinders(a)+hinders(b) == "" })
	b.must("SELECT pg_wal_replay_pause()")
	until(t, "paused", func() bool { return hinders(b) == "replay is paused" })
	b.must("SELECT pg_wal_replay_resume()")
	until(t, "resumed", func() bool { return hinders(b) == "" })
	for range 12 {
		a.must("SELECT pg_logical_emit_message(true, '', 'x')")
		a.must("SELECT pg_switch_wal()")
	}
	until(t, "the archive is behind", func() bool { return strings.Contains(hinders(a), "wait for the archive") })
	c := newSubject(t, b.Server, func(c *postgres.Config) { c.RebuildRate = 32e3 })
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan events.Result, 1)
	order := restore(a, "s")
	order.Copy = true
	go func() { over <- c.d.Do(ctx, order) }()
	until(t, "a base backup runs", func() bool { return strings.Contains(hinders(a), "a base backup runs") })
	cancel()
	<-over
}

// TestReleaseLeavesAPlainPair lets two servers go, who then live on as if we had never been there.
func TestReleaseLeavesAPlainPair(t *testing.T) {
	t.Parallel()
	a, b, _ := failedOver(t, 1, "max_slot_wal_keep_size = 64MB")
	a.do(events.Done, restore(b, "s"))
	tend(t, b, a.Name, "orders-c")
	for _, s := range []subject{a, b} {
		s.do(events.Done, driver.Action{Verb: driver.Mark, Group: "orders"})
		s.do(events.Done, driver.Action{Verb: driver.Release})
		s.do(events.AlreadyDone, driver.Action{Verb: driver.Release})
		names, err := filepath.Glob(filepath.Join(s.Data, "switchback.*"))
		if err != nil || len(names) > 1 || len(names) == 1 && filepath.Base(names[0]) != "switchback.log" {
			t.Errorf("left: %v (%v)", names, err)
		}
		if conf, err := os.ReadFile(filepath.Join(s.Data, "postgresql.conf")); err != nil || strings.Contains(string(conf), "switchback.conf") {
			t.Errorf("its settings still include ours (%v)", err)
		}
	}
	if got := b.slots(); got != postgres.SlotOf(a.Name) {
		t.Errorf("slots left: %q, want the one in use", got)
	}
	if exists(t, b, "standby.signal") || !exists(t, a, "standby.signal") {
		t.Error("signal files do not fit the roles")
	}
	a.kill(t)
	b.kill(t)
	b.boot(t)
	a.boot(t)
	if err := b.Write(t.Context()); err != nil {
		t.Errorf("the released active: %v", err)
	}
	until(t, "the released passive follows", func() bool { return a.must("SELECT count(*) FROM written") == b.must("SELECT count(*) FROM written") })
	if got := a.must("SHOW restart_after_crash"); got != "on" {
		t.Errorf("restart_after_crash is %s", got)
	}
}
