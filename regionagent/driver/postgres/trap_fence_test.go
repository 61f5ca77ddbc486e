package postgres_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

func TestTrapStoppedPostmasterKeepsCommitting(t *testing.T) {
	t.Parallel()
	a := one(t)
	session := a.session()
	fresh := newSubject(t, a.Server) // a driver without a warm connection
	a.untilServer(events.ServerWritable)
	signal(t, a.postmaster(), syscall.SIGSTOP)
	if err := commits(t, session); err != nil {
		t.Fatalf("the trap is gone? a session of a stopped postmaster: %v", err)
	}
	if h := a.probe(); h.Server != events.ServerWritable || !h.CanaryOK {
		t.Errorf("warm probe: %+v, want writable", h)
	}
	if h := fresh.probe(); h.Server != events.ServerUnknown {
		t.Errorf("cold probe: %s, want unknown", h.Server)
	}
	a.do(events.Unknown, driver.Action{Verb: driver.Stop, Limit: 300 * time.Millisecond})
	if err := commits(t, session); err != nil {
		t.Fatalf("the trap is gone? after a stop that timed out: %v", err)
	}
	signal(t, a.postmaster(), syscall.SIGCONT) // the stop that was asked for happens now
	a.untilServer(events.ServerDown)
}

func TestTrapSmartStopLetsSessionsCommit(t *testing.T) {
	t.Parallel()
	a := one(t)
	session := a.session()
	a.untilServer(events.ServerWritable)
	if err := a.Control("stop", "-m", "smart", "--no-wait"); err != nil {
		t.Fatal(err)
	}
	until(t, "new clients are refused", func() bool { _, err := a.SQL(t.Context(), "SELECT 1"); return err != nil })
	if err := commits(t, session); err != nil {
		t.Fatalf("the trap is gone? a session under smart stop: %v", err)
	}
	if h := a.probe(); h.Server != events.ServerWritable {
		t.Errorf("probe: %s, want writable: its sessions commit", h.Server)
	}
	if r := a.d.Do(t.Context(), driver.Action{Verb: driver.Stop}); !r.Outcome.OK() || r.LSN == 0 {
		t.Errorf("stop: %+v", r)
	}
	if err := commits(t, session); err == nil {
		t.Error("a session outlived the stop")
	}
}

func TestTrapReadOnlyDefaultIsNoFence(t *testing.T) {
	t.Parallel()
	a := one(t, "default_transaction_read_only = off")
	a.must("ALTER SYSTEM SET default_transaction_read_only = on")
	a.must("SELECT pg_reload_conf()")
	until(t, "sessions begin read-only", func() bool { return a.must("SHOW default_transaction_read_only") == "on" })
	session := a.session()
	if err := commits(t, session); err == nil {
		t.Error("a read-only session wrote")
	}
	if _, err := session.Exec(t.Context(), "SET default_transaction_read_only = off"); err != nil {
		t.Fatal(err)
	}
	if err := commits(t, session); err != nil {
		t.Fatalf("the trap is gone? a session that undid the setting: %v", err)
	}
	if h := a.probe(); h.Server != events.ServerWritable || !h.CanaryOK {
		t.Errorf("probe: %+v, want writable with a canary: anybody can undo the setting", h)
	}
}

func TestTrapRejectedClientsLeaveSessions(t *testing.T) {
	t.Parallel()
	a := one(t)
	session := a.session()
	hba := filepath.Join(a.Data, "pg_hba.conf")
	b, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Server.Write("pg_hba.conf", "host all all 127.0.0.1/32 reject\n"+string(b)); err != nil {
		t.Fatal(err)
	}
	a.must("SELECT pg_reload_conf()")
	until(t, "new clients are rejected", func() bool { _, err := a.SQL(t.Context(), "SELECT 1"); return err != nil })
	if err := commits(t, session); err != nil {
		t.Fatalf("the trap is gone? an open session after a reject: %v", err)
	}
	a.do(events.Done, driver.Action{Verb: driver.Stop})
	if err := commits(t, session); err == nil {
		t.Error("a session outlived the stop")
	}
}

func TestTrapSignalFileFencesRestart(t *testing.T) {
	t.Parallel()
	a := one(t)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	if !exists(t, a, "standby.signal") {
		t.Fatal("a running active without standby.signal")
	}
	if err := a.Server.Kill(); err != nil { // a crash: nobody placed anything
		t.Fatal(err)
	}
	if err := a.Start(); err != nil { // and the service manager brings it back
		t.Fatal(err)
	}
	if err := a.Write(t.Context()); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a crashed active came back by itself: insert: %v, want read-only", err)
	}
	a.do(events.Done, driver.Action{Verb: driver.Stop})
	if s := a.controlField("Database cluster state"); s != "shut down in recovery" {
		t.Errorf("control file: %q", s)
	}
}

func TestTrapCrashRestart(t *testing.T) {
	t.Parallel()
	a := one(t)
	crash := func() { signal(t, a.pidOf("walwriter"), syscall.SIGKILL) }
	if err := a.Server.Write("standby.signal", ""); err != nil { // as a running active has it, but restart_after_crash on
		t.Fatal(err)
	}
	crash()
	until(t, "the trap: in recovery by itself", func() bool { out, _ := a.SQL(t.Context(), "SELECT pg_is_in_recovery()"); return out == "t" })

	b := one(t)
	b.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	until(t, "restart_after_crash is off", func() bool { return b.must("SHOW restart_after_crash") == "off" })
	b.must("INSERT INTO written VALUES (now())")
	crash = func() { signal(t, b.pidOf("walwriter"), syscall.SIGKILL) }
	crash()
	b.untilServer(events.ServerDown)
	b.do(events.Done, driver.Action{Verb: driver.Start})
	if n := b.must("SELECT count(*) FROM written"); n != "1" {
		t.Errorf("%s rows after the crash, want 1", n)
	}
}

func TestTrapKilledPostmasterLeavesOrphans(t *testing.T) {
	t.Parallel()
	a := one(t)
	session := a.session()
	a.untilServer(events.ServerWritable)
	orphan := int(session.PgConn().PID())
	signal(t, orphan, syscall.SIGSTOP)
	pm := a.postmaster()
	if pgid, err := syscall.Getpgid(orphan); err != nil || pgid == pm {
		t.Errorf("backend in process group %d of postmaster %d (%v): the trap is that it has its own", pgid, pm, err)
	}
	signal(t, pm, syscall.SIGKILL)
	until(t, "no orphan answers", func() bool { // those that do still commit
		h := a.probe()
		if h.Server == events.ServerDown {
			t.Fatalf("an orphan is left, probe: %+v", h)
		}
		return h.Server == events.ServerUnknown
	})
	if r := a.d.Do(t.Context(), driver.Action{Verb: driver.Start, Limit: 500 * time.Millisecond}); r.Outcome.OK() {
		t.Errorf("started beside an orphan: %+v", r)
	}
	signal(t, orphan, syscall.SIGKILL)
	a.untilServer(events.ServerDown)
}

func TestTrapFrozenServerAcceptsTCP(t *testing.T) {
	t.Parallel()
	a := one(t)
	session := a.session()
	a.untilServer(events.ServerWritable)
	if err := a.Freeze(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", a.Address(), time.Second)
	if err != nil {
		t.Fatalf("the trap is gone? connect to a frozen server: %v", err)
	}
	conn.Close()
	began := time.Now()
	if h := a.probe(); h.Server != events.ServerFrozen {
		t.Errorf("probe: %s, want frozen", h.Server)
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("a frozen server took %v to be told: it must not wait for an answer", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if c, err := a.Connect(ctx); err == nil {
		c.Close(ctx)
		t.Error("a frozen server spoke")
	}
	if err := a.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := commits(t, session); err != nil {
		t.Errorf("session after the thaw: %v", err)
	}
	a.untilServer(events.ServerWritable)
}

func TestTrapFrozenCgroupReadsD(t *testing.T) {
	t.Parallel()
	a := one(t)
	a.untilServer(events.ServerWritable)
	dir, state := "/sys/fs/cgroup/freezer/"+a.Name+"-switchback-test", "freezer.state"
	freeze, thaw := "FROZEN", "THAWED"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		dir, state, freeze, thaw = "/sys/fs/cgroup/"+a.Name+"-switchback-test", "cgroup.freeze", "1", "0"
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("NOT TESTED: no cgroup freezer may be made here: %v", err)
	}
	put := func(file, value string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // before the server's: a frozen process of a v1 freezer does not die
		_ = os.WriteFile(filepath.Join(dir, state), []byte(thaw), 0)
		_ = a.Server.Kill()
		until(t, "cgroup is empty", func() bool { return os.Remove(dir) == nil })
	})
	pids, err := pidsOf(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		put("cgroup.procs", pid)
	}
	put(state, freeze)
	until(t, "probe says frozen", func() bool { return a.probe().Server == events.ServerFrozen })
	put(state, thaw)
	a.untilServer(events.ServerWritable)
}
