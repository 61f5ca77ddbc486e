package events

import "time"

// Epoch is the fencing token of a group. It rises by one whenever a new active is appointed, and at every intent and abort
// (2a-protocol, RECORD); it never falls (I2).
type Epoch uint64

// Seq is a stream sequence, as NATS assigns it. Zero means "nothing stored".
type Seq uint64

// Instant is a reading of its owner's boot clock (CLOCK_BOOTTIME, which counts suspend). Instants of two hosts, or of two
// boots of one host, are never compared; what crosses the wire is always a duration.
type Instant time.Duration

// Add returns the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub returns how long i is after j.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }

// Never is an instant no clock reaches.
const Never Instant = 1<<63 - 1

// Role is what a cluster is now.
type Role string

// The roles. In a command only active and passive occur; failed is a lifecycle role of the record.
const (
	RoleNone    Role = ""
	RoleActive  Role = "active"  // may accept writes or run tasks
	RolePassive Role = "passive" // follows
	RoleFailed  Role = "failed"  // was active, must not run until restored
)

// State is the lifecycle state of a cluster as surfaces show it.
type State string

// The states, in Aiven's words, and UNKNOWN for what nobody has seen.
const (
	StateRunning     State = "RUNNING"
	StateRebuilding  State = "REBUILDING"
	StateRebalancing State = "REBALANCING"
	StatePoweroff    State = "POWEROFF"
	StateUnknown     State = "UNKNOWN"
)

// Mode says who may move a group.
type Mode string

// The modes of a group.
const (
	ModeObserve Mode = "observe" // says what it would do; nothing is fenced or moved
	ModeManual  Mode = "manual"  // fenced as auto, but only people decide
	ModeAuto    Mode = "auto"
)

// Isolation says what becomes of an active whose right to run lapses.
type Isolation string

// The isolation policies of a group.
const (
	IsolationFreeze      Isolation = "freeze"
	IsolationKeepRunning Isolation = "keep-running" // never frozen, killed only by a SET; no automatic failover
)

// Kind is what a cluster is made of.
type Kind string

// The kinds.
const (
	KindPostgres Kind = "postgres"
	KindAirflow  Kind = "airflow"
	KindExec     Kind = "exec"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{KindPostgres, KindAirflow, KindExec} }

// Logged reports whether clusters of the kind have a log whose positions can be compared. Of the others nobody can say how far one is behind another, nor what a move
// lost; surfaces say "not known" of it, never 0.
func (k Kind) Logged() bool { return k != KindAirflow && k != KindExec }

// Phase is where the record of a group stands (2a-protocol, RECORD).
type Phase string

// The phases.
const (
	PhaseActive  Phase = "ACTIVE"
	PhaseFencing Phase = "FENCING"
	PhaseProved  Phase = "PROVED"
)

// Verdict is what the controller believes of a region.
type Verdict string

// The verdicts on a region.
const (
	VerdictHealthy  Verdict = "healthy"
	VerdictDegraded Verdict = "degraded"
	VerdictSuspect  Verdict = "suspect"
	VerdictOut      Verdict = "out"
)

// Server is what a probe found a cluster to be. "Stopped" in the protocol's sense is ServerDown or ServerRecovery.
type Server string

// What a server can be found to be.
const (
	ServerUnknown  Server = "unknown"  // the probe has no answer: neither a proof of life nor of death
	ServerDown     Server = "down"     // no process of it exists
	ServerRecovery Server = "recovery" // running, in recovery: follows, or waits for its gate
	ServerWritable Server = "writable" // running and not in recovery: can acknowledge writes
	ServerFrozen   Server = "frozen"   // its processes are held by the freezer or SIGSTOP
)

// Stopped reports whether the protocol calls the server stopped: it can't acknowledge a write or run a task, whoever thaws it.
func (s Server) Stopped() bool { return s == ServerDown || s == ServerRecovery }
