package stage

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// TestLostIsInTheLog loses writes on real servers and reads the old one's log with PostgreSQL's own tool: the numbers that the writers were told are those in the log.
func TestLostIsInTheLog(t *testing.T) {
	t.Parallel()
	s := bare(t, true)
	g := s.Groups()[0]
	old, young := s.Server(g.Primary()), s.Server(g.Recovery())
	w, err := s.StartWriters()
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "writes", func() bool { return acked(w.Log(), West, West, 0) > 5 })
	for _, sql := range []string{"ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"} {
		if _, err := young.SQL(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "nothing follows", func() bool {
		rows, err := old.SQL(t.Context(), "SELECT 1 FROM pg_stat_replication")
		return err == nil && len(rows) == 0
	})
	fault := Clock()
	wait(t, "writes that do not arrive", func() bool { return acked(w.Log(), West, West, fault) > 20 })
	if err := s.KillRegion(West); err != nil {
		t.Fatal(err)
	}
	if err := young.Control("promote", "--wait"); err != nil {
		t.Fatal(err)
	}
	wait(t, "writes at the new active", func() bool { return acked(w.Log(), Central, Central, fault) > 5 })
	log, err := w.Stop()
	if err != nil {
		t.Fatal(err)
	}
	now, err := young.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := CompareLost(Story{Group: g.Name, Old: g.Primary(), New: g.Recovery(), Fault: fault}, log, now, lostLog(t, s, old, young))
	if !a.Equal() || len(a.Lost) < 20 {
		t.Errorf("lost %d, in doubt %d, the log has %d: %v", len(a.Lost), len(a.Doubt), a.Said.Commits, a.Bad)
	}
	c := FollowCourse(g.Name, log, 0, now)
	if bad := c.Check(a.Lost, g.Primary(), g.Recovery()); len(bad) > 0 {
		t.Error(bad)
	}
	if len(c.Missing) != len(a.Lost) {
		t.Errorf("%d of the course are missing, %d of the story", len(c.Missing), len(a.Lost))
	}
}

// lostLog reads what one server had written after the other one's timeline forked off.
func lostLog(t *testing.T, s *Stage, old, young *Server) *events.LostLog {
	t.Helper()
	history, err := os.ReadFile(filepath.Join(young.Data, "pg_wal", "00000002.history"))
	if err != nil {
		t.Fatal(err)
	}
	fork := regexp.MustCompile(`(?m)^1\t([0-9A-F]+/[0-9A-F]+)`).FindSubmatch(history)
	if fork == nil {
		t.Fatalf("no fork in %q", history)
	}
	cmd := exec.Command(filepath.Join(s.bin, "pg_waldump"), "-p", filepath.Join(old.Data, "pg_wal"), "-t", "1", "-s", string(fork[1]), "-r", "Transaction")
	out, _ := cmd.Output() // ends with an error where the log does
	lost := &events.LostLog{Timeline: 1}
	for _, m := range regexp.MustCompile(`tx: +(\d+),.*desc: COMMIT`).FindAllSubmatch(out, -1) {
		id, _ := strconv.ParseUint(string(m[1]), 10, 64)
		lost.List = append(lost.List, events.LostCommit{XID: id})
		lost.Commits++
	}
	return lost
}

// TestUnit kills a server and has its unit start it; killed again and again it gives up, as systemd does. A client that hammers it gets in.
func TestUnit(t *testing.T) {
	t.Parallel()
	s := bare(t, true)
	v := s.Server(s.Groups()[0].Primary())
	gave := make(chan error, 1)
	if err := v.Kill(); err != nil {
		t.Fatal(err)
	}
	go func() { gave <- v.Unit(t.Context()) }()
	wait(t, "the unit has started it", func() bool { _, err := v.SQL(t.Context(), "SELECT 1"); return err == nil })
	for range unitBurst {
		wait(t, "it runs, or the unit gave up", func() bool { found, err := v.PIDs(""); return err == nil && (len(found) > 0 || len(gave) > 0) })
		if err := v.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-gave:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the unit does not give up")
	}
}
