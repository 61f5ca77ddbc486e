package fleet

import (
	"cmp"
	"slices"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// Reports are the notices of what ended not long ago and may have lost something, the newest end first. A leader may have died between recording an end and telling of it: whoever begins a
// term tells those again that the bus has not.
func (f *Fleet) Reports(now Now) []events.Notice {
	var all []events.Notice
	for _, k := range f.groups.keys {
		g := f.groups.get(k)
		r := g.record
		if r == nil {
			continue
		}
		all = append(all, decide.Reports(g.config.Kind, r, now.Wall, func(c events.Ref) []events.Result {
			if x := f.clusters.get(c); x != nil && x.reported {
				return x.report.Results
			}
			return nil
		})...)
	}
	slices.SortStableFunc(all, func(a, b events.Notice) int { return cmp.Compare(b.Report.Began.UnixNano(), a.Report.Began.UnixNano()) })
	return all
}
