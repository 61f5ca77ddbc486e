package kernel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// socket is another process's socket, in our hands for a moment: while we hold it, it can't end.
type socket struct {
	fd    int
	inode uint64
	port  int
}

func closeAll(ss []socket) {
	for _, s := range ss {
		_ = unix.Close(s.fd) // a descriptor of ours: the owner has its own
	}
}

func portOf(address string) uint64 {
	_, port, err := net.SplitHostPort(address)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		return 0
	}
	return n
}

// listeners are the TCP sockets on which a process waits for clients.
func listeners(p driver.Process) ([]socket, error) {
	return sockets(p, func(s socket, listens bool) bool { return listens })
}

// connections are a process's TCP connections at a local port.
func connections(p driver.Process, port uint64) ([]socket, error) {
	return sockets(p, func(s socket, listens bool) bool { return !listens && uint64(s.port) == port })
}

// hold opens a process: the descriptor is of it for good, also after its end. One that is not the one meant (its pid was recycled) is an error.
func hold(p driver.Process) (pidfd int, err error) {
	if pidfd, err = unix.PidfdOpen(p.PID, 0); err != nil {
		return 0, fmt.Errorf("open pid %d: %w", p.PID, err)
	}
	if now, err := freezer.Started(p.PID); err != nil || now != p.Start { // after the pidfd, which stays with the process it was opened for
		_ = unix.Close(pidfd)
		return 0, fmt.Errorf("pid %d is not the process it was: %w", p.PID, err)
	}
	return pidfd, nil
}

// sockets takes hold of a process's TCP sockets. A process that is not the one meant (its pid was recycled) is an error.
func sockets(p driver.Process, want func(s socket, listens bool) bool) (out []socket, err error) {
	pidfd, err := hold(p)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pidfd)
	dir := fmt.Sprintf("/proc/%d/fd", p.PID)
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list descriptors: %w", err)
	}
	for _, e := range all {
		name, err := os.Readlink(dir + "/" + e.Name())
		number, ok := strings.CutPrefix(name, "socket:[")
		if err != nil || !ok {
			continue
		}
		s, listens, err := take(pidfd, e.Name())
		if err != nil {
			continue // closed meanwhile, or no TCP socket
		}
		s.inode, _ = strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
		if !want(s, listens) {
			closeAll([]socket{s})
			continue
		}
		out = append(out, s)
	}
	return out, nil
}

var errNotTCP = errors.New("not a TCP socket")

func take(pidfd int, name string) (s socket, listens bool, err error) {
	n, err := strconv.Atoi(name)
	if err != nil {
		return s, false, err
	}
	if s.fd, err = unix.PidfdGetfd(pidfd, n, 0); err != nil {
		return s, false, err
	}
	protocol, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err == nil && protocol != unix.IPPROTO_TCP {
		err = errNotTCP
	}
	if err == nil {
		var accepts int
		accepts, err = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		listens = accepts != 0
	}
	if err == nil {
		s.port, err = localPort(s.fd)
	}
	if err != nil {
		closeAll([]socket{s})
	}
	return s, listens, err
}

func localPort(fd int) (int, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return a.Port, nil
	case *unix.SockaddrInet6:
		return a.Port, nil
	}
	return 0, errNotTCP
}
