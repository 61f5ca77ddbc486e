package postgres_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// A postmaster that hangs alone: the session of the probe goes on, its canary passes, and nobody new gets in. That has to be told, and to end with it.
func TestTrapStuckPostmaster(t *testing.T) {
	t.Parallel()
	a := one(t)
	a.untilServer(events.ServerWritable)
	told := func(want bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			h := a.probe()
			if h.Server != events.ServerWritable || !h.CanaryOK {
				t.Fatalf("the open session does not go on: %s, canary %v: %s", h.Server, h.CanaryOK, h.Error)
			}
			if strings.Contains(h.Alarm, "takes no new connections") == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("alarm %q after a minute, want one: %v", h.Alarm, want)
			}
		}
	}
	signal(t, a.postmaster(), syscall.SIGSTOP)
	told(true)
	signal(t, a.postmaster(), syscall.SIGCONT)
	told(false)
}
