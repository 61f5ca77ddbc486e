package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// kind is one kind of entry: what a schedule may do to the world. To add one, add a row to the table of its class.
type kind struct {
	name   string
	class  string // region, link, process, server, bus, controller, operator, care, record
	weight int    // how often it is drawn, against the others; a mood may say otherwise
	args   []arg
	do     func(w *World, a Args) (end func()) // end undoes it when it is over, nil = it is no state
}

// kinds is every kind, in the order they are drawn.
var kinds []kind

func init() { // what a kind does may lead back to the kinds: the compiler takes that for a cycle
	kinds = slices.Concat(regionKinds, linkKinds, processKinds, serverKinds, busKinds, controllerKinds, operatorKinds, careKinds, recordKinds, namedKinds)
}

func kindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

// arg is one argument of a kind: how it is drawn (false = left out this time), and what is wrong with a value somebody wrote.
type arg struct {
	name  string
	draw  func(d *drawer) (string, bool)
	check func(s *Shape, v string) error

	optional bool // it means something to leave it out
}

// Places of a group that an argument may name instead of a fixed one; which they are is found when the entry is done.
var places = []string{"active", "target", "other"}

// pick draws one of some names, or a place of the group in focus.
func pick(names func(s *Shape) []string) func(d *drawer) (string, bool) {
	return func(d *drawer) (string, bool) {
		if d.Float64() < d.mood.focus {
			return d.focus + "." + places[d.IntN(len(places))], true
		}
		all := names(&d.shape)
		return all[d.IntN(len(all))], true
	}
}

// among checks that a value is one of some names, or a place of a group.
func among(names func(s *Shape) []string) func(s *Shape, v string) error {
	return func(s *Shape, v string) error {
		group, place, found := strings.Cut(v, ".")
		if found && slices.Contains(groupNames(s), group) && slices.Contains(places, place) {
			return nil
		}
		if all := names(s); !slices.Contains(all, v) {
			return fmt.Errorf("%q: want one of %v, or a place of a group like g1.active", v, all)
		}
		return nil
	}
}

func regionNames(s *Shape) []string { return s.Regions }

func groupNames(s *Shape) (names []string) {
	for i := range s.Groups {
		names = append(names, s.Groups[i].Group)
	}
	return names
}

func clusterNames(s *Shape) (names []string) {
	for i := range s.Groups {
		for _, c := range s.Groups[i].Clusters() {
			names = append(names, c.String())
		}
	}
	return names
}

func agentNames(s *Shape) (names []string) {
	for _, r := range s.Regions {
		for n := range max(s.Agents, 1) {
			names = append(names, fmt.Sprintf("%s/h%d", r, n+1))
		}
	}
	return names
}

func controllerNames(s *Shape) (names []string) {
	for i := range s.Controllers {
		names = append(names, fmt.Sprintf("c%d", i+1))
	}
	return append(names, "leader")
}

var (
	inRegion    = arg{name: "region", draw: pick(regionNames), check: among(regionNames)}
	onAgent     = arg{name: "agent", draw: pick(agentNames), check: among(agentNames)}
	ofCluster   = arg{name: "cluster", draw: pick(clusterNames), check: among(clusterNames)}
	fromRegion  = arg{name: "from", draw: pick(regionNames), check: among(regionNames)}
	toRegion    = arg{name: "to", draw: pick(regionNames), check: among(regionNames)}
	aController = oneOf("controller", controllerNames)
	ofGroup     = arg{name: "group", check: oneOf("group", groupNames).check, draw: func(d *drawer) (string, bool) {
		if d.Float64() < d.mood.focus {
			return d.focus, true
		}
		return d.shape.Groups[d.IntN(len(d.shape.Groups))].Group, true
	}}
	ofLane  = oneOf("lane", func(*Shape) []string { return []string{"0", "1", "2"} })
	onPlane = maybe(0.4, oneOf("plane", func(*Shape) (names []string) {
		for _, p := range planes {
			names = append(names, string(p))
		}
		return names
	}))
)

// oneOf is an argument with one of some values.
func oneOf(name string, values func(s *Shape) []string) arg {
	return arg{name: name, draw: func(d *drawer) (string, bool) {
		all := values(&d.shape)
		return all[d.IntN(len(all))], true
	}, check: func(s *Shape, v string) error {
		if all := values(s); !slices.Contains(all, v) {
			return fmt.Errorf("%q: want one of %v", v, all)
		}
		return nil
	}}
}

// maybe is an argument that is there with a chance only.
func maybe(p float64, a arg) arg {
	draw := a.draw
	a.optional = true
	a.draw = func(d *drawer) (string, bool) {
		if d.Float64() >= p {
			return "", false
		}
		return draw(d)
	}
	return a
}

// byHand is an argument that is never drawn, for schedules that somebody writes.
func byHand(a arg) arg {
	a.optional = true
	a.draw = func(*drawer) (string, bool) { return "", false }
	return a
}

// flag is an argument without a value.
func flag(name string, p float64) arg {
	return maybe(p, arg{name: name, draw: func(*drawer) (string, bool) { return "", true }, check: func(_ *Shape, v string) error {
		if v != "" {
			return fmt.Errorf("%q: it takes no value", v)
		}
		return nil
	}})
}

// span is an argument that is a duration between two.
func span(name string, lo, hi time.Duration) arg {
	return arg{name: name, draw: func(d *drawer) (string, bool) { return d.within(lo, hi).String(), true }, check: func(_ *Shape, v string) error {
		if t, err := time.ParseDuration(v); err != nil || t < 0 {
			return fmt.Errorf("%q: want a duration, like 250ms", v)
		}
		return nil
	}}
}

// lasts is how long it lasts.
func lasts(lo, hi time.Duration) arg { return span("for", lo, hi) }

// outage is how long a process may be gone.
var outage = lasts(50*time.Millisecond, 8*time.Second)

// always are the arguments every kind may have.
var always = []arg{lasts(0, 0), span("after", 0, 0), {name: "on", check: func(s *Shape, v string) error {
	group, moment, _ := strings.Cut(v, ".")
	if !slices.Contains(groupNames(s), group) || !slices.Contains(moments, moment) {
		return fmt.Errorf("%q: want a group and one of %v, like g1.fencing", v, moments)
	}
	return nil
}}}

// check says what is wrong with an entry somebody wrote.
func (e Entry) check(shape *Shape) error {
	k := kindOf(e.Kind)
	if k == nil {
		return fmt.Errorf("no kind is called %q", e.Kind)
	}
	for name, v := range e.Args {
		args := slices.Concat(k.args, always)
		i := slices.IndexFunc(args, func(a arg) bool { return a.name == name })
		if i < 0 {
			return fmt.Errorf("argument %s is not of %s", name, e.Kind)
		}
		if err := args[i].check(shape, v); err != nil {
			return fmt.Errorf("argument %s: %w", name, err)
		}
	}
	for _, a := range k.args {
		if _, ok := e.Args[a.name]; !ok && !a.optional && a.name != "for" {
			return fmt.Errorf("argument %s is missing", a.name)
		}
	}
	return nil
}

// span reads a duration that was checked; none is 0.
func (a Args) span(name string) time.Duration {
	d, _ := time.ParseDuration(a[name])
	return d
}

// verb is the entry's own kind among the arguments it is done with: most operator's verbs are done alike.
const verb = "verb"

func (a Args) has(name string) bool {
	_, ok := a[name]
	return ok
}

// spot finds the server that holds a place of a group, nil if the value names none.
func (w *World) spot(v string) *server {
	name, place, found := strings.Cut(v, ".")
	if !found {
		return nil
	}
	ss := w.group(name)
	act, target := ss[0], ss[1]
	if r := w.seen.records[name]; r != nil {
		act = w.server(r.Active)
		target = ss[slices.IndexFunc(ss, func(s *server) bool { return s != act })]
		if t := w.server(r.Target); t != nil {
			target = t
		}
	}
	switch place {
	case "active":
		return act
	case "target":
		return target
	}
	for _, s := range ss {
		if s != act && s != target {
			return s
		}
	}
	return target
}

func (w *World) regionOf(a Args, name string) string {
	if s := w.spot(a[name]); s != nil {
		return s.ref.Region
	}
	return a[name]
}

func (w *World) agentOf(a Args) *host {
	if s := w.spot(a["agent"]); s != nil {
		return s.host
	}
	region, agent, _ := strings.Cut(a["agent"], "/")
	return w.hostOf(events.AgentRef{Region: region, Agent: agent})
}

func (w *World) clusterOf(a Args) *server {
	if s := w.spot(a["cluster"]); s != nil {
		return s
	}
	r, _ := events.ParseRef(a["cluster"]) // checked
	return w.server(r)
}

func (w *World) controllerOf(a Args) *ctl {
	for _, c := range w.ctls {
		if c.name == a["controller"] || a["controller"] == "leader" && c.fleet != nil {
			return c
		}
	}
	return w.ctls[0]
}
