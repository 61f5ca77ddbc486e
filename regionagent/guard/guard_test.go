package guard

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/freezer/freezertest"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

func TestStuckAgentIsFencedByItsDeadline(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	c := h.Clusters[0]
	g := h.start("guard")
	freezertest.Eventually(t, "the guard froze first", says(g, "to=frozen"))
	stopped(t, c)
	a := h.start("agent")
	freezertest.Moving(t, c.Tree) // the agent thawed it
	for range 2 {
		if err := a.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		stopped(t, c)
		if err := a.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		freezertest.Moving(t, c.Tree)
	}
}

func TestKilledAgentIsFencedAndItsSuccessorThaws(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	c := h.Clusters[0]
	g := h.start("guard")
	freezertest.Eventually(t, "the guard froze first", says(g, "to=frozen"))
	a := h.start("agent")
	freezertest.Moving(t, c.Tree)
	before, err := freezer.Find(c.Tree)
	if err != nil {
		t.Fatal(err)
	}
	a.end(t, syscall.SIGKILL)
	stopped(t, c)
	h.start("agent")
	freezertest.Moving(t, c.Tree)
	after, err := freezer.Find(c.Tree)
	if err != nil || after.All[0] == (freezer.Process{}) || after.All[0].Start != before.All[0].Start {
		t.Fatalf("the parent is %+v, %v; want the same as before, %+v", after.All[0], err, before.All[0])
	}
}

func TestKilledGuardFreezesFirstWhenItIsBack(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	c := h.Clusters[0]
	g := h.start("guard")
	a := h.agent()
	a.says(c.Cluster, time.Hour)
	a.thaws(c.Cluster)
	freezertest.Moving(t, c.Tree)
	g.end(t, syscall.SIGKILL)
	<-a.Gone()
	freezertest.Eventually(t, "the agent takes it for dead", func() bool { return a.Down(boottime.Now()) })
	freezertest.Moving(t, c.Tree) // nobody holds the deadline now but the agent
	g = h.start("guard")
	freezertest.Eventually(t, "the guard froze first", says(g, "to=frozen"))
	stopped(t, c)
	b := h.agent()
	if got := b.Held[0]; got.Until > boottime.Now() || got.Fence != lease.FenceFrozen {
		t.Errorf("the guard says it holds %+v: want nothing, frozen", got)
	}
	b.says(c.Cluster, time.Hour)
	b.thaws(c.Cluster)
	freezertest.Moving(t, c.Tree)
}

// A guard that hangs is ended by its agent, whether it had answered the hello or not; the next one freezes first and lets go when it was answered.
func TestSilentGuardIsEnded(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	c := h.Clusters[0]
	g := h.start("guard")
	a := h.agent()
	a.says(c.Cluster, time.Hour)
	a.thaws(c.Cluster)
	if err := g.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	freezertest.Eventually(t, "the agent takes it for dead", func() bool { return a.Down(boottime.Now()) })
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	<-a.Gone()
	g.end(t, syscall.Signal(0)) // it has been sent one already
	if err := a.Kill(); !errors.Is(err, ErrDown) {
		t.Errorf("a second time: %v", err)
	}

	g = h.start("guard")
	freezertest.Eventually(t, "the guard froze first", says(g, "to=frozen"))
	if err := g.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Dial(short, h.Socket, h.Durations, "n", h.Clusters)
	var silent *SilentError
	if !errors.As(err, &silent) {
		t.Fatalf("dial a guard that stands still: %v", err)
	}
	if err := silent.Kill(); err != nil {
		t.Fatal(err)
	}
	g.end(t, syscall.Signal(0)) // it has been sent one already
	stopped(t, c)               // nothing was let go by any of this

	h.start("guard")
	b := h.agent()
	b.says(c.Cluster, time.Hour)
	b.thaws(c.Cluster)
	freezertest.Moving(t, c.Tree)
}

func TestStoppedGuardHandsItsDeadlinesOver(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	c := h.Clusters[0]
	g := h.start("guard")
	a := h.agent()
	before := boottime.Now()
	const right = 8 * time.Second
	a.says(c.Cluster, right)
	a.thaws(c.Cluster)
	freezertest.Moving(t, c.Tree)
	a.falls(c.Cluster)
	g.end(t, syscall.SIGTERM)
	next := h.start("guard")
	b := h.agent()
	if got := b.Held[0]; got.Fence != lease.FenceNone || got.Until < before.Add(right-time.Second) || got.Until > boottime.Now().Add(right) {
		t.Fatalf("the next guard holds %+v at %v: want the deadline of the one before", got, boottime.Now())
	}
	freezertest.Moving(t, c.Tree)
	if log := next.log.String(); strings.Contains(log, "frozen") {
		t.Error("the upgrade froze it")
	}
	b.wait(c.Cluster, lease.FenceFrozen) // nobody answered: the deadline passed by itself
	if now := boottime.Now(); now < before.Add(right) {
		t.Errorf("frozen at %v, before the deadline %v", now, before.Add(right))
	}
	stopped(t, c)

	next.end(t, syscall.SIGKILL) // what was handed over once is not believed twice
	if _, err := os.Stat(h.Handover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the handover is still there: %v", err)
	}
}

func TestHandoverOfAnotherBootIsWorthNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "handover")
	for name, content := range map[string]string{"other boot": `{"boot":"x","deadlines":{"c":9000000000000000000}}`, "garbage": `{`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := takeOver(path); len(got) > 0 || (err != nil) != (name == "garbage") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestTwoClusters(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/a", "r1/b")
	h.start("guard")
	a := h.agent()
	for _, c := range h.Clusters {
		a.says(c.Cluster, h.Durations.Run)
		a.thaws(c.Cluster)
	}
	a.falls("r1/b")
	a.wait("r1/b", lease.FenceFrozen)
	stopped(t, h.Clusters[1])
	freezertest.Moving(t, h.Clusters[0].Tree)
	if got := a.fence("r1/a"); got != lease.FenceNone {
		t.Fatalf("r1/a is %q: want it untouched", got)
	}
}

func TestLateAnswerIsIgnored(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	h.start("guard")
	c, err := dialEventually(t, h)
	if err != nil {
		t.Fatal(err)
	}
	first := <-c.Asks()
	second := <-c.Asks()
	answer := func(n uint64, left time.Duration) {
		t.Helper()
		if err := c.Answer(n, []lease.Left{{Cluster: "r1/c", Left: left, Held: true}}); err != nil {
			t.Fatal(err)
		}
	}
	answer(second, 0)
	answer(first, time.Hour)
	answer(second+1000, time.Hour) // never asked
	d, err := c.Do(freezertest.Limit(t), Thaw, "r1/c")
	if err != nil || d.OK || !strings.Contains(d.Why, "no deadline") {
		t.Fatalf("thaw after a late answer: %+v, %v; want it refused", d, err)
	}
	answer(<-c.Asks(), time.Hour)
	if d, err := c.Do(freezertest.Limit(t), Thaw, "r1/c"); err != nil || !d.OK {
		t.Fatalf("thaw after a good answer: %+v, %v", d, err)
	}
	freezertest.Moving(t, h.Clusters[0].Tree)
}

func dialEventually(t *testing.T, h *host) (c *Client, err error) {
	t.Helper()
	freezertest.Eventually(t, "the agent is connected", func() bool {
		c, err = Dial(t.Context(), h.Socket, h.Durations, "n", h.Clusters)
		return err == nil
	})
	t.Cleanup(func() { _ = c.Close() })
	return c, err
}

func TestAgentsOwnFencesAndRefusals(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	c := h.Clusters[0]
	h.start("guard")
	a := h.agent()
	a.wait(c.Cluster, lease.FenceFrozen)
	if d := a.do(Thaw, c.Cluster); d.OK || d.Why == "" {
		t.Fatalf("a thaw without a deadline: %+v; want it refused, with the reason", d)
	}
	stopped(t, c)
	for _, bad := range []struct {
		v    Verb
		name string
	}{{Freeze, "r1/unknown"}, {"melt", c.Cluster}} {
		if d := a.do(bad.v, bad.name); d.OK || !strings.Contains(d.Why, strconv.Quote(bad.name)) && !strings.Contains(d.Why, strconv.Quote(string(bad.v))) {
			t.Errorf("%s %s: %+v; want it refused by name", bad.v, bad.name, d)
		}
	}
	a.says(c.Cluster, time.Hour)
	a.thaws(c.Cluster)
	if d := a.do(Freeze, c.Cluster); !d.OK || d.How != freezer.BySignal {
		t.Fatalf("freeze: %+v", d)
	}
	a.wait(c.Cluster, lease.FenceFrozen)
	stopped(t, c)
	if d := a.do(Kill, c.Cluster); !d.OK {
		t.Fatalf("kill: %+v", d)
	}
	a.wait(c.Cluster, lease.FenceNone) // the right goes on: what is started again is under its deadline
	gone(t, c)
}

// gone fails unless no process of a cluster is left and its signal file lies there.
func gone(t *testing.T, c Cluster) {
	t.Helper()
	if p, err := freezer.Find(c.Tree); err != nil || len(p.All) > 0 {
		t.Errorf("left: %v, %v", p.PIDs(), err)
	}
	if _, err := os.Stat(c.Tree.Signal); err != nil {
		t.Errorf("signal file: %v", err)
	}
}

func TestKillAfter(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	h.Durations.KillAfter = 2 * time.Second
	c := h.Clusters[0]
	g := h.start("guard")
	a := h.agent()
	a.wait(c.Cluster, lease.FenceFrozen)
	a.wait(c.Cluster, lease.FenceKilled)
	gone(t, c)
	if !strings.Contains(g.log.String(), "kill-after") {
		t.Error("the guard does not say why")
	}
}

func TestWhatMovesIsKilled(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/c")
	c := h.Clusters[0]
	g := h.start("guard")
	a := h.agent()
	a.wait(c.Cluster, lease.FenceFrozen)
	p, err := freezer.Find(c.Tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range p.PIDs() { // as systemd does when it stops a unit
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	a.wait(c.Cluster, lease.FenceKilled)
	gone(t, c)
	if !strings.Contains(g.log.String(), "ran while it was frozen") {
		t.Error("the guard does not say why")
	}
}

func TestGuardIsHardened(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("memory locks and OOM protection need root")
	}
	h := newHost(t)
	g := h.start("guard")
	h.agent()
	proc := filepath.Join("/proc", strconv.Itoa(g.Process.Pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	oom, err2 := os.ReadFile(filepath.Join(proc, "oom_score_adj"))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	warned := strings.Contains(g.log.String(), "want=")
	if locked := !strings.Contains(string(status), "VmLck:\t       0 kB"); !warned && (!locked || string(oom) != "-1000\n") {
		t.Fatalf("OOM score %q, no warning, status:\n%s", oom, status)
	}
	t.Logf("warned: %v, OOM score %s", warned, oom)
}

func TestPassiveAndExemptAreLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t, "r1/active", "r1/passive", "r1/observed")
	h.Clusters[1].Held, h.Clusters[2].Exempt = false, true
	h.start("guard")
	a := h.agent()
	a.wait("r1/active", lease.FenceFrozen)
	for _, c := range h.Clusters[1:] {
		freezertest.Moving(t, c.Tree)
		if got := a.fence(c.Cluster); got != lease.FenceNone {
			t.Errorf("%s is %q", c.Cluster, got)
		}
	}
}

func TestClockJumpFreezesFirst(t *testing.T) {
	t.Parallel()
	d := events.Profiles()[0]
	dir := t.TempDir()
	g := start(Config{
		Handover: filepath.Join(dir, "handover"), Durations: d, Clusters: []Cluster{{Cluster: "c"}}, Log: slog.New(slog.DiscardHandler),
		Held:    func() ([]lease.Guarded, error) { return []lease.Guarded{{Cluster: "c", Held: true}}, nil },
		Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	now := boottime.Now()
	g.core.Answered(now, now, "n", []lease.Left{{Cluster: "c", Left: time.Hour, Held: true}})
	g.jump = func() time.Duration { return d.Margin }
	if g.checkClocks(now); len(g.core.Tick(now)) != 0 {
		t.Fatal("a jump within M froze it")
	}
	g.jump = func() time.Duration { return d.Margin + 1 }
	g.checkClocks(now)
	if got := g.core.Tick(now); len(got) != 1 || got[0].Verb != lease.GuardFreeze {
		t.Fatalf("a jump beyond M: %v; want a freeze", got)
	}
}
