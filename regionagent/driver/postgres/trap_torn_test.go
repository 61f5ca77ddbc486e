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

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// TestTrapStartedByHandInTheMiddle starts a former active around the gate at every point of its restore, as a service manager would, and tries to write.
func TestTrapStartedByHandInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"rewound", "copied"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			a, b, lost := failedOver(t, 2)
			b.commit()
			b.lose(t, "standby.signal") // then neither a rewind nor a copy brings one
			started := map[string]bool{}
			postgres.OnReach(a.d, true, func(point string) {
				if started[point] || point == "done" {
					return
				}
				started[point] = true
				if !exists(t, a, "standby.signal") { // the other side's port alone keeps it from coming up here
					t.Errorf("no signal file at %q", point)
				}
				_ = a.Control("start", "--no-wait", "-l", filepath.Join(a.Socket, "by-hand")) // half a directory starts nothing
				for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
					err := a.Write(t.Context())
					if err == nil {
						t.Errorf("started by hand at %q: a write was acknowledged", point)
					}
					if err == nil || strings.Contains(err.Error(), "read-only") {
						break
					}
				}
			})
			order := restore(b, "s")
			order.Copy = how == "copied"
			r := a.d.Do(t.Context(), order)
			for end := time.Now().Add(time.Minute); r.Outcome == events.Retry && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				r = a.d.Do(t.Context(), order) // it says that somebody got in its way, for as long as that one comes up
			}
			if !r.Outcome.OK() || r.How != how {
				t.Errorf("restored: %+v, want %s", r, how)
			}
			if len(started) < 5 {
				t.Errorf("started at %v only", started)
			}
			wantLost(t, r.Lost, lost)
			a.restored(b)
		})
	}
}

// TestTrapMadeWritableMeanwhile is an operator who needs the old data after all, while a copy waits to take its place.
func TestTrapMadeWritableMeanwhile(t *testing.T) {
	t.Parallel()
	a, b, _ := failedOver(t, 1)
	order := restore(b, "s")
	order.Copy = true
	a.dies("swap", true, order)
	a.lose(t, "standby.signal")
	a.boot(t)
	if r := a.do(events.Refused, order); !strings.Contains(r.Why, "writable") {
		t.Errorf("asked again: %+v", r)
	}
	if err := a.Write(t.Context()); err != nil {
		t.Errorf("a server that an operator opened: %v", err)
	}
}

// TestTrapInterruptedTrim kills the agent when it has taken what is past the fork off a standby's log, before the standby has started.
func TestTrapInterruptedTrim(t *testing.T) {
	t.Parallel()
	a, b := pair(t, wide...)
	c := newSubject(t, postgrestest.Standby(t, a.Server, append(wide, "bgwriter_lru_maxpages = 0")...)) // its pages stay as they are
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	until(t, "both stream", func() bool { return b.probe().Streaming && c.probe().Streaming })
	c.must("CHECKPOINT") // before the fork: its restart point may be as late as it is
	b.do(events.Done, driver.Action{Verb: driver.Cut})
	lost := []uint64{a.commit(), a.commit()}
	at := a.probe().LSN
	until(t, "one has more", func() bool { return c.probe().Replayed >= at })
	a.kill(t)
	c.kill(t)
	b.do(events.Done, driver.Action{Verb: driver.Promote})
	b.do(events.Done, driver.Action{Verb: driver.Checkpoint})
	order := restore(b, "s")
	c.dies("trimmed", true, order)
	c.do(events.Refused, driver.Action{Verb: driver.StartStandby, Source: b.Address()})
	wantLost(t, c.do(events.Done, order).Lost, lost)
	c.restored(b)
}

// TestTrapLeftoverOfARestore has a server follow that was put right by hand after a restore was interrupted, and promotes it later.
func TestTrapLeftoverOfARestore(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.do(events.Done, driver.Action{Verb: driver.Follow, Source: a.Address()})
	until(t, "streaming", func() bool { return b.probe().Streaming })
	b.do(events.AlreadyDone, restore(a, "1"))
	journal := filepath.Join(b.Data+".switchback", "restore.json")
	half := fmt.Sprintf("{\"step\":\"2\",\"source\":%q,\"stage\":\"rewind\",\"broken\":true}\n", a.Address())
	if err := os.MkdirAll(filepath.Dir(journal), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, []byte(half), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(b.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(journal), journal} {
		if err := os.Chown(path, int(info.Sys().(*syscall.Stat_t).Uid), -1); err != nil {
			t.Fatal(err)
		}
	}
	if r := b.do(events.Refused, driver.Action{Verb: driver.Promote}); !strings.Contains(r.Why, journal) {
		t.Errorf("promoted half rewound data: %+v", r)
	}
	b.do(events.AlreadyDone, restore(a, "2"))
	b.do(events.Done, driver.Action{Verb: driver.Promote})
	b.kill(t)
	b.do(events.Done, driver.Action{Verb: driver.Start})
}

// TestTrapLinksAmongTheSettings has links that lead nowhere, and to a pipe that nobody writes to, among the site's files.
func TestTrapLinksAmongTheSettings(t *testing.T) {
	t.Parallel()
	a, b, _ := failedOver(t, 1)
	pipe := filepath.Join(a.Socket, "pipe")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"server.crt": "/nowhere/server.crt", "server.key": pipe}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(a.Data, name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if r := a.d.Do(ctx, restore(b, "s")); r.Outcome != events.Done || r.How != "rewound" {
		t.Errorf("restored: %+v", r)
	}
	for name, to := range links {
		if got, err := os.Readlink(filepath.Join(a.Data, name)); err != nil || got != to {
			t.Errorf("%s leads to %q (%v), want %q", name, got, err, to)
		}
	}
	a.restored(b)
}

// TestCopyRefusesWhatItCantReplace asks for copies that would leave something of the data behind, or write over somebody else's.
func TestCopyRefusesWhatItCantReplace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(t *testing.T, a, b subject) error
		says string
	}{
		"log elsewhere": {func(t *testing.T, a, b subject) error {
			wal := filepath.Join(a.Data, "pg_wal")
			if err := os.Rename(wal, filepath.Join(a.Socket, "wal")); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(a.Socket, "wal"), wal)
		}, "pg_wal"},
		"a tablespace": {func(t *testing.T, a, b subject) error {
			return os.Symlink("/nowhere", filepath.Join(a.Data, "pg_tblspc", "16999"))
		}, "1 tablespaces"},
		"the source's": {func(t *testing.T, a, b subject) error {
			b.must("ALTER SYSTEM SET allow_in_place_tablespaces = on")
			b.must("SELECT pg_reload_conf()")
			until(t, "the setting is there", func() bool { return b.must("SHOW allow_in_place_tablespaces") == "on" })
			b.must("CREATE TABLESPACE apart LOCATION ''")
			return nil
		}, "the source has 1 tablespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, lost := failedOver(t, 1)
			if err := c.make(t, a, b); err != nil {
				t.Fatal(err)
			}
			order := restore(b, "s")
			order.Copy = true
			if r := a.do(events.Refused, order); !strings.Contains(r.Why, c.says) {
				t.Errorf("%s, want %q", r.Why, c.says)
			}
			if name != "log elsewhere" {
				return
			}
			r := a.do(events.Done, restore(b, "s")) // what a copy can't do a rewind can
			if r.How != "rewound" {
				t.Errorf("restored: %+v", r)
			}
			wantLost(t, r.Lost, lost)
			a.restored(b)
		})
	}
}

// TestTrapNoSlotToSpareForACopy copies from a source that keeps none of its log for anybody.
func TestTrapNoSlotToSpareForACopy(t *testing.T) {
	t.Parallel()
	a, b, _ := failedOver(t, 1, "max_replication_slots = 0", "wal_keep_size = 64MB")
	order := restore(b, "s")
	order.Copy = true
	if r := a.do(events.Done, order); r.How != "copied" {
		t.Errorf("restored: %+v", r)
	}
	a.restored(b)
}
