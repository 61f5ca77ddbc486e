package postgres_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// rewindByHand runs pg_rewind of it against a source, as an operator would.
func (s subject) rewindByHand(source subject, args ...string) (string, error) {
	lab := postgrestest.Shared(s.t)
	args = append([]string{filepath.Join(lab.Bin, "pg_rewind"), "-D", s.Data, fmt.Sprintf("--source-server=host=127.0.0.1 port=%d user=replicator dbname=postgres", source.Port)}, args...)
	if os.Geteuid() == 0 {
		args = append([]string{"runuser", "-u", lab.User, "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = "/", []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// startsAnyway starts it as a service manager would, in its own place whatever the settings say: those may be the other side's by now.
func (s subject) startsAnyway() error {
	return s.Control("start", "-w", "-t", "5", "-l", filepath.Join(s.Socket, "log"), "-o", fmt.Sprintf("-c port=%d -c unix_socket_directories=%s", s.Port, s.Socket))
}

func restore(source subject, step string) driver.Action {
	return driver.Action{Verb: driver.Restore, Source: source.Address(), Step: step}
}

func TestTrapRewindBeforeFirstCheckpoint(t *testing.T) {
	t.Parallel()
	a, b := pair(t, append(wide, "checkpoint_completion_target = 0.9", "checkpoint_timeout = 1h")...)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	until(t, "streaming", func() bool { return b.probe().Streaming })
	// Enough of pages that the promotion's own checkpoint takes its time.
	a.must("CREATE TABLE wide AS SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g")
	sent := a.probe().LSN
	until(t, "it has them", func() bool { return b.probe().Replayed >= sent })
	b.do(events.Done, driver.Action{Verb: driver.Cut})
	lost := []uint64{a.commit(), a.commit()}
	a.do(events.Done, driver.Action{Verb: driver.Stop})
	checkpointer := b.pidOf("checkpointer")
	signal(t, checkpointer, syscall.SIGSTOP) // else the promotion's own may be over before anybody looks
	b.do(events.Done, driver.Action{Verb: driver.Promote})
	if shown := b.controlField("Latest checkpoint's TimeLineID"); shown != "1" {
		t.Fatalf("the trap is not set: it has checkpointed already, on timeline %s", shown)
	}
	if out, err := a.rewindByHand(b, "--dry-run"); err != nil || !strings.Contains(out, "no rewind required") {
		t.Fatalf("the trap is gone? pg_rewind before the first checkpoint: %v: %s", err, out)
	}
	answer := make(chan events.Result, 1)
	go func() { answer <- a.d.Do(t.Context(), restore(b, "s")) }()
	until(t, "it waits for the checkpoint", func() bool {
		return b.must("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'switchback restore%' AND query LIKE '%pg_control_checkpoint%'") != "0"
	})
	signal(t, checkpointer, syscall.SIGCONT)
	if c := b.d.Do(t.Context(), driver.Action{Verb: driver.Checkpoint}); !c.Outcome.OK() { // its own may have come first
		t.Errorf("checkpoint: %+v", c)
	}
	r := <-answer
	if r.Outcome != events.Done || r.How != "rewound" {
		t.Errorf("restored: %+v", r)
	}
	wantLost(t, r.Lost, lost)
	a.restored(b)
}

func TestTrapRewindOfACrashedDirectoryWithASignalFile(t *testing.T) {
	t.Parallel()
	a, b, lost := failedOver(t, 2)
	a.lose(t, "postmaster.pid") // nobody has waited for the killed one
	if out, err := a.rewindByHand(b); err == nil || !strings.Contains(out, "standby mode is not supported by single-user servers") {
		t.Fatalf("the trap is gone? pg_rewind of a crashed directory: %v: %s", err, out)
	}
	r := a.do(events.Done, restore(b, "s"))
	if r.How != "rewound" {
		t.Errorf("restored: %+v", r)
	}
	wantLost(t, r.Lost, lost)
	a.restored(b)
}

func TestTrapRewindCopiesTheOtherSidesSettings(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"rewound", "copied"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			a, b, _ := failedOver(t, 1)
			mine := map[string]string{"pg_hba.conf": "", "pg_ident.conf": "# of a alone\n", "postgresql.conf": "", "postgresql.auto.conf": "work_mem = '5MB'\n", "server.key": "a's key\n"}
			for name, text := range mine {
				if text == "" {
					old, err := os.ReadFile(filepath.Join(a.Data, name))
					if err != nil {
						t.Fatal(err)
					}
					text = "# of a alone\n" + string(old)
				}
				mine[name] = text
				if err := a.Server.Write(name, text); err != nil {
					t.Fatal(err)
				}
			}
			b.must("ALTER SYSTEM SET primary_slot_name = 'of_the_other_side'")
			b.must("ALTER SYSTEM SET work_mem = '7MB'")
			b.do(events.Done, driver.Action{Verb: driver.Mark, Group: "payments"})
			if err := b.Server.Write("server.key", "b's key\n"); err != nil {
				t.Fatal(err)
			}
			order := restore(b, "s")
			order.Copy = how == "copied"
			if r := a.do(events.Done, order); r.How != how {
				t.Errorf("restored: %+v", r)
			}
			a.restored(b)
			for name, want := range mine {
				got, err := os.ReadFile(filepath.Join(a.Data, name))
				if kept, _, _ := strings.Cut(string(got), "include_if_exists = 'switchback.conf'"); err != nil || kept != strings.Split(want, "include_if_exists = 'switchback.conf'")[0] {
					t.Errorf("%s is %q (%v), want %q", name, got, err, want)
				}
			}
			if h := a.probe(); h.Mark != "" {
				t.Errorf("it has the other side's mark %q", h.Mark)
			}
			if got := a.must("SHOW primary_slot_name") + a.must("SHOW work_mem"); got != "5MB" {
				t.Errorf("slot and work_mem: %q", got)
			}
		})
	}
}

// askedAgain asks as an agent does, until it is done; what is refused or takes ten times fails the test.
func (s subject) askedAgain(order driver.Action) (r events.Result) {
	s.t.Helper()
	for range 10 {
		if r = s.Driver().Do(s.t.Context(), order); r.Outcome != events.Retry {
			break
		}
	}
	if !r.Outcome.OK() {
		s.t.Fatalf("restore: %s (%s), want done", r.Outcome, r.Why)
	}
	return r
}

func TestTrapRecycledLog(t *testing.T) {
	t.Parallel()
	for _, archived := range []bool{false, true} {
		t.Run(fmt.Sprintf("archived %v", archived), func(t *testing.T) {
			t.Parallel()
			lines := append([]string{"wal_keep_size = 0", "max_wal_size = 8MB", "min_wal_size = 8MB"}, wide...)
			if archived {
				dir, err := os.MkdirTemp("", "sbpg-archive-")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(dir) })
				if err := os.Chmod(dir, 0o777); err != nil {
					t.Fatal(err)
				}
				lines = append(lines, "archive_mode = on", "archive_command = 'cp %p "+dir+"/%f'", "restore_command = 'cp "+dir+"/%f %p'")
			}
			a, b := pair(t, lines...)
			a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
			until(t, "streaming", func() bool { return b.probe().Streaming })
			at := b.do(events.Done, driver.Action{Verb: driver.Cut})
			first := a.must("SELECT pg_walfile_name('" + at.Replayed.String() + "')")
			a.commit()
			until(t, "the log since the fork is recycled", func() bool {
				a.must("INSERT INTO written SELECT now() FROM generate_series(1, 1000)")
				a.must("SELECT pg_switch_wal()")
				a.must("CHECKPOINT")
				return !exists(t, a, "pg_wal/"+first)
			})
			a.commit()
			a.kill(t)
			b.do(events.Done, driver.Action{Verb: driver.Promote})
			b.do(events.Done, driver.Action{Verb: driver.Checkpoint})
			r := a.askedAgain(restore(b, "s")) // the source recycles too, and without slots a copy can come too late
			if want := map[bool]string{false: "copied", true: "rewound"}[archived]; r.How != want {
				t.Errorf("restored: %+v, want %s", r, want)
			}
			if r.Lost == nil || r.Lost.Unread == "" || r.Lost.Commits == 0 || r.Lost.Bytes == 0 {
				t.Errorf("lost %+v: want some, and that they are not all", r.Lost)
			}
			a.restored(b)
		})
	}
}

func TestTrapRewindWipesSlotsAndSignal(t *testing.T) {
	t.Parallel()
	a, b, _ := failedOver(t, 1, "max_slot_wal_keep_size = 64MB")
	if err := os.Remove(filepath.Join(b.Data, "standby.signal")); err != nil { // then pg_rewind deletes a's
		t.Fatal(err)
	}
	tend(t, b, a.Name, "orders-c")
	order := restore(b, "s")
	if r := a.do(events.Done, order); r.How != "rewound" {
		t.Errorf("restored: %+v", r)
	}
	a.restored(b)
	if got := a.must("SELECT count(*) FROM pg_replication_slots"); got != "0" {
		t.Errorf("%s slots: pg_rewind keeps some now?", got)
	}
	tend(t, a, b.Name, "orders-c")
	if got := a.slots(); got != "switchback_"+strings.ReplaceAll(b.Name, "-", "_")+" switchback_orders_c" {
		t.Errorf("slots after a rewind: %s", got)
	}
	if got := a.must("SHOW primary_slot_name"); got != "switchback_"+strings.ReplaceAll(a.Name, "-", "_") {
		t.Errorf("it follows by slot %q", got)
	}
	until(t, "its slot is in use", func() bool {
		return b.must("SELECT active FROM pg_replication_slots WHERE slot_name = 'switchback_"+strings.ReplaceAll(a.Name, "-", "_")+"'") == "t"
	})
}

func TestTrapInterruptedRewind(t *testing.T) {
	t.Parallel()
	a, b, lost := failedOver(t, 2)
	b.must("CREATE TABLE wide AS SELECT g, repeat('x', 1000) FROM generate_series(1, 60000) g") // something to fetch
	order := restore(b, "s")
	if err := os.Remove(filepath.Join(b.Data, "standby.signal")); err != nil { // then pg_rewind deletes a's
		t.Fatal(err)
	}
	a.dies("middle of rewind", true, order)
	until(t, "pg_rewind died with its agent", func() bool { return atWork(t, a.Data) == "" })
	for _, v := range []driver.Verb{driver.Start, driver.StartStandby} {
		if r := a.do(events.Refused, driver.Action{Verb: v, Source: b.Address()}); !strings.Contains(r.Why, "interrupted") {
			t.Errorf("%s: %+v", v, r)
		}
	}
	if err := a.startsAnyway(); err == nil {
		t.Error("a server was started on half rewound data, whose signal file pg_rewind may have deleted")
	}
	r := a.do(events.Done, order)
	if r.How != "copied" {
		t.Errorf("restored: %+v", r)
	}
	wantLost(t, r.Lost, lost)
	a.restored(b)
}

func TestTrapRewindWithoutGrants(t *testing.T) {
	t.Parallel()
	a, b, lost := failedOver(t, 1)
	b.must("REVOKE EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean), pg_read_binary_file(text) FROM replicator")
	b.must("REVOKE EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) FROM replicator")
	r := a.do(events.Done, restore(b, "s"))
	if r.How != "copied" {
		t.Errorf("restored: %+v", r)
	}
	wantLost(t, r.Lost, lost)
	a.restored(b)
}

func TestTrapLossIsGoneAfterTheRewind(t *testing.T) {
	t.Parallel()
	a, b := pair(t, wide...)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	until(t, "streaming", func() bool { return b.probe().Streaming })
	a.must("BEGIN; INSERT INTO written VALUES (now()); PREPARE TRANSACTION 'before'")
	prepared := a.must("SELECT transaction::text FROM pg_prepared_xacts")
	b.do(events.Done, driver.Action{Verb: driver.Cut})
	var lost []uint64
	lost = append(lost, a.commit())
	a.probe()
	a.must("BEGIN; INSERT INTO written VALUES (now()); ROLLBACK") // nobody's loss
	a.must("COMMIT PREPARED 'before'")
	var id uint64
	if _, err := fmt.Sscan(prepared, &id); err != nil {
		t.Fatal(err)
	}
	lost = append(lost, id)
	a.must("BEGIN; INSERT INTO written VALUES (now()); PREPARE TRANSACTION 'never'") // never committed
	a.probe()
	session := a.session()
	err := pgx.BeginFunc(t.Context(), session, func(tx pgx.Tx) error { // with parts of its own, and a message of its own
		if err := tx.QueryRow(t.Context(), "INSERT INTO written VALUES (now()) RETURNING pg_current_xact_id()::text::bigint").Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), "SAVEPOINT s; INSERT INTO written VALUES (now()); SELECT pg_logical_emit_message(true, 'theirs', 'x')")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	lost = append(lost, id)
	a.kill(t)
	b.do(events.Done, driver.Action{Verb: driver.Promote})
	b.do(events.Done, driver.Action{Verb: driver.Checkpoint})
	order := restore(b, "s")
	a.dies("rewound", true, order)
	r := a.do(events.Done, order) // what it tells now is nowhere in the data any more
	wantLost(t, r.Lost, lost)
	if r.Lost.Own < 2 {
		t.Errorf("%d canaries told from the clients' commits", r.Lost.Own)
	}
	a.restored(b)
}

func TestTrapOldDataGoesOnlyWhenTheCopyStreams(t *testing.T) {
	t.Parallel()
	a, b, _ := failedOver(t, 1)
	order := restore(b, "s")
	order.Copy = true
	hba, err := os.ReadFile(filepath.Join(b.Data, "pg_hba.conf"))
	if err != nil {
		t.Fatal(err)
	}
	let := func(text string) {
		t.Helper()
		if err := b.Server.Write("pg_hba.conf", text); err != nil {
			t.Fatal(err)
		}
		b.must("SELECT pg_reload_conf()")
	}
	postgres.OnReach(a.d, true, func(point string) {
		if point != "follow" { // until then it needs the source
			return
		}
		let("local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost postgres replicator 127.0.0.1/32 reject\nhost replication all 127.0.0.1/32 reject\n")
	})
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan events.Result, 1)
	go func() { answer <- a.d.Do(ctx, order) }()
	until(t, "the copy runs", func() bool {
		h := a.probe()
		return h.Server == events.ServerRecovery && h.Work != nil && h.Work.Phase == "catch-up"
	})
	cancel()
	if r := <-answer; r.Outcome.OK() {
		t.Fatalf("restored from a source that lets nobody in: %+v", r)
	}
	postgres.OnReach(a.d, true, nil)
	if _, err := os.Stat(a.Data + ".switchback/old/PG_VERSION"); err != nil {
		t.Errorf("the old data went before the copy streamed: %v", err)
	}
	let(string(hba))
	if r := a.do(events.Done, order); r.How != "copied" {
		t.Errorf("restored: %+v", r)
	}
	a.restored(b) // and the old data is gone
}
