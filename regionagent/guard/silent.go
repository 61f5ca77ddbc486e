package guard

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// SilentError says that somebody holds the guard's socket and answers no hello.
type SilentError struct{ guard *os.Process }

func (e *SilentError) Error() string {
	return fmt.Sprintf("guard (process %d) does not answer hello", e.guard.Pid)
}

// Kill ends it; see Client.Kill.
func (e *SilentError) Kill() error { return kill(e.guard) }

// Kill ends a guard that keeps its connection and says nothing, so that whoever supervises it starts another. A guard that stands still fences nothing, so nothing
// is lost with it: the next one has no deadlines and freezes first (D1). The caller has ordered frozen by then whatever must be held.
func (c *Client) Kill() error {
	select {
	case <-c.gone:
		return ErrDown // it has ended, or another agent took this one's place
	default:
	}
	if c.guard == nil {
		return fmt.Errorf("end the guard: %w", c.unknown)
	}
	return kill(c.guard)
}

func kill(p *os.Process) error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the guard (process %d): %w", p.Pid, err)
	}
	return nil
}

// listener is the process that listens at the other end of a connection: that very one, by a descriptor of the kernel's, whoever has its number later.
func listener(conn net.Conn) (*os.Process, error) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	if cred.Pid <= 0 || int(cred.Pid) == os.Getpid() {
		return nil, fmt.Errorf("process %d is none that can be ended", cred.Pid)
	}
	return os.FindProcess(int(cred.Pid))
}
