package stage

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestCut cuts one way of one cable: a connection fails in either direction, since answers are lost too, and nobody else notices.
func TestCut(t *testing.T) {
	t.Parallel()
	s := bare(t, false)
	isolates(t, s)
	g := s.Groups()[0]
	reaches := func(from string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		c, err := s.net.dial(from)(ctx, "tcp", s.Server(g.Primary()).Address())
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	received := func() string {
		rows, err := s.Server(g.Recovery()).SQL(t.Context(), "SELECT pg_last_wal_receive_lsn()")
		if err != nil {
			t.Fatal(err)
		}
		return rows[0][0]
	}
	for _, way := range [][2]string{{Central, West}, {West, Central}} {
		if err := s.Cut(way[0], way[1]); err != nil {
			t.Fatal(err)
		}
		if reaches(Central) || !reaches(North) || !reaches(Outside) {
			t.Errorf("%v cut: reached from Central %v, North %v, outside %v; want only the last two", way, reaches(Central), reaches(North), reaches(Outside))
		}
		if err := s.Mend(way[0], way[1]); err != nil {
			t.Fatal(err)
		}
		wait(t, "the way is mended", func() bool { return reaches(Central) })
	}
	before := received()
	if _, err := s.Server(g.Primary()).SQL(t.Context(), "INSERT INTO writes VALUES ('t', 1, 1, 't')"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the standby receives again", func() bool { return received() != before })
}

// TestHalt stops servers, postmasters and a whole host, and lets them go on.
func TestHalt(t *testing.T) {
	t.Parallel()
	s := bare(t, false)
	w, err := s.StartWriters()
	if err != nil {
		t.Fatal(err)
	}
	p := s.StartProbes()
	v := s.Server(s.Groups()[0].Primary())
	fresh := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := v.SQL(ctx, "SELECT 1")
		return err == nil
	}
	writes := func() func() bool {
		since := Clock()
		return func() bool { return acked(w.Log(), West, West, since) > 5 }
	}
	wait(t, "the writers write and the probes hear", func() bool { return acked(w.Log(), West, West, 0) > 5 && len(p.Log()) > 5 })
	for _, x := range []struct {
		name string
		halt func() (Halted, error)
		goes bool // sessions go on meanwhile
	}{
		{"servers", func() (Halted, error) { return s.HaltServers(West, "") }, false},
		{"postmasters", func() (Halted, error) { return s.HaltPostmasters(West) }, true},
		{"host", func() (Halted, error) { return s.HaltHost(West) }, false},
	} {
		h, err := x.halt()
		if err != nil || len(h) == 0 || len(h) == 1 != x.goes {
			t.Fatalf("%s: halted %v, %v", x.name, h, err)
		}
		halted, heard := Clock(), len(p.Log())
		if fresh() {
			t.Errorf("%s halted, and a new session is let in", x.name)
		}
		if x.goes {
			wait(t, "old sessions go on", writes())
		} else if n := acked(w.Log(), West, West, halted); n > 0 || len(p.Log()) > heard+1 {
			t.Errorf("%s halted, and %d writes were acknowledged, %d probes answered", x.name, n, len(p.Log())-heard)
		}
		if err := h.Resume(); err != nil {
			t.Fatal(err)
		}
		wait(t, x.name+" go on", writes())
		wait(t, x.name+" let new sessions in", fresh)
	}
	for _, x := range p.Log() {
		if x.Server != v.Ref || x.Answered < x.Sent {
			t.Fatalf("%+v: the standby is not writable", x)
		}
	}
	p.Stop()
	if _, err := w.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestDisk fills the file system of one server, and finds nothing of it mounted afterwards.
func TestDisk(t *testing.T) {
	t.Parallel()
	s, err := Build(t.Context(), Options{Groups: Groups(1), Bare: true, Disks: true})
	if errors.Is(err, ErrNoDisks) {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := s.Dir()
	defer s.Close()
	v := s.Server(s.Groups()[0].Primary())
	big := "INSERT INTO writes SELECT 't', n, 1, repeat('x', 1000) FROM generate_series(1, 20000) n"
	if err := v.FillDisk(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.SQL(t.Context(), big); err == nil || !strings.Contains(err.Error(), "No space left") && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("written to a full disk: %v", err)
	}
	if err := v.FreeDisk(); err != nil {
		t.Fatal(err)
	}
	_ = v.Kill() // it may have ended by itself, or stand in the middle of doing so
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.SQL(t.Context(), big); err != nil {
		t.Errorf("written to a disk that was freed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("something is still mounted below %s: %v", dir, err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}
