package events

import (
	"fmt"
	"time"
)

// Home says whether a cluster is the home of its group or a recovery cluster; it never changes by a failover.
type Home string

// The homes.
const (
	HomePrimary  Home = "primary"
	HomeRecovery Home = "recovery"
)

// Record is what is written down of one group (2a-protocol, RECORD): the truth that every leader starts from. It is changed only by
// compare-and-set of its own revision, in a batch fenced on the leader's term (C10).
type Record struct {
	Group   string          `json:"group"`
	Epoch   Epoch           `json:"epoch"`
	Phase   Phase           `json:"phase"`
	Active  Ref             `json:"active"`            // act: whose turn it is; from C6 on the target, whatever it answers
	Target  Ref             `json:"target,omitzero"`   // while FENCING or PROVED
	Members []Member        `json:"members"`           // primary first, then recovery clusters in order of preference
	Lists   []CandidateList `json:"lists"`             // from the last version the active acknowledged to the current one
	Op      *Operation      `json:"op,omitempty"`      // the running operation, or the last one
	Config  uint64          `json:"config"`            // revision of the group's configuration it obeys
	Disarm  string          `json:"disarm,omitempty"`  // why automation leaves this group alone; empty = armed
	Approve string          `json:"approve,omitempty"` // who approved that automation moves it; for one incident
	Settled bool            `json:"settled"`           // stable and protected long enough since automation moved it; new groups are
	Since   time.Time       `json:"since"`             // display only: when Active last changed, by the leader's wall clock
	Forks   []Fork          `json:"forks,omitempty"`   // where its timelines ended, by its promotions, oldest first
	Works   uint64          `json:"works,omitempty"`   // counts restores, for their ids
	Next    *Operation      `json:"next,omitempty"`    // a failback whose restore is done: begins as soon as it may
	Restart *Operation      `json:"restart,omitempty"` // a planned restart of a member under way
	Drain   *Operation      `json:"drain,omitempty"`   // tasks are held back while what it depends on is moved on purpose; Ask names that operation
	Drill   *Drill          `json:"drill,omitempty"`   // the running drill, or the last
	Gone    string          `json:"gone,omitempty"`    // tombstone: released from care, by whom and why
	Exempt  bool            `json:"exempt,omitempty"`  // no deadline may freeze the active: from when it was told so until it acknowledged the opposite
	Sync    *Sync           `json:"sync,omitempty"`    // of a group that is or was in sync
	Tasks   *TaskSummary    `json:"tasks,omitempty"`   // the newest ledger of tasks, as its agent told it last; it never changes once it stands here
	Retry   *TaskRetry      `json:"retry,omitempty"`   // the retry of tasks that a person asked for and that has no answer yet; it never changes once it stands here
	Retries uint64          `json:"retries,omitempty"` // counts them
}

// EventType names the payload in the catalogue.
func (Record) EventType() string { return "switchback.record" }

// GroupTag names a group's record as it stands: it changes with every change of it, so that who asks for something can say what he saw.
func GroupTag(e Epoch, revision Seq) string { return fmt.Sprintf("%d-%d", e, revision) }

// Member is one cluster of a group as the record knows it.
type Member struct {
	Cluster  Ref      `json:"cluster"`
	Home     Home     `json:"home"`
	Agent    AgentRef `json:"agent"` // the first agent that reported it owns it (C0)
	Role     Role     `json:"role"`
	Peer     string   `json:"peer,omitempty"`
	Cert     string   `json:"cert,omitempty"`
	SystemID string   `json:"system_id,omitempty"`
	Address  string   `json:"address,omitempty"`
	Override string   `json:"override,omitempty"` // a person overrode its fence on its host: who, when, why; until its agent says that this was ended there
	Hold     string   `json:"hold,omitempty"`     // failed, and restored only when a person asks: why
	// Work is the restore or rebuild under way: passive by role, but no candidate before it streams.
	Work  *Operation   `json:"work,omitempty"`
	Last  *Operation   `json:"last,omitempty"` // the last restore or rebuild that was done, until the next one: what it found lost is told by the next leader if this one can't
	Quiet *Maintenance `json:"quiet,omitempty"`
}

// Fork is where a timeline ended and the next one began.
type Fork struct {
	Timeline uint32 `json:"timeline"`
	At       LSN    `json:"at"`
}

// KeepForks bounds the forks kept: a cluster that missed more promotions is copied anyway.
const KeepForks = 16

// Maintenance is a person's word that a cluster is worked on: its absence is not counted, and automation leaves its group alone.
type Maintenance struct {
	Until time.Time `json:"until"` // by the leader's wall clock
	By    string    `json:"by"`
	Why   string    `json:"why,omitempty"`
}

// Candidate reports whether the cluster may stand in a candidate list: it follows, and nothing of it is being rebuilt.
func (m *Member) Candidate() bool { return m.Role == RolePassive && m.Work == nil && m.Peer != "" }

// CandidateList is one version of the clusters that may be promoted.
type CandidateList struct {
	Version    uint64      `json:"version"`
	Candidates []Candidate `json:"candidates"`
}

// Holds reports whether the list has the cluster.
func (l CandidateList) Holds(c Ref) bool {
	for _, x := range l.Candidates {
		if x.Cluster == c {
			return true
		}
	}
	return false
}

// Current is the newest candidate list; a record always has one.
func (r *Record) Current() CandidateList {
	if len(r.Lists) == 0 {
		return CandidateList{}
	}
	return r.Lists[len(r.Lists)-1]
}

// Member returns the record's entry of a cluster, or nil.
func (r *Record) Member(c Ref) *Member {
	for i := range r.Members {
		if r.Members[i].Cluster == c {
			return &r.Members[i]
		}
	}
	return nil
}

// Operation finds an operation that the record knows: the last move, a restore, a restart, or a failback that waits; nil if there is none of that id.
func (r *Record) Operation(id string) *Operation {
	if r == nil {
		return nil
	}
	for _, op := range r.Operations() {
		if op.ID == id {
			return op
		}
	}
	return nil
}

// Operations lists every operation the record knows, the last move first.
func (r *Record) Operations() []*Operation {
	var all []*Operation
	add := func(op *Operation) {
		if op != nil {
			all = append(all, op)
		}
	}
	add(r.Op)
	for i := range r.Members {
		add(r.Members[i].Work)
	}
	add(r.Restart)
	add(r.Next)
	return all
}

// Running reports whether an operation is under way.
func (r *Record) Running() bool { return r.Op != nil && r.Op.Ended == "" }

// Clone is a deep copy: a record handed out is never changed afterwards.
func (r *Record) Clone() *Record {
	c := *r
	c.Members = append([]Member(nil), r.Members...)
	c.Lists = append([]CandidateList(nil), r.Lists...)
	c.Forks = append([]Fork(nil), r.Forks...)
	c.Sync = r.Sync.clone()
	c.Op, c.Next, c.Restart, c.Drill, c.Drain = r.Op.clone(), r.Next.clone(), r.Restart.clone(), r.Drill.clone(), r.Drain.clone()
	for i := range c.Members {
		c.Members[i].Work, c.Members[i].Last = c.Members[i].Work.clone(), c.Members[i].Last.clone()
	}
	return &c
}

func (o *Operation) clone() *Operation {
	if o == nil {
		return nil
	}
	c := *o
	c.Phases = append([]PhaseTime(nil), o.Phases...)
	if o.Proof != nil {
		p := *o.Proof
		c.Proof = &p
	}
	return &c
}

// Operation is one move of one group, resumable by any leader: everything it needs to go on stands here.
type Operation struct {
	ID       string      `json:"id"` // group-epoch, derived
	Verb     string      `json:"verb"`
	Ask      string      `json:"ask,omitempty"` // id of the operator event that asked, empty for automation
	By       string      `json:"by"`            // actor, or "automation"
	Rule     string      `json:"rule"`          // the row that decided it
	Why      string      `json:"why"`
	From     Ref         `json:"from"`
	To       Ref         `json:"to"`
	Stage    Stage       `json:"stage,omitempty"`    // of an operation in phase ACTIVE: what it waits for before its intent
	Planned  bool        `json:"planned,omitempty"`  // the old active was asked to stop cleanly
	Unfenced string      `json:"unfenced,omitempty"` // who waived the fence and why (C3d); I1 is waived by name
	Accept   bool        `json:"accept,omitempty"`   // the operator accepts loss beyond the budget
	External bool        `json:"external,omitempty"` // the target's agent runs its external fence against the old active (C3c)
	Answered string      `json:"answered,omitempty"` // of an unfenced or external move: how I1 came to hold again
	Cut      bool        `json:"cut,omitempty"`      // the target is cut while FENCING: that is to be the proof (C3e)
	Proof    *Proof      `json:"proof,omitempty"`
	Sent     LSN         `json:"sent,omitempty"`     // last LSN the old active was known to have written
	Stopped  LSN         `json:"stopped,omitempty"`  // shutdown LSN of the old active, when it stopped cleanly
	Promoted LSN         `json:"promoted,omitempty"` // LSN the target was promoted at
	Timeline uint32      `json:"timeline,omitempty"`
	Loss     *Loss       `json:"loss,omitempty"`
	Began    time.Time   `json:"began"`            // display only
	Phases   []PhaseTime `json:"phases,omitempty"` // RTO by phase
	Ended    string      `json:"ended,omitempty"`  // done, aborted, failed; empty = running
	EndWhy   string      `json:"end_why,omitempty"`
	EndRule  string      `json:"end_rule,omitempty"` // of an aborted one: the row that gave it up

	// The two clocks, since Began, by the wall clock of the leaders that saw them; 0 = not yet.
	Serving   time.Duration `json:"serving,omitempty"`   // the new active acknowledged a write
	Protected time.Duration `json:"protected,omitempty"` // a healthy passive exists

	// Of a restore or rebuild: From is the source, To the cluster restored.
	Copy   bool     `json:"copy,omitempty"`   // asked to copy it anew
	Then   string   `json:"then,omitempty"`   // verb that follows it by itself: failback
	How    string   `json:"how,omitempty"`    // followed, rewound, copied
	Copied int64    `json:"copied,omitempty"` // bytes fetched
	Lost   *LostLog `json:"lost,omitempty"`   // of a failover, once its old side came back: exactly what was lost

	Tasks *TaskSummary `json:"tasks,omitempty"` // of a move of a workflow: what became of the tasks it hit
}

// Stage is what an operation waits for while the old active still serves.
type Stage string

// StagePrepare: the old active writes a checkpoint, so that its shutdown is short.
const StagePrepare Stage = "prepare"

// PhaseTime is how long one phase of an operation took, by the clock of the leader that saw it.
type PhaseTime struct {
	Phase string        `json:"phase"` // detect, decide, fence, promote, route
	Took  time.Duration `json:"took"`
}

// Loss is what a failover may have lost. Until the old WAL is counted it is bounded in two ways: Bytes is what the old active was known to have
// written beyond what was promoted, and everything lost was acknowledged within Window before the promotion was ordered.
type Loss struct {
	Known  bool          `json:"known"`  // false: nobody can say
	Bytes  int64         `json:"bytes"`  // at least, by the old active's last word
	Window time.Duration `json:"window"` // since the last instant the target was known to have everything
	Exact  bool          `json:"exact,omitempty"`
	NoLog  bool          `json:"no_log,omitempty"` // its kind has no log: nobody will ever say
	Sync   bool          `json:"sync,omitempty"`   // the target had every acknowledged write (I4): what the old log holds beyond was acknowledged to nobody who waits
}

// ProofKind is one of the five ways to prove that the old active can't acknowledge (C3).
type ProofKind string

// The kinds of proof.
const (
	ProofLease    ProofKind = "lease"    // C3a
	ProofAck      ProofKind = "ack"      // C3b
	ProofExternal ProofKind = "external" // C3c
	ProofUnfenced ProofKind = "unfenced" // C3d
	ProofCut      ProofKind = "cut"      // C3e: in sync, the target is cut, and nothing is acknowledged without it
)

// Proof is the stored fence proof (I3): the evidence, in facts an outsider can check.
type Proof struct {
	Kind   ProofKind     `json:"kind"`
	Epoch  Epoch         `json:"epoch"`
	Lanes  []ProofLane   `json:"lanes,omitempty"`
	Waited time.Duration `json:"waited,omitempty"` // from the newest receipt counted until PROVED was decided
	Needed time.Duration `json:"needed,omitempty"` // max(L, F+S+M of the agent)
	Target Epoch         `json:"target,omitempty"` // the target reported passive at this epoch, no promise out
	Said   string        `json:"said,omitempty"`   // ack, external, unfenced, cut: who said what
	Facts  []Fact        `json:"facts,omitempty"`  // what was proved, one by one
}

// ProofLane is one accepted revocation.
type ProofLane struct {
	Lane     int `json:"lane"`
	Revoked  Seq `json:"revoked"`  // sequence of the revocation
	Replaced Seq `json:"replaced"` // sequence of the message it replaced
}

// Term is `ctl.epoch`: who leads. Its stream sequence is the term (2-safety, Leaders).
type Term struct {
	Holder string `json:"holder"` // region/name
}

// EventType names the payload in the catalogue.
func (Term) EventType() string { return "switchback.term" }
