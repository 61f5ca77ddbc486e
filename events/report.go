package events

import "time"

// ReportResults is how many results of the ledger a report carries.
const ReportResults = 16

// Report is an agent's durable word on one cluster: cumulative, one per subject, published whenever the ledger changes.
type Report struct {
	Agent    AgentRef     `json:"agent"`
	Cluster  Ref          `json:"cluster"`
	Group    string       `json:"group"`
	Nonce    string       `json:"nonce"`
	No       uint64       `json:"no"`                 // counts the reports of this start: one read again late is known to be old
	Seen     Epoch        `json:"seen"`               // highest epoch persisted
	SeenSeq  Seq          `json:"seen_seq"`           // stream sequence of the last SET applied
	Role     Role         `json:"role"`               // as persisted
	Passive  Epoch        `json:"passive"`            // A11: passive at this epoch: persisted, stopped, no promise out, G4 over; 0 = can't say
	Serving  Epoch        `json:"serving"`            // active at this epoch and found writable; 0 = not
	Primary  bool         `json:"primary"`            // its data was written by itself last: killed or stopped active, not a standby
	Version  uint64       `json:"version"`            // candidate list acknowledged
	Sync     SyncSeen     `json:"sync,omitzero"`      // the newest sync order that was seen to hold, and is in place; zero = none
	Results  []Result     `json:"results,omitempty"`  // the last ReportResults, oldest first
	Fenced   string       `json:"fenced,omitempty"`   // how it was fenced last: clean stop, killed; with the facts proved
	Exempt   bool         `json:"exempt,omitempty"`   // nothing freezes it when its right is over (mode observe, keep-running, released): its lease proves nothing
	Override string       `json:"override,omitempty"` // latched: somebody used guard override
	Stopped  string       `json:"stopped,omitempty"`  // with Passive: what was proved of its server, as in "postmaster absent, port closed"
	Config   uint64       `json:"config,omitempty"`   // revision of the group's configuration that came with the last SET
	Released bool         `json:"released,omitempty"` // let go of: only its epoch is remembered
	Tasks    *TaskSummary `json:"tasks,omitempty"`    // the newest ledger of tasks that its agent keeps of it
}

// EventType names the payload in the catalogue.
func (Report) EventType() string { return "switchback.report" }

// SyncSeen is the word that a server was seen to wait: every commit acknowledged at or above At waited for each cluster of the order.
type SyncSeen struct {
	Version uint64 `json:"version"`
	At      LSN    `json:"at"`             // everything acknowledged without that wait lies below it
	Void    bool   `json:"void,omitempty"` // the setting was found changed since: what was acknowledged meanwhile waited for nobody we know
}

// Result finds the result of one step.
func (r *Report) Result(step string) (Result, bool) {
	for i := len(r.Results) - 1; i >= 0; i-- {
		if r.Results[i].Step == step {
			return r.Results[i], true
		}
	}
	return Result{}, false
}

// Outcome is how a step ended. Unknown is never treated as failed: the agent is asked what is true first.
type Outcome string

// The outcomes of a step.
const (
	Done        Outcome = "done"
	AlreadyDone Outcome = "already-done"
	Refused     Outcome = "refused"
	Retry       Outcome = "retry"
	Unknown     Outcome = "unknown"
)

// OK reports whether the step's effect holds.
func (o Outcome) OK() bool { return o == Done || o == AlreadyDone }

// Result is what became of one step, promotion or stop.
type Result struct {
	Step     string        `json:"step"`
	Outcome  Outcome       `json:"outcome"`
	Why      string        `json:"why,omitempty"`
	LSN      LSN           `json:"lsn,omitempty"`      // stop: end of the shutdown checkpoint; cut: received; promote: fork point
	Replayed LSN           `json:"replayed,omitempty"` // cut: replayed
	Timeline uint32        `json:"timeline,omitempty"`
	Took     time.Duration `json:"took,omitempty"`
	How      string        `json:"how,omitempty"`    // restore: followed, rewound or copied
	Copied   int64         `json:"copied,omitempty"` // restore: bytes fetched from the source
	Lost     *LostLog      `json:"lost,omitempty"`   // restore: what only this server had; nil = not counted
	Facts    []Fact        `json:"facts,omitempty"`  // fence: what the hook says it proved
}

// LostListed is how many lost commits are listed one by one in a report; the whole list stays with the kept log.
const LostListed = 200

// LostLog is what a server had written that its followers never got, counted from its own log before anything was overwritten.
type LostLog struct {
	Timeline uint32       `json:"timeline"`         // its old one
	From     LSN          `json:"from"`             // where the new timeline forked off
	To       LSN          `json:"to"`               // where its log ended
	Bytes    int64        `json:"bytes"`            // To - From
	Commits  int          `json:"commits"`          // transactions committed in between, Switchback's own not counted
	Own      int          `json:"own,omitempty"`    // commits of Switchback's write canary
	First    time.Time    `json:"first,omitzero"`   // commit time of the first, by the old server's clock
	Last     time.Time    `json:"last,omitzero"`    // … and of the last
	List     []LostCommit `json:"list,omitempty"`   // the first LostListed of them, in log order
	Kept     string       `json:"kept,omitempty"`   // directory on the agent's host with the log and the whole list
	Unread   string       `json:"unread,omitempty"` // why the count is not exact; empty = it is
}

// LostCommit is one lost transaction.
type LostCommit struct {
	XID uint64    `json:"xid"`
	LSN LSN       `json:"lsn"`
	At  time.Time `json:"at"`
}
