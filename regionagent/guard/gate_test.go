package guard

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// TestGateRows has a case for every row of the gate.
func TestGateRows(t *testing.T) {
	t.Parallel()
	active := &lease.Entry{Role: events.RoleActive, Mode: events.ModeAuto}
	hit := map[string]bool{}
	for _, c := range []struct {
		facts gateFacts
		want  Passage
	}{
		{gateFacts{}, Passage{Row: "gate.unmanaged", Alone: true}},
		{gateFacts{lost: errors.New("corrupt")}, Passage{Row: "gate.unmanaged", Alone: true}},
		{gateFacts{marked: true}, Passage{Row: "gate.ledger-lost", Closed: true}},
		{gateFacts{entry: &lease.Entry{Released: true}}, Passage{Row: "gate.released", Alone: true}},
		{gateFacts{entry: &lease.Entry{Role: events.RoleActive, Mode: events.ModeObserve}}, Passage{Row: "gate.observe", Alone: true}},
		{gateFacts{entry: &lease.Entry{Role: events.RolePassive, Primary: true, Mode: events.ModeObserve}}, Passage{Row: "gate.observe", Alone: true}},
		{gateFacts{entry: &lease.Entry{Role: events.RoleActive, Primary: true, Mode: events.ModeObserve}}, Passage{Row: "gate.observe-active", Alone: true, Bare: true}},
		{gateFacts{entry: &lease.Entry{Role: events.RolePassive, Mode: events.ModeAuto}}, Passage{Row: "gate.passive", Closed: true}},
		{gateFacts{entry: active}, Passage{Row: "gate.permit"}},
		{gateFacts{entry: active, refuse: "no permit"}, Passage{Row: "gate.no-permit", Closed: true}},
		{gateFacts{entry: &lease.Entry{Role: events.RoleActive, Mode: events.ModeAuto, Isolation: events.IsolationKeepRunning}, refuse: "no permit"}, Passage{Row: "gate.no-permit", Closed: true}},
	} {
		got := c.facts.pass()
		hit[got.Row] = true
		if got.Row != c.want.Row || got.Closed != c.want.Closed || got.Alone != c.want.Alone || got.Bare != c.want.Bare || got.Why == "" {
			t.Errorf("%+v: %+v, want %+v and a reason", c.facts, got, c.want)
		}
	}
	for _, g := range gates {
		if !hit[g.id] {
			t.Errorf("row %s has no case", g.id)
		}
	}
}

// gated is an active under care on a disk of its own.
func gated(t *testing.T) (ledgerFile, permitFile string, c Cluster) {
	t.Helper()
	dir := t.TempDir()
	c = Cluster{Cluster: "r1/c", Tree: driver.Tree{Signal: filepath.Join(dir, "standby.signal"), Mark: filepath.Join(dir, "mark")}}
	ledgerFile = filepath.Join(dir, "ledger")
	f, err := ledger.Open[lease.Ledger](ledgerFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ref := events.Ref{Region: "r1", Cluster: "c"}
	if err := f.Save(lease.Ledger{Entries: []lease.Entry{{Cluster: ref, Group: "g", Seen: 1, Role: events.RoleActive, Mode: events.ModeAuto}}}); err != nil {
		t.Fatal(err)
	}
	return ledgerFile, filepath.Join(dir, "permit"), c
}

// An active that is observed from now on was gated until then: its unit brings it up writable again, as if nobody had ever cared for it.
func TestObservedActiveIsBared(t *testing.T) {
	t.Parallel()
	led, permitFile, c := gated(t)
	if p, err := Gate(led, permitFile, c); err != nil || !p.Closed {
		t.Fatalf("%+v, %v: want it closed", p, err)
	}
	f, err := ledger.Open[lease.Ledger](led)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Save(lease.Ledger{Entries: []lease.Entry{{Cluster: events.Ref{Region: "r1", Cluster: "c"}, Group: "g", Seen: 1, Role: events.RoleActive, Primary: true, Mode: events.ModeObserve}}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, err := Gate(led, permitFile, c)
		if _, stat := os.Stat(c.Tree.Signal); err != nil || !p.Bare || !errors.Is(stat, os.ErrNotExist) {
			t.Fatalf("%+v, %v, signal file: %v", p, err, stat)
		}
	}
}

func TestPermitLetsOneStartThrough(t *testing.T) {
	t.Parallel()
	led, permitFile, c := gated(t)
	if err := GivePermit(permitFile, c.Cluster, boottime.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"gate.permit", "gate.no-permit"} {
		p, err := Gate(led, permitFile, c)
		_, statErr := os.Stat(c.Tree.Signal)
		if placed := statErr == nil; err != nil || p.Row != want || placed != p.Closed || placed != (i == 1) {
			t.Fatalf("start %d: %+v, %v, signal file in place %v: want %s", i+1, p, err, placed, want)
		}
	}
}

func TestPermitThatLetsNothingThrough(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(file, cluster string) error{
		"a right that is over": func(f, c string) error { return GivePermit(f, c, boottime.Now()) },
		"another cluster's":    func(f, _ string) error { return GivePermit(f, "r1/d", boottime.Now().Add(time.Hour)) },
		"another boot's": func(f, c string) error {
			return os.WriteFile(f, []byte(`{"boot":"x","cluster":"`+c+`","until":9000000000000000000}`), 0o600)
		},
		"garbage": func(f, _ string) error { return os.WriteFile(f, []byte("yes"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			led, permitFile, c := gated(t)
			if err := give(permitFile, c.Cluster); err != nil {
				t.Fatal(err)
			}
			if p, err := Gate(led, permitFile, c); err != nil || !p.Closed {
				t.Fatalf("%+v, %v: want it closed", p, err)
			}
			if _, err := os.Stat(permitFile); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the permit is still there (%v)", err)
			}
		})
	}
}

func TestGateThatCantPlaceItsFileStartsNothing(t *testing.T) {
	t.Parallel()
	led, permitFile, c := gated(t)
	c.Tree.Signal = filepath.Join(t.TempDir(), "gone", "standby.signal")
	if p, err := Gate(led, permitFile, c); err == nil {
		t.Fatalf("%+v and no error", p)
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gates")
	var gates sync.WaitGroup // of a host that boots: all at once
	for range 3 {
		gates.Go(func() {
			if err := CountRefusal(file, "r1/c", Passage{Row: "gate.no-permit", Why: "w"}); err != nil {
				t.Error(err)
			}
		})
	}
	gates.Wait()
	if got, err := ReadRefusals(file); err != nil || got["r1/c"].Count != 3 || got["r1/c"].Row != "gate.no-permit" {
		t.Fatalf("%+v, %v: want 3", got, err)
	}
}
