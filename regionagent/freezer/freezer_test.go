package freezer

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer/freezertest"
)

func TestFreezeThawKill(t *testing.T) {
	t.Parallel()
	fences := map[string]string{"sigstop": ""}
	for version, dir := range freezertest.Cgroups("freeze") {
		fences["cgroup "+version] = dir
	}
	if len(fences) < 3 {
		t.Logf("only %d of sigstop, cgroup v1, cgroup v2 can be tried here", len(fences))
	}
	for name, dir := range fences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, groups := BySignal, []string(nil)
			if dir != "" {
				want, groups = ByCgroup, []string{dir}
			}
			tree := freezertest.Churn(t, groups...)
			if dir != "" {
				freezertest.EnterCgroup(t, dir, pidsOf(t, tree))
				tree.Cgroup = dir
			}
			freezeThawKill(t, tree, want)
		})
	}
}

func pidsOf(t *testing.T, tree driver.Tree) func() []int {
	return func() []int {
		p, err := Find(tree)
		if err != nil {
			t.Fatal(err)
		}
		return p.PIDs()
	}
}

func freezeThawKill(t *testing.T, tree driver.Tree, want How) {
	for range 3 {
		for range 2 { // again is as good
			o, err := Freeze(freezertest.Limit(t), tree)
			if err != nil || o.How != want || o.Processes < 3 {
				t.Fatalf("freeze: %+v, %v; want %s of 3 or more", o, err, want)
			}
		}
		freezertest.Still(t, tree)
		if pids, err := Verify(tree); err != nil || len(pids) > 0 {
			t.Fatalf("verify: %v run, %v", pids, err)
		}
		if o, err := Thaw(freezertest.Limit(t), tree); err != nil || o.How != want {
			t.Fatalf("thaw: %+v, %v", o, err)
		}
		freezertest.Moving(t, tree)
	}
	if _, err := Freeze(freezertest.Limit(t), tree); err != nil {
		t.Fatal(err)
	}
	p, err := Find(tree)
	if err != nil {
		t.Fatal(err)
	}
	before := freezertest.Lines(t, tree)
	for range 2 {
		if o, err := Kill(freezertest.Limit(t), tree); err != nil {
			t.Fatalf("kill: %+v, %v", o, err)
		}
	}
	if freezertest.Lines(t, tree) != before {
		t.Error("a frozen tree wrote while it was killed")
	}
	for _, q := range p.All {
		if now, err := readProcess(strconv.Itoa(q.PID)); !errors.Is(err, errGone) && !now.gone() && now.Start == q.Start {
			t.Errorf("pid %d is left: %c", q.PID, now.State)
		}
	}
	if tree.Cgroup != "" {
		if held, err := cgroupAt(tree.Cgroup).freezing(); err != nil || held {
			t.Errorf("the cgroup is left frozen (%v, %v): the next start would hang in it", held, err)
		}
	}
	wantSignalFile(t, tree)
	if o, err := Freeze(freezertest.Limit(t), tree); err != nil || o.How != ByNothing {
		t.Errorf("freeze of nothing: %+v, %v", o, err)
	}
}

func wantSignalFile(t *testing.T, tree driver.Tree) {
	t.Helper()
	var file, dir syscall.Stat_t
	if err := errors.Join(syscall.Stat(tree.Signal, &file), syscall.Stat(filepath.Dir(tree.Signal), &dir)); err != nil {
		t.Fatal(err)
	}
	if file.Uid != dir.Uid || file.Gid != dir.Gid {
		t.Errorf("signal file belongs to %d:%d: want its directory's owner %d:%d", file.Uid, file.Gid, dir.Uid, dir.Gid)
	}
}

func TestVerifyFindsWhatMoves(t *testing.T) {
	t.Parallel()
	tree := freezertest.Churn(t)
	if _, err := Freeze(freezertest.Limit(t), tree); err != nil {
		t.Fatal(err)
	}
	p, err := Find(tree)
	if err != nil {
		t.Fatal(err)
	}
	if p.All[0].PID != p.Parent {
		t.Errorf("first is %d: want the parent %d", p.All[0].PID, p.Parent)
	}
	for _, q := range p.All[1:] { // among them the two that write; a third may just end
		if err := syscall.Kill(q.PID, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	freezertest.Eventually(t, "verify names the two that move, and not the parent", func() bool {
		pids, err := Verify(tree)
		return err == nil && len(pids) >= 2 && !slices.Contains(pids, p.Parent)
	})
}

func TestRecycledPidIsNeverTouched(t *testing.T) {
	t.Parallel()
	dir := freezertest.Home(t)
	stranger := freezertest.Run(t, "/", "sleep", "60")
	asleep := func() bool {
		p, err := readProcess(strconv.Itoa(stranger.Process.Pid))
		return err == nil && p.State == 'S'
	}
	freezertest.Eventually(t, "the stranger sleeps", asleep)
	tree := driver.Tree{PIDFile: filepath.Join(dir, "pid"), Match: dir}
	if err := os.WriteFile(tree.PIDFile, []byte(strconv.Itoa(stranger.Process.Pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	if o, err := Freeze(freezertest.Limit(t), tree); err != nil || o.How != ByNothing {
		t.Fatalf("freeze: %+v, %v", o, err)
	}
	if o, err := Kill(freezertest.Limit(t), tree); err != nil || o.Processes != 0 {
		t.Fatalf("kill: %+v, %v", o, err)
	}
	if !asleep() {
		t.Fatal("the stranger was touched")
	}
}

func TestTreesThatCantBeHeld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("x1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "own")
	if err := os.WriteFile(own, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tree := range map[string]driver.Tree{
		"names no pid file, no unit and no cgroup": {Address: "127.0.0.1:1"},
		"has no match": {PIDFile: garbage},
		garbage:        {PIDFile: garbage, Match: "x"},
		own:            {PIDFile: own, Match: "init"},
	} {
		for what, err := range map[string]error{
			"freeze": second(Freeze(freezertest.Limit(t), tree)), "thaw": second(Thaw(freezertest.Limit(t), tree)), "kill": second(Kill(freezertest.Limit(t), tree)), "verify": second(Verify(tree)),
		} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s of %+v: %v; want an error with %q", what, tree, err, name)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Not parallel: it moves this process about, and what others start meanwhile would be born there.
func TestOwnCgroupIsRefused(t *testing.T) {
	tree := freezertest.Churn(t)
	tree.Cgroup = "/sys/fs/cgroup" // holds everybody; a root is never one
	o, err := Freeze(freezertest.Limit(t), tree)
	if err != nil || o.How != BySignal || o.NoCgroup == "" {
		t.Fatalf("freeze: %+v, %v; want sigstop, and why", o, err)
	}
	for version, dir := range freezertest.Cgroups("own") {
		_ = freezertest.Home(t, dir) // removes it
		child := freezertest.Run(t, "/", "sleep", "60")
		for _, pid := range []int{child.Process.Pid, os.Getpid()} {
			from := ownGroup(t, version)
			if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.WriteFile(filepath.Join(from, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0) }()
		}
		tree.Cgroup = dir
		if o, err := Freeze(freezertest.Limit(t), tree); err != nil || o.How != BySignal || !strings.Contains(o.NoCgroup, "holds the guard itself") {
			t.Errorf("%s: freeze: %+v, %v; want sigstop, and why", version, o, err)
		}
		if o, err := Freeze(freezertest.Limit(t), driver.Tree{Cgroup: dir}); err == nil {
			t.Errorf("%s: freeze without a pid file: %+v; want an error", version, o)
		}
	}
}

// ownGroup is the freezer cgroup this process is in.
func ownGroup(t *testing.T, version string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case version == "v1" && f[1] == "freezer":
			return filepath.Join("/sys/fs/cgroup/freezer", f[2])
		case version == "v2" && f[0] == "0":
			for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
				if _, err := os.Stat(filepath.Join(root, f[2], "cgroup.procs")); err == nil {
					return filepath.Join(root, f[2])
				}
			}
		}
	}
	t.Fatalf("no %s freezer in %q", version, b)
	return ""
}

// A process asleep in the kernel never turns T. A frozen cgroup of version 1, which the tree does not name, shows its processes so.
func TestAsleepInTheKernelCountsAsStopped(t *testing.T) {
	t.Parallel()
	dir, ok := freezertest.Cgroups("asleep")["v1"]
	if !ok {
		t.Skip("needs a writable cgroup v1 freezer to make a process in state D")
	}
	tree := freezertest.Churn(t, dir)
	freezertest.EnterCgroup(t, dir, pidsOf(t, tree))
	if err := cgroupAt(dir).set(true); err != nil {
		t.Fatal(err)
	}
	freezertest.Eventually(t, "all are in D", func() bool {
		p, err := Find(tree)
		return err == nil && !slices.ContainsFunc(p.All, func(q Process) bool { return q.State != 'D' })
	})
	if pids, err := Verify(tree); err != nil || len(pids) < 3 {
		t.Fatalf("verify: %v, %v; want all: no SIGSTOP is pending yet", pids, err)
	}
	o, err := Freeze(freezertest.Limit(t), tree)
	if err != nil || o.How != BySignal {
		t.Fatalf("freeze: %+v, %v", o, err)
	}
	if err := cgroupAt(dir).set(false); err != nil {
		t.Fatal(err)
	}
	freezertest.Still(t, tree)
	if _, err := Thaw(freezertest.Limit(t), tree); err != nil {
		t.Fatal(err)
	}
	freezertest.Moving(t, tree)
}

func TestThreadsAreAllStopped(t *testing.T) {
	t.Parallel()
	dir := freezertest.Home(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "spin") // the test's binary may lie where the servers' user can't read
	syscall.ForkLock.RLock()          // a child started meanwhile by another test would hold it open for writing: then nobody may run it
	err = os.WriteFile(bin, self, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	c := freezertest.Run(t, dir, bin, spin)
	tree := driver.Tree{PIDFile: filepath.Join(dir, "pid"), Match: dir}
	if err := os.WriteFile(tree.PIDFile, []byte(strconv.Itoa(c.Process.Pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	freezertest.Eventually(t, "it has several threads", func() bool {
		p, err := readProcess(strconv.Itoa(c.Process.Pid))
		return err == nil && p.Threads > 2
	})
	if o, err := Freeze(freezertest.Limit(t), tree); err != nil || o.Processes != 1 {
		t.Fatalf("freeze: %+v, %v", o, err)
	}
	if pids, err := Verify(tree); err != nil || len(pids) != 0 {
		t.Fatalf("verify: %v, %v", pids, err)
	}
	if _, err := Thaw(freezertest.Limit(t), tree); err != nil {
		t.Fatal(err)
	}
	if pids, err := Verify(tree); err != nil || len(pids) != 1 {
		t.Fatalf("verify of a thawed one: %v, %v", pids, err)
	}
	if _, err := Kill(freezertest.Limit(t), tree); err != nil {
		t.Fatal(err)
	}
}

const spin = "spin-for-the-freezer-test"

var spun atomic.Uint64

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == spin {
		for range 4 {
			go func() {
				for n := uint64(0); ; n++ { // never sleeps: the thread is on a core all the time
					spun.Store(n)
				}
			}()
		}
		<-time.After(time.Minute)
		return
	}
	os.Exit(m.Run())
}

func TestSelfTest(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]Load{nil, {{Processes: 0}}, {{Processes: SelfTestMost}, {Processes: 1}}} {
		if _, _, err := SelfTest(t.Context(), bad...); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	took, how, err := SelfTest(t.Context(), Load{Processes: 150, How: BySignal}, Load{Processes: 50, How: BySignal})
	if err != nil || took <= 0 || how != BySignal {
		t.Fatalf("measured %v by %q, %v", took, how, err)
	}
	t.Logf("200 processes of two servers, by signals: %v", took)
	took, how, err = SelfTest(t.Context(), Load{Processes: 150, How: ByCgroup}, Load{Processes: 50, How: ByCgroup})
	if err != nil || took <= 0 {
		t.Fatalf("measured %v by %q, %v", took, how, err)
	}
	t.Logf("the same by %s: %v", how, took)
}

// TestLooksAreSharedAndNeverOld: whoever looks sees what was there when it asked, however many look.
func TestLooksAreSharedAndNeverOld(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				c := exec.Command("/bin/sleep", "60")
				if err := c.Start(); err != nil {
					t.Error(err)
					return
				}
				seen, err := host.Look()
				if err != nil || !slices.ContainsFunc(seen, func(p Process) bool { return p.PID == c.Process.Pid }) {
					t.Errorf("pid %d was started before the look and is not in it (%v)", c.Process.Pid, err)
				}
				_ = c.Process.Kill()
				_ = c.Wait()
			}
		})
	}
	all.Wait()
}
