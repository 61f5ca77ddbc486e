package fleet

import "github.com/switchback-dr/switchback/events"

// Lane is the acceptor at a place: its generation and its hub region.
func (f *Fleet) Lane(lane int) events.LanePlace { return f.lanes.Lanes[lane] }

// GroupOf is the record of a cluster's group, nil if it has none. It is not to be changed.
func (f *Fleet) GroupOf(c events.Ref) *events.Record {
	if k := f.clusters.get(c); k != nil && k.group != nil {
		return k.group.record
	}
	return nil
}

// Reported is the last word of a cluster's agent; false if there is none.
func (f *Fleet) Reported(c events.Ref) (events.Report, bool) {
	if k := f.clusters.get(c); k != nil {
		return k.report, k.reported
	}
	return events.Report{}, false
}
