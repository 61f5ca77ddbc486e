package aiven

import (
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// stateOf is a cluster's state as Aiven's clients wait for it. It is the fleet's own, but for three things: what is being made active is REBALANCING from the moment
// that is decided; a demoted active that is not back yet is REBALANCING, not off, or `service wait` would see a healthy swap as a lost peer; and what nobody has heard of lately is
// UNKNOWN, whatever its last word was.
func stateOf(g *fleet.GroupView, c *fleet.ClusterView) events.State {
	r := g.Record
	if r == nil || r.Gone != "" || c.Role == events.RoleFailed || c.State == events.StateRebuilding {
		return c.State
	}
	op := r.Op
	switch {
	case r.Running() && op.To == c.Cluster && c.Role == events.RolePassive:
		return events.StateRebalancing
	case op != nil && swaps(op) && op.From == c.Cluster && c.Role == events.RolePassive && c.State != events.StateRunning && c.Silent == 0 && (op.Ended == "" || op.Ended == "done" && op.Protected == 0):
		return events.StateRebalancing
	case c.Silent > 0:
		return events.StateUnknown
	}
	return c.State
}

// roleOf is a cluster's role; "" while its group is under nobody's care.
func roleOf(g *fleet.GroupView, c *fleet.ClusterView) events.Role {
	if g.Record == nil || g.Record.Gone != "" {
		return events.RoleNone
	}
	return c.Role
}

func swaps(op *events.Operation) bool {
	return op.Verb == events.AskSwitchover || op.Verb == events.AskFailback || op.Verb == events.AskDrill
}

// busy names the operation of a group that is under way: a move, a restore, a restart, what waits for a restore, or a drill between its halves; "" if none is.
func busy(g *fleet.GroupView) string {
	if g.Record == nil {
		return ""
	}
	for _, op := range g.Record.Operations() {
		if op.Ended == "" {
			return op.ID
		}
	}
	if g.Record.Drill.Running() {
		return g.Record.Drill.ID
	}
	return ""
}

// NodeState is one server of a service: here its only one.
type NodeState struct {
	Name             string     `json:"name"`
	State            string     `json:"state"`
	Role             string     `json:"role,omitempty"`
	AvailabilityZone string     `json:"availability_zone"`
	ProgressUpdates  []Progress `json:"progress_updates"`
}

// Progress is how far one phase of a rebuild got.
type Progress struct {
	Phase     string `json:"phase"`
	Completed bool   `json:"completed"`
	Min       *int64 `json:"min"`
	Current   *int64 `json:"current"`
	Max       *int64 `json:"max"`
	Unit      string `json:"unit,omitempty"`
}

// The phases that Aiven's clients know, in their order.
var phases = []string{"prepare", "basebackup", "stream", "finalize"}

// phaseOf says which of them a phase of a restore belongs to.
var phaseOf = map[string]int{
	"analyse": 0, "count": 0, "recover": 0,
	"rewind": 1, "copy": 1, "verify": 1,
	"start": 2, "catch-up": 2,
}

// bytesUnit is the unit of a restore's progress.
const bytesUnit = "bytes_uncompressed"

func nodeState(p place) NodeState {
	n := NodeState{Name: p.name, State: "unknown", AvailabilityZone: p.Cluster.Region, ProgressUpdates: progress(p.Work)}
	switch stateOf(p.group, p.ClusterView) {
	case events.StateRunning:
		n.State = "running"
	case events.StateRebuilding:
		n.State = "syncing_data"
	case events.StateRebalancing:
		n.State = "setting_up_vm"
	case events.StatePoweroff:
		n.State = "leaving"
	}
	switch p.Role {
	case events.RoleActive:
		n.Role = "master"
	case events.RolePassive:
		n.Role = "standby"
	}
	return n
}

// progress tells a restore in the phases that the clients know: those before are over, the one under way has its bytes.
func progress(w *events.Work) []Progress {
	all := []Progress{}
	if w == nil {
		return all
	}
	at, known := phaseOf[w.Phase]
	if !known {
		return all
	}
	for i, name := range phases[:at+1] {
		x := Progress{Phase: name, Completed: i < at}
		if i == at {
			zero, done := int64(0), w.Done
			x.Min, x.Current, x.Unit = &zero, &done, bytesUnit
			if w.Total > 0 {
				total := w.Total
				x.Max = &total
			}
		}
		all = append(all, x)
	}
	return all
}
