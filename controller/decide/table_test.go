package decide

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/controller/gate"
)

var update = flag.Bool("update", false, "write TABLE.md anew")

// table renders every table of decisions for people.
func table() string {
	var b strings.Builder
	b.WriteString("# Decisions\n\nGenerated from the tables in the code (`go test ./controller/decide -update`); checked by `make check`. First match wins, except in upkeep,\nwhere every row that matches is done.\n")
	verdicts, permits := gate.Rows()
	section := func(title, head string, n int) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n%s\n", title, head, "|"+strings.Repeat("---|", n))
	}
	section("Verdict on a region", "| # | row | verdict | sentence |", 4)
	for i, r := range verdicts {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", i+1, r.ID, r.Is, r.Why)
	}
	section("What stands in automation's way", "| # | row | sentence |", 3)
	for i, r := range permits {
		fmt.Fprintf(&b, "| %d | `%s` | %s |\n", i+1, r.ID, r.Why)
	}
	section("Halts", "| # | row | phase | when | sentence |", 5)
	for i, h := range halts {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s | %s |\n", i+1, h.id, h.phase, h.when, h.why)
	}
	for _, name := range []string{"moves", "upkeep"} {
		title := map[string]string{"moves": "Moves of a group", "upkeep": "Upkeep of a group"}[name]
		section(title, "| # | row | phase | when | sentence |", 5)
		n := 0
		for _, r := range Rows() {
			if r.Table == name {
				n++
				fmt.Fprintf(&b, "| %d | `%s` | %s | %s | %s |\n", n, r.ID, r.Phase, r.When, r.Why)
			}
		}
	}
	return b.String()
}

func TestTableIsUpToDate(t *testing.T) {
	want := table()
	if *update {
		if err := os.WriteFile("TABLE.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("TABLE.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatal("TABLE.md is not what the tables say: go test ./controller/decide -update")
	}
}

func TestTablesAreWellFormed(t *testing.T) {
	t.Parallel()
	phases := map[string]bool{"none": true, "gone": true, "active": true, "fencing": true, "proved": true, "any": true, "every": true}
	seen := map[string]bool{}
	last := map[string]string{}
	for _, rows := range [][]row{moves[:], upkeeps[:]} {
		for i := range rows {
			r := &rows[i]
			if seen[r.id] {
				t.Errorf("row %s stands twice", r.id)
			}
			seen[r.id] = true
			if !phases[r.phase] {
				t.Errorf("row %s is of phase %q: want one of %v", r.id, r.phase, phases)
			}
			if r.when == "" || r.is == nil {
				t.Errorf("row %s has no condition, or none in words", r.id)
			}
			if r.why == "" && r.do == nil {
				t.Errorf("row %s says nothing", r.id)
			}
			last[r.phase] = r.id
		}
	}
	for phase, want := range map[string]string{"none": "birth", "active": "failover.agent-silent", "fencing": "wait.stop", "proved": "wait.cut"} {
		var got string
		for i := range moves {
			if moves[i].phase == phase {
				got = moves[i].id
			}
		}
		if got != want {
			t.Errorf("the last row of phase %s is %s: want %s, which matches whatever is left", phase, got, want)
		}
	}
}
