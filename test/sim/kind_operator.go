package sim

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

var operatorKinds = []kind{
	{"failover", "operator", 6, []arg{ofGroup, flag("accept-loss", 0.4), flag("unfenced", 0.05), flag("dry-run", 0.03), flag("while-blind", 0.1), toCluster}, asks},
	{"region-failover", "operator", 2, []arg{inRegion, flag("accept-loss", 0.3)}, func(w *World, a Args) func() {
		w.Ask(events.Ask{Verb: events.AskFailover, Region: w.regionOf(a, "region"), Reason: "sim", AcceptLoss: a.has("accept-loss")})
		return nil
	}},
	{"switchover", "operator", 4, []arg{ofGroup, flag("dry-run", 0.05)}, asks},
	{"failback", "operator", 3, []arg{ofGroup, flag("dry-run", 0.05)}, asks},
	{"restore", "operator", 4, []arg{ofGroup, flag("copy", 0.2), flag("dry-run", 0.05)}, asks},
	{"protect", "operator", 1, []arg{ofGroup}, asks},
	{"abort", "operator", 3, []arg{ofGroup, flag("dry-run", 0.05)}, asks},
	{"rebuild", "operator", 2, []arg{ofCluster, flag("copy", 0.5), flag("dry-run", 0.05)}, asks},
	{"restart", "operator", 1, []arg{ofCluster, flag("dry-run", 0.05)}, asks},
	{"maintenance", "operator", 1, []arg{ofCluster, lasts(time.Second, 12*time.Second)}, func(w *World, a Args) func() {
		s := w.clusterOf(a)
		w.Ask(events.Ask{Verb: events.AskMaintenance, Cluster: s.ref.String(), For: events.Duration(a.span("for")), Reason: "sim"})
		return func() { w.Ask(events.Ask{Verb: events.AskMaintenance, Cluster: s.ref.String(), Reason: "sim"}) }
	}},
	{"disarm", "operator", 1, []arg{maybe(0.5, ofGroup), lasts(time.Second, 20*time.Second)}, func(w *World, a Args) func() {
		w.Ask(events.Ask{Verb: events.AskDisarm, Group: a["group"], Reason: "sim"})
		return func() { w.Ask(events.Ask{Verb: events.AskArm, Group: a["group"], Reason: "sim"}) }
	}},
	{"disarm-region", "operator", 1, []arg{inRegion, lasts(time.Second, 20*time.Second)}, func(w *World, a Args) func() {
		r := w.regionOf(a, "region")
		w.Ask(events.Ask{Verb: events.AskDisarm, Region: r, Reason: "sim"})
		return func() { w.Ask(events.Ask{Verb: events.AskArm, Region: r, Reason: "sim"}) }
	}},
	{"approve", "operator", 1, []arg{inRegion}, func(w *World, a Args) func() {
		w.Ask(events.Ask{Verb: events.AskApprove, Region: w.regionOf(a, "region"), Reason: "sim"})
		return nil
	}},
	// The group is let go, and taken under care again.
	{"release", "operator", 1, []arg{ofGroup, lasts(2*time.Second, 15*time.Second)}, func(w *World, a Args) func() {
		w.Ask(events.Ask{Verb: events.AskRelease, Group: a["group"], Reason: "sim"})
		return func() { w.configure(a["group"], func(*events.GroupConfig) {}) }
	}},
	// A recovery cluster is taken out of the configuration, and put back: the candidates change while whatever runs, runs.
	{"member-leaves", "operator", 2, []arg{ofCluster, lasts(time.Second, 15*time.Second)}, func(w *World, a Args) func() {
		s := w.clusterOf(a)
		w.configure(s.cfg.Group, func(g *events.GroupConfig) {
			kept := []events.Ref{}
			for _, r := range g.Recovery {
				if r != s.ref {
					kept = append(kept, r)
				}
			}
			g.Recovery = kept
		})
		return func() { w.configure(s.cfg.Group, func(*events.GroupConfig) {}) }
	}},
}

var toCluster = byHand(arg{name: "to", check: oneOf("to", clusterNames).check})

// asks is an operator's ask of the entry's own name about its group or cluster.
func asks(w *World, a Args) func() {
	ask := events.Ask{
		Verb: a[verb], Group: a["group"], Reason: "sim",
		AcceptLoss: a.has("accept-loss"), Unfenced: a.has("unfenced"), DryRun: a.has("dry-run"), WhileBlind: a.has("while-blind"), Copy: a.has("copy"),
	}
	if a.has("to") {
		ask.To = a["to"]
	}
	if a.has("cluster") {
		ask.Cluster = w.clusterOf(a).ref.String()
	}
	w.Ask(ask)
	return nil
}

// configure stores a group's configuration, its own changed by f.
func (w *World) configure(name string, f func(g *events.GroupConfig)) {
	for i := range w.shape.Groups {
		if g := w.shape.Groups[i]; g.Group == name {
			f(&g)
			w.storeConfig(g)
		}
	}
}

// Ask publishes an operator's ask; the leader takes it when there is one. The network may lose it or carry it twice.
func (w *World) Ask(a events.Ask) {
	w.asks++
	if a.ID == "" {
		a.ID = fmt.Sprintf("ask-%d", w.asks)
	}
	if a.Actor == "" {
		a.Actor = "sim"
	}
	w.ask(a, 20)
}
