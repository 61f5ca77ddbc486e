package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
)

// wide are settings under which a count of commits is exact: nobody but clients commits.
var wide = []string{"autovacuum = off", "max_prepared_transactions = 5"}

// failedOver is a pair after a failover: b is the active and has checkpointed, a was killed and holds n commits that b never got, whose ids it returns.
func failedOver(t testing.TB, n int, lines ...string) (a, b subject, lost []uint64) {
	t.Helper()
	a, b = pair(t, append(lines, wide...)...)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	until(t, "streaming", func() bool { return b.probe().Streaming })
	b.do(events.Done, driver.Action{Verb: driver.Cut})
	for range n {
		lost = append(lost, a.commit())
		a.probe() // whose canary is nobody's loss
	}
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	a.untilServer(events.ServerDown)
	b.do(events.Done, driver.Action{Verb: driver.Promote})
	b.do(events.Done, driver.Action{Verb: driver.Checkpoint})
	return a, b, lost
}

// commit is one client's transaction; it returns the id by which its loss is told.
func (s subject) commit() uint64 {
	s.t.Helper()
	id, err := strconv.ParseUint(s.must("INSERT INTO written VALUES (now()) RETURNING pg_current_xact_id()"), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// restored fails unless it follows the source, with everything the source has and nothing else.
func (s subject) restored(source subject) {
	s.t.Helper()
	h := source.probe()
	until(s.t, s.Name+" follows", func() bool {
		p := s.probe()
		return p.Server == events.ServerRecovery && p.Streaming && p.Timeline == h.Timeline && p.Upstream == source.Address() && p.Replayed >= h.LSN
	})
	if mine, theirs := s.must("SELECT count(*) FROM written"), source.must("SELECT count(*) FROM written"); mine != theirs {
		s.t.Errorf("%s has %s rows, its source %s", s.Name, mine, theirs)
	}
	if !exists(s.t, s, "standby.signal") {
		s.t.Error("restored without standby.signal")
	}
	if got := s.must("SHOW port"); got != strconv.Itoa(s.Port) {
		s.t.Errorf("it has the source's port %s", got)
	}
	for _, name := range []string{"old", "new", "site", "run"} {
		if _, err := os.Stat(filepath.Join(s.Data+".switchback", name)); err == nil {
			s.t.Errorf("%s is left beside the data", name)
		}
	}
}

// wantLost checks that exactly these commits are told lost, and that the evidence is there.
func wantLost(t testing.TB, l *events.LostLog, xids []uint64) {
	t.Helper()
	if l == nil {
		t.Fatal("nothing was counted")
	}
	var got []uint64
	for _, c := range l.List {
		got = append(got, c.XID)
		if c.LSN < l.From || c.LSN > l.To || time.Since(c.At) > time.Hour || time.Since(c.At) < 0 {
			t.Errorf("lost commit %+v outside of %v to %v", c, l.From, l.To)
		}
	}
	if l.Unread != "" || l.Commits != len(xids) || fmt.Sprint(got) != fmt.Sprint(xids) {
		t.Errorf("lost %d commits %v (unread %q), want %v", l.Commits, got, l.Unread, xids)
	}
	if len(xids) == 0 {
		return
	}
	b, err := os.ReadFile(filepath.Join(l.Kept, "commits.jsonl"))
	if err != nil || strings.Count(string(b), "\n") != len(xids) {
		t.Errorf("kept list %q (%v)", b, err)
	}
	if wal, _ := filepath.Glob(filepath.Join(l.Kept, "0*")); len(wal) == 0 {
		t.Errorf("no log is kept in %s", l.Kept)
	}
}

func TestRestoreOfAKilledActiveRewinds(t *testing.T) {
	t.Parallel()
	a, b, lost := failedOver(t, 3)
	b.commit()
	r := a.do(events.Done, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "g/2/restore"})
	if r.How != "rewound" || r.Timeline != 2 || r.Copied == 0 {
		t.Errorf("restored: %+v", r)
	}
	wantLost(t, r.Lost, lost)
	if r.Lost != nil && r.Lost.Own == 0 {
		t.Error("our own canaries were not told from the clients' commits")
	}
	a.restored(b)
	again := a.do(events.AlreadyDone, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "g/2/restore"})
	if again.How != r.How || again.Lost == nil || again.Lost.Commits != r.Lost.Commits || again.Copied != r.Copied {
		t.Errorf("asked again: %+v, answered %+v", again, r)
	}
	t.Logf("took %v", r.Took)
}

func TestRestoreAfterACleanStopFollows(t *testing.T) {
	t.Parallel()
	a, b := pair(t, wide...)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	until(t, "streaming", func() bool { return b.probe().Streaming })
	a.commit()
	stop := a.do(events.Done, driver.Action{Verb: driver.Stop})
	until(t, "delivered", func() bool { return b.probe().Replayed >= stop.LSN })
	answer := make(chan events.Result, 1)
	go func() {
		answer <- a.d.Do(t.Context(), driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "s"})
	}()
	until(t, "it is under way", func() bool { return a.probe().Work != nil })
	b.do(events.Done, driver.Action{Verb: driver.Promote}) // asked before the promotion, and it has not checkpointed
	r := <-answer
	if r.Outcome != events.Done || r.How != "followed" || r.Lost == nil || r.Lost.Commits != 0 || r.Lost.Unread != "" || r.Lost.Bytes != 0 {
		t.Errorf("restored: %+v", r)
	}
	a.restored(b)
	t.Logf("took %v", r.Took)
}

func TestRestoreOfAPassive(t *testing.T) {
	t.Parallel()
	a, b := pair(t, wide...)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	first := b.do(events.Done, driver.Action{Verb: driver.Restore, Source: a.Address(), Step: "1"}) // it followed by the site's settings
	if first.How != "followed" || first.Lost != nil {
		t.Errorf("%+v", first)
	}
	b.do(events.AlreadyDone, driver.Action{Verb: driver.Restore, Source: a.Address(), Step: "2"})
	b.do(events.Done, driver.Action{Verb: driver.Cut})
	if r := b.do(events.Done, driver.Action{Verb: driver.Restore, Source: a.Address(), Step: "3"}); r.How != "followed" || r.Lost != nil {
		t.Errorf("%+v", r)
	}
	b.restored(a)
	if err := b.Server.Kill(); err != nil {
		t.Fatal(err)
	}
	if r := b.do(events.Done, driver.Action{Verb: driver.Restore, Source: a.Address(), Step: "4"}); r.How != "followed" || r.Lost != nil {
		t.Errorf("%+v", r)
	}
	b.restored(a)
	if r := a.do(events.Refused, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "5"}); !strings.Contains(r.Why, "writable") {
		t.Errorf("%+v", r)
	}
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	b.do(events.Refused, driver.Action{Verb: driver.Restore, Source: a.Address(), Step: "6"})
}

func TestRestoreByCopy(t *testing.T) {
	t.Parallel()
	a, b, lost := failedOver(t, 2)
	b.commit()
	r := a.do(events.Done, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "g/2/restore", Copy: true})
	if r.How != "copied" || r.Copied == 0 {
		t.Errorf("restored: %+v", r)
	}
	wantLost(t, r.Lost, lost)
	a.restored(b)
	a.do(events.AlreadyDone, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "g/2/restore", Copy: true})
	t.Logf("took %v", r.Took)
}

// A passive that is copied anew while its source writes holds what the source sent since it was asked where its log ends. That is no loss.
func TestCopyOfAStreamingPassiveLosesNothing(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	written := false
	postgres.OnReach(b.Driver(), true, func(point string) {
		if point != "begun" || written {
			return // it is noted again later
		}
		written = true
		a.must("INSERT INTO written VALUES (now())")
		want := a.must("SELECT pg_current_wal_lsn()")
		until(t, "it has what was written since", func() bool {
			got, err := b.SQL(t.Context(), "SELECT pg_last_wal_replay_lsn() >= '"+want+"'")
			return err == nil && got == "t"
		})
	})
	if r := b.do(events.Done, driver.Action{Verb: driver.Restore, Source: a.Address(), Copy: true, Step: "s"}); r.Lost != nil || r.How != "copied" {
		t.Errorf("restored: %+v, lost %+v", r, r.Lost)
	}
}
