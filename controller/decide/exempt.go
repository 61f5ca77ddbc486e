package decide

import "github.com/switchback-dr/switchback/events"

// exempt reports whether a configuration forbids that a deadline freezes the active: then a lapsed lease proves nothing.
func exempt(c *events.GroupConfig) bool {
	return c.Mode == events.ModeObserve || c.Isolation == events.IsolationKeepRunning
}

// exempt reports whether the active may be one that no deadline freezes: it is configured so, was told so and has not
// acknowledged the opposite yet, or its agent's last word says so.
func (f *Facts) exempt() bool {
	return f.Record.Exempt || exempt(&f.Config) || f.active().Report.Exempt
}

// fenceable reports whether the active has acknowledged that a deadline freezes it.
func (f *Facts) fenceable() bool {
	r := &f.active().Report
	return f.Record.Exempt && !exempt(&f.Config) && f.Revision == f.Record.Config && f.active().Reported && r.Seen == f.Record.Epoch && r.Config == f.Record.Config && !r.Exempt
}
