package kernel

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// lapse has 20 sessions write until their server's right ends; every one of them then has an answer in its socket that did not leave.
func (b *bed) lapse() *writers {
	b.t.Helper()
	w := b.write(20)
	b.hold(0)
	late := b.lease.State(name).Late
	until(b.t, 5*time.Second, "every session's answer was dropped", func() bool { return b.lease.State(name).Late >= late+20 })
	return w
}

// TestFormerLifeIsSilent kills a server that has unsent answers and starts it again with a right: nothing of before is ever delivered, and its clients are let go. Where
// nobody ends the life (the guard is dead and its program thinks nothing happened) the same answers do come: sockets outlive their server.
func TestFormerLifeIsSilent(t *testing.T) {
	t.Run("ended", func(t *testing.T) {
		b := newBed(t)
		b.hold(time.Hour)
		b.inForce()
		w := b.lapse()
		before := w.acks.Load()
		b.lease.End(name)
		if err := b.server.Kill(); err != nil {
			t.Fatal(err)
		}
		b.hold(time.Hour)
		if err := b.server.Start(); err != nil {
			t.Fatal(err)
		}
		b.inForce()
		b.write(5) // the new life speaks
		until(t, 5*time.Second, "every client of the former life is let go", func() bool { return w.ended.Load() == 20 })
		if late := w.acks.Load() - before; late != 0 {
			t.Errorf("%d answers of the former life were delivered", late)
		}
	})
	t.Run("died by itself", func(t *testing.T) {
		b := newBed(t)
		b.hold(time.Hour)
		b.inForce()
		w := b.lapse()
		before := w.acks.Load()
		if err := b.server.Kill(); err != nil {
			t.Fatal(err)
		}
		until(t, 5*time.Second, "its end is noticed", func() bool { return b.word(wordEnded) == 1 })
		b.hold(time.Hour)
		pass(now().Add(2 * time.Second))
		if late := w.acks.Load() - before; late != 0 {
			t.Errorf("%d answers of the former life were delivered", late)
		}
		if endsOrphans() && w.ended.Load() != 20 {
			t.Errorf("%d of 20 clients were let go", w.ended.Load())
		}
	})
	t.Run("control", func(t *testing.T) {
		b := newBed(t)
		b.hold(time.Hour)
		b.inForce()
		w := b.lapse()
		before := w.acks.Load()
		b.stop()
		if err := b.server.Kill(); err != nil {
			t.Fatal(err)
		}
		b.hold(time.Hour)
		until(t, 10*time.Second, "answers of a dead server are delivered, or this test proves nothing", func() bool { return w.acks.Load() > before })
	})
}

func (b *bed) word(n int) uint64 {
	f := b.lease.fence(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at.load(n)
}

// TestDeadGuard has the guard end: its last deadline passes by itself. The next one takes over what is there, life and counts included, and takes it off when the
// cluster is released.
func TestDeadGuard(t *testing.T) {
	b := newBed(t)
	b.hold(time.Hour)
	b.inForce()
	b.lease.End(name)
	if err := b.server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Start(); err != nil {
		t.Fatal(err)
	}
	b.inForce()
	w := b.write(5)
	end := b.hold(300 * time.Millisecond)
	b.stop()
	pass(end.Add(50 * time.Millisecond)) // what left in time was read by now
	before := w.acks.Load()
	pass(end.Add(time.Second))
	if late := w.acks.Load() - before; late != 0 {
		t.Errorf("%d answers left after the last deadline of a dead guard", late)
	}
	old := b.lease.State(name)
	if old.Late == 0 {
		t.Error("nothing was dropped")
	}

	b.guard()
	b.lease.Until(name, b.tree, 0) // as a guard starts that nobody handed a deadline
	b.inForce()
	if s := b.lease.State(name); s.Late < old.Late || b.word(wordLife) != 1 {
		t.Errorf("the next guard has %+v in life %d, the one before had %+v in life 1", s, b.word(wordLife), old)
	}
	b.hold(time.Hour)
	until(t, 10*time.Second, "sessions go on under the next guard", func() bool { return w.acks.Load() > before+100 })
	if w.ended.Load() != 0 {
		t.Errorf("%d sessions were lost", w.ended.Load())
	}

	b.hold(0)
	b.lease.Free(name, b.tree)
	until(t, 5*time.Second, "it is taken off", func() bool { at, err := find(b.cgroup); return at == nil && err == nil })
}

// TestLinksAreNotCut has a standby stream and the agent look on through a lapse. A client that calls itself a walsender but can write is cut.
func TestLinksAreNotCut(t *testing.T) {
	b := newBed(t)
	b.hold(time.Hour)
	b.inForce()
	standby := postgrestest.Standby(t, b.server)
	dsn := b.secret("host=127.0.0.1 port=" + strconv.Itoa(b.server.Port) + " user=" + postgrestest.Shared(t).User + " dbname=postgres sslmode=disable")
	conf := b.server.Config(events.Ref{Region: "eu-west-1", Cluster: "orders-a"})
	conf.DSNFile = dsn // over TCP, where the lease is
	d, err := postgres.New(conf, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	client, err := pgconn.Connect(ctx, "host=127.0.0.1 port="+strconv.Itoa(b.server.Port)+" user="+postgrestest.Shared(t).User+" dbname=postgres replication=database application_name="+standby.Name)
	if err != nil {
		t.Fatal(err)
	}
	linker := d.(driver.Linker)
	links, err := linker.Links(ctx)
	if err != nil || len(links) != 2 {
		t.Fatalf("links %v, %v: want the standby's and the agent's own", links, err)
	}
	if slices.ContainsFunc(links, func(p driver.Process) bool { return p.PID == int(client.PID()) }) {
		t.Fatal("a walsender that can write counts as a link")
	}
	b.lease.Spare(name, links)
	until(t, 5*time.Second, "links are spared", func() bool { return b.spared() == 2 })

	b.hold(0)
	if err := b.unix("INSERT INTO t SELECT generate_series(1, 1000)"); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "it is streamed although the right is over", func() bool {
		n, err := standby.SQL(ctx, "SELECT count(*) FROM t")
		return err == nil && n == "1000"
	})
	if h := d.Probe(ctx); h.Server != events.ServerWritable {
		t.Errorf("the agent sees %v (%s) through its own connection", h.Server, h.Error)
	}
	short, end := context.WithTimeout(ctx, 500*time.Millisecond)
	defer end()
	if _, err := client.Exec(short, "SELECT 1").ReadAll(); err == nil {
		t.Error("a client in a walsender's clothes was answered after the right was over")
	}

	b.lease.End(name) // a spared link is of its life, too
	short, end = context.WithTimeout(ctx, time.Second)
	defer end()
	if _, err := linker.Links(short); err == nil {
		t.Error("a spared connection goes on after its server's life")
	}
}

func (b *bed) spared() int {
	f := b.lease.fence(name)
	f.look.Lock()
	defer f.look.Unlock()
	return len(f.spared)
}

// unix runs a statement over the unix socket, which nothing cuts.
func (b *bed) unix(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, b.server.DSN())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}

// secret writes a connection string where a driver reads it.
func (b *bed) secret(text string) string {
	path := filepath.Join(b.t.TempDir(), "dsn")
	write(b.t, path, strings.TrimSpace(text))
	return path
}
