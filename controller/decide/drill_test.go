package decide

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// drillable is a group with nothing wrong that passes every gate of a swap.
func drillable(t *testing.T) *Facts {
	f := healthy(t)
	f.Restore = gate.Permission{OK: true}
	f.Wall = time.Unix(1e9, 0)
	for i := range f.Members {
		h := &f.Members[i].Health
		h.Timeline, h.LagKnown, h.Heard = 1, true, time.Millisecond
	}
	return asked(f, events.Ask{Verb: events.AskDrill, Reason: "quarterly"})
}

// half is the drill's record once the half under way is done, as far as serving.
func half(f *Facts, r *events.Record, protected time.Duration) *Facts {
	r = r.Clone()
	r.Op.Ended, r.Op.Stage, r.Op.Serving, r.Op.Protected = "done", "", 200*time.Millisecond, protected
	from, to := r.Op.From, r.Op.To
	r.Active, r.Epoch = to, r.Epoch+1
	r.Member(to).Role, r.Member(from).Role = events.RoleActive, events.RolePassive
	r.Lists = []events.CandidateList{{Version: 3, Candidates: candidates(r)}}
	f.Record, f.Ask = r, nil
	for i := range f.Members {
		c := &f.Members[i]
		c.Report.Role = r.Member(c.Cluster).Role
		c.Member, c.Report.Seen, c.Report.Passive, c.Report.Serving, c.Report.Primary = *r.Member(c.Cluster), r.Epoch, r.Epoch, 0, false
		c.Health.Server = events.ServerRecovery
		if c.Cluster == to {
			c.Report.Passive, c.Report.Serving, c.Report.Primary, c.Health.Server = 0, r.Epoch, true, events.ServerWritable
		}
	}
	return f
}

func TestDrillGoesThereAndBack(t *testing.T) {
	t.Parallel()
	f := drillable(t)
	f.Record.Drill = &events.Drill{Ended: events.DrillPass, Passed: time.Unix(5e8, 0), Legs: []events.DrillLeg{{}, {}}}
	o := wantRule(t, f, "drill.asked")
	d := o.Record.Drill
	if !d.Running() || d.From != refA || d.To != refB || d.Leg() != o.Record.Op.ID || !d.Passed.Equal(time.Unix(5e8, 0)) || o.Record.Op.Verb != events.AskDrill || !o.Record.Settled {
		t.Fatalf("drill %+v, operation %+v", d, o.Record.Op)
	}

	half(f, o.Record, 0)
	if o := wantRule(t, f, "wait.drill"); !strings.Contains(o.Why, "does not follow yet") {
		t.Errorf("says %q", o.Why)
	}
	f.Record.Op.Protected = time.Second
	f.Members[0].Health.Streaming = false
	if o := wantRule(t, f, "wait.drill"); !strings.Contains(o.Why, "does not stream") {
		t.Errorf("says %q", o.Why)
	}
	f.Members[0].Health.Streaming = true
	o = wantRule(t, f, "drill.back")
	if d := o.Record.Drill; len(d.Legs) != 2 || d.Legs[0].Gap != 200*time.Millisecond || o.Record.Op.To != refA || o.Record.Op.Ask != "x" {
		t.Fatalf("drill %+v, operation %+v", d, o.Record.Op)
	}

	half(f, o.Record, time.Second)
	o = wantRule(t, f, "drill.passed")
	if d := o.Record.Drill; d.Ended != events.DrillPass || !d.Passed.Equal(f.Wall) || d.Legs[1].Protected != time.Second || o.Record.Active != refA {
		t.Fatalf("drill %+v", d)
	}
	if n := o.Notices[0]; n.Type != events.NoticeDrill || n.Drill == nil || !strings.Contains(n.Why, "PASSED: write pause 200 ms there, 200 ms back, lost 0") {
		t.Fatalf("told %+v", n)
	}
	f.Record = o.Record
	wantRule(t, f, "ok")
}

// A drill begins only when nothing is wrong; a scheduled one only where automation is armed, too.
func TestDrillIsRefused(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(f *Facts){
		"is under way":            func(f *Facts) { f.Record.Drill = &events.Drill{ID: "g-drill-1", Legs: []events.DrillLeg{{}}} },
		"speaks against":          func(f *Facts) { f.Members[0].Health.Down = time.Second },
		"only when nothing":       func(f *Facts) { f.Region.Verdict = events.VerdictDegraded },
		"maintenance":             func(f *Facts) { f.Record.Members[1].Quiet = &events.Maintenance{Until: f.Wall.Add(time.Hour)} },
		"disarmed":                func(f *Facts) { f.Ask.Actor, f.Restore = events.ActorSchedule, gate.Permission{Why: "disarmed"} },
		"has not been stable":     func(f *Facts) { f.Ask.Actor, f.Record.Settled = events.ActorSchedule, false },
		"waits for its gates":     func(f *Facts) { f.Record.Next = &events.Operation{Began: f.Wall} },
		"does not stream":         func(f *Facts) { f.Members[1].Health.Streaming = false },
		"would swap g from r1/a ": func(f *Facts) { f.Ask.DryRun = true },
	} {
		f := drillable(t)
		change(f)
		o := Step(f)
		if o.Record != nil || len(o.Answers) != 1 || o.Answers[0].Accepted != f.Ask.DryRun || !strings.Contains(o.Why, says) {
			t.Errorf("rule %s: %s: want it to say %q; record %+v, answers %+v", o.Rule, o.Why, says, o.Record, o.Answers)
		}
	}
	f := drillable(t) // a person knows better
	f.Restore, f.Record.Settled = gate.Permission{}, false
	if o := wantRule(t, f, "drill.asked"); o.Record.Settled {
		t.Error("a drill ended the cool-down of an automatic move")
	}
}

// Whatever else moves the group ends its drill, in the same step.
func TestDrillIsPreempted(t *testing.T) {
	t.Parallel()
	f := drillable(t)
	o := wantRule(t, f, "drill.asked")
	half(f, o.Record, time.Second)
	f.Region = gate.Judgement{Verdict: events.VerdictOut, Why: "silent"}
	f.Members[1].Silent, f.Members[1].Fresh = time.Minute, false
	o = wantRule(t, f, "failover.region-out")
	if d := o.Record.Drill; d.Ended != events.DrillFail || !strings.Contains(d.End, "pre-empted by g-6 of automation") || o.Record.Target == (events.Ref{}) {
		t.Fatalf("drill %+v", d)
	}
}

func TestDrillFails(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(f *Facts){
		"gave up":                 func(f *Facts) { f.Record.Op.Ended, f.Record.Op.EndWhy = "aborted", "gave up" },
		"could not go back":       func(f *Facts) { f.Wall = f.Wall.Add(time.Hour); f.Members[0].Health.Streaming = false },
		"a does not follow yet":   func(f *Facts) { f.Wall = f.Wall.Add(time.Hour); f.Record.Op.Protected = 0 },
		"bob moved it (g-7)":      func(f *Facts) { f.Record.Op.ID, f.Record.Op.By = "g-7", "bob" },
		"switchback switchover g": func(f *Facts) { f.Wall = f.Wall.Add(time.Hour); f.Members[0].Fresh = false },
	} {
		f := drillable(t)
		o := wantRule(t, f, "drill.asked")
		half(f, o.Record, time.Second)
		change(f)
		o = wantRule(t, f, "drill.failed")
		if d := o.Record.Drill; d.Ended != events.DrillFail || !strings.Contains(d.End, says) || !d.Passed.IsZero() {
			t.Errorf("want %q: drill %+v", says, d)
		}
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(f *Facts)
		is     Readiness
	}{
		"never drilled": {func(*Facts) {}, Stale},
		"lately": {func(f *Facts) {
			f.Record.Drill = &events.Drill{Ended: events.DrillPass, Passed: f.Wall.Add(-time.Hour)}
		}, Ready},
		"long ago": {func(f *Facts) {
			f.Record.Drill = &events.Drill{Ended: events.DrillPass, Passed: f.Wall.Add(-2 * DrillAge)}
		}, Stale},
		"failed since": {func(f *Facts) {
			f.Record.Drill = &events.Drill{Ended: events.DrillFail, Passed: f.Wall.Add(-time.Hour)}
		}, Stale},
		"nothing fit": {func(f *Facts) { f.Members[1].Fresh, f.Members[2].Fresh = false, false }, NotReady},
		"too far":     {func(f *Facts) { f.Sent = 5000 }, NotReady},
	} {
		f := drillable(t)
		f.Ask = nil
		c.change(f)
		if is, why := f.Readiness(); is != c.is || why == "" {
			t.Errorf("%s: %s (%s), want %s", name, is, why, c.is)
		}
	}
}
