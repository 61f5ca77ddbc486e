package stage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// home is the one directory of a stage. Every process of the stage works in a directory below it, which is how all of them are found again. A warden
// process clears it when it is closed or this process ends, however it ends; if the warden was killed too, the next stage does it, by the name:
// sbst-PID-STARTTIME-PIDNAMESPACE-random tells whether its owner still lives.
type home struct {
	dir    string
	warden *exec.Cmd
	leash  io.Closer // the warden acts when it is closed
}

const (
	homePrefix = "sbst-"
	// sweep kills by working directory, which finds orphans, frozen processes and servers whose directory was moved, and PostgreSQL's tools, which work anywhere, by
	// what they were called with. Then it removes shared memory segments, file systems and the directory.
	sweep = `
for again in 1 2 3 4 5 6 7 8 9 10; do
  left=
  for p in /proc/[0-9]*; do
    mine=
    case "$(readlink "$p/cwd" 2>/dev/null)" in "$1"/*) mine=1;; esac
    read -r name 2>/dev/null <"$p/comm" || name=
    case "$name" in pg_*) case "$(tr '\000' ' ' 2>/dev/null <"$p/cmdline")" in *"$1"/*) mine=1;; esac;; esac
    [ -z "$mine" ] || { kill -9 "${p#/proc/}" 2>/dev/null; left=1; }
  done
  [ -n "$left" ] || break
  sleep 0.1
done
for f in "$1"/*/*/data/postmaster.pid "$1"/*/*/data.switchback/*/postmaster.pid; do
  [ -f "$f" ] && ipcrm -m "$(sed -n 7p "$f" | awk '{print $2}')" 2>/dev/null
done
while read -r _ at _; do
  case "$at" in "$1"/*) umount -l "$at";; esac
done </proc/mounts
[ ! -f "$1/` + cgroupList + `" ] || while read -r c; do rmdir "$c"; done 2>/dev/null <"$1/` + cgroupList + `"
rm -rf "$1"
`
	// cgroupList is the file with the cgroups that were made for servers.
	cgroupList = "cgroups"
)

// makeHome makes the directory, posts its warden and clears what earlier runs left behind.
func makeHome() (*home, error) {
	sweepLeftovers(os.TempDir())
	start, ok := startTime(os.Getpid())
	space, err := os.Readlink("/proc/self/ns/pid")
	if !ok || err != nil {
		return nil, fmt.Errorf("make stage: /proc does not tell who we are: %w", err)
	}
	space = strings.Trim(strings.TrimPrefix(space, "pid:"), "[]")
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-%s-%s-", homePrefix, os.Getpid(), start, space))
	if err != nil {
		return nil, fmt.Errorf("make stage: %w", err)
	}
	h := &home{dir: dir, warden: exec.Command("/bin/sh", "-c", "cat >/dev/null\n"+sweep, "warden", dir)}
	h.warden.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what is sent to our group does not reach it
	if h.leash, err = h.warden.StdinPipe(); err == nil {
		err = h.warden.Start()
	}
	if err == nil {
		err = os.Chmod(dir, 0o755) // the servers' account walks through it
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("post warden: %w", err), os.RemoveAll(dir))
	}
	return h, nil
}

// close ends every process of the stage and removes the directory.
func (h *home) close() error {
	h.leash.Close()
	return h.warden.Wait()
}

// sweepLeftovers clears the directories of stages whose owner is dead.
func sweepLeftovers(tmp string) {
	found, _ := filepath.Glob(filepath.Join(tmp, homePrefix+"*")) // the only error is a bad pattern
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return
	}
	for _, dir := range found {
		f := strings.Split(strings.TrimPrefix(filepath.Base(dir), homePrefix), "-")
		if len(f) != 4 || "pid:["+f[2]+"]" != space {
			continue // another container's, whose processes we can't see
		}
		pid, err := strconv.Atoi(f[0])
		if start, ok := startTime(pid); err == nil && !(ok && start == f[1]) {
			_ = exec.Command("/bin/sh", "-c", sweep, "sweep", dir).Run() // somebody else's: he may clear it himself
		}
	}
}

// startTime is when a process started, in ticks since boot; false if there is none.
func startTime(pid int) (string, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if err != nil || !ok || len(f) < 20 || f[0] == "Z" {
		return "", false
	}
	return f[19], true
}
