package freezer

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// TestOrphansByTheirSession: what goes on when its session's leader is gone is found and killed, whatever it has become the child of; somebody else's session is not.
func TestOrphansByTheirSession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree := driver.Tree{PIDFile: filepath.Join(dir, "pid"), Match: dir, Sessions: filepath.Join(dir, "sessions")}
	leader := exec.Command("/bin/sh", "-c", "sleep 600 & echo $!; wait")
	leader.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := leader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := NoteSession(tree.Sessions, leader.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := leader.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = leader.Wait() // killed
	p, err := Find(tree)
	if err != nil || len(p.All) != 1 || p.All[0].PID != orphan {
		t.Fatalf("found %v (%v), want %d", p.PIDs(), err, orphan)
	}
	// Its number belongs to somebody else by now.
	other := exec.Command("/bin/sleep", "600")
	other.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	if err := NoteSession(tree.Sessions, other.Process.Pid); err != nil {
		t.Fatal(err)
	}
	q, err := readProcess(strconv.Itoa(other.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stranger := filepath.Join(dir, "stranger")
	saveSessions(t, stranger, q.Start)
	if p, err := Find(driver.Tree{PIDFile: tree.PIDFile, Match: dir, Sessions: stranger}); err != nil || len(p.All) != 1 {
		t.Errorf("found %v (%v), want %d alone", p.PIDs(), err, orphan)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if o, err := Kill(ctx, tree); err != nil || o.Processes == 0 {
		t.Errorf("%+v %v", o, err)
	}
	if p, err := Find(tree); err != nil || len(p.All) != 0 {
		t.Errorf("left: %v (%v)", p.PIDs(), err)
	}
}

// saveSessions writes the same sessions, but that one that began at start is said to have begun before.
func saveSessions(t *testing.T, file string, start uint64) {
	t.Helper()
	l, _, err := readSessions(filepath.Join(filepath.Dir(file), "sessions"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range l.Sessions {
		if l.Sessions[i].Start == start {
			l.Sessions[i].Start--
		}
	}
	if err := l.save(file); err != nil {
		t.Fatal(err)
	}
}
