package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrRunning says that another guard has the socket.
var ErrRunning = errors.New("another guard is running")

// kindEnd is the inbound that says a connection ended; it never travels.
const kindEnd = "end"

type inbound struct {
	from    *conn
	message message
}

// conn is one agent's connection. What it is sent waits in a short queue: an agent that reads nothing never holds the guard up.
type conn struct {
	net.Conn
	nonce string
	out   chan message
	once  sync.Once
	gone  chan struct{}
}

const (
	queueLength = 64
	writeLimit  = 5 * time.Second
)

func (c *conn) send(m message) {
	select {
	case c.out <- m:
	default:
		c.end() // it reads nothing
	}
}

// end closes the connection; whoever reads or writes learns of it.
func (c *conn) end() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.Close() // nothing that was said is lost by it that mattered
	})
}

// locked is the listener together with the lock that says whose socket it is.
type locked struct {
	*net.UnixListener
	lock *os.File
}

// Close removes the socket and gives the lock up.
func (l locked) Close() error { return errors.Join(l.UnixListener.Close(), l.lock.Close()) }

// listen makes the socket. The lock decides who may, so that what a killed guard left can be removed.
func listen(path string) (locked, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return locked{}, err
	}
	l, err := listenLocked(path, lock)
	if err != nil {
		_ = lock.Close() // the error before says more
		return locked{}, err
	}
	return locked{l, lock}, nil
}

func listenLocked(path string, lock *os.File) (*net.UnixListener, error) {
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrRunning
		}
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// accept serves connections until ctx ends.
func (g *guard) accept(ctx context.Context, l locked) {
	for {
		c, err := l.AcceptUnix()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			g.Log.Error("accept", "err", err)
			nap(ctx, killPause) // out of descriptors, as a rule
			continue
		}
		if err := ours(c); err != nil {
			g.Log.Error("connection refused", "err", err)
			_ = c.Close()
			continue
		}
		g.serve(ctx, &conn{Conn: c, out: make(chan message, queueLength), gone: make(chan struct{})})
	}
}

// ours refuses everybody but root and the guard's own user, also in the moment before the socket's mode is set.
func ours(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("peer has uid %d: want 0 or %d", cred.Uid, os.Geteuid())
	}
	return nil
}

func (g *guard) serve(ctx context.Context, c *conn) {
	release := context.AfterFunc(ctx, c.end)
	put := func(m message) {
		select {
		case g.inbox <- inbound{c, m}:
		case <-ctx.Done():
		}
	}
	g.work.Go(func() {
		if err := lines(c, put); err != nil && !errors.Is(err, net.ErrClosed) {
			g.Log.Warn("agent's connection", "err", err)
		}
		c.end()
		release()
		put(message{Kind: kindEnd})
	})
	g.work.Go(func() {
		for {
			select {
			case m := <-c.out:
				_ = c.SetWriteDeadline(time.Now().Add(writeLimit)) // fails only on a closed one, as the write then does
				if err := writeLine(c, m); err != nil {
					c.end()
					return
				}
			case <-c.gone:
				return
			}
		}
	})
}
