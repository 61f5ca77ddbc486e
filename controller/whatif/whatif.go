// Package whatif asks the real core what it would do: it starts a term from the fleet's stored state, as a new leader would, lets every agent go on beating, and then
// loses regions. Agents that are left do at once and without fail what they are told.
//
//	snapshot ─▶ fleet.New ─▶ beats and health until a full horizon is watched ─▶ the regions fall silent ─▶ what is told, and where each group ends
//
// Pure like the core it drives: no clock, I/O, goroutine, logging, randomness. Nothing of the live fleet is touched.
package whatif

import (
	"fmt"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Forecast is what would happen.
type Forecast struct {
	Lost   []string `json:"lost"`
	Events []Told   `json:"events"`
	Groups []Group  `json:"groups"` // that were active in what is lost, in order of name
}

// Told is one event, by the time since the loss.
type Told struct {
	At     time.Duration `json:"at"`
	Group  string        `json:"group,omitempty"`
	Region string        `json:"region,omitempty"`
	Type   string        `json:"type"`
	Rule   string        `json:"rule"`
	Why    string        `json:"why"`
}

// Group is where a group ends that was active in what is lost.
type Group struct {
	Group   string        `json:"group"`
	From    events.Ref    `json:"from"`
	To      events.Ref    `json:"to,omitzero"`       // zero: it was left behind
	Serving time.Duration `json:"serving,omitempty"` // since the loss
	Loss    *events.Loss  `json:"loss,omitempty"`
	Rule    string        `json:"rule"`
	Why     string        `json:"why"`
}

// How long an agent takes in a forecast: what was measured on small databases that are not busy.
const (
	StopTakes    = 100 * time.Millisecond
	CutTakes     = 20 * time.Millisecond
	PromoteTakes = 40 * time.Millisecond
)

// most bounds a forecast: what has not moved by then is left behind.
const most = 15 * time.Minute

// Lose says what would happen if these regions were lost now, all at once. The snapshot is not changed.
func Lose(s fleet.Snapshot, d events.Durations, wall time.Time, lost []string) (Forecast, error) {
	w := newWorld(s, d, wall)
	for _, r := range lost {
		if !slices.Contains(w.regions, r) {
			return Forecast{}, fmt.Errorf("no region is called %q: want one of %v", r, w.regions)
		}
	}
	if s.Fleet.Confirm != 0 {
		d.Confirm = s.Fleet.Confirm.D()
	}
	w.run(d.Confirm + 4*d.Silent()) // until this leader has watched a full horizon
	before := w.fleet.View(w.now())
	w.lose(lost)
	quiet := d.Confirm + d.Wait + 10*time.Second // nothing moved for that long: nothing will
	for w.since() < most && w.at.Sub(max(w.moved, w.lostAt)) < quiet {
		w.run(d.Beat)
	}
	return w.forecast(before, lost), nil
}

func (w *world) forecast(before fleet.View, lost []string) Forecast {
	f := Forecast{Lost: lost, Events: []Told{}, Groups: []Group{}}
	for _, t := range w.told {
		if t.At >= 0 {
			f.Events = append(f.Events, t)
		}
	}
	after := w.fleet.View(w.now())
	for _, g := range before.Groups {
		if g.Record == nil || g.Record.Gone != "" || !slices.Contains(lost, g.Record.Active.Region) {
			continue
		}
		i := slices.IndexFunc(after.Groups, func(x fleet.GroupView) bool { return x.Group == g.Group })
		x := &after.Groups[i]
		out := Group{Group: g.Group, From: g.Record.Active, Rule: x.Rule, Why: x.Why}
		if x.Record.Active != g.Record.Active && x.Record.Op != nil {
			out.To, out.Loss, out.Rule, out.Why = x.Record.Active, x.Record.Op.Loss, x.Record.Op.Rule, x.Record.Op.Why
			out.Serving = w.served[g.Group]
		}
		f.Groups = append(f.Groups, out)
	}
	return f
}

// Says is where a group ends, in words.
func (g *Group) Says() string {
	if g.To == (events.Ref{}) {
		return "left behind: " + g.Why
	}
	return "loss " + decide.LossText(g.Loss)
}
