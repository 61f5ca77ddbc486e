package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// String shows a state in one line, for traces.
func (w *world) String() string {
	var b strings.Builder
	for _, g := range w.leader().groups {
		fmt.Fprintf(&b, "rec{%s e%d %s", g.name, g.epoch, name(g.active))
		if g.phase != events.PhaseActive {
			fmt.Fprintf(&b, " %s to %s", g.phase, name(g.target))
		}
		b.WriteString("}")
	}
	for h := range w.m.cfg.Hosts {
		x := w.meta(h)
		fmt.Fprintf(&b, " %s{", name(h))
		if !x.alive {
			b.WriteString("dead ")
		}
		if !x.guard {
			b.WriteString("no-guard ")
		}
		for _, e := range x.entries {
			fmt.Fprintf(&b, "%s e%d %s right%d ", e.group, e.seen, e.role, e.right)
		}
		for _, g := range w.m.cfg.Groups {
			switch {
			case slices.Contains(x.writable, g):
				b.WriteString("WRITABLE ")
			case slices.Contains(x.down, g):
				b.WriteString("down ")
			}
		}
		if !w.m.cfg.perfect(h) {
			for n := range events.Lanes {
				b.WriteString(w.m.laneText(w.fixed[w.register(h, n)]))
			}
		}
		b.WriteString("}")
	}
	return b.String()
}

func (m *machine) laneText(p part) string {
	r := m.get(p, now).(*register)
	switch r.Body.Kind {
	case events.LaneBeat:
		return "|beat"
	case events.LanePending:
		return "|rejoin"
	case events.LaneRevoke:
		return "|REV"
	}
	return "|none"
}
