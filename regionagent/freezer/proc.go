package freezer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Process is one process as /proc showed it.
type Process struct {
	PID     int
	Parent  int
	Session int
	State   byte   // R, S, D, T, t, Z ... of the main thread
	Start   uint64 // ticks since boot: with the pid it names one process for good
	Threads int
	comm    string
}

// errGone says that a process ended while it was being read.
var errGone = errors.New("process is gone")

// readProcess reads /proc/<path>/stat; path is a pid, or pid/task/tid.
func readProcess(path string) (Process, error) {
	b, err := os.ReadFile("/proc/" + path + "/stat")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return Process{}, errGone
	} else if err != nil {
		return Process{}, fmt.Errorf("read process: %w", err)
	}
	// pid (comm) state ppid ...: comm may hold spaces and parentheses, so split at the last one.
	open, closing := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || closing < open {
		return Process{}, fmt.Errorf("read process: /proc/%s/stat is %q: want pid (comm) state and more", path, b)
	}
	f := strings.Fields(string(b[closing+1:]))
	if len(f) < 20 {
		return Process{}, fmt.Errorf("read process: /proc/%s/stat has %d fields after the name: want 20 or more", path, len(f))
	}
	p := Process{State: f[0][0], comm: string(b[open+1 : closing])}
	var errs [5]error
	p.PID, errs[0] = strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	p.Parent, errs[1] = strconv.Atoi(f[1])
	p.Threads, errs[2] = strconv.Atoi(f[17])
	p.Start, errs[3] = strconv.ParseUint(f[19], 10, 64)
	p.Session, errs[4] = strconv.Atoi(f[3])
	return p, errors.Join(errs[:]...)
}

// allProcesses reads every process of the host, in the order of their pids.
func allProcesses() ([]Process, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	out := make([]Process, 0, len(names))
	for _, n := range names {
		if n[0] < '1' || n[0] > '9' {
			continue
		}
		p, err := readProcess(n)
		if errors.Is(err, errGone) {
			continue
		} else if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// stopped reports whether a process can't run in user mode until a SIGCONT: stopped, dead, or asleep in the kernel with a SIGSTOP pending, which it
// meets before it returns (a hung fsync never turns T; waiting for it would extend S for ever).
func (p Process) stopped() (bool, error) {
	if p.Threads <= 1 {
		return haltedState(strconv.Itoa(p.PID), p)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.PID))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("list threads: %w", err)
	}
	for _, t := range tasks {
		path := fmt.Sprintf("%d/task/%s", p.PID, t.Name())
		task, err := readProcess(path)
		if errors.Is(err, errGone) {
			continue
		} else if err != nil {
			return false, err
		}
		if ok, err := haltedState(path, task); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func haltedState(path string, p Process) (bool, error) {
	switch p.State {
	case 'T', 't', 'Z', 'X':
		return true, nil
	case 'D':
		return stopPending(path)
	}
	return false, nil
}

// gone reports whether nothing of a process can ever run again.
func (p Process) gone() bool { return (p.State == 'Z' || p.State == 'X') && p.Threads <= 1 }

// stopPending reports whether SIGSTOP (or SIGKILL) waits for a task.
func stopPending(path string) (bool, error) {
	b, err := os.ReadFile("/proc/" + path + "/status")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("read pending signals: %w", err)
	}
	const mask = 1<<(uint(syscall.SIGSTOP)-1) | 1<<(uint(syscall.SIGKILL)-1)
	for line := range strings.Lines(string(b)) {
		name, hex, _ := strings.Cut(line, ":")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		v, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return false, fmt.Errorf("read pending signals: /proc/%s/status: %w", path, err)
		}
		if v&mask != 0 {
			return true, nil
		}
	}
	return false, nil
}

// signal sends s to a process just read from /proc. Nobody's pid 1, and never ourselves.
func signal(pid int, s syscall.Signal) error {
	if pid <= 1 || pid == os.Getpid() {
		return fmt.Errorf("signal %v: refused for pid %d", s, pid)
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %v to pid %d: %w", s, pid, err)
	}
	return nil
}
