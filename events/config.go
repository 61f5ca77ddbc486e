package events

import (
	"cmp"
	"slices"
)

// FleetConfig is `cfg.fleet`: what holds for the whole fleet.
type FleetConfig struct {
	Profile    string   `json:"profile"`
	Confirm    Duration `json:"confirm,omitempty"`   // 0 = the profile's
	MaxOut     int      `json:"max_regions_out"`     // more regions out at once wait for approval
	MaxPerHour int      `json:"max_groups_per_hour"` // 0 = no cap
	Approval   []Span   `json:"approval,omitempty"`  // priorities of which automation moves nothing before a person approves

	RestoresPerHost   int `json:"restores_per_host,omitempty"`   // restores at once on one host; 0 = DefaultRestoresPerHost, at most HostRestores
	RestoresPerRegion int `json:"restores_per_region,omitempty"` // and in one region; 0 = DefaultRestoresPerRegion
}

// Restores at once. A region that is back is restored in turns: all of it at once would share its disks and its link, and none would be done soon.
const (
	DefaultRestoresPerHost   = 2
	DefaultRestoresPerRegion = 16
	HostRestores             = 8 // as many as an agent does at a time, whoever asks
)

// Restores is how many restores there may be at once, on one host and in one region.
func (c FleetConfig) Restores() (host, region int) {
	return cmp.Or(c.RestoresPerHost, DefaultRestoresPerHost), cmp.Or(c.RestoresPerRegion, DefaultRestoresPerRegion)
}

// Span is a class of priorities, both ends in it.
type Span struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// NeedsApproval reports whether automation may move a group of this priority only once a person approved.
func (c FleetConfig) NeedsApproval(priority int) bool {
	return slices.ContainsFunc(c.Approval, func(s Span) bool { return s.From <= priority && priority <= s.To })
}

// EventType names the payload in the catalogue.
func (FleetConfig) EventType() string { return "switchback.config.fleet" }

// Automation is `ctl.automation`: what operators switched. It lives with the records, so that it changes only under the leader's fence and
// applying a file never undoes it.
type Automation struct {
	Disarmed string                      `json:"disarmed,omitempty"` // why the whole fleet is disarmed; empty = armed
	Regions  map[string]RegionAutomation `json:"regions,omitempty"`
	Kinds    map[Kind]string             `json:"kinds,omitempty"` // why the groups of a kind are disarmed
}

// RegionAutomation is what operators switched for one region.
type RegionAutomation struct {
	Disarmed string `json:"disarmed,omitempty"` // why; empty = armed
	Approved string `json:"approved,omitempty"` // by whom: may move although more regions are out than allowed
}

// EventType names the payload in the catalogue.
func (Automation) EventType() string { return "switchback.automation" }

// GroupConfig is `cfg.group.<group>`.
type GroupConfig struct {
	Group       string      `json:"group"`
	Project     string      `json:"project"`
	Kind        Kind        `json:"kind"`
	Primary     Ref         `json:"primary"`
	Recovery    []Ref       `json:"recovery"`
	Mode        Mode        `json:"mode"`
	Isolation   Isolation   `json:"isolation"`
	Priority    int         `json:"priority"` // lower moves first
	DependsOn   []string    `json:"depends_on,omitempty"`
	MaxLoss     LossBudget  `json:"max_loss"`
	Replication Replication `json:"replication,omitempty"` // empty = async
	WhenAlone   WhenAlone   `json:"when_alone,omitempty"`  // in sync only
	Restore     Restore     `json:"restore,omitempty"`     // empty = auto
	Drill       *Schedule   `json:"drill,omitempty"`       // nil = only when a person asks
	Failback    *Failback   `json:"failback,omitempty"`    // nil = only when a person asks
	Tasks       *TaskPolicy `json:"tasks,omitempty"`       // of a workflow; nil = its kind runs none
	// FailbackByIntegration: whoever makes the disaster_recovery integration anew by the Aiven-compatible API, while a recovery is active, asks for a failback by that.
	FailbackByIntegration bool `json:"failback_by_integration,omitempty"`
	Removed               bool `json:"removed,omitempty"` // tombstone
}

// Replication says when a commit of the active is acknowledged.
type Replication string

// The replication modes.
const (
	ReplicateAsync Replication = ""     // once it is written here
	ReplicateSync  Replication = "sync" // once a cluster of the sync set has it too (I4)
)

// WhenAlone says what becomes of commits in sync when the last cluster of the sync set is lost.
type WhenAlone string

// What commits do then.
const (
	AloneStrict  WhenAlone = "strict"  // wait until one is back, or a person says otherwise
	AloneDegrade WhenAlone = "degrade" // go on without one: recorded first, and automation promotes nobody until one has joined
)

// Schedule is when something is due: cron's five fields in a time zone, and for how long after that it may still be begun.
type Schedule struct {
	Cron   string   `json:"cron"`
	Zone   string   `json:"zone,omitempty"`   // empty = UTC
	For    Duration `json:"for,omitempty"`    // 0 = an hour
	Sample int      `json:"sample,omitempty"` // of a drill: at most so many of the groups with this very schedule, the longest not drilled first; 0 = all
}

// Failback is when a group comes home without a person's ask.
type Failback struct {
	Mode   FailbackMode `json:"mode"`
	On     *Schedule    `json:"schedule,omitempty"`   // mode schedule: when
	Stable Duration     `json:"stable_for,omitempty"` // mode auto: how long the home's region and the group must have been well; 0 = flapping of the profile
}

// FailbackMode says by what.
type FailbackMode string

// The modes of a failback.
const (
	FailbackManual   FailbackMode = "manual" // a person asks
	FailbackSchedule FailbackMode = "schedule"
	FailbackAuto     FailbackMode = "auto" // once it was well for long enough
)

// Restore says what becomes of a failed cluster whose agent reports in.
type Restore string

// The restore policies. After a failover that a person asked for, the old side always waits for a person.
const (
	RestoreAuto   Restore = "auto"
	RestoreManual Restore = "manual"
)

// LossBudget caps what an automatic failover of an async group may lose.
type LossBudget struct {
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	Unknown bool    `json:"unknown,omitempty"` // of a kind without a log: it is moved although nobody can say what that loses
}

// EventType names the payload in the catalogue.
func (GroupConfig) EventType() string { return "switchback.config.group" }

// Clusters lists the group's clusters, primary first.
func (g *GroupConfig) Clusters() []Ref {
	return append(append(make([]Ref, 0, 1+len(g.Recovery)), g.Primary), g.Recovery...)
}
