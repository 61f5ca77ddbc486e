package guard

import (
	"fmt"
	"os"

	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// ReadHeld reads from the agent's ledger what a starting guard must freeze first (D1): what the ledger says may write (active, or written last by itself), and what carries our mark without an entry.
// What a person overrode is exempt while that holds. Neither mark nor entry: unmanaged, never touched (C0). A ledger that can't be read counts as none: the list then holds every marked cluster, and the error says why.
func ReadHeld(path, overrides string, clusters []Cluster) ([]lease.Guarded, error) {
	l, _, err := ledger.Read[lease.Ledger](path)
	out := make([]lease.Guarded, 0, len(clusters))
	for _, c := range clusters {
		g := lease.Guarded{Cluster: c.Cluster}
		if e := entry(&l, c.Cluster); e != nil {
			g.Held, g.Exempt = e.Held(), e.Exempt()
		} else if c.Tree.Mark != "" {
			_, e := os.Stat(c.Tree.Mark)
			g.Held = e == nil
		}
		if InForce(overrides, path, c.Cluster) {
			g.Exempt, g.Overridden = true, true
		}
		out = append(out, g)
	}
	if err != nil {
		return out, fmt.Errorf("what is held: %w", err)
	}
	return out, nil
}

func entry(l *lease.Ledger, cluster string) *lease.Entry {
	for i := range l.Entries {
		if l.Entries[i].Cluster.String() == cluster {
			return &l.Entries[i]
		}
	}
	return nil
}
