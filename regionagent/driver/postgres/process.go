package postgres

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/regionagent/looks"
)

// process is one process of the server.
type process struct {
	pid   int
	state byte // as in /proc/PID/stat; Z and X are no processes any more
	title string
}

// pidFile is what postmaster.pid says, whether or not it is true.
type pidFile struct {
	pid    int
	port   int
	socket string // first socket directory
	listen string // first listen address, "*" = all, empty = none
	status string // "starting", "ready", "standby" or "stopping"
}

func readPIDFile(data string) (pidFile, error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(b), "\n")
	at := func(i int) string {
		if i < len(lines) {
			return strings.TrimSpace(lines[i])
		}
		return ""
	}
	f := pidFile{socket: at(4), listen: at(5), status: at(7)}
	if f.pid, err = strconv.Atoi(at(0)); err != nil || f.pid <= 1 {
		return f, fmt.Errorf("read postmaster.pid: first line %q: want a pid", at(0))
	}
	f.port, _ = strconv.Atoi(at(3)) // the file is written line by line while the server starts
	return f, nil
}

// ours reports whether a pid is a live process of this data directory's server. A postgres process works in its data directory, so a
// recycled pid, another cluster's server and somebody's shell in that directory are none (facts: pid reuse; the pid file proves nothing).
func ours(dir os.FileInfo, pid int) (process, bool) {
	base := "/proc/" + strconv.Itoa(pid)
	cwd, err := os.Stat(base + "/cwd")
	if err != nil || !os.SameFile(cwd, dir) {
		return process{}, false
	}
	exe, err := os.Readlink(base + "/exe")
	if err != nil || !strings.HasPrefix(filepath.Base(exe), "postgres") {
		return process{}, false
	}
	stat, err := os.ReadFile(base + "/stat")
	if err != nil {
		return process{}, false
	}
	_, rest, _ := bytes.Cut(stat, []byte(") ")) // no command of ours holds ") "
	if len(rest) == 0 || rest[0] == 'Z' || rest[0] == 'X' {
		return process{}, false
	}
	title, _ := os.ReadFile(base + "/cmdline")
	return process{pid, rest[0], string(bytes.TrimRight(bytes.ReplaceAll(title, []byte{0}, []byte{' '}), " "))}, true
}

// workplace is where a process of the host works.
type workplace struct {
	pid        int
	device, in uint64
}

// host is where every process of it works. A server that is down is looked for at every probe, and so are all the others of its host.
var host = looks.New(workplaces)

func workplaces() ([]workplace, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make([]workplace, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Fstatat(int(proc.Fd()), name+"/cwd", &st, 0) == nil { // one that ended, or may not be looked at, is no server of ours
			all = append(all, workplace{pid, st.Dev, st.Ino})
		}
	}
	return all, nil
}

// processes finds every process of the server, postmaster or orphan, by looking at all of the host's.
func processes(data string) ([]process, error) {
	dir, err := os.Stat(data)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at data directory: %w", err)
	}
	all, err := host.Look()
	if err != nil {
		return nil, err
	}
	var found []process
	for _, s := range all {
		if st := dir.Sys().(*syscall.Stat_t); s.in != st.Ino || s.device != st.Dev {
			continue
		}
		if p, ok := ours(dir, s.pid); ok {
			found = append(found, p)
		}
	}
	return found, nil
}

// PIDs finds every process of the server of a data directory, postmaster or orphan; none and no error if the directory is missing.
func PIDs(data string) ([]int, error) {
	all, err := processes(data)
	pids := make([]int, len(all))
	for i, p := range all {
		pids[i] = p.pid
	}
	return pids, err
}

// postmaster is the live postmaster of a data directory, by its pid file.
func postmaster(data string) (process, bool) {
	f, err := readPIDFile(data)
	if err != nil {
		return process{}, false
	}
	dir, err := os.Stat(data)
	if err != nil {
		return process{}, false
	}
	return ours(dir, f.pid)
}

// frozen reports whether a process is held: stopped by a signal, or in a frozen cgroup (v2, or v1 where its state reads D).
func (p process) frozen() bool {
	if p.state == 'T' || p.state == 't' {
		return true
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/cgroup")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) != 3 || f[2] == "/":
		case f[0] == "0":
			for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
				if e, err := os.ReadFile(root + f[2] + "/cgroup.events"); err == nil && bytes.Contains(e, []byte("frozen 1")) {
					return true
				}
			}
		case f[1] == "freezer":
			if s, err := os.ReadFile("/sys/fs/cgroup/freezer" + f[2] + "/freezer.state"); err == nil && bytes.HasPrefix(s, []byte("FROZEN")) {
				return true
			}
		}
	}
	return false
}

// frozenWhole reports whether every process is held, a postmaster among them. A stopped postmaster alone is not: its sessions go on
// committing (facts: SIGSTOP postmaster).
func frozenWhole(data string, all []process) bool {
	if _, ok := postmaster(data); !ok || len(all) == 0 {
		return false
	}
	for _, p := range all {
		if !p.frozen() {
			return false
		}
	}
	return true
}
