package stage

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/events"
)

// tables is what every group's database holds.
const tables = `CREATE TABLE writes (writer text, n bigint, sent bigint, value text, PRIMARY KEY (writer, n))`

// Every is how often each writer writes, unless the stage says otherwise.
const Every = 40 * time.Millisecond

// OutsideWriter names the writer outside every region; the others are named by theirs.
const OutsideWriter = "outside"

// outsideLimit is how long a client outside waits for an answer before it takes its server for lost.
const outsideLimit = time.Second

// Instant is a reading of CLOCK_MONOTONIC of this machine, in nanoseconds: one clock for all regions, which is what lets us judge from outside.
type Instant int64

// Clock reads it.
func Clock() Instant {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // fails only for a clock that does not exist
	return Instant(t.Nano())
}

// Sub is how long i is after j.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }

// Write is one row a writer sent. It is acknowledged when ReadyForQuery came after it, and not before.
type Write struct {
	Group  string
	Writer string
	N      int64
	Sent   Instant
	Acked  Instant // 0: no answer, so nobody knows
	Server events.Ref
	XID    uint64 // of its transaction, on that server and timeline; 0 = it never said
}

// Writers write to every group all the time: one in each of its regions through the local socket of its server there, whether or not that is the active,
// and one outside, over TCP, that looks for the writable server as libpq clients do.
type Writers struct {
	every  time.Duration
	cancel context.CancelFunc
	work   sync.WaitGroup
	disk   *os.File

	mu   sync.Mutex
	log  []Write
	file *bufio.Writer
}

// StartWriters starts them. What they did is also written to the file writes in the stage's directory: group, writer, n, sent, acked, server,
// transaction.
func (s *Stage) StartWriters() (*Writers, error) {
	f, err := os.Create(filepath.Join(s.home.dir, "writes"))
	if err != nil {
		return nil, fmt.Errorf("start writers: %w", err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	w := &Writers{every: cmp.Or(s.options.Every, Every), cancel: cancel, disk: f, file: bufio.NewWriter(f)}
	for _, g := range s.options.Groups {
		if !g.Written() {
			continue // nobody writes to it
		}
		var all []*Server
		for _, ref := range g.Clusters() {
			v := s.Server(ref)
			all = append(all, v)
			w.work.Go(func() { w.write(ctx, &inside{v}, g.Name, ref.Region) })
			if s.options.Local {
				w.work.Go(func() { w.write(ctx, &local{inside{v}}, g.Name, ref.Region+OverTCP) })
			}
		}
		w.work.Go(func() { w.write(ctx, &outside{s.net, all}, g.Name, OutsideWriter) })
	}
	return w, nil
}

// Stop ends the writers and returns what they did.
func (w *Writers) Stop() ([]Write, error) {
	w.cancel()
	w.work.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.disk == nil {
		return w.log, nil
	}
	err := errors.Join(w.file.Flush(), w.disk.Close())
	w.disk = nil
	return w.log, err
}

// Log is what they did so far.
func (w *Writers) Log() []Write {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log[:len(w.log):len(w.log)]
}

func (w *Writers) note(x Write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, x)
	if w.disk != nil {
		fmt.Fprintln(w.file, x.Group, x.Writer, x.N, x.Sent, x.Acked, x.Server, x.XID)
	}
}

// way is how a writer reaches a server.
type way interface {
	connect(context.Context) (*pgconn.PgConn, events.Ref, error)
	limit() time.Duration // for one write; 0 = patient
}

// write sends a row at every tick until ctx ends, one at a time: an answer that takes longer delays the next row.
func (w *Writers) write(ctx context.Context, by way, group, writer string) {
	var conn *pgconn.PgConn
	var at events.Ref
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			if conn != nil {
				hangUp(conn)
			}
			return
		case <-tick.C:
		}
		if conn == nil {
			var err error
			if conn, at, err = by.connect(ctx); err != nil {
				conn = nil
				continue
			}
		}
		x := Write{Group: group, Writer: writer, N: n, Server: at}
		err := w.send(ctx, conn, by.limit(), &x)
		if !refused(err) {
			w.note(x) // acknowledged, or nobody knows
		}
		if err != nil && (conn.IsClosed() || writer == OutsideWriter) {
			hangUp(conn)
			conn = nil
		}
	}
}

// refused says that the server took a statement and did not do it. Its last words before it ends the session say no such thing: they may follow a commit.
func refused(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.SeverityUnlocalized == "ERROR"
}

// send sends one row and waits for ReadyForQuery.
func (w *Writers) send(ctx context.Context, conn *pgconn.PgConn, limit time.Duration, x *Write) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	x.Sent = Clock()
	sql := fmt.Sprintf("INSERT INTO writes VALUES ('%s', %d, %d, '%s %s %d') RETURNING pg_current_xact_id()", x.Writer, x.N, x.Sent, x.Group, x.Writer, x.N)
	results, err := conn.Exec(ctx, sql).ReadAll() // returns at ReadyForQuery
	if err == nil {
		x.Acked = Clock()
	}
	if len(results) == 1 && len(results[0].Rows) == 1 { // may have come although no answer followed
		x.XID, _ = strconv.ParseUint(string(results[0].Rows[0][0]), 10, 64) // xid8 is nothing else
	}
	return err
}

// hangUp closes without a farewell: a frozen server would not read it.
func hangUp(conn *pgconn.PgConn) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = conn.Close(ctx)
}

// inside is an application beside one server. It waits for an answer as long as it takes.
type inside struct{ server *Server }

func (i *inside) limit() time.Duration { return 0 }

func (i *inside) connect(ctx context.Context) (*pgconn.PgConn, events.Ref, error) {
	c, err := pgconn.Connect(ctx, i.server.dsn())
	return c, i.server.Ref, err
}

// OverTCP ends the name of a writer beside a server that does not use its local socket.
const OverTCP = "/tcp"

// local is inside, over TCP.
type local struct{ inside }

func (l *local) connect(ctx context.Context) (*pgconn.PgConn, events.Ref, error) {
	v := l.server
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable connect_timeout=2", v.net.address(v.Ref.Region), v.Port, v.owner.name))
	if err != nil {
		return nil, v.Ref, err
	}
	cfg.DialFunc = v.net.dial(v.Ref.Region)
	c, err := pgconn.ConnectConfig(ctx, cfg)
	return c, v.Ref, err
}

// outside is an application that knows all servers and asks each whether it is writable.
type outside struct {
	net     *network
	servers []*Server
}

func (o *outside) limit() time.Duration { return outsideLimit }

func (o *outside) connect(ctx context.Context) (*pgconn.PgConn, events.Ref, error) {
	var hosts, ports []string
	for _, v := range o.servers {
		hosts, ports = append(hosts, o.net.address(v.Ref.Region)), append(ports, strconv.Itoa(v.Port))
	}
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=disable connect_timeout=1 target_session_attrs=read-write",
		strings.Join(hosts, ","), strings.Join(ports, ","), o.servers[0].owner.name))
	if err != nil {
		return nil, events.Ref{}, err
	}
	cfg.DialFunc = o.net.dial(Outside)
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, events.Ref{}, err
	}
	host, _, _ := net.SplitHostPort(c.Conn().RemoteAddr().String())
	for _, v := range o.servers {
		if o.net.address(v.Ref.Region) == host {
			return c, v.Ref, nil
		}
	}
	hangUp(c)
	return nil, events.Ref{}, fmt.Errorf("connected to %s, which is none of them", host)
}
