package guard

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/freezer/freezertest"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

func TestNewerAgentReplacesTheOlder(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	h.start("guard")
	old := h.agent()
	old.says("r1/c", time.Hour)
	newer := h.agent()
	select {
	case <-old.Gone():
	case <-time.After(20 * time.Second):
		t.Fatal("the older agent is still connected")
	}
	newer.says("r1/c", time.Hour) // the older one's end is not the newer one's
	newer.thaws("r1/c")
}

func TestNobodyCommandsWithoutHello(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	c := h.Clusters[0]
	h.start("guard")
	a := h.agent()
	a.says(c.Cluster, time.Hour)
	a.thaws(c.Cluster)
	stranger, err := net.Dial("unix", h.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write([]byte(`{"kind":"do","n":1,"verb":"freeze","cluster":"r1/c"}` + "\nnot a message\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := stranger.Read(make([]byte, 1)); err == nil { // the guard has read both lines when it ends the connection
		t.Fatalf("the stranger got %d bytes", n)
	}
	if d := a.do(Thaw, c.Cluster); !d.OK { // and has handled the first one
		t.Fatalf("thaw: %+v", d)
	}
	if got := a.fence(c.Cluster); got != lease.FenceNone {
		t.Fatalf("a stranger had it %q", got)
	}
	freezertest.Moving(t, c.Tree)
}

func TestSecondGuardIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	h.start("guard")
	h.agent()
	second := h.start("guard")
	<-second.done
	if out := second.log.String(); !strings.Contains(out, ErrRunning.Error()) || !strings.Contains(out, h.Socket) {
		t.Fatalf("the second guard says %q; want %q and the socket", out, ErrRunning)
	}
	if st, err := os.Stat(h.Socket); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("socket: %v, %v; want 0600", st.Mode(), err)
	}
	h.agent() // the first one's socket still works
}

func TestStuckGuardIsNoticed(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	g := h.start("guard")
	a := h.agent()
	freezertest.Eventually(t, "the guard asks", func() bool { return !a.Down(boottime.Now()) })
	if err := g.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	freezertest.Eventually(t, "the agent notices", func() bool { return a.Down(boottime.Now()) })
	if err := g.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	freezertest.Eventually(t, "the guard is back", func() bool { return !a.Down(boottime.Now()) })
}
