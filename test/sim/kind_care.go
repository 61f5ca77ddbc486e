package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// careKinds are what people do to a fleet besides moving it, and what becomes of hosts while they do. Only a mood or a scenario that names one draws it.
var careKinds = []kind{
	{"drill", "care", 0, []arg{ofGroup, flag("dry-run", 0.05)}, asks},
	{"acknowledge", "care", 0, []arg{ofGroup}, asks},
	{"approve-group", "care", 0, []arg{ofGroup}, func(w *World, a Args) func() {
		w.Ask(events.Ask{Verb: events.AskApprove, Group: a["group"], Reason: "sim"})
		return nil
	}},
	{"disarm-kind", "care", 0, []arg{lasts(time.Second, 20*time.Second)}, func(w *World, _ Args) func() {
		w.Ask(events.Ask{Verb: events.AskDisarm, Kind: events.KindPostgres, Reason: "sim"})
		return func() { w.Ask(events.Ask{Verb: events.AskArm, Kind: events.KindPostgres, Reason: "sim"}) }
	}},
	// The group's configuration says something else for a while.
	{"policy", "care", 0, []arg{ofGroup, oneOf("is", func(*Shape) []string { return slices.Sorted(maps.Keys(changes)) }), lasts(time.Second, 20*time.Second)}, func(w *World, a Args) func() {
		w.configure(a["group"], changes[a["is"]])
		return func() { w.configure(a["group"], func(*events.GroupConfig) {}) }
	}},
	{"fleet-policy", "care", 0, []arg{oneOf("is", func(*Shape) []string { return []string{"approval", "one-per-hour", "two-regions-out"} }), lasts(time.Second, 25*time.Second)}, func(w *World, a Args) func() {
		was := w.hub.fleet
		next := was
		switch a["is"] {
		case "approval":
			next.Approval = []events.Span{{From: 0, To: 9}}
		case "one-per-hour":
			next.MaxPerHour = 1
		default:
			next.MaxOut = 2
		}
		w.configureFleet(next)
		return func() { w.configureFleet(was) }
	}},
	// Its agent is found elsewhere from now on.
	{"agent-moves", "care", 0, []arg{onAgent}, func(w *World, a Args) func() {
		w.agentOf(a).name += "-moved"
		return nil
	}},
	// The driver refuses every restore of it for good; or a restore of it stands still.
	{"restore-refused", "care", 0, []arg{ofCluster, lasts(time.Second, 15*time.Second)}, func(w *World, a Args) func() {
		s := w.clusterOf(a)
		s.refuses++
		return func() { s.refuses-- }
	}},
	{"restore-stalls", "care", 0, []arg{ofCluster, lasts(time.Second, 90*time.Second)}, func(w *World, a Args) func() {
		s := w.clusterOf(a)
		s.stalls++
		return func() { s.stalls-- }
	}},
	// Another agent says that it holds the cluster, too.
	{"claimed-twice", "care", 0, []arg{ofCluster, onAgent}, func(w *World, a Args) func() {
		s, h := w.clusterOf(a), w.agentOf(a)
		for _, c := range w.ctls {
			if c.fleet != nil && h != s.host {
				ch := events.ClusterHealth{Cluster: s.ref, Kind: events.KindPostgres, Server: s.probed()}
				h.full++
				c.input(fleet.HealthSeen{Health: events.Health{Agent: h.ref, Nonce: h.nonce, Full: h.full, Peer: h.name, Clusters: []events.ClusterHealth{ch}}})
			}
		}
		return nil
	}},
}

// changes are what a group's configuration may say for a while.
var changes = map[string]func(g *events.GroupConfig){
	"manual":       policies["manual"],
	"observe":      policies["observe"],
	"keep-running": policies["keep-running"],
	"by-hand":      policies["by-hand"],
	"removed":      func(g *events.GroupConfig) { g.Removed = true },
	"async":        func(g *events.GroupConfig) { g.Replication, g.WhenAlone = "", "" },
	"no-loss":      func(g *events.GroupConfig) { g.MaxLoss = events.LossBudget{Bytes: 1} },
	"workflow": func(g *events.GroupConfig) {
		g.Kind, g.DependsOn, g.MaxLoss = events.KindAirflow, []string{"g1"}, events.LossBudget{Unknown: true}
	},
	"depends": func(g *events.GroupConfig) { g.DependsOn = []string{"g1"} },
}

// configureFleet stores the fleet's configuration.
func (w *World) configureFleet(c events.FleetConfig) {
	w.trace("FLEET %s", fmt.Sprintf("%+v", c))
	w.hub.fleet = c
	for _, c := range w.ctls {
		if c.fleet != nil {
			c.alive(c.life, func() { c.input(fleet.FleetSeen{FleetConfig: w.hub.fleet}) })
		}
	}
}
