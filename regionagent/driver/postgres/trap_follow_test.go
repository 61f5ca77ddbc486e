package postgres_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// standsCut checks that a cut standby stays where it is while its old upstream writes.
func standsCut(t *testing.T, a, b subject, at events.LSN) {
	t.Helper()
	a.must("INSERT INTO written SELECT now() FROM generate_series(1, 100)")
	a.must("SELECT pg_switch_wal()")
	for range 3 {
		if h := b.probe(); h.Server != events.ServerRecovery || h.Replayed != at || h.Streaming {
			t.Fatalf("cut at %v: %+v", at, h)
		}
	}
}

func TestTrapAlterSystemWinsOverIncludedFile(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	// As pg_basebackup -R leaves it.
	b.must("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=" + strings.TrimPrefix(a.Address(), "127.0.0.1:") + " user=replicator'")
	b.must("ALTER SYSTEM SET restart_after_crash = on")
	b.must("SELECT pg_reload_conf()")
	until(t, "streaming", func() bool { return b.probe().Streaming })
	r := b.do(events.Done, driver.Action{Verb: driver.Cut})
	standsCut(t, a, b, r.Replayed)
	// A base backup brings it back while the server is down.
	b.do(events.Done, driver.Action{Verb: driver.Stop})
	auto := filepath.Join(b.Data, "postgresql.auto.conf")
	if err := b.Server.Write("postgresql.auto.conf", "restart_after_crash = on\nprimary_conninfo = 'host=127.0.0.1 port=1 user=replicator'\nwork_mem = '5MB'\n"); err != nil {
		t.Fatal(err)
	}
	b.do(events.Done, driver.Action{Verb: driver.StartStandby, Source: a.Address()})
	until(t, "streaming", func() bool { return b.probe().Streaming })
	if got := b.must("SHOW restart_after_crash"); got != "off" {
		t.Errorf("restart_after_crash is %s", got)
	}
	if text, err := os.ReadFile(auto); err != nil || string(text) != "work_mem = '5MB'\n" {
		t.Errorf("postgresql.auto.conf: %q (%v), want the site's own settings alone", text, err)
	}
}

func TestTrapArchiveFeedsCutStandby(t *testing.T) {
	t.Parallel()
	archive, err := os.MkdirTemp("", "sbpg-archive-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(archive) })
	if err := os.Chmod(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	a, b := pair(t, "archive_mode = on", "archive_command = 'cp %p "+archive+"/%f'", "restore_command = 'cp "+archive+"/%f %p'")
	r := b.do(events.Done, driver.Action{Verb: driver.Cut})
	standsCut(t, a, b, r.Replayed)
	until(t, "archived", func() bool { f, _ := filepath.Glob(archive + "/0*"); return len(f) > 0 })
	standsCut(t, a, b, r.Replayed)
	b.do(events.Done, driver.Action{Verb: driver.Stop})
	b.do(events.Done, driver.Action{Verb: driver.StartStandby})
	standsCut(t, a, b, r.Replayed)

	// Set where it wins over our file, it can't be cut: said so, and nothing pretended.
	b.do(events.Done, driver.Action{Verb: driver.Follow})
	b.must("ALTER SYSTEM SET restore_command = 'cp " + archive + "/%f %p'")
	if r := b.do(events.Refused, driver.Action{Verb: driver.Cut}); !strings.Contains(r.Why, "restore_command") || !strings.Contains(r.Why, "postgresql.auto.conf") {
		t.Errorf("why %q: want the setting and where it is", r.Why)
	}
}

func TestTrapReceiverOutlivesBusyReplay(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	b.must("SELECT pg_wal_replay_pause()")
	until(t, "paused", func() bool { return b.must("SELECT pg_get_wal_replay_pause_state()") == "paused" })
	a.must("INSERT INTO written SELECT now() FROM generate_series(1, 1000)")
	sent := a.probe().LSN
	until(t, "received", func() bool { return b.probe().LSN >= sent })
	b.do(events.Unknown, driver.Action{Verb: driver.Cut, Limit: 500 * time.Millisecond}) // it can't replay all it has
	a.must("INSERT INTO written SELECT now() FROM generate_series(1, 1000)")
	received := b.probe().LSN
	if more := a.probe().LSN; received >= more || b.must("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'") != "0" {
		t.Errorf("received %v of %v: the receiver lives on while replay is busy", received, more)
	}
	b.must("SELECT pg_wal_replay_resume()")
	if r := b.do(events.AlreadyDone, driver.Action{Verb: driver.Cut}); r.LSN != received || r.Replayed != received {
		t.Errorf("cut at %v/%v, want %v", r.LSN, r.Replayed, received)
	}
}

func TestTrapCutInsideRecord(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	c := a.session()
	over := make(chan error, 1)
	go func() { // one record of many megabytes after the other: wherever the link is cut, it is inside one
		for {
			if _, err := c.Exec(t.Context(), "SELECT pg_logical_emit_message(false, '', repeat('x', 30000000))"); err != nil {
				over <- err
				return
			}
		}
	}()
	first := b.probe().LSN
	until(t, "log arrives", func() bool { return b.probe().LSN > first+10_000_000 })
	r := b.do(events.Done, driver.Action{Verb: driver.Cut, Limit: 20 * time.Second})
	t.Logf("received %v, replayed %v", r.LSN, r.Replayed)
	if r.Replayed == 0 || r.Replayed > r.LSN {
		t.Errorf("cut: %+v", r)
	}
	if h := b.probe(); h.LSN != r.LSN || h.Replayed != r.Replayed {
		t.Errorf("it does not stand: %+v after %+v", h, r)
	}
	a.do(events.Done, driver.Action{Verb: driver.Stop})
	<-over
	if p := b.do(events.Done, driver.Action{Verb: driver.Promote}); p.LSN < r.Replayed {
		t.Errorf("promoted at %v, replayed %v", p.LSN, r.Replayed)
	}
}

func TestTrapBaseBackupLooksLikeAnActive(t *testing.T) {
	t.Parallel()
	lab := postgrestest.Shared(t)
	a := one(t)
	copied, err := lab.Make(postgrestest.Name("c"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { copied.Close() })
	c := newSubject(t, copied)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	a.do(events.Done, driver.Action{Verb: driver.Mark, Group: "orders"})
	conf, err := os.ReadFile(filepath.Join(c.Data, "postgresql.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(c.Data); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(lab.Bin, "pg_basebackup") + " -c fast -X stream -D " + c.Data + " -h 127.0.0.1 -U " + lab.User + " -p " + strings.TrimPrefix(a.Address(), "127.0.0.1:")
	cmd := exec.Command("/bin/sh", "-c", backup)
	if os.Geteuid() == 0 {
		cmd = exec.Command("runuser", "-u", lab.User, "--", "/bin/sh", "-c", backup)
	}
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if err := c.Server.Write("postgresql.conf", string(conf)); err != nil {
		t.Fatal(err)
	}
	if s := c.controlField("Database cluster state"); s != "in production" {
		t.Fatalf("the trap is gone? control file of a base backup: %q", s)
	}
	c.do(events.Refused, driver.Action{Verb: driver.Start}) // never ran
	// It holds the files by which the other side vouches for its log, and the other side's wish to follow nobody.
	c.do(events.Done, driver.Action{Verb: driver.StartStandby, Source: a.Address()})
	until(t, "streaming", func() bool { return c.probe().Streaming })
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	c.untilServer(events.ServerDown)
	c.do(events.Refused, driver.Action{Verb: driver.Start})
}
