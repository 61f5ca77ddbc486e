// Package driver is the port between an agent and what it cares for: one driver per kind. Every driver passes drivertest's conformance suite.
//
// A driver carries out what it is told and says what is true. It never decides, holds no deadline and keeps no state that a restart
// would miss. Every call is idempotent: asked again, it answers already-done.
package driver

import (
	"context"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Driver cares for one cluster.
type Driver interface {
	// Probe says what is true now. It answers within ctx whatever state the server is in; a server that does not answer its protocol while its
	// processes exist is ServerUnknown, never ServerDown. It is a proof of writing (a canary) on an active, not of an open port.
	Probe(ctx context.Context) events.ClusterHealth
	// Do carries out one action and returns what became of it. Unknown is an answer: the caller probes before anything else.
	Do(ctx context.Context, a Action) events.Result
	// Tree says how to find the cluster's processes, for the guard.
	Tree() Tree
	// Close releases connections; it never touches the server.
	Close() error
}

// Verb is what a driver can be told.
type Verb string

// The verbs. Freeze, thaw and kill are the guard's, by Tree; every kind has them without writing them.
const (
	Start        Verb = "start"         // writable, on the same timeline: the start gate removed the signal file; re-placed once it runs (I8)
	StartStandby Verb = "start-standby" // read-only, following Source if given
	Promote      Verb = "promote"       // a running standby becomes writable; returns once it acknowledges writes, with LSN and Timeline
	Stop         Verb = "stop"          // clean: clients closed, signal file placed first, fast stop; LSN = end of the shutdown checkpoint. Archiver and links may outlive it: the probe tells
	Cut          Verb = "cut"           // the WAL receiver is cut and stays cut; LSN = received, maybe inside a record; Replayed = all whole records of it
	Follow       Verb = "follow"        // undo a cut, or follow Source
	Checkpoint   Verb = "checkpoint"    // returns once the control file shows the current timeline
	Mark         Verb = "mark"          // write our mark (group name) into the data, or remove it when Group is empty
	// Restore makes it a follower of Source whatever state its data is in, and returns once it streams from it on Source's timeline. It first counts what only
	// this server has and keeps that log, then keeps as much of the data as it can: follow, rewind, or with Copy (or where neither can be) a copy beside the old
	// data, which goes only when the new one streams. It has no limit of its own: ctx ends it, and asked again it begins anew wherever it was interrupted.
	Restore Verb = "restore"
	// Sync makes every commit wait until each of the order's clusters has it on its disk, and returns OK once one was seen to wait: then what was acknowledged without
	// that lies below LSN. A setting that is in place proves nothing. An order of nobody ends every wait. Refused, and nothing done, where somebody changed what an
	// earlier order had put in place, but with Anew.
	Sync    Verb = "sync"
	Release Verb = "release" // leave it running in its role, without our mark, gate, slots and settings that only make sense with us
)

// Action is one thing to do.
type Action struct {
	Step   string // id of the step, echoed in the result
	Verb   Verb
	Group  string     // mark
	Source string     // follow, start-standby, restore: host:port of the upstream
	Until  events.LSN // cut: wait for this much first, as long as it still arrives
	Copy   bool       // restore: copy anew, whatever could be kept
	Drain  bool       // checkpoint: it is asked for before a planned move: begin nothing new, and let what runs come to its end
	Limit  time.Duration
	// Permit is called by a start right before the server is started, once everything is ready: an error means that it may not start any more (A9). nil = nobody asks.
	Permit func(ctx context.Context) error `json:"-"`
	Sync   *events.SyncOrder               // sync
	Tasks  *events.TaskPolicy              // start, promote: of a workflow, which of the tasks that were cut off must not run again by themselves; nil = all may
	Anew   bool                            // sync: that the order before does not hold is known
}

// Tender is a driver that keeps something ready for the clusters that may follow this one, such as replication slots; peers are their names. The agent calls it
// every few seconds, on an active and on a passive alike, with all other clusters of the group. What it keeps for anybody else goes.
type Tender interface {
	Tend(ctx context.Context, peers []string) error
}

// Drainer is a driver whose cluster begins nothing new from a checkpoint with Drain on, until it is told that no planned move is prepared any more. What it holds back is kept where it
// goes with the cluster, so that whichever side is active afterwards lets it go.
type Drainer interface {
	// Drained is the step for which something is held back; empty = nothing is.
	Drained(ctx context.Context) (step string, err error)
	// Undrain lets go on what is held back for that step, and nothing else.
	Undrain(ctx context.Context, step string) error
}

// Sizer is a driver that knows the most processes its cluster may have, by its settings: how long a freeze may take is measured on as many.
type Sizer interface {
	Processes(ctx context.Context) (int, error)
}

// Riser is a driver whose cluster may take long until it serves after it was begun or promoted, and be well: while the first such order since it served last is carried out, for so long at
// most, it does not count as down. Nobody would gain if it were moved from there: the other side takes as long.
type Riser interface {
	Rises() time.Duration
}

// Metric is one number of a cluster, as Prometheus would have it: a counter's name ends in _total.
type Metric struct {
	Name, Help string
	Counter    bool
	Labels     []string // names and values by turns, besides those every series has: cloud_region, group, cluster, role
	Value      float64
}

// Meter is a driver that knows numbers of its cluster worth keeping. What it could not find out is missing from the answer, with an error that says why.
type Meter interface {
	Measure(ctx context.Context) ([]Metric, error)
}

// Tree says how to find and hold the processes of a cluster.
type Tree struct {
	PIDFile  string `json:"pid_file,omitempty"` // first line is the pid of the parent of all others
	Unit     string `json:"unit,omitempty"`     // systemd unit whose cgroup holds them
	Cgroup   string `json:"cgroup,omitempty"`   // cgroup path, if known
	Sessions string `json:"sessions,omitempty"` // file that names the sessions its parent began, by which an orphan of it is found
	Match    string `json:"match,omitempty"`    // what the parent's /proc/PID/cmdline or cwd must hold: a recycled pid is not ours
	Signal   string `json:"signal,omitempty"`   // file that makes a later start come up read-only; placed before a kill
	Mark     string `json:"mark,omitempty"`     // file that says the data is under our care
	Address  string `json:"address,omitempty"`  // port that must be closed after a kill
}

// Process names one process for good: a pid is recycled, a pid and its start are not.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // ticks since boot, as /proc/PID/stat has it
}

// Linker is a driver that knows which of its server's processes serve connections that no lease of the kernel may cut: the links over which others follow it, never
// a client's session, and what the driver itself looks through.
type Linker interface {
	Links(ctx context.Context) ([]Process, error)
}
