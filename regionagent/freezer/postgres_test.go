package freezer

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer/freezertest"
)

// postgres is a real server with its tree.
type postgres struct {
	tree driver.Tree
	dir  string
	bin  string
	url  string
}

// binaries finds the newest installed server.
func binaries(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is fine
	if len(found) == 0 {
		p, err := exec.LookPath("postgres")
		if err != nil {
			t.Skip("needs PostgreSQL: neither /usr/lib/postgresql/*/bin/postgres nor postgres in PATH")
		}
		found = []string{p}
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}

func startPostgres(t *testing.T, cgroups ...string) *postgres {
	t.Helper()
	bin, dir := binaries(t), freezertest.Home(t, cgroups...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	p := &postgres{dir: dir, bin: bin, url: "postgres://postgres@" + addr + "/postgres?sslmode=disable&connect_timeout=10", tree: driver.Tree{
		PIDFile: filepath.Join(dir, "postmaster.pid"), Match: dir, Signal: filepath.Join(dir, "standby.signal"), Address: addr,
	}}
	p.command(t, "initdb", "-D", dir, "-U", "postgres", "-A", "trust", "-N")
	conf := fmt.Sprintf("port=%s\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\nmax_connections=60\nshared_buffers='16MB'\n", port)
	if err := os.WriteFile(filepath.Join(dir, "postgresql.auto.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // held until now so that nobody else is given the port
	p.start(t)
	return p
}

func (p *postgres) command(t *testing.T, name string, args ...string) {
	t.Helper()
	c := exec.Command(filepath.Join(p.bin, name), args...)
	c.Dir = p.dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: freezertest.ServerUser(t)}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out.String())
	}
}

func (p *postgres) start(t *testing.T) {
	t.Helper()
	freezertest.Run(t, p.dir, filepath.Join(p.bin, "postgres"), "-D", p.dir)
	freezertest.Eventually(t, "the server answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := pgx.Connect(ctx, p.url)
		if err != nil {
			return false
		}
		return c.Close(ctx) == nil
	})
}

// load writes from n sessions until the context ends; acks counts commits whose ReadyForQuery arrived.
type load struct {
	acks, failed atomic.Int64
	done         chan struct{}
}

func (p *postgres) load(t *testing.T, ctx context.Context, n int) *load {
	t.Helper()
	setup, err := pgx.Connect(ctx, p.url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := setup.Exec(ctx, "create table w (n int)"); err != nil {
		t.Fatal(err)
	}
	_ = setup.Close(ctx)
	w := &load{done: make(chan struct{}, n)}
	for i := range n {
		c, err := pgx.Connect(ctx, p.url)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() { w.done <- struct{}{} }()
			defer c.Close(context.WithoutCancel(ctx))
			for ctx.Err() == nil {
				if _, err := c.Exec(ctx, "insert into w values ($1)", i); err != nil {
					if ctx.Err() == nil {
						w.failed.Add(1)
					}
					return
				}
				w.acks.Add(1)
			}
		}()
	}
	freezertest.Eventually(t, "the load runs", func() bool { return w.acks.Load() > int64(10*n) })
	return w
}

// frozenFor fails if an answer arrives within d, once what was already in the sockets has been read.
func (w *load) frozenFor(t *testing.T, d time.Duration) {
	t.Helper()
	last, since := w.acks.Load(), time.Now()
	freezertest.Eventually(t, "the sockets are read empty", func() bool {
		if now := w.acks.Load(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 100*time.Millisecond
	})
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		if now := w.acks.Load(); now != last {
			t.Fatalf("%d commits were acknowledged by a frozen server", now-last)
		}
	}
}

func TestPostgresFrozenThawedKilled(t *testing.T) {
	t.Parallel()
	fences := map[string]string{"sigstop": ""}
	for version, dir := range freezertest.Cgroups("postgres") {
		fences["cgroup "+version] = dir
	}
	for name, dir := range fences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *postgres
			if dir == "" {
				p = startPostgres(t)
			} else {
				p = startPostgres(t, dir)
				freezertest.EnterCgroup(t, dir, pidsOf(t, p.tree))
				p.tree.Cgroup = dir
			}
			const sessions = 20
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			w := p.load(t, ctx, sessions)
			for range 3 {
				o, err := Freeze(freezertest.Limit(t), p.tree)
				if err != nil || o.Processes < sessions {
					t.Fatalf("freeze: %+v, %v", o, err)
				}
				t.Logf("%s: %d processes in %v", o.How, o.Processes, o.Took)
				w.frozenFor(t, 300*time.Millisecond)
				before := w.acks.Load()
				if _, err := Thaw(freezertest.Limit(t), p.tree); err != nil {
					t.Fatal(err)
				}
				freezertest.Eventually(t, "writes go on", func() bool { return w.acks.Load() > before+sessions })
			}
			if n := w.failed.Load(); n != 0 {
				t.Fatalf("%d of %d sessions did not survive", n, sessions)
			}
			if _, err := Freeze(freezertest.Limit(t), p.tree); err != nil {
				t.Fatal(err)
			}
			w.frozenFor(t, 0)
			before := w.acks.Load()
			if o, err := Kill(freezertest.Limit(t), p.tree); err != nil {
				t.Fatalf("kill: %+v, %v", o, err)
			}
			for range sessions {
				<-w.done
			}
			if n := w.acks.Load() - before; n != 0 {
				t.Errorf("%d commits were acknowledged by a kill of a frozen server", n)
			}
			p.tree.Cgroup = ""
			p.start(t)
			c, err := pgx.Connect(ctx, p.url)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(context.WithoutCancel(ctx))
			_, err = c.Exec(ctx, "insert into w values (-1)")
			if err == nil || !strings.Contains(err.Error(), "read-only") {
				t.Fatalf("a write after kill and start: %v; want read-only", err)
			}
		})
	}
}

// A postmaster that is killed leaves sessions behind that may still acknowledge a commit: they are frozen and killed too, though nobody is their parent any more.
func TestPostgresOrphans(t *testing.T) {
	t.Parallel()
	p := startPostgres(t)
	const sessions = 5
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := p.load(t, ctx, sessions)
	if _, err := Freeze(freezertest.Limit(t), p.tree); err != nil {
		t.Fatal(err)
	}
	before, err := Find(p.tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(before.Parent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	freezertest.Eventually(t, "the orphans are found", func() bool {
		p, err := Find(p.tree)
		return err == nil && p.Parent == 0 && len(p.All) == len(before.All)-1
	})
	if o, err := Kill(freezertest.Limit(t), p.tree); err != nil || o.Processes < sessions {
		t.Fatalf("kill: %+v, %v", o, err)
	}
	for range sessions {
		<-w.done
	}
}
