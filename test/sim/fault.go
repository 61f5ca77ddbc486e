package sim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// faulty is what a schedule has done to the world and not undone yet.
type faulty struct {
	open    []*open
	waiting []waiting
}

// open is an entry that has not ended.
type open struct {
	entry Entry
	end   func()
}

// waiting is an entry that waits for a moment of a group.
type waiting struct {
	entry Entry
	until at
}

// moments of a group that entries may wait for.
var moments = []string{"fencing", "proved", "promoted", "aborted"}

// patience is how long an entry waits for its moment.
const patience = 15 * time.Second

// momentOf names what a new record means, "" if nothing.
func momentOf(old, r *events.Record) string {
	switch {
	case old == nil:
	case r.Active != old.Active:
		return "promoted"
	case r.Phase == old.Phase:
	case r.Phase == events.PhaseActive:
		return "aborted"
	default:
		return strings.ToLower(string(r.Phase))
	}
	return ""
}

// Do does an entry now, or at its moment.
func (w *World) Do(e Entry) {
	if e.Args.has("on") {
		w.faults.waiting = append(w.faults.waiting, waiting{e, w.now + patience})
		return
	}
	w.trace("DO %s", e.words())
	a := maps.Clone(e.Args)
	a[verb] = e.Kind
	end := kindOf(e.Kind).do(w, a)
	if end == nil {
		return
	}
	o := &open{e, end}
	w.faults.open = append(w.faults.open, o)
	if e.Args.has("for") {
		w.in(e.Args.span("for"), func() { w.over(o) })
	}
}

// over ends an entry, once.
func (w *World) over(o *open) {
	i := slices.Index(w.faults.open, o)
	if i < 0 {
		return
	}
	w.faults.open = slices.Delete(w.faults.open, i, i+1)
	w.trace("OVER %s", o.entry.words())
	o.end()
}

// moment does what waited for a moment of a group.
func (w *World) moment(name string) {
	var left []waiting
	for _, x := range w.faults.waiting {
		switch {
		case x.entry.Args["on"] == name:
			e := Entry{Kind: x.entry.Kind, Args: Args{}}
			for k, v := range x.entry.Args {
				if k != "on" && k != "after" {
					e.Args[k] = v
				}
			}
			w.in(x.entry.Args.span("after"), func() {
				if !w.healed {
					w.Do(e)
				}
			})
		case w.now < x.until:
			left = append(left, x)
		}
	}
	w.faults.waiting = left
}

// Heal ends every fault, in the order they began, and starts what is not running.
func (w *World) Heal() {
	w.trace("HEAL")
	w.healed = true
	w.faults.waiting = nil
	for len(w.faults.open) > 0 {
		w.over(w.faults.open[0])
	}
	w.net.noise = Noise{}
	w.moved()
	for _, h := range w.hosts {
		h.trap, h.promised = 0, 0
		if h.off {
			h.boot()
		}
		h.startGuard()
		h.startAgent()
	}
	for _, c := range w.ctls {
		c.trap = 0
		c.start()
	}
	w.arm()
}

func (w *World) arm() {
	w.Ask(events.Ask{Verb: events.AskArm})
	for _, r := range w.shape.Regions {
		w.Ask(events.Ask{Verb: events.AskArm, Region: r})
	}
	for i := range w.shape.Groups {
		w.Ask(events.Ask{Verb: events.AskArm, Group: w.shape.Groups[i].Group})
	}
}

// disarmed reports whether automation is switched off for the whole fleet, a kind or a region: an ask to arm it is handed to one leader, and lost with its term.
func (w *World) disarmed() bool {
	m, _ := w.hub.store.Last(events.StreamState, events.SubjectAutomation)
	if m == nil {
		return false
	}
	var a events.Automation
	w.hub.must(json.Unmarshal(m.Data, &a))
	for _, r := range a.Regions {
		if r.Disarmed != "" {
			return true
		}
	}
	return a.Disarmed != "" || len(a.Kinds) > 0
}
