package decide

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

func TestPlaceWithoutDataIsProtectedOnRequest(t *testing.T) {
	t.Parallel()
	f := whole(t)
	f.Members[2].Health = events.ClusterHealth{Cluster: refC, Server: events.ServerDown, Empty: true}
	f.Record = nil
	for i := range f.Members {
		f.Members[i].Reported, f.Members[i].Report = false, events.Report{}
	}
	o := wantRule(t, f, "birth")
	c := o.Record.Member(refC)
	if c.Role != events.RoleFailed || c.Hold == "" || len(o.Record.Current().Candidates) != 1 {
		t.Fatalf("member %+v, candidates %+v: want C failed and held, B alone a candidate", c, o.Record.Current().Candidates)
	}
	f.Record = o.Record
	for i := range f.Members {
		f.Members[i].Member, f.Members[i].Reported = f.Record.Members[i], true
	}
	f.Members[0].Report = events.Report{Cluster: refA, Seen: 1, Role: events.RoleActive, Serving: 1, Version: 1, Primary: true}
	f.Members[2].Report = events.Report{Cluster: refC, Seen: 1, Role: events.RolePassive, Passive: 1}
	if o := Step(f); o.Record != nil && o.Record.Member(refC).Work != nil {
		t.Fatal("copied although nobody asked")
	}
	f.Ask = ask(events.AskRestore)
	wantRule(t, f, "refuse.restore")
	f.Ask = ask(events.AskProtect)
	o = wantRule(t, f, "restore.asked")
	if w := o.Record.Member(refC).Work; w == nil || w.Verb != events.AskProtect || w.ID != "g-protect-1" || o.Sets[0].Step.Verb != events.VerbRestore {
		t.Fatalf("work %+v, told %+v", w, o.Sets)
	}
}

func TestRestartIsToldOnceAndEndsByItsAnswer(t *testing.T) {
	t.Parallel()
	f := whole(t)
	f.Ask = ask(events.AskRestart)
	f.Ask.Group, f.Ask.Cluster = "", refA.String()
	o := wantRule(t, f, "restart.asked")
	if len(o.Sets) != 1 || o.Sets[0].Role != events.RoleActive || o.Sets[0].Step.ID != "g/4/restart-1" || o.Record.Epoch != 4 {
		t.Fatalf("told %+v at epoch %d", o.Sets, o.Record.Epoch)
	}
	f.Record = o.Record
	wantRule(t, f, "ask.known")
	f.Ask.ID = "2"
	wantRule(t, f, "refuse.restart")
	f.Ask = nil
	f.Members[0].Report.Results = []events.Result{{Step: "g/4/restart-1", Outcome: events.Done}}
	if o := Step(f); o.Record == nil || o.Record.Restart != nil || o.Notices[0].Type != events.NoticeServing || o.Notices[0].Report.Ended != "done" {
		t.Fatalf("record %+v, told %+v: want the restart ended", o.Record, o.Notices)
	}
	f.Members[0].Report.Results, f.Wall = nil, f.Wall.Add(f.D.Restart)
	if o := Step(f); o.Record == nil || o.Record.Restart != nil || o.Notices[0].Type != events.NoticeFailed {
		t.Fatalf("record %+v, told %+v: want it failed after its time", o.Record, o.Notices)
	}
}

func TestMaintenanceEndsByItself(t *testing.T) {
	t.Parallel()
	f := whole(t)
	f.Ask = ask(events.AskMaintenance)
	f.Ask.Group, f.Ask.Cluster, f.Ask.For = "", refA.String(), events.Duration(time.Minute)
	f.Record = wantRule(t, f, "ask.maintenance").Record
	f.Ask = nil
	if o := Step(f); o.Record != nil && o.Record.Member(refA).Quiet == nil {
		t.Fatal("over at once")
	}
	f.Wall = f.Wall.Add(time.Minute)
	if o := Step(f); o.Record == nil || o.Record.Member(refA).Quiet != nil {
		t.Fatal("it never ends")
	}
	f.Ask = ask(events.AskMaintenance)
	f.Ask.Group, f.Ask.Cluster = "", "r9/x"
	wantRule(t, f, "refuse.maintenance")
}

func TestReleaseLeavesATombstone(t *testing.T) {
	t.Parallel()
	f := whole(t)
	f.Members[0].Fresh = false
	f.Ask = ask(events.AskRelease)
	wantRule(t, f, "refuse.release") // an active that nobody speaks for would stay as it is, gate and all
	f.Members[0].Fresh = true
	o := wantRule(t, f, "release.asked")
	if o.Record.Gone == "" || o.Record.Epoch != 5 || len(o.Sets) != 3 {
		t.Fatalf("record %+v, told %+v", o.Record, o.Sets)
	}
	for _, s := range o.Sets {
		if s.Step == nil || s.Step.Verb != events.VerbRelease {
			t.Fatalf("told %+v: want a release", s)
		}
	}
	f.Record, f.Ask = o.Record, nil
	if o := wantRule(t, f, "gone"); o.Record != nil || len(o.Sets) > 0 {
		t.Fatal("a tombstone moves")
	}
	regionOut(f)
	wantRule(t, f, "gone")
}

func TestMembersJoinAndLeave(t *testing.T) {
	t.Parallel()
	f := whole(t)
	f.Config.Recovery = []events.Ref{refB}
	o := Step(f)
	if o.Record == nil || o.Record.Member(refC) != nil {
		t.Fatalf("record %+v: want C gone", o.Record)
	}
	var told bool
	for _, s := range o.Sets {
		told = told || s.Cluster == refC && s.Step.Verb == events.VerbRelease
	}
	if !told {
		t.Fatalf("told %+v: want C released", o.Sets)
	}
	f = whole(t)
	refD := events.Ref{Region: "r3", Cluster: "d"}
	f.Config.Recovery = append(f.Config.Recovery, refD)
	d := f.Members[2]
	d.Member = events.Member{Cluster: refD, Home: events.HomeRecovery, Agent: d.Agent, Peer: d.Peer}
	d.Claims = []events.AgentRef{d.Agent}
	f.Joining = []Cluster{d}
	o = Step(f)
	if m := o.Record.Member(refD); m == nil || m.Role != events.RoleFailed || m.Hold == "" || m.Candidate() {
		t.Fatalf("member %+v: want D failed until it is restored", m)
	}
}

// TestOverrideIsRecordedAndTold: an agent reports that a person broke the glass on its host; it is told once, and once more when that was ended.
func TestOverrideIsRecordedAndTold(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	told := func(want string, kind string) {
		t.Helper()
		o := Step(f)
		if o.Record == nil || o.Record.Members[0].Override != f.Members[0].Report.Override {
			t.Fatalf("recorded %+v", o.Record)
		}
		if len(o.Notices) != 1 || o.Notices[0].Type != kind || o.Notices[0].Cluster != refA.Cluster || !strings.Contains(o.Notices[0].Why, want) {
			t.Fatalf("told %+v: want one %s with %q", o.Notices, kind, want)
		}
		f.Record = o.Record
		f.Members[0].Member = o.Record.Members[0]
		if o := Step(f); len(o.Notices) > 0 {
			t.Fatalf("told again: %+v", o.Notices)
		}
	}
	f.Members[0].Report.Override = "alice, today: no way out"
	told("overridden on its host by alice, today: no way out", events.NoticeAlarm)
	f.Members[0].Report.Override = ""
	told("it was by alice", events.NoticeAutomation)
}

// TestOneThatLeavesBehindTheEpoch: it is told the release and nothing else, though it had not heard of the epoch yet.
func TestOneThatLeavesBehindTheEpoch(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	f.Config.Recovery, f.Revision = []events.Ref{refB}, 2
	f.Told = func(events.Ref) bool { return false }
	f.Members[2].Report.Seen = 3
	o := Step(f)
	if o.Record == nil || o.Record.Member(refC) != nil {
		t.Fatalf("record %+v: want one without %s", o.Record, refC)
	}
	for _, s := range o.Sets {
		if s.Cluster == refC && (s.Step == nil || s.Step.Verb != events.VerbRelease) {
			t.Fatalf("told %+v: want the release alone", s)
		}
	}
}
