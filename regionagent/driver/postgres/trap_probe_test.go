package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

func TestTrapRecycledPID(t *testing.T) {
	t.Parallel()
	a, other := one(t), one(t)
	a.untilServer(events.ServerWritable)
	b, err := os.ReadFile(filepath.Join(a.Data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	// The pid lives again, as the postmaster of another cluster of the same user.
	_, rest, _ := strings.Cut(string(b), "\n")
	if err := a.Server.Write("postmaster.pid", strconv.Itoa(other.postmaster())+"\n"+rest); err != nil {
		t.Fatal(err)
	}
	if h := a.probe(); h.Server != events.ServerDown {
		t.Errorf("probe: %s (%s), want down", h.Server, h.Error)
	}
	if err := a.Control("start", "-w", "-t", "3", "-l", filepath.Join(a.Socket, "log")); err == nil {
		t.Fatal("the trap is gone? PostgreSQL started over a living pid")
	}
	if r := a.d.Do(t.Context(), driver.Action{Verb: driver.Stop}); r.Outcome.OK() {
		t.Errorf("stop of a crashed server: %+v", r)
	}
	if h := other.probe(); h.Server != events.ServerWritable {
		t.Fatalf("the other cluster was hit: %+v", h)
	}
	a.do(events.Done, driver.Action{Verb: driver.Start})
	other.untilServer(events.ServerWritable)
}

func TestTrapPortTakenByAnother(t *testing.T) {
	t.Parallel()
	a := one(t)
	a.untilServer(events.ServerWritable)
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	until(t, "the port is free", func() (ok bool) { // a dying process lets go of its files last
		var err error
		l, err = net.Listen("tcp", a.Address())
		return err == nil
	})
	if h := a.probe(); h.Server != events.ServerUnknown || !strings.Contains(h.Error, "listens") {
		t.Errorf("probe: %s (%s), want unknown: somebody answers in its place", h.Server, h.Error)
	}
	l.Close()
	a.untilServer(events.ServerDown)
}

// A host whose programs start slowly: a probe has a second, and where a server listens that is down takes three runs of its program.
func TestTrapSlowHostKnowsNoPort(t *testing.T) {
	t.Parallel()
	a := one(t)
	a.untilServer(events.ServerWritable)
	a.do(events.Done, driver.Action{Verb: driver.Stop})
	cfg := a.Config(events.Ref{Region: "eu-west-1", Cluster: a.Name})
	slow := t.TempDir()
	programs, err := os.ReadDir(cfg.Bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if p.Name() != "postgres" {
			err = errors.Join(err, os.Symlink(filepath.Join(cfg.Bin, p.Name()), filepath.Join(slow, p.Name())))
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nsleep 0.3\nexec %s \"$@\"\n", filepath.Join(cfg.Bin, "postgres"))
	if err := errors.Join(err, os.Chmod(slow, 0o755), os.Chmod(filepath.Dir(slow), 0o755), os.WriteFile(filepath.Join(slow, "postgres"), []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	cfg.Bin = slow
	d, err := postgres.New(cfg, slog.New(slog.DiscardHandler)) // an agent that has just started
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	until(t, "the server is known to be down, probe by probe", func() bool {
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		return d.Probe(short).Server == events.ServerDown
	})
}

func TestTrapTooManyClientsIsNotDown(t *testing.T) {
	t.Parallel()
	a := one(t, "superuser_reserved_connections = 1", "max_connections = 60")
	a.untilServer(events.ServerWritable)
	for {
		c, err := a.Connect(t.Context())
		if err != nil {
			break
		}
		t.Cleanup(func() { a.give(c.Close) })
	}
	if h := newSubject(t, a.Server).probe(); h.Server != events.ServerUnknown || !strings.Contains(h.Error, "53300") {
		t.Errorf("cold probe: %s (%s), want unknown: too many clients", h.Server, h.Error)
	}
	if h := a.probe(); h.Server != events.ServerWritable || !h.CanaryOK {
		t.Errorf("warm probe: %s (%s), want writable", h.Server, h.Error)
	}
}

func TestTrapStatusThatStaysTrue(t *testing.T) {
	t.Parallel()
	a := one(t)
	a.untilServer(events.ServerWritable)
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	if h := a.probe(); h.Server == events.ServerWritable || h.CanaryOK {
		t.Errorf("the first probe after a kill: %+v", h)
	}
}

func TestTrapSyncWaitDefeatsTimeouts(t *testing.T) {
	t.Parallel()
	a, b := syncPair(t)
	session := a.session()
	if _, err := session.Exec(t.Context(), "SET statement_timeout = '100ms'"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := session.Exec(t.Context(), "INSERT INTO written VALUES (now())")
		answer <- err
	}()
	began := time.Now()
	h := a.probe() // given a second; the canary waits for a standby that does not answer
	if took := time.Since(began); took > 1200*time.Millisecond {
		t.Errorf("probe took %v", took)
	}
	if h.Server != events.ServerWritable || h.CanaryOK || h.Error == "" {
		t.Errorf("probe: %+v, want writable, and no canary", h)
	}
	select {
	case err := <-answer:
		t.Fatalf("the trap is gone? statement_timeout ended a wait for a standby: %v", err)
	default:
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("commit after the thaw: %v", err)
	}
	until(t, "canary", func() bool { return a.probe().CanaryOK })
}

// canaryWaits starts a probe whose canary waits for a frozen standby, and returns where its answer comes.
func canaryWaits(t *testing.T, a subject) chan events.ClusterHealth {
	answer := make(chan events.ClusterHealth, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		answer <- a.d.Probe(ctx)
	}()
	until(t, "the canary waits", func() bool {
		return a.must("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'switchback' AND wait_event = 'SyncRep'") == "1"
	})
	return answer
}

func TestTrapCancelledWaitIsNoAck(t *testing.T) {
	t.Parallel()
	a, b := syncPair(t)
	answer := canaryWaits(t, a)
	before := a.must("SELECT n FROM switchback.canary")
	a.must("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'switchback' AND wait_event = 'SyncRep'")
	if h := <-answer; h.CanaryOK || !strings.Contains(h.Error, "warning") {
		t.Errorf("probe: %+v, want no canary: the standby does not have it", h)
	}
	if after := a.must("SELECT n FROM switchback.canary"); after == before {
		t.Error("the trap is gone? a cancelled wait left no row")
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
}

func TestTrapTerminatedWaitIsNoAck(t *testing.T) {
	t.Parallel()
	a, b := syncPair(t)
	answer := canaryWaits(t, a)
	a.must("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'switchback' AND wait_event = 'SyncRep'")
	if h := <-answer; h.CanaryOK {
		t.Errorf("probe: %+v, want no canary", h)
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
}

func TestTrapLocalCommitBypassesSync(t *testing.T) {
	t.Parallel()
	a, b := syncPair(t, "synchronous_commit = local")
	a.must("INSERT INTO written VALUES (now())") // the trap: acknowledged, and nowhere else
	if h := a.probe(); h.CanaryOK {
		t.Error("the canary took the site's synchronous_commit: it proves nothing")
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
}

func TestTrapReceivedPositionRestarts(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	a.must("INSERT INTO written SELECT now() FROM generate_series(1, 1000)")
	end := a.probe().LSN
	until(t, "replayed", func() bool { return b.probe().Replayed >= end })
	b.do(events.Done, driver.Action{Verb: driver.Stop})
	a.do(events.Done, driver.Action{Verb: driver.Stop}) // nothing to stream from: the receiver's position stays unknown
	b.do(events.Done, driver.Action{Verb: driver.StartStandby})
	if out := b.must("SELECT coalesce(pg_last_wal_receive_lsn() < pg_last_wal_replay_lsn(), true)"); out != "t" {
		t.Fatal("the trap is gone? the received position survived a restart")
	}
	if h := b.probe(); h.LSN < end || h.Replayed < end {
		t.Errorf("probe: received %v, replayed %v, want at least %v", h.LSN, h.Replayed, end)
	}
}

func TestTrapPeerAuthenticationAsRoot(t *testing.T) {
	t.Parallel()
	lab := postgrestest.Shared(t)
	a := one(t)
	if err := a.Server.Write("pg_hba.conf", "local all all peer\nhost all all 127.0.0.1/32 trust\n"); err != nil {
		t.Fatal(err)
	}
	a.must("SELECT pg_reload_conf()")
	if os.Geteuid() == 0 {
		until(t, "the trap: root is not "+lab.User+" to peer authentication", func() bool {
			c, err := pgx.Connect(t.Context(), a.DSN())
			if err == nil {
				c.Close(t.Context())
			}
			return err != nil
		})
	}
	if h := newSubject(t, a.Server).probe(); h.Server != events.ServerWritable || !h.CanaryOK {
		t.Errorf("probe: %+v", h)
	}
	until(t, "no thread of ours has another user's id", func() bool {
		tasks, err := filepath.Glob("/proc/self/task/*/status")
		if err != nil || len(tasks) == 0 {
			t.Fatalf("no threads: %v", err)
		}
		for _, task := range tasks {
			if b, err := os.ReadFile(task); err == nil && !strings.Contains(string(b), fmt.Sprintf("\nUid:\t%d\t%d\t", os.Getuid(), os.Geteuid())) {
				return false
			}
		}
		return true
	})
}
