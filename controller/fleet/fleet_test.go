package fleet

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// world is one leader driven by hand: three regions, one group of A, B and C.
type world struct {
	t   *testing.T
	f   *Fleet
	now Now
	seq events.Seq
}

var regions = []string{"r1", "r2", "r3"}

func ref(i int) events.Ref          { return events.Ref{Region: regions[i], Cluster: string(rune('a' + i))} }
func agentAt(i int) events.AgentRef { return events.AgentRef{Region: regions[i], Agent: "h"} }

func newWorld(t *testing.T) *world {
	t.Helper()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: Now{Boot: events.Instant(time.Hour), Wall: time.Unix(1e9, 0)}, seq: 100}
	s := Snapshot{Term: 7, Region: "r3", Fleet: events.FleetConfig{MaxOut: 1}}
	for n := range s.Lanes.Lanes {
		s.Lanes.Lanes[n] = events.LanePlace{Generation: 1, Region: regions[n]}
	}
	s.Groups = []GroupConfig{{events.GroupConfig{Group: "g", Mode: events.ModeAuto, Primary: ref(0), Recovery: []events.Ref{ref(1), ref(2)},
		MaxLoss: events.LossBudget{Bytes: 1000, Seconds: 60}}, 1}}
	w.f = New(s, d, w.now)
	return w
}

// apply hands an input over and stores every batch that follows, as the shell does.
func (w *world) apply(in Input) (all Effects) {
	w.t.Helper()
	for {
		eff := w.f.Apply(w.now, in)
		all.Revoke, all.Read, all.Look = append(all.Revoke, eff.Revoke...), append(all.Read, eff.Read...), append(all.Look, eff.Look...)
		all.Tell, all.Answers, all.Batches = append(all.Tell, eff.Tell...), append(all.Answers, eff.Answers...), append(all.Batches, eff.Batches...)
		if len(eff.Batches) == 0 {
			return all
		}
		var last []events.Seq
		for _, b := range eff.Batches {
			w.seq += events.Seq(len(b)) + 1
			last = append(last, w.seq)
		}
		in = Committed{last}
	}
}

func (w *world) later(d time.Duration) Effects {
	w.now.Boot, w.now.Wall = w.now.Boot.Add(d), w.now.Wall.Add(d)
	return w.apply(Tick{})
}

// beat is one beat of an agent on every lane, with health of its cluster.
func (w *world) beat(i int, server events.Server) {
	w.lanes(i)
	w.seq++
	w.apply(HealthSeen{events.Health{Agent: agentAt(i), Nonce: "n", Full: uint64(w.seq), Peer: "p", Clusters: []events.ClusterHealth{{
		Cluster: ref(i), Server: server, SystemID: "s", Streaming: server == events.ServerRecovery, LSN: 500, CanaryOK: true}}}})
}

func (w *world) lanes(i int) {
	for n := range events.Lanes {
		w.seq++
		w.apply(LaneSeen{n, 1, agentAt(i), w.seq, events.LaneBody{Kind: events.LaneBeat, Nonce: "n"}})
	}
}

// born brings the group under care, and lets every agent acknowledge.
func born(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.beat(0, events.ServerWritable)
	w.beat(1, events.ServerRecovery)
	w.beat(2, events.ServerRecovery)
	if r := w.f.groups.get("g").record; r == nil || r.Active != ref(0) || r.Epoch != 1 {
		t.Fatalf("record %+v: want it born with A active", r)
	}
	for i := range regions {
		r := events.Report{Agent: agentAt(i), Cluster: ref(i), Group: "g", Seen: 1, Role: events.RolePassive, Passive: 1, Version: 1}
		if i == 0 {
			r.Role, r.Passive, r.Serving, r.Primary = events.RoleActive, 0, 1, true
		}
		w.apply(ReportSeen{r})
	}
	w.beat(0, events.ServerWritable)
	return w
}

// dark lets time pass with r1 silent and the others beating and looking.
func (w *world) dark(d time.Duration) (all Effects) {
	for end := w.now.Boot.Add(d); w.now.Boot < end; {
		eff := w.later(100 * time.Millisecond)
		all.Revoke, all.Tell, all.Batches = append(all.Revoke, eff.Revoke...), append(all.Tell, eff.Tell...), append(all.Batches, eff.Batches...)
		for i := 1; i < 3; i++ {
			w.beat(i, events.ServerRecovery)
			for _, l := range eff.Look {
				x := w.apply(SawSeen{events.Saw{ID: l.ID, Region: l.Region, By: agentAt(i), Sightings: []events.Sighting{{Region: "r1", What: "h", How: events.SightAgent}}}})
				all.Revoke, all.Tell, all.Batches = append(all.Revoke, x.Revoke...), append(all.Tell, x.Tell...), append(all.Batches, x.Batches...)
			}
		}
	}
	return all
}

func TestDarkRegionIsRevokedAndItsGroupFenced(t *testing.T) {
	t.Parallel()
	w := born(t)
	w.dark(3 * time.Second) // also a full horizon of watching
	w.dark(time.Second)
	r := w.f.groups.get("g").record
	if r.Phase != events.PhaseFencing || r.Epoch != 2 || r.Op.Rule != "failover.region-out" {
		t.Fatalf("rule %s (%s), region %+v, record %+v", w.f.groups.get("g").rule, w.f.groups.get("g").why, w.f.regions.get("r1").judged, r)
	}
	a := w.f.agents.get(agentAt(0))
	if a.attempt == nil {
		t.Fatal("no attempt on the lease of its agent")
	}
	for n := range events.Quorum {
		k := LaneKey{n, 1, agentAt(0)}
		w.seq++
		w.apply(RevokeResult{Revocation: Revocation{k, a.attempt.lanes[n].expected, a.attempt.id}, Stored: true, Seq: w.seq})
	}
	w.apply(ReportSeen{events.Report{Agent: agentAt(1), Cluster: ref(1), Group: "g", Seen: 2, Role: events.RolePassive, Passive: 2, Version: 1}})
	if r = w.f.groups.get("g").record; r.Phase != events.PhaseProved || len(r.Op.Proof.Lanes) != events.Quorum {
		t.Fatalf("record %+v: want PROVED by two revocations", r)
	}
}

// TestLeaseWaitsForTheListInForce: promises that an older candidate list asked for may still carry the active when it acknowledges a new one (G3).
func TestLeaseWaitsForTheListInForce(t *testing.T) {
	t.Parallel()
	w := born(t)
	c := w.f.clusters.get(ref(0))
	old := revoke{ok: true, at: w.now.Boot}
	revoked := &agent{attempt: &attempt{lanes: [events.Lanes]revoke{old, old}}}
	w.later(w.f.d.Wait)
	if !w.f.lease(revoked, c).Waited(w.now.Boot) {
		t.Fatal("not proved by lease L after the receipts")
	}
	w.apply(ReportSeen{events.Report{Agent: agentAt(0), Cluster: ref(0), Group: "g", Seen: 1, Role: events.RoleActive, Serving: 1, Primary: true, Version: 2}})
	if w.f.lease(revoked, c).Waited(w.now.Boot) {
		t.Fatal("proved by lease at the instant a new list was acknowledged")
	}
	w.apply(ReportSeen{events.Report{Agent: agentAt(0), Cluster: ref(0), Group: "g", Seen: 1, Role: events.RoleActive, Serving: 1, Primary: true, Version: 2, Fenced: "x"}})
	if l := w.f.lease(revoked, c); !l.Waited(w.now.Boot.Add(w.f.d.Wait)) {
		t.Fatalf("%+v: want it proved L after that, whatever else is reported", l)
	}
}

func TestNewLeaderWatchesAFullHorizonFirst(t *testing.T) {
	t.Parallel()
	w := born(t)
	w.dark(2 * time.Second)
	if r := w.f.groups.get("g").record; r.Phase != events.PhaseActive {
		t.Fatalf("moved after %v of watching: %+v", 2*time.Second, r)
	}
}

func TestRejoinIsResumedByNameWithEveryGroup(t *testing.T) {
	t.Parallel()
	w := born(t)
	var eff Effects
	for n := range events.Lanes {
		w.seq++
		x := w.apply(LaneSeen{n, 1, agentAt(0), w.seq, events.LaneBody{Kind: events.LanePending, Nonce: "n", Rejoin: events.Seq(40 + n)}})
		eff.Batches = append(eff.Batches, x.Batches...)
	}
	if len(eff.Batches) != 1 {
		t.Fatalf("%d batches: want one RESUME once all three rejoin", len(eff.Batches))
	}
	res, ok := eff.Batches[0][0].Payload.(events.Resume)
	if !ok || len(res.Groups) != 1 || res.Groups[0].Role != events.RoleActive || res.Groups[0].Epoch != 1 {
		t.Fatalf("told %+v", eff.Batches[0])
	}
	for n, l := range res.Lanes {
		if l == nil || l.Rejoin != events.Seq(40+n) || l.Generation != 1 {
			t.Fatalf("lane %d named %+v", n, l)
		}
	}
}

func TestOnlyARecordsOwnAgentSpeaksForACluster(t *testing.T) {
	t.Parallel()
	w := born(t)
	thief := events.AgentRef{Region: "r1", Agent: "other"}
	w.apply(ReportSeen{events.Report{Agent: thief, Cluster: ref(0), Group: "g", Seen: 9, Role: events.RolePassive, Passive: 9}})
	w.apply(HealthSeen{events.Health{Agent: thief, Nonce: "x", Full: 1, Clusters: []events.ClusterHealth{{Cluster: ref(0), Server: events.ServerDown}}}})
	c := w.f.clusters.get(ref(0))
	if c.report.Agent == thief || c.health.Server == events.ServerDown {
		t.Fatalf("believed %+v, %+v", c.report, c.health)
	}
}

func TestSameInputsSameEffects(t *testing.T) {
	t.Parallel()
	run := func() string {
		w := born(t)
		eff := w.dark(4 * time.Second)
		b, err := json.Marshal([]any{eff.Tell, eff.Batches, eff.Revoke, w.f.View(w.now)})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if a, b := run(), run(); a != b {
		t.Fatal("two runs of the same inputs differ")
	}
}

func TestApprovalEndsWithItsOutage(t *testing.T) {
	t.Parallel()
	w := born(t)
	w.dark(4 * time.Second)
	eff := w.apply(AskSeen{Ask: events.Ask{ID: "1", Verb: events.AskApprove, Actor: "alice", Region: "r1"}})
	if len(eff.Answers) != 1 || !eff.Answers[0].Accepted || w.f.automation.Regions["r1"].Approved == "" {
		t.Fatalf("answered %+v, automation %+v", eff.Answers, w.f.automation)
	}
	w.beat(0, events.ServerWritable)
	w.later(time.Second / 4)
	w.beat(0, events.ServerWritable)
	w.later(time.Second / 4)
	if got := w.f.automation.Regions["r1"]; got.Approved != "" {
		t.Fatalf("automation %+v: want the approval ended with the outage", got)
	}
}

func TestBatchesHoldWholeUnits(t *testing.T) {
	t.Parallel()
	var f Fleet
	var units []unit
	for range 700 {
		units = append(units, unit{writes: make([]Write, 3)})
	}
	var eff Effects
	f.pack(units, &eff)
	var sizes []int
	for _, b := range eff.Batches {
		sizes = append(sizes, len(b))
	}
	if want := []int{999, 999, 102}; !reflect.DeepEqual(sizes, want) {
		t.Fatalf("batches of %v: want %v", sizes, want)
	}
}
