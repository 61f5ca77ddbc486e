package sim

import (
	"maps"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// recordKinds take away what is stored, on the hub or on a host. Only a mood or a scenario that names one draws it.
var recordKinds = []kind{
	// The hub's disks are lost. A person makes an empty record, and applies the configuration again; the groups are rebuilt when somebody asks.
	{"record-lost", "record", 0, []arg{flag("lanes", 0.5), byHand(flag("reports", 0)), span("empty", 200*time.Millisecond, 4*time.Second)}, func(w *World, a Args) func() {
		w.trace("the record is lost")
		w.hub.must(w.hub.store.Wipe(events.StreamState))
		for n := range events.Lanes {
			if a.has("lanes") {
				w.hub.loseDisk(n, 0)
			}
		}
		if a.has("reports") {
			w.hub.must(w.hub.store.Wipe(events.StreamReport))
			w.hub.reports = map[events.Ref]events.Report{}
		}
		w.recordGone()
		w.hub.setUp()
		for _, c := range w.ctls {
			if c.up {
				c.kill()
				w.in(a.span("empty"), c.start)
			}
		}
		return nil
	}},
	// The hub is put back from a backup that is so old.
	{"record-restored", "record", 0, []arg{span("age", 500*time.Millisecond, 12*time.Second), byHand(flag("reports", 0))}, func(w *World, a Args) func() {
		restore, err := w.hub.store.Backup(events.StreamState)
		w.hub.must(err)
		if a.has("reports") {
			state, said := restore, maps.Clone(w.hub.reports)
			reports, err := w.hub.store.Backup(events.StreamReport)
			w.hub.must(err)
			restore = func() {
				state()
				reports()
				w.hub.reports = said
			}
		}
		w.in(a.span("age"), func() {
			w.trace("the record is put back as it was %v ago", a.span("age"))
			restore()
			w.recordGone()
		})
		return nil
	}},
	{"rebuild-record", "record", 0, []arg{ofGroup, flag("dry-run", 0.2), maybe(0.3, ofCluster), flag("unfenced", 0.1)}, func(w *World, a Args) func() {
		ask := events.Ask{Verb: events.AskRebuildRecord, Group: a["group"], Reason: "sim", DryRun: a.has("dry-run"), Unfenced: a.has("unfenced")}
		if s := w.clusterOf(a); a.has("cluster") && s.cfg.Group == ask.Group {
			ask.To = s.ref.String()
		}
		w.Ask(ask)
		return nil
	}},
	// The disk with an agent's ledger is lost, with everything in memory.
	{"ledger-lost", "record", 0, []arg{onAgent, flag("running", 0.5), lasts(500*time.Millisecond, 8*time.Second)}, func(w *World, a Args) func() {
		h := w.agentOf(a)
		end := h.boot
		if a.has("running") { // its servers live on
			h.killAgent()
			h.killGuard()
			end = func() { h.startGuard(); h.startAgent() }
		} else {
			h.power()
		}
		h.disk = nil
		for _, s := range h.servers {
			delete(w.seen.seen, s.ref)
		}
		return end
	}},
}

// recordGone forgets what was recorded: from here on a record is a new one, above every ledger.
func (w *World) recordGone() {
	w.seen.records = map[string]*events.Record{}
	w.seen.lost = true
	for _, p := range w.pairs {
		p.record = nil
	}
	w.hub.setAt, w.hub.termAt = 0, 0
}

// rebuild asks for every group that what ledgers say halts, as a person would who reads what agents claim: without a name first, and if that is refused with
// the one that serves.
func (w *World) rebuild() {
	for _, c := range w.ctls {
		if c.fleet == nil {
			continue
		}
		for _, v := range c.fleet.View(c.now()).Groups {
			if !strings.HasPrefix(v.Rule, "halt.") && !strings.HasPrefix(v.Rule, "rebuild.") {
				continue
			}
			a := events.Ask{Verb: events.AskRebuildRecord, Group: v.Group, Reason: "sim"}
			if w.asks%3 == 2 {
				for _, s := range w.group(v.Group) {
					if s.state == events.ServerWritable {
						a.To = s.ref.String()
					}
				}
			}
			w.Ask(a)
		}
		return
	}
}
