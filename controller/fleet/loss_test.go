package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

func (w *world) group(name string) *group { return w.f.groups.get(name) }

// reports is what an agent's ledger says at an epoch, having applied the command at seq last.
func (w *world) reports(i int, e events.Epoch, seq events.Seq, role events.Role) Effects {
	r := events.Report{Agent: agentAt(i), Cluster: ref(i), Group: "g", Nonce: "n", Seen: e, SeenSeq: seq, Role: role, Version: 1}
	if role == events.RoleActive {
		r.Serving, r.Primary = e, true
	} else {
		r.Passive = e
	}
	return w.apply(ReportSeen{r})
}

// TestLostCommandsHaltUntilANewerOneIsApplied: the growth of the stream settles nothing, nor does a command that is only stored.
func TestLostCommandsHaltUntilANewerOneIsApplied(t *testing.T) {
	t.Parallel()
	w := born(t)
	eff := w.reports(0, 1, w.seq+500, events.RoleActive)
	if g := w.group("g"); g.rule != "halt.commands-lost" {
		t.Fatalf("rule %s (%s): want it halted, its ledger had applied a command that is not stored", g.rule, g.why)
	}
	alarms := 0
	for _, n := range eff.Tell {
		if n.Type == events.NoticeAlarm && n.Rule == "halt.commands-lost" {
			alarms++
		}
	}
	if alarms != 1 {
		t.Fatalf("told %+v: want one alarm", eff.Tell)
	}
	w.seq += 1000 // the stream grows past it
	w.later(time.Minute)
	w.f.stored(agentAt(0), ref(0).Cluster, w.seq) // and a newer command is stored
	w.f.touch(w.group("g"))
	w.reports(0, 1, w.f.clusters.get(ref(0)).stray.seq, events.RoleActive)
	if g := w.group("g"); g.rule != "halt.commands-lost" {
		t.Fatalf("rule %s: want it halted until its ledger has applied a newer command", g.rule)
	}
	w.reports(0, 1, w.seq, events.RoleActive)
	if g := w.group("g"); g.rule == "halt.commands-lost" {
		t.Fatalf("rule %s (%s): a newer command is applied, that settles it", g.rule, g.why)
	}
}

// forgotten is a leader of an empty record, told what three agents remember: A active at epoch 7, B and C passive.
func forgotten(t *testing.T) *world {
	w := newWorld(t)
	for i := range regions {
		role, server := events.RolePassive, events.ServerRecovery
		if i == 0 {
			role, server = events.RoleActive, events.ServerWritable
		}
		for n := range events.Lanes {
			w.seq++
			w.apply(LaneSeen{n, 1, agentAt(i), w.seq, events.LaneBody{Kind: events.LanePending, Nonce: "n", Rejoin: w.seq}})
		}
		w.seq++
		w.apply(HealthSeen{events.Health{Agent: agentAt(i), Nonce: "n", Full: uint64(w.seq), Peer: "p", Clusters: []events.ClusterHealth{{
			Cluster: ref(i), Server: server, SystemID: "s", Streaming: i > 0, LSN: 500, CanaryOK: true, Managed: true, Seen: 7, Role: role, Timeline: 3, Mark: "g"}}}})
		w.reports(i, 7, 5000, role)
	}
	return w
}

// pend has every agent's rejoin seen again, a while later.
func (w *world) pend() (all Effects) {
	for range 8 {
		x := w.later(w.f.d.Beat)
		all.Batches, all.Tell = append(all.Batches, x.Batches...), append(all.Tell, x.Tell...)
		for i := range regions {
			for n := range events.Lanes {
				w.seq++
				x := w.apply(LaneSeen{n, 1, agentAt(i), w.seq, events.LaneBody{Kind: events.LanePending, Nonce: "n", Rejoin: events.Seq(10*i + n + 1)}})
				all.Batches, all.Tell = append(all.Batches, x.Batches...), append(all.Tell, x.Tell...)
			}
			w.seq++
			w.apply(HealthSeen{events.Health{Agent: agentAt(i), Nonce: "n", Full: uint64(w.seq), Peer: "p", Clusters: []events.ClusterHealth{w.f.clusters.get(ref(i)).health}}})
		}
	}
	return all
}

// TestEmptyRecordHaltsAndIsRebuiltAboveEveryLedger: no birth goes past the ledgers, nobody is resumed from a record that does not know the group, and one ask for
// the whole fleet rebuilds what is clear.
func TestEmptyRecordHaltsAndIsRebuiltAboveEveryLedger(t *testing.T) {
	t.Parallel()
	w := forgotten(t)
	eff := w.pend()
	if g := w.group("g"); g.rule != "halt.record-lost" || g.record != nil {
		t.Fatalf("rule %s, record %+v", g.rule, g.record)
	}
	if len(eff.Batches) > 0 {
		t.Fatalf("stored %+v: want nothing, a RESUME that leaves the group out would freeze its active", eff.Batches)
	}
	v := w.f.View(w.now)
	if len(v.Groups) != 1 || !v.Groups[0].NeedsPerson || len(v.Groups[0].Facts) != 3 {
		t.Fatalf("shown %+v: want it to need a person, with the claim of each", v.Groups)
	}
	// An ask is answered by another row: the halt holds all the same.
	eff = w.apply(AskSeen{Ask: events.Ask{ID: "0", Verb: events.AskRebuildRecord, Actor: "ann", To: "r9/z", Group: "g", Reason: "?"}})
	if eff.Answers[0].Accepted || len(eff.Batches) > 0 {
		t.Fatalf("refused, and yet %+v", eff.Batches)
	}
	if eff := w.pend(); len(eff.Batches) > 0 {
		t.Fatalf("stored %+v after a refusal", eff.Batches)
	}
	eff = w.apply(AskSeen{Ask: events.Ask{ID: "1", Verb: events.AskRebuildRecord, Actor: "ann", Reason: "disks burnt"}})
	if len(eff.Answers) != 1 || !eff.Answers[0].Accepted {
		t.Fatalf("answered %+v", eff.Answers)
	}
	r := w.group("g").record
	if r == nil || r.Epoch != 8 || r.Active != ref(0) || r.Phase != events.PhaseActive {
		t.Fatalf("record %+v: want A active at epoch 8", r)
	}
	resumed := map[events.AgentRef]bool{}
	for _, b := range w.pend().Batches {
		for _, x := range b {
			if res, ok := x.Payload.(events.Resume); ok && len(res.Groups) == 1 && res.Groups[0].Epoch == 8 {
				resumed[res.Agent] = true
			}
		}
	}
	if len(resumed) != len(regions) {
		t.Fatalf("%v resumed at the new epoch: want %d", resumed, len(regions))
	}
}

// TestRememberedGroupThatNobodyConfiguredIsShown: the configuration may be lost with the record.
func TestRememberedGroupThatNobodyConfiguredIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := events.Ref{Region: "r1", Cluster: "z"}
	w.apply(ReportSeen{events.Report{Agent: agentAt(0), Cluster: other, Group: "old", Nonce: "n", Seen: 3, SeenSeq: 9, Role: events.RoleActive}})
	if g := w.group("old"); g == nil || g.rule != "halt.not-configured" || !strings.Contains(g.why, "switchback apply") {
		t.Fatalf("group %+v", g)
	}
	w.apply(GroupSeen{GroupConfig{events.GroupConfig{Group: "new", Mode: events.ModeAuto, Primary: other, Recovery: []events.Ref{ref(1)}}, 77}})
	if g := w.group("old"); len(g.found) > 0 {
		t.Fatalf("%v is another group's now", g.found)
	}
	if g := w.group("new"); g.rule != "halt.record-lost" {
		t.Fatalf("rule %s: its agent still remembers it", g.rule)
	}
}

// TestLostConfigurationReleasesNobody: a configuration that is not there is no tombstone.
func TestLostConfigurationReleasesNobody(t *testing.T) {
	t.Parallel()
	w := born(t)
	r := *w.group("g").record
	s := Snapshot{Term: 8, Region: "r3", Lanes: w.f.lanes, LanesSeq: 1, Records: []Record{{r, 50}}}
	w.f = New(s, w.f.d, w.now)
	for range 20 {
		for i := range regions {
			w.beat(i, w.server(i))
		}
		w.later(time.Second)
	}
	g := w.group("g")
	if g.rule != "halt.config-lost" || g.record.Gone != "" {
		t.Fatalf("rule %s, gone %q", g.rule, g.record.Gone)
	}
}

func (w *world) server(i int) events.Server {
	if i == 0 {
		return events.ServerWritable
	}
	return events.ServerRecovery
}
