package decide

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// whole is healthy with everything a planned move wants.
func whole(t *testing.T) *Facts {
	t.Helper()
	f := healthy(t)
	f.Wall = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	f.Restore = gate.Permission{OK: true}
	for i := range f.Members {
		f.Members[i].Health.Timeline, f.Members[i].Health.LagKnown = 3, true
	}
	return f
}

// away is a group that was failed over from A to B, its old side back and told.
func away(t *testing.T) *Facts {
	t.Helper()
	f := whole(t)
	r := f.Record
	r.Active = refB
	r.Members[0].Role, r.Members[1].Role = events.RoleFailed, events.RoleActive
	r.Op = &events.Operation{ID: "g-4", Verb: events.AskFailover, By: Automation, From: refA, To: refB, Ended: "done", Promoted: 800, Timeline: 3, Began: f.Wall.Add(-time.Minute)}
	r.Forks = []events.Fork{{Timeline: 2, At: 800}}
	r.Lists = []events.CandidateList{{Version: 2, Candidates: candidates(r)}}
	f.Members[0].Member, f.Members[1].Member = r.Members[0], r.Members[1]
	f.Members[0].Health = events.ClusterHealth{Cluster: refA, Server: events.ServerDown, SystemID: "s", Timeline: 2}
	f.Members[0].Report = events.Report{Cluster: refA, Seen: 4, Role: events.RolePassive, Passive: 4, Primary: true}
	f.Members[1].Health.Server, f.Members[1].Health.CanaryOK = events.ServerWritable, true
	f.Members[1].Report = events.Report{Cluster: refB, Seen: 4, Role: events.RoleActive, Serving: 4, Version: 2, Primary: true}
	return f
}

func TestPlannedMoveNeedsEveryGate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(f *Facts)
		why    string
	}{
		"agent of the target silent": {func(f *Facts) { f.Members[1].Fresh = false }, "its agent is silent"},
		"does not stream":            {func(f *Facts) { f.Members[1].Health.Streaming = false }, "does not stream"},
		"lag unknown":                {func(f *Facts) { f.Members[1].Health.LagKnown = false }, "nobody knows how far"},
		"lag":                        {func(f *Facts) { f.Members[1].Health.Lag = 101 }, "101 B behind"},
		"receiver stuck":             {func(f *Facts) { f.Members[1].Health.Heard = 2 * time.Second }, "nothing has arrived"},
		"behind the active's word":   {func(f *Facts) { f.Sent = 1000; f.Members[1].Health.LSN = 898 }, "102 B behind"},
		"older timeline":             {func(f *Facts) { f.Members[1].Health.Timeline = 2 }, "timeline 3"},
		"no lease there":             {func(f *Facts) { f.Members[1].Leased = false }, "no lease"},
		"being rebuilt": {func(f *Facts) {
			f.Record.Members[1].Work = &events.Operation{ID: "g-rebuild-1"}
			f.Members[1].Member = f.Record.Members[1]
		}, "being rebuilt"},
		"not listed":            {func(f *Facts) { f.Record.Lists = append(f.Record.Lists, events.CandidateList{Version: 3}) }, "not acknowledged"},
		"active does not serve": {func(f *Facts) { f.Members[0].Report.Serving = 3 }, "does not serve"},
		"base backup":           {func(f *Facts) { f.Members[0].Health.Hinders = []string{"a base backup runs"} }, "a base backup runs"},
		"being restarted":       {func(f *Facts) { f.Record.Restart = &events.Operation{ID: "g-restart-1", To: refC, Began: f.Wall} }, "being restarted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := whole(t)
			f.Ask = ask(events.AskSwitchover)
			f.Ask.To = refB.String()
			c.change(f)
			o := wantRule(t, f, "refuse.swap")
			if o.Answers[0].Accepted || o.Record != nil && o.Record.Op != nil || !strings.Contains(o.Why, c.why) {
				t.Fatalf("%q, record %+v: want a refusal that says %q", o.Why, o.Record, c.why)
			}
		})
	}
}

// swapped brings a planned move to FENCING.
func swapped(t *testing.T) *Facts {
	t.Helper()
	f := whole(t)
	f.Ask = ask(events.AskSwitchover)
	f.Ask.To = refB.String()
	o := wantRule(t, f, "swap.asked")
	if r := o.Record; r.Epoch != 4 || r.Phase != events.PhaseActive || r.Op.ID != "g-5" || len(o.Sets) != 1 || o.Sets[0].Role != events.RoleActive || o.Sets[0].Step.Verb != events.VerbCheckpoint {
		t.Fatalf("record %+v, told %+v: want the active told to checkpoint, and nothing else", r, o.Sets)
	}
	f.Record, f.Ask = o.Record, nil
	wantRule(t, f, "wait.checkpoint")
	f.Members[0].Report.Results = []events.Result{{Step: events.StepID("g", 4, "prepare"), Outcome: events.Done}}
	f.Record = wantRule(t, f, "swap.intent").Record
	if f.Record.Epoch != 5 || f.Record.Phase != events.PhaseFencing || f.Record.Op.ID != "g-5" {
		t.Fatalf("record %+v", f.Record)
	}
	return f
}

// TestNewLeaderWaitsBeforeItGivesUpASwap: a leader that just began has heard nobody, and knows nothing of absence.
func TestNewLeaderWaitsBeforeItGivesUpASwap(t *testing.T) {
	t.Parallel()
	f := whole(t)
	f.Ask = ask(events.AskSwitchover)
	f.Ask.To = refB.String()
	f.Record, f.Ask = wantRule(t, f, "swap.asked").Record, nil
	f.Members[0].Report.Results = []events.Result{{Step: events.StepID("g", 4, "prepare"), Outcome: events.Done}}
	f.Members[1].Known, f.OpAge = false, 0
	wantRule(t, f, "wait.checkpoint")
	f.OpAge = f.D.Confirm + f.D.Silent()
	if o := wantRule(t, f, "swap.not-ready"); o.Record.Op.Ended != "aborted" {
		t.Fatalf("record %+v: want it given up", o.Record)
	}
	f.Members[1].Known = true
	wantRule(t, f, "swap.intent")
}

func TestPlannedMoveNeverRevokes(t *testing.T) {
	t.Parallel()
	f := swapped(t)
	f.PhaseAge, f.Members[0].Silent, f.Members[0].Fresh = f.D.FenceAck, f.D.FenceAck-1, false
	if o := wantRule(t, f, "wait.stop"); o.Attempt {
		t.Fatal("a planned move revokes: a blip of the agent would cost a failover")
	}
	f.GapAge = f.gapLimit()
	wantRule(t, f, "swap.too-late")
	f.GapAge, f.Members[0].Silent = 0, f.D.FenceAck
	if o := wantRule(t, f, "swap.active-lost"); o.Record.Active != refA || o.Record.Epoch != 6 {
		t.Fatalf("record %+v: want A active at a new epoch, for the rows of an outage to judge", o.Record)
	}
}

func TestPlannedMoveLosesNothing(t *testing.T) {
	t.Parallel()
	f := swapped(t)
	f.Members[0].Report.Passive, f.Members[0].Report.Fenced = 5, "killed"
	if o := wantRule(t, f, "swap.killed"); o.Record.Active != refA || o.Record.Epoch != 6 || o.Record.Op.Ended != "aborted" {
		t.Fatalf("record %+v: want A active at a new epoch", o.Record)
	}
	f.Members[0].Report.Results = []events.Result{{Step: events.StepID("g", 5, "stop"), Outcome: events.Done, LSN: 1000}}
	f.Record = wantRule(t, f, "proof.ack").Record
	cut := events.Result{Step: events.StepID("g", 5, "cut"), Outcome: events.Done, LSN: 1000, Replayed: 999}
	f.Members[1].Report.Results = []events.Result{cut}
	wantRule(t, f, "swap.not-delivered")
	cut.Replayed = 1000
	f.Members[1].Report.Results = []events.Result{cut}
	o := wantRule(t, f, "promote")
	a := o.Record.Member(refA)
	if a.Role != events.RolePassive || a.Work == nil || a.Candidate() || !o.Record.Op.Loss.Exact || o.Record.Op.Loss.Bytes != 0 {
		t.Fatalf("old side %+v, loss %+v: want it passive, being restored, nothing lost", a, o.Record.Op.Loss)
	}
	for _, s := range o.Sets {
		if s.Cluster == refA && (s.Step == nil || s.Step.Verb != events.VerbRestore || s.Step.Source != "r2:5432") {
			t.Fatalf("told %+v: want it told to follow the new active at once", s)
		}
	}
}

func TestRestoreBeginsWhenItsAgentHasReportedIn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *Facts){
		"silent":            func(f *Facts) { f.Members[0].Fresh = false },
		"not told yet":      func(f *Facts) { f.Members[0].Report.Passive = 3 },
		"held":              func(f *Facts) { f.Record.Members[0].Hold = "alice"; f.Members[0].Member = f.Record.Members[0] },
		"disarmed":          func(f *Facts) { f.Restore = gate.Permission{} },
		"no serving active": func(f *Facts) { f.Members[1].Report.Serving = 0 },
		"removed":           func(f *Facts) { f.Config.Removed, f.Members[1].Report.Serving = true, 0 },
	} {
		f := away(t)
		change(f)
		if o := Step(f); o.Record != nil && o.Record.Members[0].Work != nil {
			t.Errorf("%s: a restore was begun", name)
		}
	}
	o := Step(away(t))
	if o.Record == nil || o.Record.Member(refA).Work == nil || o.Record.Member(refA).Role != events.RolePassive || o.Record.Member(refA).Work.ID != "g-restore-1" {
		t.Fatalf("record %+v: want the restore begun", o.Record)
	}
	if o.Record.Epoch != 4 || o.Notices[0].Type != events.NoticeRestoring || o.Notices[0].Rule != "restore.begin" {
		t.Fatalf("epoch %d, told %+v", o.Record.Epoch, o.Notices)
	}
}

func TestRestoreIsBelievedOnlyWhenItStreamsOnTheTimeline(t *testing.T) {
	t.Parallel()
	begun := func() *Facts {
		f := away(t)
		f.Record = Step(f).Record
		f.Members[0].Member = f.Record.Members[0]
		lost := &events.LostLog{Timeline: 2, From: 800, To: 900, Bytes: 100, Commits: 7, List: []events.LostCommit{{XID: 1}}}
		f.Members[0].Report = events.Report{Cluster: refA, Seen: 4, Role: events.RolePassive, Passive: 4,
			Results: []events.Result{{Step: events.StepID("g", 4, "restore-1"), Outcome: events.Done, How: "rewound", Lost: lost, Timeline: 3}}}
		f.Members[0].Health = events.ClusterHealth{Cluster: refA, Server: events.ServerRecovery, Streaming: true, SystemID: "s", Timeline: 3}
		return f
	}
	for name, change := range map[string]func(f *Facts){
		"does not stream":   func(f *Facts) { f.Members[0].Health.Streaming = false },
		"old timeline":      func(f *Facts) { f.Members[0].Health.Timeline = 2 },
		"down":              func(f *Facts) { f.Members[0].Health.Server = events.ServerDown },
		"ledger says mine":  func(f *Facts) { f.Members[0].Report.Primary = true },
		"of an older epoch": func(f *Facts) { f.Members[0].Report.Results[0].Step = events.StepID("g", 3, "restore-1") },
		"silent again":      func(f *Facts) { f.Members[0].Fresh = false },
	} {
		f := begun()
		change(f)
		if o := Step(f); o.Record != nil && o.Record.Members[0].Work == nil {
			t.Errorf("%s: believed", name)
		}
	}
	o := Step(begun())
	m, op := o.Record.Member(refA), o.Record.Op
	if m.Work != nil || !m.Candidate() || op.Lost == nil || op.Lost.Commits != 7 || !op.Loss.Exact || op.Loss.Bytes != 100 {
		t.Fatalf("member %+v, op %+v: want a passive, and the failover's loss counted", m, op)
	}
	refused := begun()
	refused.Members[0].Report.Results[0] = events.Result{Step: events.StepID("g", 4, "restore-1"), Outcome: events.Refused, Why: "disk full"}
	o = Step(refused)
	if m := o.Record.Member(refA); m.Role != events.RoleFailed || !strings.Contains(m.Hold, "disk full") {
		t.Fatalf("member %+v: want it failed, and held with the reason", m)
	}
}

func TestPassiveAheadOfTheForkIsRebuilt(t *testing.T) {
	t.Parallel()
	f := away(t)
	f.Members[0].Fresh = false
	f.Members[2].Health.Streaming, f.Members[2].Health.Timeline, f.Members[2].Health.Replayed = false, 2, 801
	o := Step(f)
	if w := o.Record.Member(refC).Work; w == nil || w.Verb != events.AskRebuild {
		t.Fatalf("work %+v: want a rebuild, it replayed beyond the fork", w)
	}
	f.Members[2].Health.Replayed = 800
	if o := Step(f); o.Record != nil && o.Record.Member(refC).Work != nil {
		t.Fatal("rebuilt although it can follow")
	}
}

func TestFailbackOfAFailedHomeRestoresItFirst(t *testing.T) {
	t.Parallel()
	f := away(t)
	f.Record.Members[0].Hold = "alice gave it up"
	f.Members[0].Member = f.Record.Members[0]
	f.Ask = ask(events.AskFailback)
	o := wantRule(t, f, "failback.restore")
	if w := o.Record.Member(refA).Work; w == nil || w.Then != events.AskFailback || o.Answers[0].Operation != w.ID {
		t.Fatalf("work %+v, answers %+v", w, o.Answers)
	}
}

// A failback that finds its restore under way is the asker's, not automation's that began it.
func TestFailbackDuringARestoreIsTheAskers(t *testing.T) {
	t.Parallel()
	f := away(t)
	f.Record.Members[0].Role, f.Record.Members[0].Work = events.RolePassive, &events.Operation{ID: "g-restore-1", Verb: events.AskRestore, By: Automation}
	f.Members[0].Member = f.Record.Members[0]
	f.Ask = ask(events.AskFailback)
	o := wantRule(t, f, "failback.restore")
	if w := o.Record.Member(refA).Work; w.Then != events.AskFailback || w.By != f.Ask.Actor || w.Ask != f.Ask.ID {
		t.Fatalf("work %+v: want it the asker's", w)
	}
}

func TestRebuildByCopyIsToldToCopy(t *testing.T) {
	t.Parallel()
	f := whole(t)
	f.Ask = ask(events.AskRebuild)
	f.Ask.Group, f.Ask.Cluster, f.Ask.Copy, f.Ask.Reason = "", refC.String(), true, ""
	o := wantRule(t, f, "restore.asked")
	if len(o.Sets) != 1 || o.Sets[0].Step == nil || !o.Sets[0].Step.Copy || o.Sets[0].Step.Source != "r1:5432" {
		t.Fatalf("told %+v: want C told to be copied from A", o.Sets)
	}
	if o.Answers[0].Why != "alice asked to rebuild it" || o.Record.Member(refC).Candidate() {
		t.Fatalf("answer %+v, member %+v", o.Answers[0], o.Record.Member(refC))
	}
}

func TestWhoeverWasAwayIsPointedAtTheActiveLater(t *testing.T) {
	t.Parallel()
	f := away(t)
	f.Record.Op = &events.Operation{ID: "g-5", Verb: events.AskSwitchover, From: refB, To: refA, Ended: "aborted"} // the move that C missed is not the last one any more
	if s := SetFor(&f.Config, f.Record, 1, f.D, refC); s.Step == nil || s.Step.Verb != events.VerbFollow || s.Step.Source != "r2:5432" {
		t.Fatalf("told %+v: want C told to follow B", s)
	}
}
