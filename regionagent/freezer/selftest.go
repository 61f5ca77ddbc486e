package freezer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

const (
	selfTestRounds = 3
	// SelfTestMost is how many processes a self-test plays at most.
	SelfTestMost = 10000
)

// Load is one server as the self-test plays it.
type Load struct {
	Processes int // the most that it may have
	How       How // ByCgroup where its cgroup can be frozen
}

// SelfTest measures S: the worst of three freezes of all the host's servers at once, as they fall when a lease lapses, under the host's present load. Each is played by a
// tree of idle processes as large as the server may be, held the way the server will be; where no cgroup can be made for that, by signals, which is slower. An
// agent whose S is larger than its profile's takes no lease. It says how the trees were held: by signals if any was.
func SelfTest(ctx context.Context, loads ...Load) (worst time.Duration, how How, err error) {
	total := 0
	for _, l := range loads {
		if l.Processes < 1 {
			return 0, "", fmt.Errorf("measure freeze: a server of %d processes: want 1 or more", l.Processes)
		}
		total += l.Processes
	}
	if total < 1 || total > SelfTestMost {
		return 0, "", fmt.Errorf("measure freeze: the servers of this host may have %d processes: want 1 to %d", total, SelfTestMost)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second+time.Duration(total)*10*time.Millisecond)
	defer cancel()
	stands := make([]*dummy, len(loads))
	defer func() {
		for _, d := range stands {
			if d != nil {
				d.end()
			}
		}
	}()
	how = ByCgroup
	for i, l := range loads {
		if stands[i], err = newDummy(ctx, l); err != nil {
			return 0, "", fmt.Errorf("measure freeze: %w", err)
		}
		if stands[i].tree.Cgroup == "" {
			how = BySignal
		}
	}
	for range selfTestRounds {
		took, err := freezeAll(ctx, stands)
		if err != nil {
			return 0, "", fmt.Errorf("measure freeze: %w", err)
		}
		worst = max(worst, took)
	}
	return worst, how, nil
}

// freezeAll is one round: all at once, as the guard does it, and let go again.
func freezeAll(ctx context.Context, stands []*dummy) (time.Duration, error) {
	errs := make([]error, len(stands))
	var all sync.WaitGroup
	began := time.Now()
	for i, d := range stands {
		all.Go(func() {
			o, err := Freeze(ctx, d.tree)
			if err == nil && o.Processes < d.processes {
				err = fmt.Errorf("found %d processes: want %d", o.Processes, d.processes)
			}
			errs[i] = err
		})
	}
	all.Wait()
	took := time.Since(began)
	for _, d := range stands {
		_, err := Thaw(ctx, d.tree)
		errs = append(errs, err)
	}
	return took, errors.Join(errs...)
}

// dummy is a parent with idle children.
type dummy struct {
	processes int
	tree      driver.Tree
	dir       string
	sh        *exec.Cmd
}

// newDummy waits at its first line, to be put into a cgroup before it has children.
func newDummy(ctx context.Context, l Load) (*dummy, error) {
	dir, err := os.MkdirTemp("", "switchback-freeze-")
	if err != nil {
		return nil, err
	}
	d := &dummy{processes: l.Processes, dir: dir, tree: driver.Tree{PIDFile: filepath.Join(dir, "pid"), Match: dir}}
	script := `read go; i=1; while [ $i -lt ` + strconv.Itoa(l.Processes) + ` ]; do sleep 600 & i=$((i+1)); done; echo; wait`
	d.sh = exec.CommandContext(ctx, "/bin/sh", "-c", script, dir)
	d.sh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one signal ends all of it, also when this fails half-way
	in, err := d.sh.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ready, err := d.sh.StdoutPipe()
	if err == nil {
		err = d.sh.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	pid := strconv.Itoa(d.sh.Process.Pid)
	if l.How == ByCgroup {
		d.tree.Cgroup = ownCgroup(pid)
	}
	err = os.WriteFile(d.tree.PIDFile, []byte(pid), 0o600)
	if err == nil {
		_, err = io.WriteString(in, "go\n")
	}
	if err == nil {
		if _, err = ready.Read(make([]byte, 1)); err != nil {
			err = fmt.Errorf("start %d processes: %w", l.Processes, err)
		}
	}
	if err != nil {
		d.end()
		return nil, err
	}
	return d, nil
}

func (d *dummy) end() {
	if d.tree.Cgroup != "" {
		_ = os.WriteFile(filepath.Join(d.tree.Cgroup, "cgroup.freeze"), []byte("0"), 0) // of the one version
		_ = os.WriteFile(filepath.Join(d.tree.Cgroup, "freezer.state"), []byte("THAWED"), 0)
	}
	_ = syscall.Kill(-d.sh.Process.Pid, syscall.SIGKILL) // gone already is as good
	_ = d.sh.Wait()                                      // killed, as it was told
	for end := time.Now().Add(time.Second); d.tree.Cgroup != "" && os.Remove(d.tree.Cgroup) != nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // its children are being buried
	}
	_ = os.RemoveAll(d.dir) // one file of ours, in the directory for such
}

// ownCgroup makes a cgroup with a freezer below our own and puts a process into it. Empty: none can be made here.
func ownCgroup(pid string) string {
	b, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 || f[0] != "0" && f[1] != "freezer" {
			continue
		}
		for _, root := range cgroupRoots {
			dir := filepath.Join(root, f[2], "switchback-selftest-"+pid)
			if os.Mkdir(dir, 0o755) != nil {
				continue
			}
			if g := cgroupAt(dir); g != nil && g.writable() && os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(pid), 0) == nil {
				return dir
			}
			_ = os.Remove(dir) // empty: it is of no use here
		}
	}
	return ""
}
