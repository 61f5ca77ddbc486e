// Package answers is what the leader answers to queries, as it stands on the bus: switchback.q.status, .groups, .group, .why, .report, .rollouts and .rollout. Surfaces read it.
package answers

import (
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Query names what a query is about. A query takes some of it.
type Query struct {
	Group     string `json:"group,omitempty"`
	Region    string `json:"region,omitempty"`
	Cluster   string `json:"cluster,omitempty"` // region/cluster
	Operation string `json:"operation,omitempty"`
	Match     string `json:"match,omitempty"`   // substring of a group's name
	After     string `json:"after,omitempty"`   // groups come in order of name, after this one
	Limit     int    `json:"limit,omitempty"`   // at most so many; 0 = 500
	Rollout   string `json:"rollout,omitempty"` // or a plan's id
	From      int    `json:"from,omitempty"`    // its moves from this one on
}

// Status is the answer to q.status.
type Status struct {
	Leader      string            `json:"leader"`
	Term        events.Seq        `json:"term"`
	Bus         map[string]bool   `json:"bus"`
	View        fleet.View        `json:"view"` // without groups
	Needs       []fleet.GroupView `json:"needs"`
	Unprotected int               `json:"unprotected"`
	Groups      int               `json:"groups"`
}

// Groups is the answer to q.groups.
type Groups struct {
	Groups []fleet.GroupView `json:"groups"`
	More   bool              `json:"more"`
}

// Why is the answer to q.why.
type Why struct {
	Rule    string            `json:"rule"`
	Why     string            `json:"why"`
	Facts   []events.Fact     `json:"facts"`
	History []events.Envelope `json:"history"` // newest last
}

// Report is the answer to q.report.
type Report struct {
	Group     string           `json:"group"`
	Operation events.Operation `json:"operation"`
}

// Rollouts is the answer to q.rollouts: plans and rollouts, the newest first.
type Rollouts struct {
	Rollouts []events.Rollout `json:"rollouts"`
}

// Rollout is the answer to q.rollout: one, and some of its moves in order.
type Rollout struct {
	Rollout events.Rollout `json:"rollout"`
	Moves   []events.Move  `json:"moves"`
	More    bool           `json:"more"`
}
