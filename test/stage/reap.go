package stage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// each calls f for every process that lives.
func each(f func(pid int)) error {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, e := range all {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			f(pid)
		}
	}
	return nil
}

// worksIn reports whether a process works in a directory or below it, wherever that was moved to since.
func worksIn(pid int, dir string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && (cwd == dir || strings.HasPrefix(cwd, dir+"/"))
}

// tool reads what a program of PostgreSQL was called with; false: the process is none. Such programs work in any directory, so theirs says nothing.
func tool(pid int) ([]string, bool) {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || !bytes.HasPrefix(comm, []byte("pg_")) {
		return nil, false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	return args, err == nil && args[0] != ""
}

// calledWith reports whether a tool was told to work in or below a directory.
func calledWith(args []string, dir string) bool {
	return slices.ContainsFunc(args[1:], func(a string) bool { return a == dir || strings.Contains(a, dir+"/") })
}

// pids finds the processes that work in a directory or below it, tools that were told to included.
func pids(dir string) (found []int, err error) {
	err = each(func(pid int) {
		mine := worksIn(pid, dir)
		if args, ok := tool(pid); ok && !mine {
			mine = calledWith(args, dir)
		}
		if !mine {
			return
		}
		if _, alive := startTime(pid); alive {
			found = append(found, pid)
		}
	})
	return found, err
}

// kill ends every process that pids finds, frozen ones too, and returns when none is left.
func kill(dir string) error { return killAll(dir, func() ([]int, error) { return pids(dir) }) }

func killAll(where string, find func() ([]int, error)) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		found, err := find()
		if err != nil || len(found) == 0 {
			return err
		}
		for _, pid := range found {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill: processes %v work in %s and don't end", found, where)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// PIDs are the processes of a server, in its data directory or in one of its that was put aside; with a title only those that carry it, as "walreceiver".
func (v *Server) PIDs(title string) (found []int, err error) {
	err = each(func(pid int) {
		if !worksIn(pid, v.Data) && !worksIn(pid, v.Data+aside) {
			return
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !bytes.Contains(line, []byte(title)) {
			return
		}
		if _, alive := startTime(pid); alive {
			found = append(found, pid)
		}
	})
	return found, err
}

// aside is what a restore adds to the name of a data directory for the one that it keeps its own things in.
const aside = ".switchback"

// Kill ends every process of it by SIGKILL and leaves the files, and whoever works on them, alone.
func (v *Server) Kill() error {
	return killAll(filepath.Dir(v.Data), func() ([]int, error) { return v.PIDs("") })
}
