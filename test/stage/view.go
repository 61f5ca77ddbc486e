package stage

import (
	"fmt"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// GroupView is a group as the leader shows it.
type GroupView struct{ fleet.GroupView }

// ready says that the group is under care and its passive could be promoted.
func (v GroupView) ready() bool {
	if v.Record == nil || v.Record.Phase != events.PhaseActive || !v.Protected {
		return false
	}
	for _, c := range v.Clusters {
		if c.Role == events.RolePassive && c.Fit != "" || c.Epoch != v.Record.Epoch {
			return false
		}
	}
	return true
}

// Cluster is one of its clusters; the zero one if it has no such.
func (v GroupView) Cluster(ref events.Ref) fleet.ClusterView {
	for _, c := range v.Clusters {
		if c.Cluster == ref {
			return c
		}
	}
	return fleet.ClusterView{}
}

// Home says what is missing until the group is home: active where it belongs, and whole. Empty = it is.
func (v GroupView) Home() string {
	if v.Record != nil && v.Active() != v.Config.Primary {
		return "active is " + v.Active().String() + ": " + v.Why
	}
	return v.Whole()
}

// Whole says what is missing until the group is whole, wherever it is active: every other cluster follows, and nothing is under way. Empty = nothing.
func (v GroupView) Whole() string {
	r := v.Record
	switch {
	case r == nil:
		return "nobody knows it"
	case r.Phase != events.PhaseActive || r.Running() || r.Next != nil:
		return "an operation is under way: " + v.Why
	case !v.Protected:
		return "it is not protected: " + v.Why
	}
	for _, c := range v.Clusters {
		if c.Role == events.RoleFailed || c.Op != "" || c.Role == events.RolePassive && c.Fit != "" {
			return fmt.Sprintf("%s is %s, %s %s %s %s %s", c.Cluster, c.Role, c.Server, c.Op, c.Hold, c.Fit, c.Error)
		}
	}
	return ""
}

// Active is the cluster the record calls active.
func (v GroupView) Active() events.Ref {
	if v.Record == nil {
		return events.Ref{}
	}
	return v.Record.Active
}
