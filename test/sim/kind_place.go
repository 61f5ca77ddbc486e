package sim

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

var regionKinds = []kind{
	{"region-dies", "region", 6, []arg{inRegion, lasts(3*time.Second, 20*time.Second)}, func(w *World, a Args) func() { return w.regionDies(w.regionOf(a, "region")) }},
	{"region-isolated", "region", 6, []arg{inRegion, onPlane, lasts(2*time.Second, 20*time.Second)}, func(w *World, a Args) func() {
		return w.isolate(w.regionOf(a, "region"), a.planes())
	}},
}

var linkKinds = []kind{
	{"pair-cut", "link", 4, []arg{fromRegion, toRegion, onPlane, lasts(time.Second, 15*time.Second)}, func(w *World, a Args) func() {
		from, to := w.regionOf(a, "from"), w.regionOf(a, "to")
		return w.cutLinks(linksOf(a.planes(), [2]string{from, to}, [2]string{to, from}))
	}},
	{"one-way-cut", "link", 4, []arg{fromRegion, toRegion, onPlane, lasts(time.Second, 15*time.Second)}, func(w *World, a Args) func() {
		return w.cutLinks(linksOf(a.planes(), [2]string{w.regionOf(a, "from"), w.regionOf(a, "to")}))
	}},
}

// planes are those an entry is about: one, or all.
func (a Args) planes() []plane {
	if a.has("plane") {
		return []plane{plane(a["plane"])}
	}
	return planes
}

func linksOf(ps []plane, pairs ...[2]string) []link {
	var ls []link
	for _, p := range ps {
		for _, pair := range pairs {
			if pair[0] != pair[1] {
				ls = append(ls, link{p, pair[0], pair[1]})
			}
		}
	}
	return ls
}

// cutLinks cuts links. Several cuts may lie on one link; it is whole when all have ended.
func (w *World) cutLinks(ls []link) func() {
	w.moved()
	for _, l := range ls {
		w.net.cut[l]++
	}
	return func() {
		w.moved()
		for _, l := range ls {
			if w.net.cut[l]--; w.net.cut[l] == 0 {
				delete(w.net.cut, l)
			}
		}
	}
}

func (w *World) isolate(r string, ps []plane) func() {
	var pairs [][2]string
	for _, o := range w.shape.Regions {
		pairs = append(pairs, [2]string{r, o}, [2]string{o, r})
	}
	return w.cutLinks(linksOf(ps, pairs...))
}

// regionDies is the loss of everything in a region.
func (w *World) regionDies(r string) func() {
	w.trace("region %s dies", r)
	up := w.hubDown(r)
	for _, h := range w.hostsIn(r) {
		h.power()
	}
	for _, c := range w.ctls {
		if c.region == r {
			c.kill()
		}
	}
	return func() {
		w.trace("region %s is back", r)
		up()
		for _, h := range w.hostsIn(r) {
			h.boot()
		}
		for _, c := range w.ctls {
			if c.region == r {
				c.start()
			}
		}
	}
}

// hubDown stops a region's hub server.
func (w *World) hubDown(r string) func() {
	w.trace("hub server %s down", r)
	w.moved()
	w.hub.down[r]++
	return func() {
		w.moved()
		w.hub.down[r]--
	}
}

var busKinds = []kind{
	{"hub-down", "bus", 4, []arg{inRegion, lasts(500*time.Millisecond, 10*time.Second)}, func(w *World, a Args) func() { return w.hubDown(w.regionOf(a, "region")) }},
	{"bus-lost", "bus", 2, []arg{lasts(time.Second, 15*time.Second)}, func(w *World, _ Args) func() {
		var ups []func()
		for _, r := range w.shape.Regions {
			ups = append(ups, w.hubDown(r))
		}
		return func() {
			for _, up := range ups {
				up()
			}
		}
	}},
	{"acceptor-wiped", "bus", 2, []arg{ofLane, byHand(span("noticed", 0, 0))}, func(w *World, a Args) func() {
		w.hub.loseDisk(a.lane(), a.span("noticed"))
		return nil
	}},
	{"lane-slow", "bus", 2, []arg{inRegion, maybe(0.5, ofLane), lasts(time.Second, 12*time.Second)}, func(w *World, a Args) func() {
		return count(w.hub.slow, a.seenFrom(w.regionOf(a, "region")))
	}},
	// A lane is slow by just so much, on the way there or back: an answer may be late for what was stored in time.
	{"lane-late", "bus", 0, []arg{inRegion, byHand(ofLane), byHand(span("there", 0, 0)), byHand(span("back", 0, 0)), lasts(time.Second, 12*time.Second)}, func(w *World, a Args) func() {
		at := a.seenFrom(w.regionOf(a, "region"))
		return both(add(w.hub.there, at, a.span("there")), add(w.hub.back, at, a.span("back")))
	}},
	// Nothing gets from a region to an acceptor.
	{"lane-cut", "bus", 0, []arg{inRegion, byHand(ofLane), lasts(time.Second, 12*time.Second)}, func(w *World, a Args) func() {
		return count(w.hub.cut, a.seenFrom(w.regionOf(a, "region")))
	}},
	// What leader and agent see of a lane differs for longer than L: the agent beats, and is acknowledged, and the leader hears nothing.
	{"lane-unheard", "bus", 2, []arg{aController, maybe(0.5, ofLane), lasts(time.Second, 12*time.Second)}, func(w *World, a Args) func() {
		return count(w.hub.deaf, a.seenFrom(w.controllerOf(a).region))
	}},
	// An agent beats and answers peers, but what is told it is lost, or late by seconds and out of order.
	{"commands-lost", "bus", 2, []arg{onAgent, lasts(time.Second, 12*time.Second)}, func(w *World, a Args) func() {
		return count(w.hub.lost, []heardBy{{w.agentOf(a).ref, false}})
	}},
	{"commands-late", "bus", 2, []arg{onAgent, byHand(span("by", 0, 0)), lasts(time.Second, 12*time.Second)}, func(w *World, a Args) func() {
		hears := []heardBy{{w.agentOf(a).ref, false}}
		return both(count(w.hub.late, hears), add(w.hub.lateBy, hears, a.span("by")))
	}},
	// What it says is lost, though it beats.
	{"reports-lost", "bus", 2, []arg{onAgent, lasts(time.Second, 12*time.Second)}, func(w *World, a Args) func() {
		return count(w.hub.lost, []heardBy{{w.agentOf(a).ref, true}})
	}},
}

// heardBy is what an agent hears of the bus, or what is heard of it, beats and lanes apart.
type heardBy struct {
	agent events.AgentRef
	says  bool
}

// count adds one to each place until it is over.
func count[K comparable](m map[K]int, places []K) func() { return add(m, places, 1) }

// add adds so much to each place until it is over.
func add[K comparable, V int | time.Duration](m map[K]V, places []K, v V) func() {
	for _, k := range places {
		m[k] += v
	}
	return func() {
		for _, k := range places {
			m[k] -= v
		}
	}
}

func both(a, b func()) func() { return func() { a(); b() } }

// seenFrom are the lanes an entry is about, one or all, as a region sees them.
func (a Args) seenFrom(region string) []laneSeen {
	if a.has("lane") {
		return []laneSeen{{region, a.lane()}}
	}
	var all []laneSeen
	for n := range events.Lanes {
		all = append(all, laneSeen{region, n})
	}
	return all
}

func (a Args) lane() int { return int(a["lane"][0]-'0') % events.Lanes }

var controllerKinds = []kind{
	{"controller-dies", "controller", 4, []arg{aController, outage}, func(w *World, a Args) func() {
		c := w.controllerOf(a)
		c.kill()
		return c.start
	}},
	{"controller-paused", "controller", 3, []arg{aController, outage}, func(w *World, a Args) func() {
		return w.controllerOf(a).still.hold()
	}},
	{"batch-held", "controller", 3, []arg{aController, lasts(500*time.Millisecond, 8*time.Second)}, func(w *World, a Args) func() {
		c := w.controllerOf(a)
		c.trap = a.span("for")
		return nil
	}},
}
