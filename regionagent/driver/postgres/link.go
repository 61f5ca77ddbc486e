package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

// link is one warm connection, used by one caller at a time. A driver has two: a long action must not make probes wait.
type link struct {
	busy   chan struct{} // a token of one; a channel, so that waiting for it obeys ctx
	open   func(context.Context, *link) (*pgx.Conn, error)
	conn   *pgx.Conn
	warned *pgconn.Notice // the last warning of the server
}

func newLink(open func(context.Context, *link) (*pgx.Conn, error)) *link {
	return &link{busy: make(chan struct{}, 1), open: open}
}

// use hands the connection to f. A warm connection that turns out to be dead was the last server's: f is then tried once more on a new one, so f
// must be fit to be repeated.
func (l *link) use(ctx context.Context, f func(*pgx.Conn) error) error {
	warm, err := l.once(ctx, f)
	if warm && err != nil && ctx.Err() == nil {
		_, err = l.once(ctx, f)
	}
	return err
}

// once hands the connection to f, opening it when there is none, and says whether a warm one died of it.
func (l *link) once(ctx context.Context, f func(*pgx.Conn) error) (warmDied bool, err error) {
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return false, fmt.Errorf("wait for connection: %w", ctx.Err())
	}
	warm := l.conn != nil && !l.conn.IsClosed()
	if !warm {
		if l.conn, err = l.open(ctx, l); err != nil {
			return false, err
		}
	}
	err = f(l.conn)
	return warm && l.conn.IsClosed(), err
}

func (l *link) close() {
	l.busy <- struct{}{}
	defer func() { <-l.busy }()
	if l.conn != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // no farewell: a frozen server would not read it
		l.conn.Close(ctx)
		l.conn = nil
	}
}

// dial opens a connection of a superuser. The session's own settings see to it that what it writes is acknowledged as any client's would be,
// whatever the site's defaults.
func (d *Driver) dial(statementTimeout string) func(context.Context, *link) (*pgx.Conn, error) {
	return func(ctx context.Context, l *link) (*pgx.Conn, error) {
		cfg, err := d.dsn(ctx)
		if err != nil {
			return nil, err
		}
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared: poolers and DDL do no harm
		for k, v := range map[string]string{
			"application_name": "switchback", "statement_timeout": statementTimeout, "lock_timeout": "0", "idle_session_timeout": "0",
			"default_transaction_read_only": "off", "synchronous_commit": "on", "search_path": "pg_catalog", "client_min_messages": "warning",
		} {
			cfg.RuntimeParams[k] = v
		}
		cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { l.warned = n }
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		return conn, nil
	}
}

// dsn is the file's connection string, read late so that a changed secret is used, or the local socket.
func (d *Driver) dsn(ctx context.Context) (*pgx.ConnConfig, error) {
	if d.cfg.DSNFile != "" {
		b, err := os.ReadFile(d.cfg.DSNFile)
		if err != nil {
			return nil, fmt.Errorf("read dsn_file: %w", err)
		}
		cfg, err := pgx.ParseConfig(strings.TrimSpace(string(b)))
		if err != nil {
			return nil, fmt.Errorf("read dsn_file %s: it is no connection string", d.cfg.DSNFile) // the parser's error could quote the secret
		}
		return cfg, nil
	}
	p, err := d.where(ctx)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(p.address())
	if p.socket != "" {
		host = p.socket
	}
	cfg, err := pgx.ParseConfig("host='" + host + "' port=" + strconv.Itoa(p.port) + " dbname=postgres user='" + d.cfg.User + "'")
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	cfg.DialFunc = d.dialAsOwner
	return cfg, nil
}

// dialAsOwner connects to a unix socket under the effective user id of the server's owner, which is what peer authentication sees. Only one
// locked thread changes its id, and changes it back; one that could not would never be used again.
func (d *Driver) dialAsOwner(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	if network != "unix" || os.Geteuid() != 0 {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	become := func(uid uint32) error {
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			return fmt.Errorf("become user %d: %w", uid, errno)
		}
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = become(d.owner.uid); err != nil {
			return
		}
		conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		if back := become(0); back != nil {
			d.log.Error("a thread stays locked away", "err", back)
			return
		}
		runtime.UnlockOSThread()
	}()
	<-done // DialContext obeys ctx
	return conn, err
}

// sqlState names PostgreSQL's error, empty if err is none of the server's.
func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}
