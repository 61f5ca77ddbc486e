package events

import "time"

// Health is what one agent says of itself, its clusters and what it sees of others, one message per beat: changed clusters only,
// and a full snapshot every FullHealth. Deltas count up from their full, so a gap is seen (4-bus).
type Health struct {
	Agent     AgentRef        `json:"agent"`
	Observer  bool            `json:"observer,omitempty"` // a controller: looks at others, holds no clusters
	Nonce     string          `json:"nonce"`              // this start of the agent
	Full      uint64          `json:"full"`               // number of the full snapshot this belongs to
	Delta     uint64          `json:"delta"`              // 0 on a full, then 1, 2, …
	Version   string          `json:"version"`            // of the software
	Peer      string          `json:"peer,omitempty"`     // where its peer listener can be reached
	Cert      string          `json:"cert,omitempty"`
	Freeze    string          `json:"freeze,omitempty"`    // "cgroup" or "sigstop"
	FreezeMax time.Duration   `json:"freeze_max"`          // S as measured at start-up
	Alarms    []string        `json:"alarms,omitempty"`    // e.g. a cloned ledger, a permission error
	Foreign   string          `json:"foreign,omitempty"`   // start, unknown to its ledger, that its lanes show: a cloned host, or a lost ledger
	Right     time.Duration   `json:"right"`               // right left by its lanes, 0 = lapsed
	External  bool            `json:"external,omitempty"`  // it has an external fence, which it can order against others
	Clusters  []ClusterHealth `json:"clusters,omitempty"`  // sorted by cluster
	Sightings []Sighting      `json:"sightings,omitempty"` // sorted by region, agent
}

// EventType names the payload in the catalogue.
func (Health) EventType() string { return "switchback.health" }

// ClusterHealth is what a probe found.
type ClusterHealth struct {
	Cluster   Ref           `json:"cluster"`
	Kind      Kind          `json:"kind"`
	Server    Server        `json:"server"`
	Managed   bool          `json:"managed"`        // the ledger knows it, and has not let go of it
	Seen      Epoch         `json:"seen,omitempty"` // highest epoch in the ledger
	Role      Role          `json:"role,omitempty"` // as the ledger has it, at Seen
	Mark      string        `json:"mark,omitempty"` // group named by the mark in its data directory
	SystemID  string        `json:"system_id,omitempty"`
	Timeline  uint32        `json:"timeline,omitempty"`
	LSN       LSN           `json:"lsn,omitempty"`       // active: written; passive: received
	Replayed  LSN           `json:"replayed,omitempty"`  // passive
	Streaming bool          `json:"streaming,omitempty"` // passive: its receiver streams from Upstream
	Upstream  string        `json:"upstream,omitempty"`  // passive: host:port it follows
	End       LSN           `json:"end,omitempty"`       // passive: where its upstream last said that its log ends, also after the link is gone
	Heard     time.Duration `json:"heard,omitempty"`     // passive: age of the last message from its upstream; 0 = not known
	Lag       int64         `json:"lag,omitempty"`       // passive: bytes behind what its upstream last said
	LagTime   time.Duration `json:"lag_time,omitempty"`  // passive: age of the last replayed commit while behind
	LagKnown  bool          `json:"lag_known,omitempty"`
	Canary    time.Duration `json:"canary,omitempty"` // active: how long the last write canary took
	CanaryOK  bool          `json:"canary_ok,omitempty"`
	Down      time.Duration `json:"down,omitempty"`     // proved down for this long
	Restarts  int           `json:"restarts,omitempty"` // local restarts tried since it was last well
	Address   string        `json:"address,omitempty"`  // where clients and peers reach it
	Empty     bool          `json:"empty,omitempty"`    // down, and there is no data in its place yet
	Stopped   string        `json:"stopped,omitempty"`  // down or in recovery: what proves that it can't acknowledge a write
	Hinders   []string      `json:"hinders,omitempty"`  // why a planned move should not begin now: a base backup runs, replay is paused …
	Work      *Work         `json:"work,omitempty"`     // a restore under way
	Alarm     string        `json:"alarm,omitempty"`    // needs a person, although it may serve: no space left
	Size      int64         `json:"size,omitempty"`     // bytes of its data, without its log; 0 = not known
	Free      int64         `json:"free,omitempty"`     // bytes free where a copy of its upstream would be made; 0 = not known
	Sync      *SyncHealth   `json:"sync,omitempty"`     // active of a group in sync
	Waits     string        `json:"waits,omitempty"`    // what it depends on that is not there: it can't serve before, and no restart of it would help
	Lacks     string        `json:"lacks,omitempty"`    // active: which part of it does not run, or not well, though others do: a start begins it again
	Alike     []Alike       `json:"alike,omitempty"`    // what has to be the same on both sides of a group, sorted as its kind does
	Kernel    string        `json:"kernel,omitempty"`   // the kernel lease: KernelInForce, or why it is not; empty = not used
	Error     string        `json:"error,omitempty"`
}

// KernelInForce says that the kernel drops what a server sends over TCP once its right is over.
const KernelInForce = "in force over TCP"

// Alike is one thing that has to be the same on both sides of a group: a setting, or the print of a key, which says whether two keys are one and nothing else.
type Alike struct {
	What  string `json:"what"`
	Print string `json:"print"`
}

// SyncHealth is how the commits of an active wait for others.
type SyncHealth struct {
	Version  uint64        `json:"version"`            // of the order that our own file has; 0 = there is none
	Foreign  string        `json:"foreign,omitempty"`  // what is in place instead of what our file says; empty = our file is obeyed
	Setting  string        `json:"setting,omitempty"`  // synchronous_standby_names in place
	Waiting  time.Duration `json:"waiting,omitempty"`  // for how long the oldest wait known goes on; 0 = commits are acknowledged
	At       LSN           `json:"at,omitempty"`       // … and up to where its standbys must have everything for it to end
	Standbys []SyncStandby `json:"standbys,omitempty"` // in the order's order
	Why      string        `json:"why,omitempty"`      // why the order is not seen to hold yet
	Open     []string      `json:"open,omitempty"`     // who may be acknowledged without a wait: roles and databases with a synchronous_commit of their own
}

// SyncStandby is one that commits wait for, as the active sees it.
type SyncStandby struct {
	Name      string `json:"name"`
	Streaming bool   `json:"streaming"`
	Flushed   LSN    `json:"flushed,omitempty"` // it confirmed to have that on its disk
}

// Work is how far a restore got.
type Work struct {
	Phase string        `json:"phase"`           // analyse, count, recover, rewind, copy, verify, start, catch-up
	Done  int64         `json:"done,omitempty"`  // bytes of the phase
	Total int64         `json:"total,omitempty"` // 0 = not known yet
	Took  time.Duration `json:"took"`            // since the restore began
	Idle  time.Duration `json:"idle,omitempty"`  // since Done or Phase last changed
}

// Sighting is a proof that somebody saw an agent or a cluster of another region: an agent's TLS answer, a cluster's protocol
// answer, WAL that still arrives. A TCP connect is none: a frozen server accepts it.
type Sighting struct {
	Region string        `json:"region"`
	What   string        `json:"what"` // agent or cluster name
	How    SightingHow   `json:"how"`
	Age    time.Duration `json:"age"`  // of the last sight when this was sent
	Seen   bool          `json:"seen"` // false: looked and saw nothing
}

// SightingHow is the kind of a sighting.
type SightingHow string

// The kinds of sightings.
const (
	SightAgent   SightingHow = "tls"
	SightCluster SightingHow = "protocol"
	SightWAL     SightingHow = "wal"
)

// Look asks everybody outside a region to look at it, once; it travels as a plain message on SubjectLook.
type Look struct {
	ID      uint64       `json:"id"`
	Region  string       `json:"region"`
	Targets []LookTarget `json:"targets"`
}

// LookTarget is one address worth looking at.
type LookTarget struct {
	Agent   AgentRef `json:"agent"`
	Peer    string   `json:"peer,omitempty"` // its peer listener
	Cluster Ref      `json:"cluster,omitzero"`
	Address string   `json:"address,omitempty"` // where the cluster speaks its protocol
	Kind    Kind     `json:"kind,omitempty"`
}

// EventType names the payload in the catalogue.
func (Look) EventType() string { return "switchback.look" }

// Saw is the answer of one observer to a Look, a plain message on SubjectSaw.
type Saw struct {
	ID        uint64     `json:"id"`
	Region    string     `json:"region"` // that was looked at
	By        AgentRef   `json:"by"`     // who looked
	Sightings []Sighting `json:"sightings"`
}

// EventType names the payload in the catalogue.
func (Saw) EventType() string { return "switchback.saw" }

// Sees returns the sightings in which something was seen.
func (s Saw) Sees() []Sighting {
	var seen []Sighting
	for _, x := range s.Sightings {
		if x.Seen {
			seen = append(seen, x)
		}
	}
	return seen
}
