package guard

import (
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// Outlet closes a server's way out at its deadline, whoever is paused: the kernel lease. It is told every deadline and every void, from the loop, so none of its
// methods but End may wait for anything.
type Outlet interface {
	// Until says when the server's right to send ends; events.Never for a passive, which may.
	Until(cluster string, t driver.Tree, deadline events.Instant)
	// Free says that the cluster is not fenced at all: mode observe, keep-running, released.
	Free(cluster string, t driver.Tree)
	// End says that the server is about to be killed: nothing it said may leave any more, whatever deadline comes. Called before the first process is killed.
	End(cluster string)
	// Spare names the server's processes whose connections are never cut: physical replication, and the agent's own.
	Spare(cluster string, ps []driver.Process)
	// State tells what it does for a cluster, in words of its own.
	State(cluster string) OutletState
}

// OutletState is what an outlet does for a cluster, as the agent hears it.
type OutletState struct {
	InForce bool            `json:"in_force"`
	Why     string          `json:"why,omitempty"`    // why it is not
	Left    events.Duration `json:"left,omitempty"`   // until the deadline, negative after it; 0 = none
	Late    uint64          `json:"late,omitempty"`   // packets dropped: the deadline was over
	Former  uint64          `json:"former,omitempty"` // packets dropped: of a server that has ended
}

// inform tells the outlet what every cluster may send. A cluster that neither the ledger holds nor an agent has spoken for may be nobody's: it is left alone (C0).
func (g *guard) inform() {
	if g.Outlet == nil {
		return
	}
	for _, k := range g.core.Guarded() {
		c := g.clusters[k.Cluster]
		switch {
		case !k.Held && !c.spokenFor:
		case k.Exempt:
			g.Outlet.Free(k.Cluster, c.tree)
		case k.Held:
			g.Outlet.Until(k.Cluster, c.tree, k.Deadline)
		default:
			g.Outlet.Until(k.Cluster, c.tree, events.Never)
		}
	}
}

// outlets is what the next ask tells the agent, nil if there is nothing to tell.
func (g *guard) outlets() []wireCluster {
	if g.Outlet == nil {
		return nil
	}
	out := make([]wireCluster, 0, len(g.names))
	for _, name := range g.names {
		s := g.Outlet.State(name)
		out = append(out, wireCluster{Cluster: name, Outlet: &s})
	}
	return out
}
