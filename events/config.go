package events

// FleetConfig is `cfg.fleet`: what holds for the whole fleet.
type FleetConfig struct {
	Profile    string                  `json:"profile"`
	Confirm    Duration                `json:"confirm,omitempty"`   // 0 = the profile's
	MaxOut     int                     `json:"max_regions_out"`     // more regions out at once wait for approval
	MaxPerHour int                     `json:"max_groups_per_hour"` // 0 = no cap
	Disarmed   string                  `json:"disarmed,omitempty"`  // why the fleet is disarmed; empty = armed
	Regions    map[string]RegionConfig `json:"regions,omitempty"`
}

// RegionConfig is what an operator switched for one region.
type RegionConfig struct {
	Disarmed string `json:"disarmed,omitempty"` // why; empty = armed
}

// EventType names the payload in the catalogue.
func (FleetConfig) EventType() string { return "switchback.config.fleet" }

// GroupConfig is `cfg.group.<group>`.
type GroupConfig struct {
	Group     string     `json:"group"`
	Project   string     `json:"project"`
	Kind      Kind       `json:"kind"`
	Primary   Ref        `json:"primary"`
	Recovery  []Ref      `json:"recovery"`
	Mode      Mode       `json:"mode"`
	Isolation Isolation  `json:"isolation"`
	Priority  int        `json:"priority"` // lower moves first
	DependsOn []string   `json:"depends_on,omitempty"`
	MaxLoss   LossBudget `json:"max_loss"`
	Removed   bool       `json:"removed,omitempty"` // tombstone
}

// LossBudget caps what an automatic failover of an async group may lose.
type LossBudget struct {
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// EventType names the payload in the catalogue.
func (GroupConfig) EventType() string { return "switchback.config.group" }

// Clusters lists the group's clusters, primary first.
func (g *GroupConfig) Clusters() []Ref { return append([]Ref{g.Primary}, g.Recovery...) }
