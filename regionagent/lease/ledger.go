package lease

import (
	"sort"

	"github.com/switchback-dr/switchback/events"
)

// Ledger is what an agent has on disk, fsynced before it acts on it or says it (I2). It is the agent's only memory across restarts.
type Ledger struct {
	Agent  events.AgentRef `json:"agent"`
	ID     string          `json:"id"`     // made once with the ledger
	Nonces []string        `json:"nonces"` // of every start, newest last: a nonce on our lane that is not here is somebody else's
	// Entries has one entry per managed cluster, sorted by cluster.
	Entries []Entry `json:"entries"`
}

// keepNonces bounds the nonces kept; a lane holds one message, so only the newest few can ever be met again.
const keepNonces = 64

// Entry is what the ledger knows of one cluster under care.
type Entry struct {
	Cluster    events.Ref         `json:"cluster"`
	Group      string             `json:"group"`
	Seen       events.Epoch       `json:"seen"`                // the highest epoch met; never falls (I2)
	SeenSeq    events.Seq         `json:"seen_seq"`            // stream sequence of the last SET applied (A10)
	Role       events.Role        `json:"role"`                // active or passive, at Seen
	Primary    bool               `json:"primary"`             // the data was written by this server itself last: a start is on the same timeline, a standby would need a restore
	Unsettled  bool               `json:"unsettled,omitempty"` // a RESUME did not name it: stays frozen until a SET or RESUME does (A6)
	Mode       events.Mode        `json:"mode"`
	Isolation  events.Isolation   `json:"isolation,omitempty"`
	Version    uint64             `json:"version"` // candidate list acknowledged
	Candidates []events.Candidate `json:"candidates,omitempty"`
	Step       *events.Step       `json:"step,omitempty"` // the work that rode on the last SET
	Results    []events.Result    `json:"results,omitempty"`
	Fenced     string             `json:"fenced,omitempty"`
	Peers      []string           `json:"peers,omitempty"`    // names of the group's other clusters
	Config     uint64             `json:"config,omitempty"`   // revision of the configuration that Mode and Isolation are of
	Sync       *events.SyncOrder  `json:"sync,omitempty"`     // whom the commits of an active must wait for
	SyncSeen   events.SyncSeen    `json:"sync_seen,omitzero"` // the newest order that was seen to hold
	Tasks      *events.TaskPolicy `json:"tasks,omitempty"`    // of a workflow: what may be done with the tasks that are hit
	Released   bool               `json:"released,omitempty"` // from care: nothing of it is fenced, moved or started; the epoch stays known
}

// Exempt reports whether the deadline never freezes this cluster: in observe nothing is fenced, with keep-running only a SET kills.
func (e *Entry) Exempt() bool {
	return e.Released || e.Mode == events.ModeObserve || e.Isolation == events.IsolationKeepRunning
}

// Held reports whether the guard must fence this cluster when nobody feeds it: it is active, or its data was last written by itself although it is not
// active any more (a standby is never frozen: in sync mode that would stop the active).
func (e *Entry) Held() bool { return !e.Released && (e.Role == events.RoleActive || e.Primary) }

// Find returns the entry of a cluster, or nil.
func (l *Ledger) Find(c events.Ref) *Entry {
	for i := range l.Entries { // a host holds few: looking at all is faster than finding the place
		if l.Entries[i].Cluster == c {
			return &l.Entries[i]
		}
	}
	return nil
}

// add makes an entry for a cluster that comes under care.
func (l *Ledger) add(c events.Ref) *Entry {
	i := sort.Search(len(l.Entries), func(i int) bool { return l.Entries[i].Cluster.String() >= c.String() })
	l.Entries = append(l.Entries, Entry{})
	copy(l.Entries[i+1:], l.Entries[i:])
	l.Entries[i] = Entry{Cluster: c}
	return &l.Entries[i]
}

func (l *Ledger) wrote(nonce string) bool {
	for _, n := range l.Nonces {
		if n == nonce {
			return true
		}
	}
	return false
}

// started adds the nonce of a new start.
func (l *Ledger) started(nonce string) {
	l.Nonces = append(l.Nonces, nonce)
	if len(l.Nonces) > keepNonces {
		l.Nonces = append([]string(nil), l.Nonces[len(l.Nonces)-keepNonces:]...)
	}
}

// result keeps the last results, one per step.
func (e *Entry) result(r events.Result) {
	kept := e.Results[:0:0]
	for _, x := range e.Results {
		if x.Step != r.Step {
			kept = append(kept, x)
		}
	}
	kept = append(kept, r)
	if len(kept) > events.ReportResults {
		kept = kept[len(kept)-events.ReportResults:]
	}
	e.Results = kept
}

func (e *Entry) answered(step string) bool {
	for _, x := range e.Results {
		if x.Step == step && x.Outcome != events.Retry && x.Outcome != events.Unknown {
			return true
		}
	}
	return false
}

// Clone is a deep copy, for whoever writes it to disk.
func (l *Ledger) Clone() Ledger {
	c := *l
	c.Nonces = append([]string(nil), l.Nonces...)
	c.Entries = make([]Entry, len(l.Entries))
	for i, e := range l.Entries {
		e.Candidates = append([]events.Candidate(nil), e.Candidates...)
		e.Results = append([]events.Result(nil), e.Results...)
		e.Peers = append([]string(nil), e.Peers...)
		if e.Step != nil {
			s := *e.Step
			e.Step = &s
		}
		if e.Sync != nil {
			s := *e.Sync
			e.Sync = &s
		}
		if e.Tasks != nil {
			p := *e.Tasks
			e.Tasks = &p
		}
		c.Entries[i] = e
	}
	return c
}
