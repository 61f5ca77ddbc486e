package decide

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

var (
	refA = events.Ref{Region: "r1", Cluster: "a"}
	refB = events.Ref{Region: "r2", Cluster: "b"}
	refC = events.Ref{Region: "r3", Cluster: "c"}
)

func member(r events.Ref, role events.Role) events.Member {
	return events.Member{Cluster: r, Agent: events.AgentRef{Region: r.Region, Agent: "h"}, Role: role, Peer: r.Region + ":1", SystemID: "s", Address: r.Region + ":5432"}
}

// healthy is a group of three with nothing wrong: A active, B and C follow.
func healthy(t *testing.T) *Facts {
	t.Helper()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	r := &events.Record{Group: "g", Epoch: 4, Phase: events.PhaseActive, Active: refA, Settled: true, Config: 1,
		Members: []events.Member{member(refA, events.RoleActive), member(refB, events.RolePassive), member(refC, events.RolePassive)}}
	r.Lists = []events.CandidateList{{Version: 2, Candidates: candidates(r)}}
	f := &Facts{
		Now: 1000 * events.Instant(time.Second), D: d, Record: r, Revision: 1, Sent: 900, Permit: gate.Permission{OK: true},
		Config: events.GroupConfig{Group: "g", Mode: events.ModeAuto, Primary: refA, Recovery: []events.Ref{refB, refC}, MaxLoss: events.LossBudget{Bytes: 100, Seconds: 5}},
		Region: gate.Judgement{Verdict: events.VerdictHealthy}, Told: func(events.Ref) bool { return true },
	}
	for i, m := range r.Members {
		c := Cluster{Member: m, Known: true, Fresh: true, Leased: true, Reported: true, BehindKnown: true,
			Health: events.ClusterHealth{Cluster: m.Cluster, Server: events.ServerRecovery, Streaming: true, SystemID: "s", LSN: events.LSN(900 - i)},
			Report: events.Report{Cluster: m.Cluster, Seen: 4, Role: events.RolePassive, Passive: 4, Version: 2}}
		if i == 0 {
			c.Health.Server, c.Health.CanaryOK = events.ServerWritable, true
			c.Report = events.Report{Cluster: m.Cluster, Seen: 4, Role: events.RoleActive, Serving: 4, Version: 2, Primary: true}
		}
		f.Members = append(f.Members, c)
	}
	return f
}

func regionOut(f *Facts) {
	f.Region = gate.Judgement{Verdict: events.VerdictOut, Why: "silent 2.1 s"}
	f.Members[0].Silent, f.Members[0].Fresh = 2100*time.Millisecond, false
}

func wantRule(t *testing.T, f *Facts, rule string) Outcome {
	t.Helper()
	o := Step(f)
	if o.Rule != rule {
		t.Fatalf("rule %s (%s): want %s", o.Rule, o.Why, rule)
	}
	if o.Why == "" || strings.Contains(o.Why, "{") {
		t.Fatalf("rule %s says %q: want a whole sentence", rule, o.Why)
	}
	return o
}

func TestNothingWrongMovesNothing(t *testing.T) {
	t.Parallel()
	o := wantRule(t, healthy(t), "ok")
	if o.Record != nil || len(o.Sets) > 0 {
		t.Fatalf("changed %v, told %v", o.Record, o.Sets)
	}
}

func TestRegionOutBeginsFailoverToTheMostAdvanced(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	regionOut(f)
	f.Members[2].Health.LSN = 905 // C, though preferred less
	o := wantRule(t, f, "failover.region-out")
	r := o.Record
	if r.Epoch != 5 || r.Phase != events.PhaseFencing || r.Target != refC || r.Active != refA || r.Op.ID != "g-5" || r.Op.By != Automation {
		t.Fatalf("record %+v", r)
	}
	if !o.Attempt {
		t.Fatal("its agent is silent: want the attempt at once")
	}
	if f.Record.Epoch != 4 {
		t.Fatal("the facts were changed")
	}
	for _, s := range o.Sets {
		if s.Epoch != 5 || s.Role != events.RolePassive {
			t.Fatalf("told %+v: want everybody passive at the new epoch", s)
		}
	}
	if len(o.Sets) != 2 {
		t.Fatalf("%d commands: want the target's and the old active's", len(o.Sets))
	}
}

func TestAutomationWaitsAndSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(f *Facts)
		rule   string
	}{
		"suspect":        {func(f *Facts) { regionOut(f); f.Region = gate.Judgement{Verdict: events.VerdictSuspect, Why: "seen"} }, "wait.region-suspect"},
		"not permitted":  {func(f *Facts) { regionOut(f); f.Permit = gate.Permission{Rule: "wait.manual", Why: "manual"} }, "wait.manual"},
		"no candidate":   {func(f *Facts) { regionOut(f); f.Members[1].Fresh, f.Members[2].Fresh = false, false }, "wait.no-candidate"},
		"lag unknown":    {func(f *Facts) { regionOut(f); f.Sent = 0 }, "wait.loss-budget"},
		"over budget":    {func(f *Facts) { regionOut(f); f.Sent = 2000 }, "wait.loss-budget"},
		"too far behind": {func(f *Facts) { regionOut(f); f.Members[1].Behind = time.Minute }, "wait.loss-budget"},
		"removed":        {func(f *Facts) { regionOut(f); f.Config.Removed = true }, "wait.removed"},
		"agent seen": {func(f *Facts) {
			regionOut(f)
			f.Region.Verdict = events.VerdictDegraded
			f.Members[0].Seen = "r3 got an answer"
		}, "wait.agent-seen"},
		"agent unlooked": {func(f *Facts) { regionOut(f); f.Region.Verdict = events.VerdictDegraded }, "wait.agent-unconfirmed"},
		"server down": {func(f *Facts) {
			f.Members[0].Health.Server, f.Members[0].Health.Down = events.ServerDown, 3*time.Second
		}, "wait.cluster-unconfirmed"},
		"needs a restore": {func(f *Facts) {
			regionOut(f)
			f.Members[1].Role, f.Members[2].Role = events.RoleFailed, events.RoleFailed
		}, "wait.no-candidate"},
		"unlisted":                {func(f *Facts) { regionOut(f); f.Record.Lists[0].Candidates = nil }, "wait.no-candidate"},
		"active never under care": {func(f *Facts) { regionOut(f); f.Members[0].Reported = false }, "wait.no-candidate"},
		"old epoch":               {func(f *Facts) { regionOut(f); f.Members[1].Report.Passive, f.Members[2].Report.Passive = 3, 3 }, "wait.no-candidate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := healthy(t)
			c.change(f)
			if o := wantRule(t, f, c.rule); o.Record != nil && o.Record.Phase != events.PhaseActive {
				t.Fatalf("moved to %+v", o.Record)
			}
		})
	}
}

func TestOtherCausesOfAutomation(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	f.Members[0].Health.Server, f.Members[0].Health.Down = events.ServerDown, 11*time.Second
	o := wantRule(t, f, "failover.cluster-down")
	if !o.Record.Op.Planned || o.Attempt {
		t.Fatal("its agent is alive: want it asked to stop, and no attempt yet")
	}
	f = healthy(t)
	regionOut(f)
	f.Region.Verdict, f.Members[0].Looked = events.VerdictDegraded, true
	wantRule(t, f, "failover.agent-silent")
}

func ask(verb string) *events.Ask {
	return &events.Ask{ID: "1", Verb: verb, Actor: "alice", Group: "g", Reason: "drill"}
}

func TestAsksAreAnswered(t *testing.T) {
	t.Parallel()
	fencing := func(f *Facts) { *f.Record = *Step(func() *Facts { regionOut(f); return f }()).Record }
	for name, c := range map[string]struct {
		change   func(f *Facts)
		ask      *events.Ask
		rule     string
		accepted bool
	}{
		"failover":          {func(*Facts) {}, ask(events.AskFailover), "failover.asked", true},
		"dry run":           {func(f *Facts) { f.Ask.DryRun = true }, ask(events.AskFailover), "failover.dry-run", true},
		"unknown target":    {func(f *Facts) { f.Ask.To = "r9/x" }, ask(events.AskFailover), "refuse.no-candidate", false},
		"to the active":     {func(f *Facts) { f.Ask.To = refA.String() }, ask(events.AskFailover), "refuse.no-candidate", false},
		"observed":          {func(f *Facts) { f.Config.Mode = events.ModeObserve }, ask(events.AskFailover), "refuse.observe", false},
		"blind":             {func(f *Facts) { f.Blind = true }, ask(events.AskFailover), "refuse.blind", false},
		"blind, overridden": {func(f *Facts) { f.Blind, f.Ask.WhileBlind = true, true }, ask(events.AskFailover), "failover.asked", true},
		"dark, loss":        {func(f *Facts) { regionOut(f); f.Sent = 5000 }, ask(events.AskFailover), "refuse.loss", false},
		"dark, unguarded":   {func(f *Facts) { regionOut(f); f.Members[0].Report.Exempt = true }, ask(events.AskFailover), "refuse.no-candidate", false},
		"fence waived":      {func(f *Facts) { regionOut(f); f.Members[0].Report.Exempt, f.Ask.Unfenced = true, true }, ask(events.AskFailover), "failover.asked", true},
		"loss accepted":     {func(f *Facts) { regionOut(f); f.Sent, f.Ask.AcceptLoss = 5000, true }, ask(events.AskFailover), "failover.asked", true},
		"running":           {fencing, ask(events.AskFailover), "refuse.running", false},
		"abort":             {fencing, ask(events.AskAbort), "ask.abort", true},
		"abort of nothing":  {func(*Facts) {}, ask(events.AskAbort), "refuse.nothing-to-abort", false},
		"disarm":            {func(*Facts) {}, ask(events.AskDisarm), "ask.disarm", true},
		"unborn":            {func(f *Facts) { unborn(f) }, ask(events.AskFailover), "refuse.not-born", false},
		"known":             {func(f *Facts) { f.Record.Op = &events.Operation{ID: "g-4", Ask: "1", Ended: "done"} }, ask(events.AskFailover), "ask.known", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := healthy(t)
			own := *c.ask
			if name == "running" || name == "abort" {
				c.change(f)
				f.Ask = &own
			} else {
				f.Ask = &own
				c.change(f)
			}
			o := wantRule(t, f, c.rule)
			if len(o.Answers) != 1 || o.Answers[0].Accepted != c.accepted || o.Answers[0].Why == "" {
				t.Fatalf("answers %+v: want one, accepted %v and a reason", o.Answers, c.accepted)
			}
			if !c.accepted && o.Record != nil {
				t.Fatalf("refused, but the record changed to %+v", o.Record)
			}
		})
	}
}

// fenced brings a dark group to FENCING.
func fenced(t *testing.T) *Facts {
	t.Helper()
	f := healthy(t)
	regionOut(f)
	f.Record = Step(f).Record
	return f
}

func TestLeaseProofNeedsAllOfIt(t *testing.T) {
	t.Parallel()
	whole := func(f *Facts) {
		f.Lease = Lease{Running: true, Accepted: []events.ProofLane{{Lane: 0, Revoked: 9}, {Lane: 2, Revoked: 8}}, Received: f.Now.Add(-2 * time.Second), Wait: 2 * time.Second}
		f.Members[1].Report.Passive = 5
	}
	f := fenced(t)
	whole(f)
	o := wantRule(t, f, "proof.lease")
	if p := o.Record.Op.Proof; o.Record.Phase != events.PhaseProved || p.Kind != events.ProofLease || p.Epoch != 5 || p.Target != 5 {
		t.Fatalf("record %+v", o.Record)
	}
	if len(o.Sets) != 1 || o.Sets[0].Step == nil || o.Sets[0].Step.Verb != events.VerbCut {
		t.Fatalf("told %+v: want the target told to stand still, and nobody else anything", o.Sets)
	}
	for name, less := range map[string]func(f *Facts){
		"one acceptance":        func(f *Facts) { f.Lease.Accepted = f.Lease.Accepted[:1] },
		"L not over":            func(f *Facts) { f.Lease.Received++ },
		"agent honours longer":  func(f *Facts) { f.Lease.Wait = 3 * time.Second },
		"target at older epoch": func(f *Facts) { f.Members[1].Report.Passive = 4 },
		"nothing freezes it":    func(f *Facts) { f.Members[0].Report.Exempt = true },
		"target not listed":     func(f *Facts) { f.Record.Lists = append(f.Record.Lists, events.CandidateList{Version: 3}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fenced(t)
			whole(f)
			less(f)
			if o := Step(f); strings.HasPrefix(o.Rule, "proof.") {
				t.Fatalf("proved by %s", o.Rule)
			}
		})
	}
}

func TestAckProofNamesTheOperationsEpoch(t *testing.T) {
	t.Parallel()
	f := fenced(t)
	f.Members[0].Report = events.Report{Passive: 4, Seen: 4, Version: 2}
	if o := Step(f); o.Rule == "proof.ack" {
		t.Fatal("an ack of an older epoch counts for nothing")
	}
	f.Members[0].Report.Passive = 5
	wantRule(t, f, "proof.ack")
}

// proved brings a dark group to PROVED, with the target's cut answered.
func proved(t *testing.T, lsn events.LSN) *Facts {
	t.Helper()
	f := fenced(t)
	f.Members[0].Report = events.Report{Passive: 5, Seen: 5, Version: 2}
	f.Record = Step(f).Record
	f.Members[1].Report.Results = []events.Result{{Step: events.StepID("g", 5, "cut"), Outcome: events.Done, LSN: lsn}}
	return f
}

func TestPromotionIsTheAppointment(t *testing.T) {
	t.Parallel()
	f := proved(t, 899)
	o := wantRule(t, f, "promote")
	r := o.Record
	if r.Active != refB || r.Epoch != 5 || r.Phase != events.PhaseActive || r.Member(refA).Role != events.RoleFailed || r.Member(refB).Role != events.RoleActive {
		t.Fatalf("record %+v", r)
	}
	if cs := r.Current().Candidates; len(cs) != 1 || cs[0].Cluster != refC {
		t.Fatalf("candidates %+v: want C alone, A is failed", cs)
	}
	if l := r.Op.Loss; l == nil || !l.Known || l.Bytes != 1 || l.Exact {
		t.Fatalf("loss %+v: want 1 byte at least, not exact", l)
	}
	roles := map[events.Ref]events.Role{}
	for _, s := range o.Sets {
		roles[s.Cluster] = s.Role
	}
	if roles[refA] != events.RolePassive || roles[refB] != events.RoleActive || roles[refC] != events.RolePassive {
		t.Fatalf("told %v", roles)
	}
}

func TestLossBeyondBudgetAbortsAfterTheProof(t *testing.T) {
	t.Parallel()
	f := proved(t, 700)
	o := wantRule(t, f, "abort.loss")
	r := o.Record
	if r.Epoch != 6 || r.Active != refA || r.Phase != events.PhaseActive || r.Op.Ended != "aborted" || !o.Drop {
		t.Fatalf("record %+v drop %v: want A active at a new epoch and every acceptance dropped", r, o.Drop)
	}
	for _, s := range o.Sets {
		if s.Cluster == refB && (s.Step == nil || s.Step.Verb != events.VerbFollow) {
			t.Fatalf("told %+v: want the cut target to follow again", s)
		}
	}
}

func TestNoProofInTimeAborts(t *testing.T) {
	t.Parallel()
	f := fenced(t)
	f.PhaseAge = f.D.Attempt
	wantRule(t, f, "abort.no-proof")
}

func TestLostTargetIsReplacedBeforeTheProof(t *testing.T) {
	t.Parallel()
	f := fenced(t)
	f.Members[1].Silent, f.Members[1].Fresh = 3*time.Second, false
	o := wantRule(t, f, "switch.target")
	if o.Record.Target != refC || o.Record.Epoch != 5 || o.Record.Phase != events.PhaseFencing {
		t.Fatalf("record %+v", o.Record)
	}
}

func TestBirthNeedsExactlyOneWritable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(f *Facts)
		rule   string
	}{
		"whole":         {func(*Facts) {}, "birth"},
		"two writers":   {func(f *Facts) { f.Members[1].Health.Server = events.ServerWritable }, "birth.not-one-writable"},
		"none":          {func(f *Facts) { f.Members[0].Health.Server = events.ServerDown }, "birth.not-one-writable"},
		"unreported":    {func(f *Facts) { f.Members[2].Known = false }, "birth.wait-agents"},
		"not streaming": {func(f *Facts) { f.Members[2].Health.Streaming = false }, "birth.not-following"},
		"other system":  {func(f *Facts) { f.Members[2].Health.SystemID = "other" }, "birth.not-following"},
		"two claims": {func(f *Facts) {
			f.Members[2].Claims = []events.AgentRef{{Region: "r3", Agent: "h"}, {Region: "r3", Agent: "i"}}
		}, "birth.two-claims"},
		"history":  {func(f *Facts) { f.Members[0].Reported, f.Members[0].Report.Seen = true, 3 }, "halt.record-lost"},
		"no lease": {func(f *Facts) { f.Members[0].Leased = false }, "birth.wait-lease"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := healthy(t)
			unborn(f)
			c.change(f)
			o := wantRule(t, f, c.rule)
			if (o.Record != nil) != (c.rule == "birth") {
				t.Fatalf("record %+v", o.Record)
			}
		})
	}
}

func TestLossWindowReachesBackToTheActivesLastWord(t *testing.T) {
	t.Parallel()
	f := proved(t, 899)
	f.Members[0].Silent, f.OpAge, f.SentAge = 0, 0, 10*time.Second // its agent beats beside a server that has been dead for long
	if l := wantRule(t, f, "promote").Record.Op.Loss; l.Window < 10*time.Second {
		t.Fatalf("window %v: want at least the 10 s since the active's last word", l.Window)
	}
}
