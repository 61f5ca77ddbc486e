package decide

import (
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// neverFrozen is a dark group that is never frozen, whose candidates' agents have an external fence.
func neverFrozen(t *testing.T) *Facts {
	t.Helper()
	f := healthy(t)
	f.Config.Isolation, f.Record.Exempt, f.Members[0].Report.Exempt = events.IsolationKeepRunning, true, true
	f.Members[1].External, f.Members[2].External = true, true
	regionOut(f)
	return f
}

// TestExternalFence goes the whole way of a group that is never frozen: ordered, answered, proved, promoted, and revocations that go on until its old side answers.
func TestExternalFence(t *testing.T) {
	t.Parallel()
	f := neverFrozen(t)
	f.Record = wantRule(t, f, "failover.region-out").Record
	o := wantRule(t, f, "fence.external")
	if !o.Attempt {
		t.Fatal("want revocations too (C4)")
	}
	if len(o.Sets) != 1 || o.Sets[0].Cluster != f.Record.Target || o.Sets[0].Role != events.RolePassive || o.Sets[0].Step == nil || o.Sets[0].Step.Verb != events.VerbFence ||
		o.Sets[0].Step.Victim.Cluster != refA {
		t.Fatalf("told %+v: want the target's agent told to fence A", o.Sets)
	}
	f.Record = o.Record
	f.Lease = Lease{Running: true, Accepted: []events.ProofLane{{Lane: 0}, {Lane: 1}}, Received: f.Now - events.Instant(f.D.Wait), Wait: f.D.Wait}
	f.Members[1].Report.Passive = 5
	wantRule(t, f, "fence.lease") // a lapsed lease proves nothing, and nothing else is there yet
	step := events.StepID("g", 5, "fence")
	for _, bad := range []events.Outcome{events.Retry, events.Refused, events.Unknown} {
		f.Members[1].Report.Results = []events.Result{{Step: step, Outcome: bad}}
		wantRule(t, f, "fence.lease")
	}
	f.Members[1].Report.Results = []events.Result{{Step: events.StepID("g", 4, "fence"), Outcome: events.Done}}
	wantRule(t, f, "fence.lease") // of another operation
	f.Members[1].Report.Results = []events.Result{{Step: step, Outcome: events.Done, Why: "power is off", Facts: []events.Fact{{What: "power", Value: "off"}}}}
	o = wantRule(t, f, "proof.external")
	p := o.Record.Op.Proof
	if p.Kind != events.ProofExternal || !strings.Contains(p.Said, "power is off") || len(p.Facts) != 1 || !o.Attempt {
		t.Fatalf("proof %+v, attempt %v", p, o.Attempt)
	}
	f.Record = o.Record
	f.Members[1].Report.Results = append(f.Members[1].Report.Results, events.Result{Step: events.StepID("g", 5, "cut"), Outcome: events.Done, LSN: 899, Replayed: 899})
	o = wantRule(t, f, "promote")
	if o.Revoke != f.Members[0].Agent {
		t.Fatalf("revokes %v: want the old active's agent until it answers (C4)", o.Revoke)
	}
	f.Record = o.Record
	if o := Step(f); o.Revoke != f.Members[0].Agent {
		t.Fatalf("revokes %v after the promotion", o.Revoke)
	}
	f.Members[0].Report = events.Report{Seen: 5, Role: events.RolePassive, Passive: 5, Stopped: "postmaster absent"}
	if o := Step(f); o.Record == nil || !strings.Contains(o.Record.Op.Answered, "postmaster absent") {
		t.Fatalf("record %+v: want the late answer in it", o.Record)
	}
	if o := Step(f); o.Revoke != (events.AgentRef{}) {
		t.Fatal("revokes on although it answered")
	}
}

// TestNeverFrozenNeedsAnotherFence: without one nothing begins, and a person is told what would help.
func TestNeverFrozenNeedsAnotherFence(t *testing.T) {
	t.Parallel()
	f := neverFrozen(t)
	f.Members[1].External, f.Members[2].External = false, false
	if o := wantRule(t, f, "wait.no-candidate"); !strings.Contains(o.Why, "external fence") {
		t.Fatalf("says %q", o.Why)
	}
	f.Ask = &events.Ask{Verb: events.AskFailover, Actor: "ann", Group: "g", Reason: "I saw it burn", Unfenced: true, AcceptLoss: true}
	f.Record = wantRule(t, f, "failover.asked").Record
	f.Ask = nil
	if o := wantRule(t, f, "proof.unfenced"); !strings.Contains(o.Record.Op.Proof.Said, "I saw it burn") {
		t.Fatalf("proof %+v", o.Record.Op.Proof)
	}
}
