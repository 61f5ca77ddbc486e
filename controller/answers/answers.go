// Package answers is what the leader answers to queries, as it stands on the bus: switchback.q.status, .groups, .group, .would, .why, .report, .rollouts, .rollout and .tasks. Surfaces read it.
package answers

import (
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Query names what a query is about. A query takes some of it.
type Query struct {
	Group     string       `json:"group,omitempty"`
	Region    string       `json:"region,omitempty"`
	Cluster   string       `json:"cluster,omitempty"` // region/cluster
	Operation string       `json:"operation,omitempty"`
	Match     string       `json:"match,omitempty"`   // substring of a group's name
	Show      string       `json:"show,omitempty"`    // only groups of one of Shows
	Sort      string       `json:"sort,omitempty"`    // order of groups, see List; empty = by name
	Project   string       `json:"project,omitempty"` // only groups of this project
	Kind      events.Kind  `json:"kind,omitempty"`    // only groups of this kind
	Named     []string     `json:"named,omitempty"`   // only groups with a cluster of one of these names, in whatever region
	After     string       `json:"after,omitempty"`   // groups come in order, after this one
	Limit     int          `json:"limit,omitempty"`   // at most so many; 0 = 500
	Rollout   string       `json:"rollout,omitempty"` // or a plan's id
	From      int          `json:"from,omitempty"`    // its moves from this one on
	Asks      []events.Ask `json:"asks,omitempty"`    // would: these

	Projects []string         `json:"projects,omitempty"` // as who may see these alone is answered; empty = everything
	Class    events.TaskClass `json:"class,omitempty"`    // tasks: of this class only
	DAG      string           `json:"dag,omitempty"`      // tasks: of this DAG only
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
	Total  int               `json:"total"`            // groups of the list, on all pages
	First  int               `json:"first"`            // place of the first of Groups in it, from 0
	Counts map[string]int    `json:"counts,omitempty"` // of each of Shows, and of all ("")
}

// Why is the answer to q.why.
type Why struct {
	Rule    string            `json:"rule"`
	Why     string            `json:"why"`
	Facts   []events.Fact     `json:"facts"`
	History []events.Envelope `json:"history"` // newest last
}

// Would is the answer to q.would: what each of Asks would be answered now, in order. Nothing is asked, stored or told.
type Would struct {
	Items []events.AnswerItem `json:"items"`
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

// Tasks is the answer to q.tasks: the newest ledger of each group, or one ledger and some of its entries, in order of their names.
type Tasks struct {
	Ledgers []Ledger           `json:"ledgers"`
	Entries []events.TaskEntry `json:"entries"`
	More    bool               `json:"more"`
}

// Ledger is one ledger of tasks.
type Ledger struct {
	Group   string             `json:"group"`
	Cluster events.Ref         `json:"cluster"` // whose agent keeps it
	Policy  *events.TaskPolicy `json:"policy,omitempty"`
	Summary events.TaskSummary `json:"summary"`
	Missing int                `json:"missing,omitempty"` // pieces that are not on the bus
}
