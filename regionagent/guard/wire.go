package guard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// The messages between agent and guard: JSON lines. The guard asks, since what the agent pushes could have waited in a queue: a deadline counts
// from when the guard asked. A kind that the other side does not know is ignored, so that the two can be upgraded one after the other.
const (
	kindHello = "hello" // agent: who it is and what it cares for; answered by held
	kindHeld  = "held"  // guard: what it holds per cluster
	kindAsk   = "ask"   // guard: how much is left, per cluster?
	kindLeft  = "left"  // agent: the answer
	kindNudge = "nudge" // agent: ask now, something changed
	kindDo    = "do"    // agent: freeze, thaw or kill
	kindDone  = "done"  // guard: what became of it
	kindState = "state" // guard: a fence changed
	// kindOverride is a person's, over a connection of its own: answered by done.
	kindOverride = "override"
)

// maxLine bounds a message: some hundred bytes for each of the clusters of one host.
const maxLine = 8 << 20

type message struct {
	Kind     string        `json:"kind"`
	N        uint64        `json:"n,omitempty"` // ask and left, do and done: which one
	Nonce    string        `json:"nonce,omitempty"`
	Clusters []wireCluster `json:"clusters,omitempty"`
	Verb     Verb          `json:"verb,omitempty"`
	Cluster  string        `json:"cluster,omitempty"`
	Fence    lease.Fence   `json:"fence,omitempty"`
	Why      string        `json:"why,omitempty"`
	Done     *Done         `json:"done,omitempty"`
}

type wireCluster struct {
	Cluster  string              `json:"cluster"`
	Tree     *driver.Tree        `json:"tree,omitempty"`
	Held     bool                `json:"held,omitempty"`
	Exempt   bool                `json:"exempt,omitempty"`
	Left     events.Duration     `json:"left,omitempty"`
	Fence    lease.Fence         `json:"fence,omitempty"`
	Override lease.OverrideState `json:"override,omitempty"`
	// With an ask: what the outlet does for it. With its answer: whose connections are not cut.
	Outlet *OutletState     `json:"outlet,omitempty"`
	Spare  []driver.Process `json:"spare,omitempty"`
}

// Verb is what an agent asks the guard to do.
type Verb string

// The verbs.
const (
	Freeze Verb = "freeze"
	Thaw   Verb = "thaw" // refused without a deadline in the future
	Kill   Verb = "kill"
)

// Done is what became of a freeze, thaw or kill.
type Done struct {
	OK       bool            `json:"ok"`
	Why      string          `json:"why,omitempty"` // why not
	How      freezer.How     `json:"how,omitempty"` // a freeze by signal is verified every 100 ms; none is a fence proof
	Took     events.Duration `json:"took,omitempty"`
	NoCgroup string          `json:"no_cgroup,omitempty"`
}

// Cluster is one cluster under guard.
type Cluster struct {
	Cluster string // region/name, as events.Ref is written
	Tree    driver.Tree
	Held    bool // the ledger says active, or our mark without a ledger entry
	Exempt  bool // mode observe or isolation keep-running
}

// lines reads messages until the connection ends, and hands each over.
func lines(c net.Conn, take func(message)) error {
	s := bufio.NewScanner(c)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		var m message
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			return fmt.Errorf("read message %.100q: %w", s.Text(), err)
		}
		take(m)
	}
	return s.Err()
}

func writeLine(w io.Writer, m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	if _, err := w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}
