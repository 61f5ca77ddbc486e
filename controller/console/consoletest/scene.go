// Package consoletest is a fleet made up for the console: groups in every state that a page can show, and as many more as are wanted. Its answers are made by hand, so it proves how
// things are shown, never what Switchback does; it takes asks, and does nothing with them.
package consoletest

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// Noon is when a fleet is looked at unless it is told otherwise.
var Noon = time.Date(2026, 3, 14, 14, 5, 26, 0, time.UTC)

const (
	west, central, north = "eu-west-1", "eu-central-1", "eu-north-1"
)

func ref(region, name string) events.Ref { return events.Ref{Region: region, Cluster: name} }

// state is a group in one state: what it makes of a quiet pair.
type state struct {
	name string
	make func(g *fleet.GroupView, now time.Time)
}

// quiet is a pair at home, protected.
func quiet(name string, now time.Time) fleet.GroupView {
	a, b := ref(west, name+"-a"), ref(central, name+"-b")
	since := now.Add(-21 * 24 * time.Hour)
	return fleet.GroupView{
		Group: name, Config: events.GroupConfig{Group: name, Project: "shop", Kind: events.KindPostgres, Mode: events.ModeAuto, Primary: a, Recovery: []events.Ref{b}, Priority: 100},
		Record: &events.Record{Group: name, Epoch: 7, Phase: events.PhaseActive, Active: a, Settled: true, Since: since, Members: []events.Member{
			{Cluster: a, Home: events.HomePrimary, Role: events.RoleActive, Agent: events.AgentRef{Region: west, Agent: "db17"}},
			{Cluster: b, Home: events.HomeRecovery, Role: events.RolePassive, Agent: events.AgentRef{Region: central, Agent: "db21"}},
		}},
		Rule: "wait.steady", Why: name + " is well: its active serves and a passive follows", Protected: true, Readiness: decide.Ready, ReadyWhy: "a drill passed 12d ago",
		Facts: []events.Fact{
			{What: "region of the active", Value: "healthy: 6 of 6 agents beat"}, {What: "agent of the active", Value: "eu-west-1/db17 beats"},
			{What: "server of the active", Value: "writable, canary 4 ms", Age: events.Duration(300 * time.Millisecond)},
			{What: "candidate eu-central-1/" + name + "-b", Value: "fit to be promoted", Age: events.Duration(200 * time.Millisecond)},
		},
		Fences: []string{"lease", "freezer"},
		Clusters: []fleet.ClusterView{
			{Cluster: a, Home: events.HomePrimary, Role: events.RoleActive, State: events.StateRunning, Server: events.ServerWritable, Timeline: 1, LSN: 0x5A1C0000, Lag: -1, Age: 300 * time.Millisecond, Address: "10.0.1.17:5432"},
			{Cluster: b, Home: events.HomeRecovery, Role: events.RolePassive, State: events.StateRunning, Server: events.ServerRecovery, Timeline: 1, LSN: 0x5A1BD000, Lag: 12_288, Age: 200 * time.Millisecond, Address: "10.1.1.21:5432"},
		},
	}
}

// away makes of a quiet pair one that was failed over.
func away(g *fleet.GroupView, now time.Time) {
	a, b := &g.Clusters[0], &g.Clusters[1]
	a.Role, a.State, a.Server, a.Silent, b.Role, b.Timeline, b.LSN, b.Lag, b.Server = events.RoleFailed, events.StatePoweroff, events.ServerUnknown, 3*time.Minute+15*time.Second, events.RoleActive, 2, 0x5A3F8000, -1, events.ServerWritable
	r := g.Record
	r.Epoch, r.Active, r.Since, r.Settled = 8, b.Cluster, now.Add(-3*time.Minute-12*time.Second), false
	r.Members[0].Role, r.Members[1].Role = events.RoleFailed, events.RoleActive
	r.Op = Failover(g.Group, now)
	g.Protected, g.Readiness, g.ReadyWhy = false, decide.NotReady, "no passive that could be promoted"
	g.Rule, g.Why = "wait.restore", "eu-west-1 has not reported in: "+a.Cluster.String()+" is restored once it does"
}

// Failover is the operation that moved a group.
func Failover(group string, now time.Time) *events.Operation {
	return &events.Operation{
		ID: group + "-8", Verb: events.AskFailover, By: decide.Automation, Rule: "promote.region-out", From: ref(west, group+"-a"), To: ref(central, group+"-b"), Ended: "done",
		Why:   "eu-west-1 is out: silent 30.2 s, 2 of 2 looked and saw nothing; lag 12 kB is within the budget of 16 MiB",
		Began: now.Add(-3*time.Minute - 45*time.Second), Serving: 32600 * time.Millisecond, Sent: 0x5A1C0000, Promoted: 0x59EC4000, Timeline: 2,
		Loss: &events.Loss{Known: true, Bytes: 12_028, Window: 400 * time.Millisecond},
		Phases: []events.PhaseTime{
			{Phase: "detect", Took: 30200 * time.Millisecond}, {Phase: "decide", Took: 100 * time.Millisecond}, {Phase: "fence", Took: 10 * time.Millisecond}, {Phase: "promote", Took: 500 * time.Millisecond},
			{Phase: "route", Took: 1800 * time.Millisecond},
		},
		Proof: &events.Proof{Kind: events.ProofLease, Epoch: 8, Lanes: []events.ProofLane{{Lane: 0, Revoked: 7741, Replaced: 7730}, {Lane: 2, Revoked: 7739, Replaced: 7728}}, Waited: 30200 * time.Millisecond, Needed: 6 * time.Second, Target: 8},
	}
}

// homeAgain makes of a quiet pair one that was brought home.
func homeAgain(g *fleet.GroupView, now time.Time) {
	g.Record.Epoch, g.Record.Since = 9, now.Add(-2*time.Minute)
	op := Failover(g.Group, now)
	op.ID, op.Verb, op.By, op.Rule, op.From, op.To, op.Why = g.Group+"-9", events.AskFailback, "alice", "swap.asked", op.To, op.From, "alice asked for a failback of catalog: the region is back"
	op.Serving, op.Protected, op.Loss, op.Proof = 900*time.Millisecond, 1400*time.Millisecond, &events.Loss{Known: true, Exact: true}, &events.Proof{Kind: events.ProofAck, Epoch: 9, Said: "eu-central-1/catalog-b stopped cleanly at 5/A3F8"}
	op.Phases = []events.PhaseTime{{Phase: "prepare", Took: 400 * time.Millisecond}, {Phase: "fence", Took: 300 * time.Millisecond}, {Phase: "promote", Took: 200 * time.Millisecond}}
	g.Record.Op = op
	g.Record.Drill = &events.Drill{ID: "catalog-drill", By: "schedule", From: op.From, To: op.To, Began: now.Add(-12 * 24 * time.Hour), At: now.Add(-12 * 24 * time.Hour), Ended: events.DrillPass, End: "writes paused 1.1 s there, 0.9 s back, lost 0",
		Legs: []events.DrillLeg{{Operation: "catalog-5", Gap: 1100 * time.Millisecond}, {Operation: "catalog-6", Gap: 900 * time.Millisecond}}}
	g.Config.Drill = &events.Schedule{Cron: "0 10 1 * *", Zone: "UTC"}
}

// follows makes of a quiet pair one that is away and whose home follows.
func follows(g *fleet.GroupView, now time.Time) {
	away(g, now)
	a := &g.Clusters[0]
	a.Role, a.State, a.Server, a.Silent, a.Age, a.Timeline, a.Lag, a.LSN = events.RolePassive, events.StateRunning, events.ServerRecovery, 0, 100*time.Millisecond, 2, 0, 0x5A3F8000
	g.Protected, g.Readiness, g.ReadyWhy, g.Rule, g.Why = true, decide.Ready, "a drill passed 12d ago", "wait.steady", "inventory is well: its active serves and a passive follows"
	g.Record.Op.Protected = 3*time.Minute + 10*time.Second
	g.Record.Op.Lost = &events.LostLog{Timeline: 1, From: 0x59EC4000, To: 0x5A1C0000, Bytes: 12_028, Commits: 37, Kept: "/var/lib/switchback/kept/inventory-8", First: now.Add(-4 * time.Minute), Last: now.Add(-4*time.Minute + 300*time.Millisecond)}
}

// states are groups in every state, in order of name.
var states = []state{
	{"airflow", func(g *fleet.GroupView, _ time.Time) {
		g.Config.Kind, g.Config.DependsOn, g.Config.Project = events.KindAirflow, []string{"orders"}, "data"
		g.Clusters[1].Lag = -1
	}},
	{"billing", func(g *fleet.GroupView, now time.Time) {
		away(g, now)
		g.Config.Mode, g.NeedsPerson, g.Rule, g.Why = events.ModeManual, true, "wait.manual", "eu-west-1 is out and billing is in mode manual: only a person moves it, with `switchback failover billing`"
		g.Record.Active, g.Record.Op, g.Record.Epoch = g.Config.Primary, nil, 7
		g.Clusters[0].Role, g.Clusters[0].State, g.Clusters[1].Role = events.RoleActive, events.StateUnknown, events.RolePassive
		g.Facts = append(g.Facts, events.Fact{What: "automation", Value: "the group is in mode manual", Blocks: true})
	}},
	{"catalog", homeAgain},
	{"fresh", func(g *fleet.GroupView, _ time.Time) {
		g.Record, g.Protected, g.Readiness, g.Fences = nil, false, "", nil
		g.Rule, g.Why = "birth.wait-agents", "eu-central-1/fresh-b has not been reported by any agent"
		for i := range g.Clusters {
			g.Clusters[i].Role, g.Clusters[i].State, g.Clusters[i].Lag = events.RoleNone, events.StateUnknown, -1
		}
	}},
	{"gateway", func(g *fleet.GroupView, now time.Time) { // being moved away
		away(g, now)
		op := g.Record.Op
		op.Ended, op.Serving, op.Phases, op.Loss, op.Promoted = "", 0, op.Phases[:2], nil, 0
		op.Began = now.Add(-4 * time.Second)
		g.Record.Phase, g.Record.Active, g.Record.Target = events.PhaseFencing, g.Config.Primary, g.Clusters[1].Cluster
		g.Clusters[1].Role, g.Rule, g.Why = events.RolePassive, "fencing.wait", "the lease of eu-west-1/db17 is revoked on 1 of 3 acceptors"
	}},
	{"inventory", follows},
	{"ledger", func(g *fleet.GroupView, now time.Time) { // being restored
		away(g, now)
		a := &g.Clusters[0]
		a.Role, a.State, a.Silent, a.Age, a.Op, a.Work = events.RolePassive, events.StateRebuilding, 0, 100*time.Millisecond, "ledger-restore-3", &events.Work{Phase: "rewind", Done: 816e6, Total: 1200e6, Took: 20 * time.Second}
		g.Rule, g.Why = "restore.runs", "eu-west-1/ledger-a is being restored from eu-central-1/ledger-b"
	}},
	{"mail", func(g *fleet.GroupView, now time.Time) { // on its way home
		follows(g, now)
		op := g.Record.Op
		op.ID, op.Verb, op.By, op.Rule, op.From, op.To, op.Ended, op.Stage, op.Lost = "mail-9", events.AskFailback, "alice", "swap.asked", g.Clusters[1].Cluster, g.Clusters[0].Cluster, "", events.StagePrepare, nil
		op.Began, op.Serving, op.Protected, op.Phases, op.Proof, op.Why = now.Add(-time.Second), 0, 0, nil, nil, "alice asked for a failback of mail: the region is back"
	}},
	{"old", func(g *fleet.GroupView, now time.Time) {
		g.Record.Gone, g.Rule, g.Why = "alice: moved elsewhere", "gone", "old was released from care"
	}},
	{"orders", away},
	{"reports", func(g *fleet.GroupView, _ time.Time) {
		g.Record.Disarm, g.Readiness, g.ReadyWhy = "alice: the network team works there", decide.Stale, "no drill passed in 90 days"
		g.Config.Replication, g.Record.Sync = events.ReplicateSync, &events.Sync{Version: 3, Told: []events.Ref{g.Clusters[1].Cluster}, Set: []events.Ref{g.Clusters[1].Cluster}}
	}},
	{"search", func(g *fleet.GroupView, _ time.Time) {
		g.Config.Mode, g.Rule, g.Why = events.ModeObserve, "wait.observe", "search is only observed: nothing of it is fenced or moved"
	}},
	{"stream", func(g *fleet.GroupView, now time.Time) { // home, nobody follows yet
		homeAgain(g, now)
		g.Protected, g.Record.Op.Protected, g.Readiness, g.ReadyWhy = false, 0, decide.NotReady, "no passive that could be promoted"
		g.Clusters[1].Fit, g.Clusters[1].Lag, g.Clusters[1].Quiet = "it does not stream yet", -1, &events.Maintenance{Until: now.Add(time.Hour), By: "bob", Why: "new disks"}
	}},
	{"tasks", func(g *fleet.GroupView, now time.Time) { // its home is held
		away(g, now)
		g.Clusters[0].Silent, g.Clusters[0].Hold, g.Clusters[0].Error, g.Clusters[0].Override = 0, "alice failed it over", "could not connect: connection refused", "bob at 13:59: the pager was silent"
		g.Record.Op.By, g.Record.Op.Rule, g.Record.Op.Protected = "alice", "failover.asked", 0
		g.NeedsPerson, g.Rule, g.Why = true, "wait.restore-asked", "eu-west-1/tasks-a failed by a person's word: it waits for `switchback restore tasks`"
	}},
	{"users", func(g *fleet.GroupView, now time.Time) {
		away(g, now)
		g.Record.Op.Ended, g.Record.Op.EndWhy, g.Record.Op.Serving, g.Record.Op.Loss = "aborted", "no fence proof within the time of an attempt", 0, nil
		g.Record.Active = g.Config.Primary
		g.Clusters[0].Role, g.Clusters[0].State, g.Clusters[1].Role = events.RoleActive, events.StateUnknown, events.RolePassive
	}},
}

// told is a notice by how long ago it was told.
func told(now time.Time, ago time.Duration, id string, n events.Notice) client.Event {
	e, err := events.Wrap(n, id, "switchback", now.Add(-ago))
	if err != nil {
		panic(err) // it is made up here
	}
	return client.Event{Envelope: e, Notice: n}
}

// rolloutOf is a rollout in a state, with some of its moves.
func rolloutOf(id string, state events.RolloutState, now time.Time) answers.Rollout {
	r := events.Rollout{
		ID: id, Hash: id + "00000000", Verb: events.AskFailback, Region: west, By: "alice", Reason: "the region is back", State: state, Wave: 1, Moves: 53, Made: now.Add(-9 * time.Minute), Began: now.Add(-8 * time.Minute), Takes: events.Duration(38 * time.Minute),
		Waves:   []events.Wave{{Name: "restore", Verb: events.AskRestore, Moves: 12, Takes: events.Duration(6 * time.Minute), Soak: events.Duration(10 * time.Minute)}, {Name: "canary", Verb: events.AskFailback, Moves: 1, Takes: events.Duration(5 * time.Second), Soak: events.Duration(2 * time.Minute)}, {Name: "wave 2", Verb: events.AskFailback, Moves: 40, Takes: events.Duration(time.Minute)}},
		Counted: []events.WaveTally{{Done: 12}, {Runs: 1}, {Waits: 36, Held: 1, Failed: 1, Skipped: 1, Unknown: 1}}, Tally: events.Tally{Done: 12, Runs: 1, Waits: 35, Failed: 1, Unknown: 1, Held: 1, Skipped: 1, Left: 1},
		Rule: "wave.runs", Why: "the canary is under way", Notes: []string{"mail: if its home can't be rewound it has to be copied, 412 GB"},
	}
	switch state {
	case events.RolloutPlanned:
		r.Made, r.Began, r.Why, r.Rule, r.Counted = now.Add(-time.Minute), time.Time{}, "", "", nil
	case events.RolloutHalted:
		r.Rule, r.Why = "halt.budget", "1 of 53 moves failed: 1.9 % is more than the budget of 1 %"
	case events.RolloutDone, events.RolloutAborted:
		r.Ended = now.Add(-time.Minute)
	}
	a := answers.Rollout{Rollout: r}
	for i, st := range []events.MoveState{events.MoveWaits, events.MoveRuns, events.MoveDone, events.MoveFailed, events.MoveUnknown, events.MoveHeld, events.MoveSkipped, events.MoveLeft} {
		name := states[i].name
		m := events.Move{Group: name, Wave: min(i, 2), Verb: events.AskFailback, From: ref(central, name+"-b"), To: ref(west, name+"-a"), State: st, Rule: "move.turn", Why: "waits for its turn", Takes: events.Duration(time.Second)}
		if st != events.MoveWaits && st != events.MoveLeft {
			m.Op, m.Why, m.Rule = name+"-8", fmt.Sprintf("its move is %s", st), "move."+string(st)
		}
		a.Moves = append(a.Moves, m)
	}
	return a
}
