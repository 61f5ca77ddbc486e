package kernel

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// TestSignsOfChange has a look trust the last search until one of its signs differs.
func TestSignsOfChange(t *testing.T) {
	b := newBed(t)
	b.hold(time.Hour)
	b.inForce()
	f := b.lease.fence(name)
	asked := func() wish { return wish{tree: b.tree} }
	holds := func(w wish) bool {
		f.look.Lock()
		defer f.look.Unlock()
		return f.holds(w)
	}
	trusts := func(what string) {
		t.Helper()
		until(t, 5*time.Second, what, func() bool { return holds(asked()) })
	}
	trusts("a server that was seen whole is not searched for at every look")
	b.stop() // nobody searches any more

	for what, w := range map[string]wish{
		"another link is to be spared": {tree: b.tree, spare: []driver.Process{{PID: os.Getpid(), Start: 1}}},
		"it is let go":                 {tree: b.tree, free: true},
		"another pid file is meant":    {tree: driver.Tree{PIDFile: b.tree.PIDFile + "x", Match: b.tree.Match, Cgroup: b.tree.Cgroup}},
	} {
		if holds(w) {
			t.Errorf("%s, and the last search is believed", what)
		}
	}
	b.guard()
	b.hold(time.Hour)
	f = b.lease.fence(name)
	trusts("the next guard does so, too")
	b.stop()
	if err := os.Chmod(b.tree.PIDFile, 0o600); err != nil {
		t.Fatal(err)
	}
	if holds(asked()) {
		t.Error("its pid file was touched, and the last search is believed")
	}
	b.guard()
	b.hold(time.Hour)
	f = b.lease.fence(name)
	trusts("so does one after it, when the file is old again")
	b.stop()
	pid, err := os.ReadFile(b.tree.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.server.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, 5*time.Second, "the server has ended", func() bool { // told to, a process takes its time on a busy machine
		line, _, _ := strings.Cut(string(pid), "\n")
		stat, err := os.ReadFile("/proc/" + line + "/stat")
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
	if holds(asked()) {
		t.Error("the server is gone, and the last search is believed")
	}
}

// BenchmarkLook is one look at a server that runs and has its lease: twenty a second for every cluster of a host.
//
//	go test -run '^$' -bench Look ./regionagent/kernel
func BenchmarkLook(b *testing.B) {
	bed := newBed(b)
	bed.lease.Until(name, bed.tree, events.Never)
	bed.inForce()
	time.Sleep(stampsTell) // its pid file is as old as any running server's
	bed.stop()
	f := bed.lease.fence(name)
	f.look.Lock()
	defer f.look.Unlock()
	for b.Loop() {
		if err := f.see(); err != nil {
			b.Fatal(err)
		}
	}
}
