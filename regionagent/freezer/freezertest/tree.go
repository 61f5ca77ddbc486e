// Package freezertest has the process trees on which freezing is tested: real ones, that never stand still and never outlive the test.
package freezertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// watchdog ends a test's processes whatever becomes of the test: its standard input ends with the test's process. It kills
// everything that stands in the directory, after letting it go from any freezer it was put in.
const watchdog = `read nothing
for c in $CGROUPS; do echo 0 > $c/cgroup.freeze; echo THAWED > $c/freezer.state; done 2>/dev/null
for round in 1 2 3; do
  for p in /proc/[0-9]*; do
    [ "$(readlink $p/cwd)" = "$DIR" ] && [ ${p#/proc/} != $$ ] && kill -9 ${p#/proc/}
  done
done 2>/dev/null
for c in $CGROUPS; do n=0; while [ -d $c ] && [ $n -lt 100 ]; do rmdir $c; n=$((n+1)); done; done 2>/dev/null
rm -rf "$DIR"`

// Home makes a directory whose processes die with the test, owned by who runs servers: the user postgres if we are root.
func Home(t *testing.T, cgroups ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "freezer-test-")
	if err != nil {
		t.Fatal(err)
	}
	if c := ServerUser(t); c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cgroups {
		if err := os.Mkdir(c, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := exec.Command("/bin/sh", "-c", watchdog)
	w.Env = append(os.Environ(), "DIR="+dir, "CGROUPS="+strings.Join(cgroups, " "))
	w.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := w.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := w.Wait(); err != nil {
			t.Log("watchdog:", err)
		}
	})
	return dir
}

// ServerUser is who runs servers when we are root; nil when we aren't.
func ServerUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	var id [2]uint32
	for i, flag := range []string{"-u", "-g"} {
		out, err := exec.Command("id", flag, "postgres").Output()
		if err != nil {
			t.Fatalf("as root the tests run servers as user postgres: %v", err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		id[i] = uint32(n)
	}
	return &syscall.Credential{Uid: id[0], Gid: id[1]}
}

// Run starts a command in dir as the servers' user and has it reaped.
func Run(t *testing.T, dir string, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: ServerUser(t), Setsid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Wait() }()               // killed, as a rule
	t.Cleanup(func() { _ = c.Process.Kill() }) // takes effect once the watchdog has let it go, if it is in a frozen cgroup
	return c
}

// Churn is a tree that never stands still: two children that write a line after another, and all three fork all the time.
func Churn(t *testing.T, cgroups ...string) driver.Tree {
	t.Helper()
	dir := Home(t, cgroups...)
	c := Run(t, dir, "/bin/sh", "-c", `for i in 1 2; do (while :; do echo x >> lines; sleep 0.005; done) & done; while :; do sleep 0.005; done`, dir)
	tree := driver.Tree{PIDFile: filepath.Join(dir, "pid"), Match: dir, Signal: filepath.Join(dir, "standby.signal")}
	if err := os.WriteFile(tree.PIDFile, []byte(strconv.Itoa(c.Process.Pid)+"\nrest\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	Moving(t, tree)
	return tree
}

// Lines is how much a Churn has written.
func Lines(t *testing.T, tree driver.Tree) int64 {
	t.Helper()
	st, err := os.Stat(filepath.Join(filepath.Dir(tree.PIDFile), "lines"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	} else if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// Moving waits until the tree writes.
func Moving(t *testing.T, tree driver.Tree) {
	t.Helper()
	before := Lines(t, tree)
	Eventually(t, "the tree writes", func() bool { return Lines(t, tree) > before })
}

// Still fails if the tree writes within a while.
func Still(t *testing.T, tree driver.Tree) {
	t.Helper()
	before := Lines(t, tree)
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); <-time.After(time.Millisecond) {
		if now := Lines(t, tree); now != before {
			t.Fatalf("%d bytes were written by a frozen tree", now-before)
		}
	}
}

// Eventually waits until something is so.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("20 s passed before %s", what)
		}
	}
}

// Limit is a context that ends before anybody loses patience.
func Limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Cgroups returns the writable freezer of each version on this host, for a new group of the given name.
func Cgroups(name string) map[string]string {
	out := map[string]string{}
	for version, places := range map[string][]string{
		"v1": {"/sys/fs/cgroup/freezer"}, "v2": {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"},
	} {
		for _, p := range places {
			dir := filepath.Join(p, fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano()))
			if os.Mkdir(dir, 0o755) != nil {
				continue
			}
			if exists(filepath.Join(dir, "cgroup.freeze")) || exists(filepath.Join(dir, "freezer.state")) {
				out[version] = dir
			}
			_ = os.Remove(dir)
		}
	}
	return out
}

// EnterCgroup moves a whole tree into a cgroup; pids finds the tree.
func EnterCgroup(t *testing.T, dir string, pids func() []int) {
	t.Helper()
	Eventually(t, "the tree is in the cgroup", func() bool {
		out := 0
		for _, pid := range pids() {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
			if err != nil || strings.Contains(string(b), "/"+filepath.Base(dir)+"\n") {
				continue
			}
			out++
			_ = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0) // it may have ended meanwhile
		}
		return out == 0
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
