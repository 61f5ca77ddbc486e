package decide

import (
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// TestRebuiltSetIsEmpty: the set of a record that was lost or put back says nothing of who has every acknowledged write now.
func TestRebuiltSetIsEmpty(t *testing.T) {
	told := &events.Sync{Version: 3, Told: []events.Ref{refB}, Set: []events.Ref{refB}, Once: true}
	for name, c := range map[string]struct {
		change func(f *Facts)
		active string
		told   int // clusters the active waits for afterwards; -1 = the record has no word of it
	}{
		"the same active": {func(f *Facts) {
			lost(f)
			f.Record = healthyRecord.Clone()
			f.Record.Sync, f.Config.Replication, f.Members[1].Astray = cloned(told), events.ReplicateSync, true
		}, "", 1},
		"another active": {func(f *Facts) {
			putBack(f)
			f.Record = f.Record.Clone()
			f.Record.Sync = cloned(told)
			f.Config.Replication = events.ReplicateSync
		}, "", 0},
		"async, and an order was lost": {func(f *Facts) {
			lost(f)
			f.Members[0].Health.Sync = &events.SyncHealth{Version: 8 << 20, Setting: "FIRST 1 (b)"}
		}, "", 0},
		"sync, and an order was lost": {func(f *Facts) {
			lost(f)
			f.Config.Replication = events.ReplicateSync
			f.Members[0].Health.Sync = &events.SyncHealth{Version: 8 << 20, Setting: "FIRST 1 (b)"}
		}, "", -1},
		"never in sync": {lost, "", -1},
	} {
		t.Run(name, func(t *testing.T) {
			r := wantRule(t, askRebuild(rebuildable(t, c.change), c.active, false), "rebuild.asked").Record
			switch s := r.Sync; {
			case c.told < 0:
				if s != nil {
					t.Fatalf("the record says %+v of it", s)
				}
			case s == nil || len(s.Set) > 0 || len(s.Told) != c.told || s.Version <= told.Version || s.Why == "":
				t.Fatalf("%+v: want nobody in the set, %d waited for, a newer version, and why", s, c.told)
			}
		})
	}
}

func cloned(s *events.Sync) *events.Sync {
	c := *s
	return &c
}
