package sim

import (
	_ "embed"
	"maps"
	"slices"
	"strings"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// Table is one decision table: the ids of its rows, in order, as a run counts them.
type Table struct {
	Name string
	Rows []string
}

// Tables lists every decision table that runs drive. Those of rollouts have scenarios of their own, which reach every row of them: controller/rollout, TestScenarios.
func Tables() []Table {
	ts := []Table{{Name: "moves"}, {Name: "upkeep"}, {Name: "verdicts"}, {Name: "permits"}, {Name: "agent"}, {Name: "halts", Rows: decide.HaltRows()}}
	for _, r := range decide.Rows() {
		i := slices.IndexFunc(ts, func(t Table) bool { return t.Name == r.Table })
		if r.ID != "wait.permit" && r.ID != "halt" { // they take the id of the permit's row, and of the halt
			ts[i].Rows = append(ts[i].Rows, r.ID)
		}
	}
	verdicts, permits := gate.Rows()
	for _, r := range verdicts {
		ts[2].Rows = append(ts[2].Rows, r.ID)
	}
	for _, r := range permits {
		ts[3].Rows = append(ts[3].Rows, r.ID)
	}
	for _, id := range lease.Rows() {
		ts[4].Rows = append(ts[4].Rows, "agent."+id)
	}
	return ts
}

// reached counts how often each row fired, as tables name it.
func (w *World) reached() map[string]int {
	rows := maps.Clone(w.rows)
	for id, n := range w.agentRows {
		rows["agent."+id] += n
	}
	return rows
}

//go:embed scenario_rows.txt
var scenarioRows string

// ByScenario lists the rows that scenarios of testdata reach, whatever seeds do; a test of the scenarios keeps the list true.
func ByScenario() []string { return strings.Fields(scenarioRows) }
