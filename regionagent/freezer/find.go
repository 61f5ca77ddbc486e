// Package freezer holds the processes of a cluster still, lets them go, and kills them. It knows processes, not databases: what it needs
// is a driver.Tree.
//
// It keeps no state. Every call looks at /proc and the cgroup anew, so it is the same whoever calls it after whatever restart, and no pid
// is ever remembered long enough to be somebody else's.
package freezer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/looks"
)

// serverComm names the one program whose processes are known by their working directory alone: a PostgreSQL process stands in its data directory, also when
// its postmaster was killed and it goes on as an orphan that may still acknowledge a commit.
const serverComm = "postgres"

// host is every process of it: clusters are frozen all at once.
var host = looks.New(allProcesses)

// Processes is a cluster's tree as found at one moment.
type Processes struct {
	Parent int       // 0: none that is ours
	All    []Process // parent first, then by pid; without zombies
	group  *cgroup   // nil: none usable
	inside map[int]bool
	// NoCgroup says why a cgroup that the tree names is not used; empty otherwise.
	NoCgroup string
}

// Find looks a tree up: the parent named by the pid file if it matches, its descendants, what is in its cgroup, and its orphans. With an error it returns what it
// found nevertheless, so that a fence can act on that; such a fence is not complete.
func Find(t driver.Tree) (Processes, error) {
	if t.PIDFile == "" && t.Unit == "" && t.Cgroup == "" {
		return Processes{}, errors.New("find processes: the tree names no pid file, no unit and no cgroup: nothing can be held by it")
	}
	all, err := host.Look()
	if err != nil {
		return Processes{}, err
	}
	var p Processes
	p.Parent, err = parent(t)
	ours := map[int]bool{}
	if p.Parent != 0 {
		ours[p.Parent] = true
	}
	err = errors.Join(err, p.enter(t, ours))
	orphans(t, all, ours)
	descendants(all, ours)
	err = errors.Join(err, sessions(t, all, ours))
	for _, q := range all {
		if ours[q.PID] && !q.gone() && q.PID > 1 && q.PID != os.Getpid() {
			p.All = append(p.All, q)
		}
	}
	slices.SortFunc(p.All, func(a, b Process) int {
		if a.PID == p.Parent || b.PID == p.Parent {
			return b2i(b.PID == p.Parent) - b2i(a.PID == p.Parent)
		}
		return a.PID - b.PID
	})
	return p, err
}

// enter finds the tree's cgroup and what is in it.
func (p *Processes) enter(t driver.Tree, ours map[int]bool) error {
	var err error
	p.group, p.NoCgroup, err = findCgroup(t, p.Parent)
	if p.group == nil {
		return err
	}
	pids, err := p.group.pids()
	if slices.ContainsFunc(pids, func(pid int) bool { return pid <= 1 || pid == os.Getpid() }) {
		p.NoCgroup = fmt.Sprintf("cgroup %s holds the guard itself, or the host's first process", p.group.path)
		p.group = nil
		if t.PIDFile == "" {
			err = errors.Join(err, fmt.Errorf("find processes: %s, and there is no pid file", p.NoCgroup))
		}
		return err
	}
	p.inside = map[int]bool{}
	for _, pid := range pids {
		ours[pid], p.inside[pid] = true, true
	}
	return err
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// PIDs lists the processes.
func (p *Processes) PIDs() []int {
	out := make([]int, len(p.All))
	for i, q := range p.All {
		out[i] = q.PID
	}
	return out
}

// descendants adds every child of ours until nothing is new; a child may have a smaller pid than its parent.
func descendants(all []Process, ours map[int]bool) {
	for grew := true; grew; {
		grew = false
		for _, q := range all {
			if ours[q.Parent] && !ours[q.PID] {
				ours[q.PID], grew = true, true
			}
		}
	}
}

// orphans adds the server processes that stand in the pid file's directory though their parent is no server process, or one that is gone: where a process
// of the server is ours its children are by their parent. To ask each for its directory would cost more than all the rest.
func orphans(t driver.Tree, all []Process, ours map[int]bool) {
	if t.PIDFile == "" {
		return
	}
	home, err := os.Stat(filepath.Dir(t.PIDFile))
	if err != nil {
		return // no directory: nobody stands in it
	}
	servers := map[int]bool{}
	for _, q := range all {
		servers[q.PID] = q.comm == serverComm
	}
	for _, q := range all {
		if q.comm != serverComm || ours[q.PID] || servers[q.Parent] {
			continue
		}
		if cwd, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", q.PID)); err == nil && os.SameFile(home, cwd) {
			ours[q.PID] = true
		}
	}
}

// parent reads the pid file. 0 without an error: no file, or it names a process that is gone or is not ours (a recycled pid is never touched).
func parent(t driver.Tree) (int, error) {
	if t.PIDFile == "" {
		return 0, nil
	}
	if t.Match == "" {
		return 0, fmt.Errorf("read pid file %s: the tree has no match: want what the parent's command line or working directory holds, or a recycled pid could be hit", t.PIDFile)
	}
	b, err := os.ReadFile(t.PIDFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("read pid file: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimPrefix(strings.TrimSpace(line), "-") // PostgreSQL writes a single-user server's negative
	if line == "" {
		return 0, nil // created, not written yet; an orphan by its directory until then
	}
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("read pid file %s: first line is %.40q: want a pid above 1", t.PIDFile, line)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
		if e := syscall.Kill(pid, 0); !errors.Is(e, syscall.ESRCH) {
			return 0, fmt.Errorf("read pid file %s: pid %d exists but /proc hides it: want /proc mounted without hidepid for this user", t.PIDFile, pid)
		}
		return 0, nil
	}
	if ours, err := matches(pid, t.Match); !ours {
		return 0, err
	}
	return pid, nil
}

// matches reports whether a process is the parent the tree means. Not being allowed to look is an error: it must never read as "nothing runs".
func matches(pid int, want string) (bool, error) {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err == nil && strings.Contains(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})), want) {
		return true, nil
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false, nil // ended meanwhile
	} else if err != nil {
		return false, fmt.Errorf("match pid %d: %w", pid, err)
	}
	return strings.Contains(cwd, want), nil
}
