package main

import (
	"encoding/json"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

var (
	ordersA = events.Ref{Region: "eu-west-1", Cluster: "orders-a"}
	ordersB = events.Ref{Region: "eu-central-1", Cluster: "orders-b"}
)

func ordersConfig() events.GroupConfig {
	return events.GroupConfig{
		Group: "orders", Project: "shop", Kind: events.KindPostgres, Primary: ordersA, Recovery: []events.Ref{ordersB}, Mode: events.ModeAuto,
		Isolation: events.IsolationFreeze, Priority: 10, MaxLoss: events.LossBudget{Bytes: 16 << 20, Seconds: 10},
	}
}

func ordersOperation() events.Operation {
	return events.Operation{
		ID: "orders-8", Verb: "failover", By: "automation", Rule: "failover.region-out", Why: "silent 30.2 s; eu-central-1 and eu-north-1 looked, nobody sees it", From: ordersA, To: ordersB,
		Proof: &events.Proof{
			Kind: events.ProofLease, Epoch: 8, Lanes: []events.ProofLane{{Lane: 0, Revoked: 7741, Replaced: 7740}, {Lane: 2, Revoked: 7739, Replaced: 7738}},
			Waited: 30200 * time.Millisecond, Needed: 6 * time.Second, Target: 8,
		},
		Sent: 0x5_0000A1C0, Promoted: 0x5_00009EC4, Timeline: 2, Loss: &events.Loss{Known: true, Bytes: 764, Window: 2 * time.Second}, Began: noon.Add(-3 * time.Minute),
		Phases: []events.PhaseTime{
			{Phase: "detect", Took: 30200 * time.Millisecond}, {Phase: "fence", Took: 12 * time.Millisecond}, {Phase: "decide", Took: 88 * time.Millisecond},
			{Phase: "promote", Took: 500 * time.Millisecond},
		},
		Ended: "done",
	}
}

func ordersView() fleet.GroupView {
	op := ordersOperation()
	return fleet.GroupView{
		Group: "orders", Config: ordersConfig(), Rule: "ok", Why: "eu-central-1/orders-b is active and nothing speaks against it", NeedsPerson: false,
		Readiness: decide.NotReady, ReadyWhy: "nothing to promote: eu-west-1/orders-a: it is failed until it is restored",
		Record: &events.Record{Group: "orders", Epoch: 8, Phase: events.PhaseActive, Active: ordersB, Op: &op, Since: noon.Add(-192 * time.Second)},
		Clusters: []fleet.ClusterView{
			{
				Cluster: ordersA, Home: events.HomePrimary, Role: events.RoleFailed, State: events.StatePoweroff, Timeline: 1, LSN: 0x5_0000A1C0, Lag: -1,
				Agent: events.AgentRef{Region: "eu-west-1", Agent: "db17"}, Silent: 195 * time.Second, Age: 195 * time.Second, Address: "10.0.1.17:5432",
			},
			{
				Cluster: ordersB, Home: events.HomeRecovery, Role: events.RoleActive, State: events.StateRunning, Timeline: 2, LSN: 0x5_0000A3F8, Lag: -1,
				Agent: events.AgentRef{Region: "eu-central-1", Agent: "db3"}, Age: 200 * time.Millisecond, Address: "10.1.1.17:5433",
			},
		},
	}
}

func billingView() fleet.GroupView {
	g := ordersView()
	g.Group, g.Config.Group, g.Config.Mode, g.Record, g.NeedsPerson, g.Protected = "billing", "billing", events.ModeManual, nil, true, false
	g.Rule, g.Why = "birth.not-one-writable", "2 of its clusters are writable: want exactly one"
	g.Clusters = []fleet.ClusterView{
		{Cluster: events.Ref{Region: "eu-west-1", Cluster: "billing-a"}, Home: events.HomePrimary, State: events.StateUnknown, Lag: -1},
		{
			Cluster: events.Ref{Region: "eu-central-1", Cluster: "billing-b"}, Home: events.HomeRecovery, State: events.StateRunning, Role: events.RolePassive, Lag: 1_234_567, LSN: 0x10,
			Timeline: 1, Age: 1500 * time.Millisecond, Fit: "does not stream", Error: "connection refused\x1b[31m",
		},
	}
	return g
}

func darkStatus() *answers.Status {
	return &answers.Status{
		Leader: "eu-north-1/c1", Term: 88214, Bus: map[string]bool{"eu-west-1": false, "eu-central-1": true, "eu-north-1": true}, Groups: 43, Unprotected: 42,
		View: fleet.View{
			Term:       88214,
			Automation: events.Automation{Regions: map[string]events.RegionAutomation{"eu-central-1": {Approved: "by bob: go on"}}},
			Regions: []fleet.RegionView{
				{Region: "eu-central-1", Verdict: events.VerdictHealthy, Rule: "region.all-beating", Why: "every agent beats", Since: 21 * 24 * time.Hour, Agents: 6, Fresh: 6, Active: 84, Passive: 2, Unprotected: 42, WorstLag: -1},
				{Region: "eu-north-1", Verdict: events.VerdictHealthy, Since: 90 * time.Minute, Agents: 2, Fresh: 2, Passive: 12, WorstLag: 1_200_000, Disarmed: "by alice: network work"},
				{Region: "eu-west-1", Verdict: events.VerdictOut, Rule: "region.out", Why: "silent 30.2 s; eu-central-1 and eu-north-1 looked, nobody sees it", Since: 222 * time.Second, Agents: 6, Failed: 41},
			},
		},
		Needs: []fleet.GroupView{billingView()},
	}
}

func quiet() *answers.Status {
	s := darkStatus()
	s.Bus["eu-west-1"], s.Unprotected, s.Needs = true, 0, nil
	s.View.Automation = events.Automation{Disarmed: "by alice: maintenance"}
	s.View.Blind = true
	s.View.Regions = s.View.Regions[:1]
	return s
}

func ordersWhy() *answers.Why {
	n := events.Notice{Type: events.NoticeWait, Group: "orders", Region: "eu-west-1", Rule: "wait.region-suspect", Why: "no beat for 12.1 s, needs 30.0 s", By: "automation"}
	asked := events.Notice{Type: events.NoticeRefused, Group: "orders", Rule: "refuse.loss", Why: "unknown lag", By: "alice"}
	w := &answers.Why{
		Rule: "failover.region-out", Why: "silent 30.2 s; 2 of 2 looked, nobody sees it",
		Facts: []events.Fact{
			{What: "silent for", Value: "30.2 s (needs 30.0 s)"},
			{What: "eu-north-1", Value: "sees db17 (tls)", Age: events.Duration(800 * time.Millisecond), Blocks: true},
		},
	}
	for i, n := range []events.Notice{n, asked} {
		e, err := events.Wrap(n, "88214-1", "switchback/controller/eu-north-1/c1", noon.Add(time.Duration(i-30)*time.Hour))
		if err != nil {
			panic(err)
		}
		w.History = append(w.History, e)
	}
	return w
}

// asMap is a value as it looks on the wire.
func asMap(v any) (m map[string]any) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		panic(err)
	}
	return m
}
