package stage

import (
	"fmt"
	"path/filepath"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// Ledgers reads what every agent has on disk: its entry of each cluster.
func (s *Stage) Ledgers() (map[events.Ref]lease.Entry, error) {
	all := map[events.Ref]lease.Entry{}
	for _, region := range Regions {
		files, _ := filepath.Glob(filepath.Join(s.dir(region), "state*", "ledger.json")) // the only error is a bad pattern
		for _, path := range files {
			l, there, err := ledger.Read[lease.Ledger](path)
			if err != nil || !there {
				return nil, fmt.Errorf("read ledger %s: there %v: %w", path, there, err)
			}
			for _, e := range l.Entries {
				if other, twice := all[e.Cluster]; twice {
					return nil, fmt.Errorf("two agents have %s in their ledgers: %+v and %+v", e.Cluster, other, e)
				}
				all[e.Cluster] = e
			}
		}
	}
	return all, nil
}
