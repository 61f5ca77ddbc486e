package whatif_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/whatif"
	"github.com/switchback-dr/switchback/events"
)

var regions = []string{"r1", "r2", "r3"}

// live is a fleet of groups that are active in r1 and followed in r2, on one agent each region, with a witness in r3.
func live(t *testing.T, groups ...events.GroupConfig) (fleet.Snapshot, events.Durations) {
	t.Helper()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	s := fleet.Snapshot{Term: 7, Region: "r3", Fleet: events.FleetConfig{MaxOut: 1}}
	for n := range s.Lanes.Lanes {
		s.Lanes.Lanes[n] = events.LanePlace{Generation: 1, Region: regions[n]}
	}
	health := []events.Health{{Agent: agent(0), Nonce: "n", Full: 1, Peer: "p1"}, {Agent: agent(1), Nonce: "n", Full: 1, Peer: "p2"}}
	for i, g := range groups {
		if g.Group == "" {
			g.Group = fmt.Sprintf("g%d", i+1)
		}
		a, b := events.Ref{Region: "r1", Cluster: g.Group + "-a"}, events.Ref{Region: "r2", Cluster: g.Group + "-b"}
		g.Kind, g.Primary, g.Recovery = events.KindPostgres, a, []events.Ref{b}
		if g.Mode == "" {
			g.Mode = events.ModeAuto
		}
		g.MaxLoss = events.LossBudget{Bytes: 1000, Seconds: 60}
		s.Groups = append(s.Groups, fleet.GroupConfig{GroupConfig: g, Revision: 1})
		s.Records = append(s.Records, fleet.Record{Revision: 2, Record: events.Record{Group: g.Group, Epoch: 3, Phase: events.PhaseActive, Active: a, Settled: true, Config: 1,
			Members: []events.Member{
				{Cluster: a, Home: events.HomePrimary, Agent: agent(0), Role: events.RoleActive, Peer: "p1", SystemID: "s"},
				{Cluster: b, Home: events.HomeRecovery, Agent: agent(1), Role: events.RolePassive, Peer: "p2", SystemID: "s"},
			},
			Lists: []events.CandidateList{{Version: 1, Candidates: []events.Candidate{{Cluster: b, Agent: agent(1), Peer: "p2"}}}},
		}})
		s.Reports = append(s.Reports, events.Report{Agent: agent(0), Cluster: a, Group: g.Group, Seen: 3, Role: events.RoleActive, Serving: 3, Primary: true, Version: 1},
			events.Report{Agent: agent(1), Cluster: b, Group: g.Group, Seen: 3, Role: events.RolePassive, Passive: 3, Version: 1})
		health[0].Clusters = append(health[0].Clusters, events.ClusterHealth{Cluster: a, Kind: g.Kind, Server: events.ServerWritable, SystemID: "s", Timeline: 1, LSN: 5000, CanaryOK: true})
		health[1].Clusters = append(health[1].Clusters, events.ClusterHealth{Cluster: b, Kind: g.Kind, Server: events.ServerRecovery, SystemID: "s", Timeline: 1, LSN: 5000, Replayed: 5000, Streaming: true, LagKnown: true})
	}
	s.Health = health
	return s, d
}

func agent(i int) events.AgentRef { return events.AgentRef{Region: regions[i], Agent: "h"} }

func lose(t *testing.T, s fleet.Snapshot, d events.Durations, lost ...string) whatif.Forecast {
	t.Helper()
	before, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	f, err := whatif.Lose(s, d, time.Unix(1e9, 0), lost)
	if err != nil {
		t.Fatal(err)
	}
	if after, err := json.Marshal(s); err != nil || string(after) != string(before) {
		t.Fatal("the snapshot was changed")
	}
	return f
}

func find(t *testing.T, f whatif.Forecast, name string) whatif.Group {
	t.Helper()
	for _, g := range f.Groups {
		if g.Group == name {
			return g
		}
	}
	t.Fatalf("nothing is said of %s: %+v", name, f.Groups)
	return whatif.Group{}
}

// A mixed fleet loses its region: what automation may move goes within its times, the rest is left behind, each with its own reason.
func TestMixedFleetLosesItsRegion(t *testing.T) {
	t.Parallel()
	s, d := live(t, events.GroupConfig{}, events.GroupConfig{Mode: events.ModeManual}, events.GroupConfig{}, events.GroupConfig{Isolation: events.IsolationKeepRunning}, events.GroupConfig{})
	s.Health[1].Clusters[2].LSN = 1000 // 4,000 B behind, 1,000 allowed
	s.Records[4].Disarm = "by bob"
	f := lose(t, s, d, "r1")
	g := find(t, f, "g1")
	if g.To.Region != "r2" || g.Rule != "failover.region-out" || g.Serving < d.Confirm || g.Serving > d.Confirm+d.Wait+2*time.Second {
		t.Errorf("g1: %+v", g)
	}
	for name, says := range map[string]string{"g2": "mode manual", "g3": "lacks 4000 B", "g4": "keep-running", "g5": "disarmed for g5 (by bob)"} {
		if g := find(t, f, name); g.To != (events.Ref{}) || !strings.Contains(g.Why, says) || !strings.Contains(g.Says(), "left behind") {
			t.Errorf("%s: %+v, want it left behind: %s", name, g, says)
		}
	}
	if len(f.Events) == 0 || f.Events[0].At > f.Events[len(f.Events)-1].At {
		t.Errorf("events %+v", f.Events)
	}
}

// A witness is no home of anything; two regions at once leave nobody to look, and move nothing.
func TestLosesThatMoveNothing(t *testing.T) {
	t.Parallel()
	s, d := live(t, events.GroupConfig{})
	if f := lose(t, s, d, "r3"); len(f.Groups) != 0 {
		t.Errorf("the witness: %+v", f.Groups)
	}
	f := lose(t, s, d, "r1", "r3")
	if g := find(t, f, "g1"); g.To != (events.Ref{}) {
		t.Errorf("two of three regions: %+v", g)
	}
	if _, err := whatif.Lose(s, d, time.Unix(1e9, 0), []string{"r9"}); err == nil || !strings.Contains(err.Error(), `no region is called "r9"`) {
		t.Errorf("an unknown region: %v", err)
	}
}

// The order of a fleet's forecast does not depend on anything but the fleet.
func TestForecastIsTheSameAgain(t *testing.T) {
	t.Parallel()
	many := make([]events.GroupConfig, 30)
	s, d := live(t, many...)
	a, b := lose(t, s, d, "r1"), lose(t, s, d, "r1")
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if string(x) != string(y) {
		t.Fatal("two forecasts of the same fleet differ")
	}
	for _, g := range a.Groups {
		if g.To == (events.Ref{}) {
			t.Errorf("%s is left behind: %s", g.Group, g.Why)
		}
	}
}
