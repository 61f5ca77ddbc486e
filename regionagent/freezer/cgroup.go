package freezer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// cgroup is a control group with a freezer: of version 2 (cgroup.freeze) or of version 1's freezer hierarchy (freezer.state).
type cgroup struct {
	path string
	v2   bool
}

// cgroupRoots are where freezers are mounted: unified hosts, hybrid hosts, version 1.
var cgroupRoots = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer"}

// findCgroup finds the freezer of the cgroup or unit that the tree names, or says why there is none. What nobody named is never frozen as
// a whole: a server started by hand sits in its starter's session. An error: without a pid file there is no other way to find the processes.
func findCgroup(t driver.Tree, parent int) (*cgroup, string, error) {
	var g *cgroup
	var why string
	switch {
	case t.Cgroup != "":
		g, why = cgroupAt(t.Cgroup), fmt.Sprintf("cgroup %s is not there, or has no freezer", t.Cgroup)
	case t.Unit != "":
		g, why = unitCgroup(t.Unit, parent), fmt.Sprintf("unit %s has no cgroup with a freezer", t.Unit)
	}
	if g != nil {
		return g, "", nil
	}
	if t.PIDFile == "" && !unified() && t.Unit != "" {
		// Only on version 2 does a unit that has no cgroup not run.
		return nil, why, fmt.Errorf("find processes: %s on this host, and there is no pid file", why)
	}
	return nil, why, nil
}

// unified reports whether systemd's units have cgroups of version 2 here.
func unified() bool {
	for _, root := range cgroupRoots[:2] {
		if _, err := os.Stat(filepath.Join(root, "system.slice")); err == nil {
			if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
				return true
			}
		}
	}
	return false
}

// cgroupAt opens a cgroup by its path below a freezer's root, or by its full path. A root is never one: it would freeze the host.
func cgroupAt(path string) *cgroup {
	for _, root := range cgroupRoots {
		full := filepath.Join(root, strings.TrimPrefix(filepath.Clean(path), root+"/"))
		if slices.Contains(cgroupRoots, full) {
			continue
		}
		if _, err := os.Stat(filepath.Join(full, "cgroup.freeze")); err == nil {
			return &cgroup{full, true}
		}
		if _, err := os.Stat(filepath.Join(full, "freezer.state")); err == nil {
			return &cgroup{full, false}
		}
	}
	return nil
}

// unitCgroup finds a systemd unit's cgroup: from the parent's own membership, or, when there is no parent, by the unit's name, which is unique.
func unitCgroup(unit string, parent int) *cgroup {
	if parent != 0 {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", parent))
		for line := range strings.Lines(string(b)) {
			f := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy:controllers:path
			if len(f) < 3 || (f[0] != "0" && f[1] != "freezer") {
				continue
			}
			if before, _, ok := strings.Cut(f[2]+"/", "/"+unit+"/"); ok {
				if g := cgroupAt(before + "/" + unit); g != nil {
					return g
				}
			}
		}
	}
	var found *cgroup
	for _, root := range cgroupRoots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error { // what can't be read holds no unit of ours
			if err != nil || !d.IsDir() {
				return nil
			}
			if d.Name() == unit {
				found = cgroupAt(path)
			}
			if found != nil {
				return fs.SkipAll
			}
			return nil
		})
		if found != nil {
			return found
		}
	}
	return nil
}

// pids lists every process in the cgroup and below it.
func (g *cgroup) pids() ([]int, error) {
	var out []int
	err := filepath.WalkDir(g.path, func(path string, d fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if d == nil || !d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EOPNOTSUPP) {
			return nil // removed meanwhile, or a threaded child, whose processes the group above lists
		} else if err != nil {
			return err
		}
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				return fmt.Errorf("%s/cgroup.procs holds %q: want pids", path, f)
			}
			out = append(out, pid)
		}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("list cgroup: %w", err)
	}
	return out, nil
}

// writable reports whether we may freeze it.
func (g *cgroup) writable() bool {
	file := "freezer.state"
	if g.v2 {
		file = "cgroup.freeze"
	}
	return unix.Access(filepath.Join(g.path, file), unix.W_OK) == nil
}

// Expect says how a tree will be held, and if it is by signals, why. A unit that is down has no cgroup; where units have one with a freezer, it will.
func Expect(t driver.Tree) (How, string) {
	if t.Unit == "" && t.Cgroup == "" {
		return BySignal, "neither its unit nor its cgroup is known"
	}
	pid, err := parent(t)
	if err != nil {
		return BySignal, err.Error()
	}
	g, why, err := findCgroup(t, pid)
	switch {
	case err != nil:
		return BySignal, err.Error()
	case g == nil && pid == 0 && t.Unit != "" && unified():
		return ByCgroup, ""
	case g == nil:
		return BySignal, why
	case !g.writable():
		return BySignal, "cgroup " + g.path + " is not ours to write"
	}
	return ByCgroup, ""
}

// set writes the wanted state; the kernel goes there by itself.
func (g *cgroup) set(frozen bool) error {
	file, value := "freezer.state", "THAWED"
	if frozen {
		value = "FROZEN"
	}
	if g.v2 {
		file, value = "cgroup.freeze", strconv.Itoa(b2i(frozen))
	}
	if err := os.WriteFile(filepath.Join(g.path, file), []byte(value), 0); err != nil {
		return fmt.Errorf("set cgroup freezer: %w", err)
	}
	return nil
}

// frozen reports whether the kernel holds all of it.
func (g *cgroup) frozen() (bool, error) {
	file, want := "freezer.state", "FROZEN"
	if g.v2 {
		file, want = "cgroup.events", "frozen 1"
	}
	b, err := os.ReadFile(filepath.Join(g.path, file))
	if err != nil {
		return false, fmt.Errorf("read cgroup freezer: %w", err)
	}
	return strings.Contains(string(b), want), nil
}

// freezing reports whether the kernel has been told to hold it, by us or through a cgroup above.
func (g *cgroup) freezing() (bool, error) {
	file, not := "freezer.state", "THAWED"
	if g.v2 {
		file, not = "cgroup.freeze", "0"
	}
	b, err := os.ReadFile(filepath.Join(g.path, file))
	if err != nil {
		return false, fmt.Errorf("read cgroup freezer: %w", err)
	}
	return strings.TrimSpace(string(b)) != not, nil
}

// thaw lets the cgroup go and waits until it is free.
func (g *cgroup) thaw(ctx context.Context) error {
	if err := g.set(false); err != nil {
		return err
	}
	for {
		if frozen, err := g.frozen(); !frozen || err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("thaw cgroup %s: %w (is a cgroup above it frozen?)", g.path, err)
		}
	}
}
