package sim

import (
	flags "flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flags.Bool("update", false, "record anew which rows the scenarios reach")

// checkScenarioRows checks that the scenarios reach every row of every table, whatever luck seeds have, and that the list of what they reach says so.
func checkScenarioRows(t *testing.T, reached map[string]int) {
	var known []string
	for _, table := range Tables() {
		known = append(known, table.Rows...)
	}
	rows := slices.DeleteFunc(slices.Sorted(maps.Keys(reached)), func(id string) bool { return !slices.Contains(known, id) })
	if *update {
		if err := os.WriteFile("scenario_rows.txt", []byte(strings.Join(rows, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, id := range known {
		if !slices.Contains(rows, id) {
			t.Errorf("no scenario reaches row %s: write one that does, or remove the row if nothing can reach it", id)
		}
	}
	if !slices.Equal(rows, ByScenario()) {
		t.Error("scenario_rows.txt is not what the scenarios reach: -update it")
	}
}

// TestTablesNameEachRowOnce: a row counted under another's name would hide that it is never reached.
func TestTablesNameEachRowOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, table := range Tables() {
		if len(table.Rows) == 0 {
			t.Errorf("table %s has no rows", table.Name)
		}
		for _, id := range table.Rows {
			if other, ok := seen[id]; ok {
				t.Errorf("row %s stands in %s and in %s", id, other, table.Name)
			}
			seen[id] = table.Name
		}
	}
}
