package decide

import (
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// unborn takes the record away, and every memory of it.
func unborn(f *Facts) {
	f.Record = nil
	for i := range f.Members {
		f.Members[i].Reported = false
		f.Members[i].Report = events.Report{}
	}
}

// lost takes the record away and leaves what agents persist: A active, B and C passive, all at epoch 4.
func lost(f *Facts) {
	f.Record = nil
	for i := range f.Members {
		h := &f.Members[i].Health
		h.Managed, h.Seen, h.Role = true, 4, f.Members[i].Report.Role
	}
}

// putBack makes the record an old one: everybody is at epoch 6 already, B active.
func putBack(f *Facts) {
	lost(f)
	f.Record = healthyRecord
	for i := range f.Members {
		m := &f.Members[i]
		m.Health.Seen, m.Report.Seen, m.Report.Passive, m.Health.Role, m.Report.Role = 6, 6, 6, events.RolePassive, events.RolePassive
	}
	f.Members[0].Health.Server, f.Members[0].Report.Serving = events.ServerRecovery, 0
	b := &f.Members[1]
	b.Health.Role, b.Report.Role, b.Health.Server, b.Report.Passive = events.RoleActive, events.RoleActive, events.ServerWritable, 0
}

var healthyRecord *events.Record

func rebuildable(t *testing.T, change func(*Facts)) *Facts {
	t.Helper()
	f := healthy(t)
	healthyRecord = f.Record
	change(f)
	return f
}

func askRebuild(f *Facts, active string, unfenced bool) *Facts {
	f.Ask = &events.Ask{ID: "1", Verb: events.AskRebuildRecord, Actor: "ann", Group: "g", To: active, Reason: "disks burnt", Unfenced: unfenced}
	return f
}

func TestContradictionsHalt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts)
		rule   string
	}{
		"record lost":   {lost, "halt.record-lost"},
		"only a mark":   {func(f *Facts) { unborn(f); f.Members[1].Health.Mark = "g" }, "halt.record-lost"},
		"only a ledger": {func(f *Facts) { unborn(f); f.Members[1].Health.Managed = true }, "halt.record-lost"},
		"nobody remembers": {func(f *Facts) {
			unborn(f)
			f.Members[1].Report = events.Report{Seen: 9, Released: true}
			f.Members[1].Reported = true
		}, "birth"},
		"not configured":  {func(f *Facts) { lost(f); f.Revision = 0 }, "halt.not-configured"},
		"put back":        {putBack, "halt.epoch-ahead"},
		"epoch by health": {func(f *Facts) { f.Members[2].Health.Seen = 5 }, "halt.epoch-ahead"},
		"second active": {func(f *Facts) {
			f.Members[1].Report.Role, f.Members[1].Report.Passive = events.RoleActive, 0
		}, "halt.second-active"},
		"commands lost":         {func(f *Facts) { f.Members[1].Astray = true }, "halt.commands-lost"},
		"superseded":            {func(f *Facts) { f.Members[1].Astray, f.Members[1].Report.Seen = true, 3 }, "ok"},
		"configuration lost":    {func(f *Facts) { f.Revision = 0 }, "halt.config-lost"},
		"released is no matter": {func(f *Facts) { f.Record.Gone = "ann"; f.Members[1].Astray = true }, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			f := rebuildable(t, c.change)
			o := wantRule(t, f, c.rule)
			if !Halts(c.rule) {
				return
			}
			if o.Record != nil || len(o.Sets) > 0 || len(o.Notices) > 0 {
				t.Fatalf("halted, and yet %+v %v %v", o.Record, o.Sets, o.Notices)
			}
			if !strings.Contains(o.Why, "`switchback ") {
				t.Fatalf("%q names no way out", o.Why)
			}
			// Nothing goes past it: no outage, no ask, no upkeep.
			if f.Record != nil {
				f.Told = func(events.Ref) bool { return false }
				f.Revision = max(f.Revision, 0)
				f.Region, f.Members[0].Silent, f.Members[0].Fresh = gate.Judgement{Verdict: events.VerdictOut}, f.D.Confirm, false
				if o := wantRule(t, f, c.rule); o.Record != nil || len(o.Sets) > 0 {
					t.Fatalf("moved past the halt: %+v %v", o.Record, o.Sets)
				}
			}
			f.Ask = &events.Ask{Verb: events.AskFailover, Actor: "ann", Group: "g"}
			if o := wantRule(t, f, c.rule); len(o.Answers) != 1 || o.Answers[0].Accepted || o.Answers[0].Rule != c.rule {
				t.Fatalf("answered %+v", o.Answers)
			}
		})
	}
}

// TestRebuild has a lost or old record written anew. The way out that a halt names is never refused where the claims are clear.
func TestRebuild(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(f *Facts)
		active   string
		unfenced bool
		rule     string
		says     string
		epoch    events.Epoch
		phase    events.Phase
		of       events.Ref
	}{
		"clear":                {lost, "", false, "rebuild.asked", "", 5, events.PhaseActive, refA},
		"clear, and put back":  {putBack, "", false, "rebuild.asked", "", 7, events.PhaseActive, refB},
		"commands lost":        {func(f *Facts) { lost(f); f.Record = healthyRecord; f.Members[1].Astray = true }, "", false, "rebuild.asked", "", 5, events.PhaseActive, refA},
		"above a silent one's": {func(f *Facts) { lost(f); f.Members[2].Report.Seen = 11 }, "r1/a", false, "rebuild.asked", "", 12, events.PhaseActive, refA},
		"two claim":            {func(f *Facts) { lost(f); f.Members[1].Health.Role = events.RoleActive }, "", false, "refuse.rebuild", "both claim", 0, "", refA},
		"two write":            {func(f *Facts) { lost(f); f.Members[1].Health.Server = events.ServerWritable }, "", false, "refuse.rebuild", "both claim", 0, "", refA},
		"none claims": {func(f *Facts) {
			lost(f)
			f.Members[0].Health.Role, f.Members[0].Health.Server = events.RolePassive, events.ServerDown
		}, "", false, "refuse.rebuild", "none claims", 0, "", refA},
		"one is not heard":       {func(f *Facts) { lost(f); f.Members[2].Fresh = false }, "", false, "refuse.rebuild", "not heard", 0, "", refA},
		"one lost its ledger":    {func(f *Facts) { lost(f); f.Members[1].Health.Managed = false }, "", false, "refuse.rebuild", "lost its ledger", 0, "", refA},
		"an older claim":         {func(f *Facts) { lost(f); f.Members[1].Health.Seen = 5 }, "", false, "refuse.rebuild", "has seen 5", 0, "", refA},
		"named, one not heard":   {func(f *Facts) { lost(f); f.Members[2].Fresh = false }, "r1/a", false, "rebuild.asked", "r3/c said passive", 5, events.PhaseFencing, refA},
		"named, ledger lost":     {func(f *Facts) { lost(f); f.Members[1].Health.Managed = false }, "r1/a", false, "rebuild.asked", "r2/b said passive", 5, events.PhaseFencing, refA},
		"named, two claim":       {func(f *Facts) { lost(f); f.Members[1].Health.Role = events.RoleActive }, "r2/b", false, "rebuild.asked", "r1/a said passive", 5, events.PhaseFencing, refB},
		"named and waived":       {func(f *Facts) { lost(f); f.Members[2].Fresh = false }, "r1/a", true, "rebuild.asked", "", 5, events.PhaseActive, refA},
		"named, its agent away":  {func(f *Facts) { lost(f); f.Members[1].Fresh = false }, "r2/b", false, "refuse.rebuild", "is silent", 0, "", refA},
		"named, no such cluster": {lost, "r9/z", false, "refuse.rebuild", "no cluster of g", 0, "", refA},
		"named, no data":         {func(f *Facts) { lost(f); f.Members[1].Health.Empty = true }, "r2/b", false, "refuse.rebuild", "no data", 0, "", refA},
		"not configured":         {func(f *Facts) { lost(f); f.Revision = 0 }, "", false, "refuse.rebuild", "switchback apply", 0, "", refA},
		"nothing wrong":          {func(*Facts) {}, "", false, "refuse.rebuild", "nothing to rebuild", 0, "", refA},
		"nothing wrong, named":   {func(*Facts) {}, "r2/b", true, "refuse.rebuild", "nothing to rebuild", 0, "", refA},
	} {
		t.Run(name, func(t *testing.T) {
			f := askRebuild(rebuildable(t, c.change), c.active, c.unfenced)
			o := wantRule(t, f, c.rule)
			if !strings.Contains(o.Why, c.says) {
				t.Fatalf("says %q, want %q in it", o.Why, c.says)
			}
			if len(o.Answers) != 1 || len(o.Answers[0].Facts) != len(f.Members) {
				t.Fatalf("answers %+v: want one, with the claim of each", o.Answers)
			}
			if c.rule == "refuse.rebuild" {
				if o.Record != nil || len(o.Sets) > 0 {
					t.Fatalf("refused, and yet %+v %v", o.Record, o.Sets)
				}
				return
			}
			r := o.Record
			if r.Epoch != c.epoch || r.Phase != c.phase || r.Active != c.of {
				t.Fatalf("epoch %d %s active %s: want %d %s %s", r.Epoch, r.Phase, r.Active, c.epoch, c.phase, c.of)
			}
			for _, s := range o.Sets {
				if s.Epoch != c.epoch || s.Version <= 2 {
					t.Fatalf("command %+v: want the new epoch, and a candidate list newer than any acknowledged", s)
				}
				if s.Role == events.RoleActive && (c.phase == events.PhaseFencing || s.Cluster != c.of) || s.Cluster == c.of && c.phase == events.PhaseFencing {
					t.Fatalf("told %s %s while the others have not said passive", s.Cluster, s.Role)
				}
			}
			f.Ask.DryRun = true
			if d := wantRule(t, f, "rebuild.dry-run"); d.Record != nil || len(d.Sets) > 0 {
				t.Fatalf("dry, and yet %+v", d.Record)
			}
		})
	}
}

// TestRebuiltActiveIsToldOnceTheOthersSaidPassive: whoever was not clearly passive has to say so at the new epoch, or to be waived by name.
func TestRebuiltActiveIsToldOnceTheOthersSaidPassive(t *testing.T) {
	f := askRebuild(rebuildable(t, func(f *Facts) { lost(f); f.Members[1].Health.Managed = false }), "r1/a", false)
	r := wantRule(t, f, "rebuild.asked").Record
	if m := r.Member(refB); m.Role != events.RoleFailed || m.Hold == "" {
		t.Fatalf("B is %s, hold %q: its data may hold what nobody else has, want it held for a person", m.Role, m.Hold)
	}
	f.Record, f.Ask = r, nil
	if o := wantRule(t, f, "rebuild.wait"); !strings.Contains(o.Why, "r2/b") || len(o.Sets) > 0 {
		t.Fatalf("says %q, tells %v", o.Why, o.Sets)
	}
	f.Ask = &events.Ask{Verb: events.AskAbort, Actor: "ann", Group: "g"}
	wantRule(t, f, "refuse.abort-rebuild")
	f.Ask = nil
	f.Members[1].Report = events.Report{Seen: 5, Role: events.RolePassive, Passive: 5}
	f.Members[1].Reported = true
	o := wantRule(t, f, "rebuild.proved")
	if o.Record.Phase != events.PhaseActive || o.Record.Epoch != 5 || o.Record.Op.Proof == nil || o.Record.Op.Proof.Kind != events.ProofAck || len(o.Sets) != 3 {
		t.Fatalf("record %+v, told %v", o.Record, o.Sets)
	}
}

// TestMemberOfUnknownAgentIsTakenUpLater: a rebuilt record may have a member whose agent nobody knows yet.
func TestMemberOfUnknownAgentIsTakenUpLater(t *testing.T) {
	f := askRebuild(rebuildable(t, func(f *Facts) {
		lost(f)
		f.Members[2] = Cluster{Member: events.Member{Cluster: refC, Home: events.HomeRecovery}}
	}), "r1/a", true)
	r := wantRule(t, f, "rebuild.asked").Record
	if m := r.Member(refC); m == nil || m.Role != events.RoleFailed || m.Agent != (events.AgentRef{}) {
		t.Fatalf("C is %+v", m)
	}
	f.Record, f.Ask = r, nil
	for i := range 2 {
		m := &f.Members[i]
		m.Report.Seen, m.Health.Seen = 5, 5
	}
	f.Members[2].Claims = []events.AgentRef{{Region: "r3", Agent: "h"}}
	o := Step(f)
	if o.Record == nil || o.Record.Member(refC).Agent.Agent != "h" {
		t.Fatalf("rule %s, record %+v: want C taken up", o.Rule, o.Record)
	}
}

// TestLapsedLeaseIsNoProofOfWhatIsNeverFrozen: keep-running, observe, and whoever has not acknowledged the end of either.
func TestLapsedLeaseIsNoProofOfWhatIsNeverFrozen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *Facts){
		"keep-running":             func(f *Facts) { f.Config.Isolation = events.IsolationKeepRunning },
		"observe":                  func(f *Facts) { f.Config.Mode = events.ModeObserve },
		"not acknowledged the end": func(f *Facts) { f.Record.Exempt = true },
	} {
		f := fenced(t)
		f.Lease = Lease{Running: true, Accepted: []events.ProofLane{{Lane: 0}, {Lane: 1}}, Received: f.Now - events.Instant(f.D.Wait), Wait: f.D.Wait}
		f.Members[1].Report.Passive = f.Record.Epoch
		wantRule(t, f, "proof.lease")
		change(f)
		if o := Step(f); o.Rule == "proof.lease" {
			t.Errorf("%s: a lapsed lease counted as proof", name)
		}
	}
}
