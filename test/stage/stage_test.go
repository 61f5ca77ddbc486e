package stage

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Enter()
	os.Exit(m.Run())
}

// bare builds servers and network only.
func bare(t *testing.T, shared bool) *Stage {
	t.Helper()
	s, err := Build(t.Context(), Options{Groups: Groups(1), Bare: true, Shared: shared})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dir := s.Dir()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, err := pids(dir); err != nil || len(left) > 0 {
			t.Errorf("processes %v are left: %v", left, err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	})
	return s
}

// wait polls until f holds.
func wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// acked counts the writes of a writer that a server acknowledged.
func acked(log []Write, writer, region string, since Instant) (n int) {
	for _, x := range log {
		if x.Acked != 0 && x.Writer == writer && x.Server.Region == region && x.Sent > since {
			n++
		}
	}
	return n
}

// TestIsolation cuts the home region off: its inside writer goes on, the outside one can't reach it, and a connection from it meets silence.
func TestIsolation(t *testing.T) {
	t.Parallel()
	s := bare(t, false)
	isolates(t, s)
	w, err := s.StartWriters()
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "both writers write", func() bool {
		return acked(w.Log(), West, West, 0) > 5 && acked(w.Log(), "outside", West, 0) > 5
	})
	if n := acked(w.Log(), Central, Central, 0); n != 0 {
		t.Errorf("the standby took %d writes", n)
	}
	if err := s.Isolate(West); err != nil {
		t.Fatal(err)
	}
	cut := Clock()
	wait(t, "the inside writer writes on", func() bool { return acked(w.Log(), West, West, cut) > 40 })
	if n := acked(w.Log(), "outside", West, cut); n != 0 {
		t.Errorf("%d writes from outside reached an isolated region", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if c, err := s.net.dial(Central)(ctx, "tcp", s.Server(s.Groups()[0].Primary()).Address()); err == nil {
		c.Close()
		t.Error("Central reaches an isolated region")
	} else if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
		t.Errorf("Central does not meet silence: %v", err)
	}
	if err := s.Heal(West); err != nil {
		t.Fatal(err)
	}
	healed := Clock()
	wait(t, "the outside writer is back", func() bool { return acked(w.Log(), "outside", West, healed) > 5 })
	if _, err := w.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAuditFindsTwoWriters promotes the standby while the home region is only cut off: the audit has to see both the loss and the two writers.
func TestAuditFindsTwoWriters(t *testing.T) {
	t.Parallel()
	s := bare(t, false)
	isolates(t, s)
	g := s.Groups()[0]
	w, err := s.StartWriters()
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "writes", func() bool { return acked(w.Log(), West, West, 0) > 5 })
	if err := s.Isolate(West); err != nil {
		t.Fatal(err)
	}
	cut := Clock()
	wait(t, "writes after the cut", func() bool { return acked(w.Log(), West, West, cut) > 10 })
	if err := s.Server(g.Recovery()).Control("promote", "--no-wait"); err != nil {
		t.Fatal(err)
	}
	wait(t, "writes on both sides", func() bool {
		return acked(w.Log(), Central, Central, cut) > 5 && acked(w.Log(), "outside", Central, cut) > 5 && acked(w.Log(), West, West, cut) > 20
	})
	log, err := w.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.KillRegion(West); err != nil {
		t.Fatal(err)
	}
	old, err := s.ReadDead(t.Context(), g.Primary())
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Audit(t.Context(), Story{Group: g.Name, Old: g.Primary(), New: g.Recovery(), Fault: cut}, log, old)
	if err != nil {
		t.Fatal(err)
	}
	if a.Both <= 0 || len(a.Lost) < 10 || a.OldOnly < len(a.Lost) || a.Serving <= 0 || a.LastOld <= 0 || len(a.Missing) != 0 {
		t.Errorf("the audit missed it: both %v from %v, lost %d of %d, old only %d, serving %v, last old %v, missing %d",
			a.Both, a.BothAt, len(a.Lost), a.Acked, a.OldOnly, a.Serving, a.LastOld, len(a.Missing))
	}
}

func isolates(t *testing.T, s *Stage) {
	t.Helper()
	if err := s.CanIsolate(); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
}

// TestSharedNetwork is what is left on a machine without namespaces: regions that can be killed, but not cut off.
func TestSharedNetwork(t *testing.T) {
	t.Parallel()
	a, b := bare(t, true), bare(t, true)
	if a.net.prefix == b.net.prefix {
		t.Fatalf("two stages share %s", a.net.prefix)
	}
	w, err := a.StartWriters()
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "both writers write", func() bool {
		return acked(w.Log(), West, West, 0) > 5 && acked(w.Log(), "outside", West, 0) > 5
	})
	if err := a.Isolate(West); !errors.Is(err, ErrNoIsolation) {
		t.Errorf("isolate: %v, want ErrNoIsolation", err)
	}
	if err := a.KillRegion(West); err != nil {
		t.Fatal(err)
	}
	if err := b.Server(b.Groups()[0].Primary()).Control("status"); err != nil {
		t.Errorf("killing a region of one stage hit another: %v", err)
	}
}
