package main

import (
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// liveSite is a site whose streams hold a fleet of one group, orders, at home in eu-west-1 and followed in eu-central-1.
func liveSite(t *testing.T) *testSite {
	t.Helper()
	s := newSite(t)
	agents := []events.AgentRef{{Region: "eu-west-1", Agent: "db17"}, {Region: "eu-central-1", Agent: "db3"}}
	member := func(i int, c events.Ref, home events.Home, role events.Role) events.Member {
		return events.Member{Cluster: c, Home: home, Role: role, Agent: agents[i], Peer: agents[i].Agent + ":8701", SystemID: "s"}
	}
	r := events.Record{
		Group: "orders", Epoch: 3, Phase: events.PhaseActive, Active: ordersA, Settled: true,
		Members: []events.Member{member(0, ordersA, events.HomePrimary, events.RoleActive), member(1, ordersB, events.HomeRecovery, events.RolePassive)},
		Lists:   []events.CandidateList{{Version: 1, Candidates: []events.Candidate{{Cluster: ordersB, Agent: agents[1], Peer: "db3:8701"}}}},
	}
	report := func(i int, c events.Ref) events.Report {
		return events.Report{Agent: agents[i], Cluster: c, Group: "orders", Seen: 3, Version: 1}
	}
	active, passive := report(0, ordersA), report(1, ordersB)
	active.Role, active.Serving, active.Primary = events.RoleActive, 3, true
	passive.Role, passive.Passive = events.RolePassive, 3
	health := func(i int, c events.ClusterHealth) events.Health {
		c.SystemID, c.Timeline, c.LSN, c.Kind = "s", 1, 5000, events.KindPostgres
		return events.Health{Agent: agents[i], Nonce: "n", Full: 1, Peer: agents[i].Agent + ":8701", Clusters: []events.ClusterHealth{c}}
	}
	lanes := events.LaneSet{Lanes: [events.Lanes]events.LanePlace{{Generation: 1, Region: "eu-west-1"}, {Generation: 1, Region: "eu-central-1"}, {Generation: 1, Region: "eu-north-1"}}}
	for subject, v := range map[string]any{
		events.SubjectTerm: events.Term{Holder: "eu-north-1/c1"}, events.SubjectLanes: lanes, events.SubjectRecord("orders"): r,
		events.SubjectFleet: events.FleetConfig{Profile: "fast", MaxOut: 1}, events.SubjectGroup("orders"): ordersConfig(),
		events.SubjectReport(agents[0], ordersA.Cluster): active, events.SubjectReport(agents[1], ordersB.Cluster): passive,
		events.SubjectHealth(agents[0], "full"): health(0, events.ClusterHealth{Cluster: ordersA, Server: events.ServerWritable, CanaryOK: true}),
		events.SubjectHealth(agents[1], "full"): health(1, events.ClusterHealth{Cluster: ordersB, Server: events.ServerRecovery, Streaming: true, LagKnown: true}),
	} {
		if _, err := s.bus.Publish(t.Context(), bus.Out{Subject: subject, Data: mustJSON(t, v)}); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
	}
	return s
}

// The core says what it would do with the stored fleet, from the streams alone: no leader has to be there.
func TestWhatIf(t *testing.T) {
	t.Parallel()
	s := liveSite(t)
	s.run("sim", "--fleet", "live", "--lose", "eu-west-1").want(t, 0, "if eu-west-1 were lost now (nothing is touched", "eu-west-1  verdict  out: silent 2.", "orders  promoted",
		"orders  eu-west-1/orders-a  eu-central-1/orders-b", "1 of 1 groups move by themselves, 0 are left behind")
	s.run("sim", "--fleet", "live", "--lose", "eu-north-1").want(t, 0, "no group moves")
	s.run("sim", "--fleet", "live", "--lose", "eu-west-1", "-o", "json").want(t, 0, `"rule": "failover.region-out"`)
	for args, says := range map[string]string{
		"--fleet live": "want --lose REGION", "--lose eu-west-1": "want live", "--fleet file --lose x": "want live", "--fleet live --lose nowhere": `no region is called "nowhere"`,
		"--fleet live --lose eu-west-1 --seeds 5": "want one of them",
	} {
		s.run(append([]string{"sim"}, strings.Fields(args)...)...).want(t, exitUsage, says)
	}
}
