package events

// Notice is what everybody may follow: every decision and every non-decision, with its reason. It leaves as a CloudEvent on event.>.
type Notice struct {
	Type      string     `json:"type"` // see NoticeTypes
	Group     string     `json:"group,omitempty"`
	Region    string     `json:"region,omitempty"`
	Agent     string     `json:"agent,omitempty"`
	Cluster   string     `json:"cluster,omitempty"`
	Operation string     `json:"operation,omitempty"`
	Rollout   string     `json:"rollout,omitempty"` // the one it belongs to
	Epoch     Epoch      `json:"epoch,omitempty"`
	Rule      string     `json:"rule,omitempty"`
	Why       string     `json:"why"`
	By        string     `json:"by,omitempty"`
	Facts     []Fact     `json:"facts,omitempty"`
	Report    *Operation `json:"report,omitempty"` // of an operation that ended
	Drill     *Drill     `json:"drill,omitempty"`  // of a drill that ended
	Audit     *Audit     `json:"audit,omitempty"`  // of what was asked for
}

// Audit is what somebody asked for and what it changed at once; what followed from it is told by events that bear its id or its operation.
type Audit struct {
	Ask      string   `json:"ask"` // id
	Verb     string   `json:"verb"`
	From     string   `json:"from"` // where it came from: the bus, or the API with an address and a token's id
	Reason   string   `json:"reason"`
	Accepted bool     `json:"accepted"`
	Changes  []Change `json:"changes"` // what it was about, before and after; equal if nothing changed yet
}

// Change is one thing before and after.
type Change struct {
	What   string `json:"what"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Fact is one piece of evidence behind a decision: what, its value, and how old it was.
type Fact struct {
	What   string   `json:"what"`
	Value  string   `json:"value"`
	Age    Duration `json:"age,omitempty"`
	Blocks bool     `json:"blocks,omitempty"` // this is what stands in the way
}

// EventType names the payload in the catalogue.
func (Notice) EventType() string { return "switchback.notice" }

// The types of notices.
const (
	NoticeVerdict    = "verdict"   // the verdict on a region changed
	NoticeDecision   = "decision"  // a row fired that moves something
	NoticeWait       = "wait"      // a row fired that doesn't: somebody expected a move, and this is why there is none
	NoticeRefused    = "refused"   // an operator's ask was refused
	NoticeFenced     = "fenced"    // the proof is stored
	NoticePromoted   = "promoted"  // the appointment is recorded
	NoticeServing    = "serving"   // the new active acknowledged its first write
	NoticeProtected  = "protected" // a healthy passive exists again
	NoticeRestoring  = "restoring" // a failed or broken cluster is being made a passive
	NoticeRestored   = "restored"  // it streams on the right timeline
	NoticeAborted    = "aborted"
	NoticeFailed     = "failed"     // an operation ended without a new active, or waits for a person
	NoticeBorn       = "born"       // a group came under care
	NoticeResumed    = "resumed"    // an agent's lanes count again
	NoticeDrill      = "drill"      // a drill passed or failed
	NoticeAlarm      = "alarm"      // needs a person
	NoticeAutomation = "automation" // armed, disarmed, approved
	NoticeSync       = "sync"       // who has every acknowledged write of a group in sync has changed
	NoticeTasks      = "tasks"      // the tasks that a move or an outage hit were listed, a person is needed for some, or all of them are accounted for
	NoticeAudit      = "audit"      // what somebody asked for, from where and why, and what it changed
	NoticeLeader     = "leader"
	NoticePlan       = "plan"    // a plan was made and stored
	NoticeRollout    = "rollout" // a rollout began, opened a wave, waits, was steered or ended
)
