package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/config"
)

const twoGroups = `
groups:
  orders: {kind: postgres, primary: eu-west-1/orders-a, recovery: [eu-central-1/orders-b], mode: observe}
  billing: {kind: postgres, primary: eu-west-1/billing-a, recovery: [eu-central-1/billing-b]}
`

func fleetFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configured reads a group's stored configuration.
func (s *testSite) configured(group string) (g events.GroupConfig, seq events.Seq) {
	s.t.Helper()
	m, err := s.bus.Last(s.t.Context(), events.StreamConfig, events.SubjectGroup(group))
	if err != nil {
		s.t.Fatal(err)
	}
	if m == nil {
		return g, 0
	}
	if err := json.Unmarshal(m.Data, &g); err != nil {
		s.t.Fatal(err)
	}
	return g, m.Seq
}

func TestApply(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("diff", "-f", fleetFile(t, twoGroups)).want(t, 0, "orders  new", "3 to change: nothing was written")
	s.run("apply", "--dry-run", "-f", fleetFile(t, twoGroups)).want(t, 0, "billing  new", "nothing was written")
	if _, seq := s.configured("orders"); seq != 0 {
		t.Fatal("a dry run wrote")
	}
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, 0, "(fleet)  new", "orders  new", "billing  new")
	_, first := s.configured("orders")
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, 0, "(fleet)  same", "orders  same", "billing  same")
	if _, again := s.configured("orders"); again != first || first == 0 {
		t.Fatalf("what is the same was written again: revision %d, then %d", first, again)
	}
	auto := strings.Replace(twoGroups, "observe", "auto", 1)
	s.run("apply", "-f", fleetFile(t, auto)).want(t, 0, "orders  changed", `mode: "observe" → "auto"`, "billing  same")
	if g, _ := s.configured("orders"); g.Mode != events.ModeAuto {
		t.Fatalf("stored %+v", g)
	}
	s.run("diff", "-f", fleetFile(t, auto+"automation: {max_regions_out: 2}\n"), "-o", "json").want(t, 0, `"field": "max_regions_out"`, `"old": "1"`)
}

// A group that the file no longer names gets a tombstone, after somebody confirmed it, and can come back.
func TestApplyRemoves(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, 0)
	one := fleetFile(t, strings.Join(strings.Split(twoGroups, "\n")[:3], "\n"))
	s.run("apply", "-f", one).want(t, exitUsage, "billing is not in the file", "want --yes")
	s.as(person{types: "orders\n"}, "apply", "-f", one).want(t, exitFailed, "nothing was done")
	if g, _ := s.configured("billing"); g.Removed {
		t.Fatal("removed although nobody confirmed it")
	}
	renamed := fleetFile(t, strings.Replace(twoGroups, "billing:", "accounts:", 1))
	s.as(person{types: "billing\n"}, "apply", "-f", renamed).want(t, 0, "billing  removed", "accounts  new", "orders  same")
	_, gone := s.configured("billing")
	if _, born := s.configured("accounts"); born < gone {
		t.Errorf("its clusters were given away (revision %d) before they were let go (%d)", born, gone)
	}
	s.run("apply", "--yes", "-f", one).want(t, 0, "accounts  removed")
	g, seq := s.configured("billing")
	if !g.Removed || g.Primary.Cluster != "billing-a" {
		t.Fatalf("want a tombstone that still says what it was: %+v", g)
	}
	r := s.run("apply", "-f", one)
	r.want(t, 0)
	if _, again := s.configured("billing"); again != seq || strings.Contains(r.out, "billing") || strings.Contains(r.out, "accounts") {
		t.Fatalf("removed twice:\n%s", r.out)
	}
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, 0, "billing  new")
	if g, _ := s.configured("billing"); g.Removed {
		t.Fatal("it did not come back")
	}
	s.run("apply", "-f", fleetFile(t, "groups: {}\n")).want(t, exitUsage, "2 groups are not in the file")
}

// What somebody else changed since it was read is not overwritten, and nothing else of the file is written either.
func TestApplyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, 0)
	_, before := s.configured("billing")
	want, err := config.ParseFleet("fleet.yaml", []byte(strings.ReplaceAll(strings.Replace(twoGroups, "observe", "auto", 1), "billing-b]", "billing-b], mode: manual")))
	if err != nil {
		t.Fatal(err)
	}
	cs, err := readChanges(t.Context(), s.bus, want)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := s.configured("orders")
	other.Priority = 7
	s.store(events.StreamConfig, events.SubjectGroup("orders"), other)
	err = cs.write(t.Context(), s.bus)
	if !errors.Is(err, bus.ErrWrongSequence) || !strings.Contains(err.Error(), "nothing was written") {
		t.Fatalf("got %v", err)
	}
	if _, after := s.configured("billing"); after != before {
		t.Error("half of the file was written")
	}
	if g, _ := s.configured("orders"); g.Priority != 7 {
		t.Error("somebody else's change was overwritten")
	}
}

// More groups than one batch holds.
func TestApplyMany(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var b strings.Builder
	b.WriteString("groups:\n")
	for i := range 2100 {
		fmt.Fprintf(&b, "  g-%d: {kind: postgres, primary: r1/g-%d-a, recovery: [r2/g-%d-b]}\n", i, i, i)
	}
	file := fleetFile(t, b.String())
	s.run("apply", "-f", file).want(t, 0, "g-2099  new")
	r := s.run("diff", "-f", file)
	r.want(t, 0)
	if n := strings.Count(r.out, "same\n"); n != 2101 {
		t.Errorf("%d are the same, want 2100 groups and the fleet", n)
	}
}

// Once a group is under care its homes are what was recorded, and nothing is written of a file that says otherwise. Recovery clusters that are not active may
// go, and others come after them.
func TestApplyKeepsHomes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, 0)
	primary := strings.Replace(twoGroups, "eu-west-1/orders-a", "eu-north-1/orders-c", 1)
	second := strings.Replace(twoGroups, "[eu-central-1/orders-b]", "[eu-north-1/orders-c, eu-central-1/orders-b]", 1)
	moved := strings.Replace(twoGroups, "eu-central-1/orders-b", "eu-north-1/orders-c", 1)
	swapped := strings.NewReplacer("orders-b", "billing-b", "billing-b", "billing-c").Replace(twoGroups)
	s.run("diff", "-f", fleetFile(t, moved)).want(t, 0, "recovery: [") // not under care yet: a slip may be mended
	for _, g := range []string{"orders", "billing"} {
		c, _ := s.configured(g)
		r := events.Record{Group: g, Epoch: 1, Active: c.Recovery[0]}
		for _, x := range c.Clusters() {
			r.Members = append(r.Members, events.Member{Cluster: x})
		}
		s.store(events.StreamState, events.SubjectRecord(g), r)
	}
	_, before := s.configured("orders")
	s.run("apply", "-f", fleetFile(t, moved)).want(t, exitRefused, "nothing was written", "groups.orders: it is under care", "eu-central-1/orders-b is active")
	s.run("apply", "-f", fleetFile(t, primary)).want(t, exitRefused, "nothing was written", "its primary stays eu-west-1/orders-a")
	s.run("apply", "-f", fleetFile(t, second)).want(t, exitRefused, "nothing was written", "a new one comes last")
	s.run("apply", "-f", fleetFile(t, swapped)).want(t, exitRefused, "eu-central-1/billing-b is under care in group billing")
	if _, after := s.configured("orders"); after != before {
		t.Error("it was written")
	}
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, 0, "orders  same")
	third := strings.Replace(twoGroups, "[eu-central-1/orders-b]", "[eu-central-1/orders-b, eu-north-1/orders-c]", 1)
	s.run("apply", "-f", fleetFile(t, third)).want(t, 0, "orders")
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, 0, "orders")
}

func TestApplyBadFiles(t *testing.T) {
	t.Parallel()
	bad := fleetFile(t, "groups:\n  orders: {kind: postgrse, primary: eu-west-1, recovery: []}\n")
	person{}.run(t.Context(), "apply", "-f", bad, "--as", "alice").want(t, exitUsage, "fleet.yaml:2:", "did you mean postgres?", "want region/cluster", "the list is empty")
	person{}.run(t.Context(), "apply", "-f", "/nowhere.yaml", "--as", "alice").want(t, exitUsage, "no such file")
	person{}.run(t.Context(), "apply", "--as", "alice").want(t, exitUsage, "want -f FLEET.YAML")
	s := newSite(t)
	s.store(events.StreamConfig, events.SubjectGroup("orders"), "by hand")
	s.run("apply", "-f", fleetFile(t, twoGroups)).want(t, exitFailed, "switchback.cfg.group.orders at revision", "by hand")
}
