package guard

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

func TestReadHeld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mark := filepath.Join(dir, "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cs := []Cluster{{Cluster: "r1/active"}, {Cluster: "r1/observed"}, {Cluster: "r1/passive"}, {Cluster: "r1/marked"}, {Cluster: "r1/unmanaged"}}
	for i := range 4 {
		cs[i].Tree.Mark = mark
	}
	cs[4].Tree.Mark = filepath.Join(dir, "no mark")
	path := filepath.Join(dir, "ledger")
	none := []lease.Guarded{
		{Cluster: "r1/active", Held: true}, {Cluster: "r1/observed", Held: true}, {Cluster: "r1/passive", Held: true}, {Cluster: "r1/marked", Held: true}, {Cluster: "r1/unmanaged"},
	}
	wantHeld(t, "no ledger", path, cs, none, nil)
	f, err := ledger.Open[lease.Ledger](path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ref := func(name string) events.Ref { return events.Ref{Region: "r1", Cluster: name} }
	err = f.Save(lease.Ledger{Entries: []lease.Entry{
		{Cluster: ref("active"), Role: events.RoleActive, Mode: events.ModeAuto},
		{Cluster: ref("observed"), Role: events.RoleActive, Mode: events.ModeObserve},
		{Cluster: ref("passive"), Role: events.RolePassive, Mode: events.ModeAuto},
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantHeld(t, "ledger", path, cs, []lease.Guarded{
		{Cluster: "r1/active", Held: true}, {Cluster: "r1/observed", Held: true, Exempt: true}, {Cluster: "r1/passive"}, {Cluster: "r1/marked", Held: true}, {Cluster: "r1/unmanaged"},
	}, nil)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, "corrupt ledger", path, cs, none, ledger.ErrCorrupt)
}

func wantHeld(t *testing.T, name, path string, cs []Cluster, want []lease.Guarded, wantErr error) {
	t.Helper()
	got, err := ReadHeld(path, path+".overrides", cs)
	if !errors.Is(err, wantErr) || len(got) != len(want) {
		t.Fatalf("%s: %v, %v", name, got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: got %+v, want %+v", name, got[i], want[i])
		}
	}
}
