package kernel

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

const name = "eu-west-1/orders-a"

// bed is a real server in a cgroup of its own, under a lease that is looked at as the guard does.
type bed struct {
	t      testing.TB
	cgroup string
	lease  *Lease
	tree   driver.Tree
	server *postgrestest.Server
	stop   func() // as if the guard died
}

func newBed(t testing.TB) *bed {
	t.Helper()
	if c := Check(); !c.Can() {
		t.Skipf("NOT TESTED: no kernel lease here: %v", c.Why())
	}
	root, err := mount()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, cgroup: filepath.Join(root, "switchback-test", fmt.Sprintf("%d-%s", os.Getpid(), postgrestest.Name("c")))}
	if err := os.MkdirAll(b.cgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		until(t, 10*time.Second, "the cgroup is empty", func() bool { return os.Remove(b.cgroup) == nil })
		_ = os.Remove(filepath.Dir(b.cgroup)) // another test's may be in it
	})
	b.guard()
	b.server = postgrestest.PrimaryIn(t, b.cgroup)
	b.tree = driver.Tree{PIDFile: filepath.Join(b.server.Data, "postmaster.pid"), Match: b.server.Data, Cgroup: b.cgroup, Address: b.server.Address()}
	if err := b.sql("CREATE TABLE t (n int)"); err != nil {
		t.Fatal(err)
	}
	return b
}

// guard begins to look, with nothing remembered: a guard that has just started.
func (b *bed) guard() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	b.lease = New(slog.New(slog.NewTextHandler(b.t.Output(), nil)))
	go func(l *Lease) { l.Run(ctx); close(ended) }(b.lease)
	b.stop = func() { cancel(); <-ended }
	b.t.Cleanup(b.stop)
}

// hold gives the server a right for a while and returns when it ends.
func (b *bed) hold(d time.Duration) events.Instant {
	end := now().Add(d)
	b.lease.Until(name, b.tree, end)
	return end
}

func (b *bed) inForce() {
	b.t.Helper()
	until(b.t, 10*time.Second, "the lease is in force", func() bool { return b.lease.State(name).InForce })
}

func (b *bed) sql(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := b.server.SQL(ctx, sql)
	return err
}

// writers are sessions over TCP that write as fast as they are answered.
type writers struct {
	acks, ended atomic.Int64
}

func (b *bed) write(n int) *writers {
	b.t.Helper()
	w := &writers{}
	ctx, cancel := context.WithCancel(context.Background())
	b.t.Cleanup(cancel)
	for range n {
		c, err := b.server.Connect(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		go w.run(ctx, c.PgConn())
	}
	until(b.t, 10*time.Second, "every session was answered", func() bool { return w.acks.Load() > int64(10*n) })
	return w
}

func (w *writers) run(ctx context.Context, c *pgconn.PgConn) {
	defer w.ended.Add(1)
	for ctx.Err() == nil {
		if _, err := c.Exec(ctx, "INSERT INTO t VALUES (1)").ReadAll(); err != nil { // returns at ReadyForQuery
			return
		}
		w.acks.Add(1)
	}
}

func until(t testing.TB, limit time.Duration, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func pass(i events.Instant) {
	for now() < i {
		time.Sleep(time.Millisecond)
	}
}

// TestPausedHostAnswersNothing is the case that no freeze can close: everything stands still, guard and agent with it, the right ends, and the server is the
// first to run again. The same without the program shows that its sessions would have answered.
func TestPausedHostAnswersNothing(t *testing.T) {
	for _, fenced := range []bool{true, false} {
		t.Run(fmt.Sprintf("fenced=%v", fenced), func(t *testing.T) {
			b := newBed(t)
			b.hold(time.Hour)
			b.inForce()
			if !fenced {
				b.lease.Free(name, b.tree)
				until(t, 5*time.Second, "it is taken off", func() bool { return !b.lease.State(name).InForce })
			}
			w := b.write(20)
			if fenced {
				b.hold(400 * time.Millisecond)
			}
			end := now().Add(400 * time.Millisecond)
			if err := b.server.Freeze(); err != nil {
				t.Fatal(err)
			}
			pass(end.Add(100 * time.Millisecond))
			before := w.acks.Load()
			if err := b.server.Thaw(); err != nil {
				t.Fatal(err)
			}
			pass(now().Add(time.Second))
			late := w.acks.Load() - before
			t.Logf("fenced %v: %d answers after the resume; %+v", fenced, late, b.lease.State(name))
			switch {
			case fenced && late != 0:
				t.Errorf("%d answers left after the right had ended", late)
			case !fenced && late < 20:
				t.Errorf("%d answers without the program: want at least one of each session, or this test proves nothing", late)
			}
			if !fenced {
				return
			}
			if b.lease.State(name).Late == 0 {
				t.Error("no packet was dropped")
			}
			b.hold(time.Hour) // the right comes back before anybody else got it: that was only a pause
			began := time.Now()
			until(t, 30*time.Second, "all sessions go on", func() bool { return w.acks.Load() > before+200 })
			t.Logf("went on after %v", time.Since(began))
			if n := w.ended.Load(); n != 0 {
				t.Errorf("%d sessions were lost", n)
			}
		})
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
