package postgres_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// follower is a pair whose passive follows by our own link, so that the active knows it by name.
func follower(t *testing.T, lines ...string) (a, b subject) {
	t.Helper()
	a, b = pair(t, lines...)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	b.d.Do(t.Context(), driver.Action{Verb: driver.Follow, Source: a.Address()})
	until(t, "streaming", func() bool { return b.probe().Streaming })
	return a, b
}

func orderFor(version uint64, b subject, anew bool) driver.Action {
	return driver.Action{Verb: driver.Sync, Sync: &events.SyncOrder{Version: version, Names: []string{b.Name}}, Anew: anew, Limit: 2 * time.Second}
}

// holds gives an order until it is seen to hold.
func holds(t *testing.T, a subject, order driver.Action) {
	t.Helper()
	why := ""
	until(t, "the order is seen to hold", func() bool {
		r := a.d.Do(t.Context(), order)
		why = r.Why
		return r.Outcome.OK()
	})
	if t.Failed() {
		t.Log(why)
	}
}

// held stops one process until the test says otherwise, or ends.
func (s subject) held(kind string) (release func()) {
	s.t.Helper()
	pid := s.pidOf(kind)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	release = func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	s.t.Cleanup(release)
	return release
}

// The flag that has commits wait is set by the checkpointer when it gets round to it: until then setting, session and sync_state say sync, and commits are
// acknowledged by nobody but this server.
func TestTrapSyncSettingProvesNothing(t *testing.T) {
	t.Parallel()
	a, b := follower(t)
	release := a.held("checkpointer")
	r := a.do(events.Retry, orderFor(1, b, false))
	if !strings.Contains(r.Why, "no commit was seen to wait") {
		t.Errorf("why %q", r.Why)
	}
	if s := a.must("SELECT sync_state FROM pg_stat_replication"); s != "sync" || !strings.Contains(a.must("SHOW synchronous_standby_names"), b.Name) {
		t.Fatalf("the trap is gone? sync_state %s", s)
	}
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	a.must("INSERT INTO written VALUES (now())") // the trap: acknowledged, though the standby is frozen
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
	release()
	holds(t, a, orderFor(1, b, false))
}

// The process of a link releases commits by the setting that it has read last.
func TestTrapSyncLinkGoesByAnOlderSetting(t *testing.T) {
	t.Parallel()
	a, b := follower(t)
	release := a.held("walsender")
	r := a.do(events.Retry, orderFor(1, b, false))
	if !strings.Contains(r.Why, "has not read its settings") {
		t.Errorf("why %q", r.Why)
	}
	release()
	holds(t, a, orderFor(1, b, false))
	release = a.held("walsender")
	if r = a.do(events.Retry, orderFor(2, b, false)); !strings.Contains(r.Why, "has not read its settings") { // the same names: only the form of the setting tells
		t.Errorf("why %q", r.Why)
	}
	release()
	holds(t, a, orderFor(2, b, false))
}

func TestTrapSyncCoversSessionsOfBefore(t *testing.T) {
	t.Parallel()
	a, b := follower(t)
	session := a.session()
	holds(t, a, orderFor(1, b, false))
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := session.Exec(t.Context(), "INSERT INTO written VALUES (now())")
		answer <- err
	}()
	until(t, "the old session's commit waits", func() bool {
		return a.must("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name <> 'switchback'") == "1"
	})
	h := a.probe()
	if h.Sync == nil || h.Sync.Waiting == 0 || h.CanaryOK {
		t.Errorf("probe: %+v %+v", h, h.Sync)
	}
	select {
	case err := <-answer:
		t.Fatalf("acknowledged without the standby: %v", err)
	default:
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

func TestTrapSyncChangedBySomebody(t *testing.T) {
	t.Parallel()
	a, b := follower(t)
	holds(t, a, orderFor(1, b, false))
	a.must("ALTER SYSTEM SET synchronous_standby_names = ''")
	a.must("SELECT pg_reload_conf()")
	until(t, "the probe sees it", func() bool { h := a.probe(); return h.Sync != nil && h.Sync.Foreign != "" })
	a.do(events.Refused, orderFor(2, b, false)) // nobody knows what was acknowledged meanwhile
	holds(t, a, orderFor(3, b, true))
	if h := a.probe(); h.Sync == nil || h.Sync.Foreign != "" || h.Sync.Version != 3 {
		t.Errorf("mended: %+v", h.Sync)
	}
	a.must("ALTER ROLE " + a.must("SELECT current_user") + " SET synchronous_commit = off")
	until(t, "who commits without a wait is named", func() bool {
		h := a.probe()
		return h.Sync != nil && len(h.Sync.Open) == 1 && strings.Contains(h.Sync.Open[0], "synchronous_commit=off")
	})
	if err := a.Configure("synchronous_commit = local"); err != nil {
		t.Fatal(err)
	}
	a.must("SELECT pg_reload_conf()")
	until(t, "the site's default is named", func() bool {
		h := a.probe()
		return h.Sync != nil && strings.Contains(h.Sync.Foreign, "synchronous_commit = local")
	})
	if r := a.do(events.Retry, orderFor(4, b, true)); !strings.Contains(r.Why, "synchronous_commit = local") {
		t.Errorf("why %q", r.Why)
	}
}

// A link whose standby is gone without a word stays until wal_sender_timeout, and commits wait for it although its standby is back under a new one.
func TestTrapSyncWaitsForADeadLink(t *testing.T) {
	t.Parallel()
	a, b := follower(t)
	b.do(events.Done, driver.Action{Verb: driver.Cut})
	dead := exec.Command(filepath.Join(postgrestest.Shared(t).Bin, "pg_receivewal"), "--synchronous", "-D", t.TempDir(), "-d", fmt.Sprintf("host=127.0.0.1 port=%d user=replicator application_name=%s", a.Port, b.Name))
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.Process.Kill(); _ = dead.Wait() })
	until(t, "the other one streams", func() bool {
		return a.must("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1"
	})
	if err := dead.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.do(events.Done, driver.Action{Verb: driver.Follow})
	until(t, "streaming again", func() bool { return b.probe().Streaming })
	_ = a.d.Do(t.Context(), orderFor(1, b, false))
	until(t, "the dead link is ended and commits are acknowledged", func() bool {
		h := a.probe()
		return h.CanaryOK && h.Sync != nil && a.must("SELECT count(*) FROM pg_stat_replication") == "1"
	})
	holds(t, a, orderFor(1, b, false))
}
