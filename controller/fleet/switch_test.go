package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// A new leader has not heard anybody yet: an approval given during the outage must outlive it.
func TestApprovalOutlivesALeader(t *testing.T) {
	t.Parallel()
	w := born(t)
	w.dark(4 * time.Second)
	w.apply(AskSeen{Ask: events.Ask{ID: "1", Verb: events.AskApprove, Actor: "alice", Region: "r1"}})
	g := w.f.groups.get("g")
	s := Snapshot{Term: 9, Region: "r3", Fleet: w.f.cfg, Lanes: w.f.lanes, Automation: w.f.automation, Groups: []GroupConfig{g.config}, Records: []Record{{*g.record, g.revision}}}
	w.f = New(s, w.f.d, w.now)
	w.later(10 * time.Millisecond)
	w.later(time.Second / 4)
	if w.f.automation.Regions["r1"].Approved == "" {
		t.Fatal("the approval ended with the leader that took it")
	}
}

func TestKindIsDisarmedAndArmed(t *testing.T) {
	t.Parallel()
	w := born(t)
	w.f.groups.get("g").config.Kind = events.KindPostgres
	throw := func(verb string, kind events.Kind, dry bool) events.Answer {
		return w.apply(AskSeen{Ask: events.Ask{ID: verb, Verb: verb, Actor: "alice", Kind: kind, Reason: "work", DryRun: dry}}).Answers[0]
	}
	if a := throw(events.AskDisarm, events.KindPostgres, true); !a.Accepted || len(w.f.automation.Kinds) != 0 {
		t.Fatalf("a dry run: answered %+v, switched %v", a, w.f.automation.Kinds)
	}
	throw(events.AskDisarm, events.KindExec, false)
	if a := throw(events.AskDisarm, events.KindPostgres, false); a.Why != "automation is disarmed for kind postgres" || w.f.automation.Disarmed != "" {
		t.Fatalf("answered %+v, fleet disarmed: %q", a, w.f.automation.Disarmed)
	}
	w.dark(4 * time.Second)
	if g := w.f.groups.get("g"); g.rule != "wait.kind-disarmed" || !strings.Contains(g.why, "arm --kind postgres") {
		t.Fatalf("rule %s: %s", g.rule, g.why)
	}
	throw(events.AskArm, events.KindPostgres, false)
	if _, still := w.f.automation.Kinds[events.KindExec]; !still || len(w.f.automation.Kinds) != 1 {
		t.Fatalf("switched %v: want only kind exec left disarmed", w.f.automation.Kinds)
	}
	if r := w.f.groups.get("g").record; r.Phase != events.PhaseFencing {
		t.Fatalf("armed again, but it does not move: %s", w.f.groups.get("g").why)
	}
}

// A class of priorities waits for a person; an approval of one group moves it, and the region's would have, too.
func TestPriorityClassWaitsForApproval(t *testing.T) {
	t.Parallel()
	for _, ask := range []events.Ask{{Group: "g"}, {Region: "r1"}} {
		w := born(t)
		w.f.cfg.Approval = []events.Span{{From: 0, To: 9}}
		w.dark(4 * time.Second)
		if g := w.f.groups.get("g"); g.rule != "wait.approval" {
			t.Fatalf("rule %s: %s", g.rule, g.why)
		}
		ask.ID, ask.Verb, ask.Actor = "1", events.AskApprove, "alice"
		if a := w.apply(AskSeen{Ask: ask}).Answers[0]; !a.Accepted {
			t.Fatalf("answered %+v", a)
		}
		w.later(10 * time.Millisecond)
		if g := w.f.groups.get("g"); g.record.Phase != events.PhaseFencing {
			t.Errorf("approved (%s%s), but rule %s: %s", ask.Group, ask.Region, g.rule, g.why)
		}
	}
}

func TestAcknowledgeOfARegion(t *testing.T) {
	t.Parallel()
	w := born(t)
	ask := func() events.Answer {
		return w.apply(AskSeen{Ask: events.Ask{ID: "1", Verb: events.AskAcknowledge, Actor: "alice", Region: "r1"}}).Answers[0]
	}
	if a := ask(); a.Accepted || !strings.Contains(a.Why, "nothing to acknowledge") {
		t.Fatalf("answered %+v", a)
	}
	g := w.f.groups.get("g")
	r := g.record.Clone()
	r.Settled = false
	g.record = r
	if a := ask(); !a.Accepted || !w.f.groups.get("g").record.Settled {
		t.Fatalf("answered %+v, settled %v", a, w.f.groups.get("g").record.Settled)
	}
}

// A region whose agents all beat is degraded by what is wrong with its clusters: down, nothing arrives, too far behind, no space left; and by what its agents say of themselves.
func TestTroublesDegradeARegion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		health events.ClusterHealth
		says   string
	}{
		"full":    {events.ClusterHealth{Server: events.ServerRecovery, Streaming: true, LSN: 10000, Alarm: "has no space left"}, "b has no space left"},
		"down":    {events.ClusterHealth{Server: events.ServerDown, Down: time.Second}, "b is down"},
		"broken":  {events.ClusterHealth{Server: events.ServerRecovery, LSN: 10000}, "b follows nobody"},
		"behind":  {events.ClusterHealth{Server: events.ServerRecovery, Streaming: true, LSN: 500}, "b is 9500 B behind, its group may lose 1000 B"},
		"alarm":   {events.ClusterHealth{Server: events.ServerRecovery, Streaming: true, LSN: 10000}, "the guard is down"},
		"nothing": {events.ClusterHealth{Server: events.ServerRecovery, Streaming: true, LSN: 10000}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := born(t)
			for range 40 {
				w.beat(0, events.ServerWritable)
				w.lanes(1)
				w.beat(2, events.ServerRecovery)
				w.seq += 2
				w.apply(HealthSeen{events.Health{Agent: agentAt(0), Nonce: "n", Full: uint64(w.seq - 1), Clusters: []events.ClusterHealth{{Cluster: ref(0), Server: events.ServerWritable, LSN: 10000}}}})
				c.health.Cluster, c.health.SystemID = ref(1), "s"
				h := events.Health{Agent: agentAt(1), Nonce: "n", Full: uint64(w.seq), Clusters: []events.ClusterHealth{c.health}}
				if name == "alarm" {
					h.Alarms = []string{"the guard is down"}
				}
				w.apply(HealthSeen{h})
				w.later(100 * time.Millisecond)
			}
			j := w.f.regions.get("r2").judged
			want := events.VerdictDegraded
			if c.says == "" {
				want = events.VerdictHealthy
			}
			if j.Verdict != want || !strings.Contains(j.Why, c.says) {
				t.Fatalf("%s: %s, facts %+v", j.Verdict, j.Why, j.Facts())
			}
		})
	}
}
