package decide

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// noLogs is a healthy group of a kind without a log: no cluster has a position, a timeline, a system identifier or a lag.
func noLogs(t *testing.T, unknown bool) *Facts {
	t.Helper()
	f := healthy(t)
	f.Config.Kind, f.Config.MaxLoss, f.Sent = events.KindExec, events.LossBudget{Unknown: unknown}, 0
	for i := range f.Members {
		h := &f.Members[i].Health
		h.Kind, h.LSN, h.SystemID = events.KindExec, 0, ""
		f.Members[i].BehindKnown = false
		f.Members[i].SystemID, f.Record.Members[i].SystemID = "", ""
	}
	return f
}

// TestNoLogFailover: a group without a log is fenced as any other and moved by automation where its file accepts that nobody can say what that loses; its loss is "not known".
func TestNoLogFailover(t *testing.T) {
	t.Parallel()
	f := noLogs(t, true)
	regionOut(f)
	f.Record = wantRule(t, f, "failover.region-out").Record
	wantRule(t, f, "fence.lease")
	f.Members[1].Report.Passive = 5
	f.Lease = Lease{Running: true, Accepted: []events.ProofLane{{Lane: 0}, {Lane: 1}}, Received: f.Now - events.Instant(f.D.Wait), Wait: f.D.Wait}
	f.Record = wantRule(t, f, "proof.lease").Record
	wantRule(t, f, "wait.cut")
	f.Members[1].Report.Results = []events.Result{{Step: events.StepID("g", 5, "cut"), Outcome: events.Done}}
	f.Record = wantRule(t, f, "promote").Record
	if op := f.Record.Op; op.Loss == nil || op.Loss.Known || !op.Loss.NoLog || LossText(op.Loss) != "not known: its kind has no log" {
		t.Fatalf("loss %+v (%s): want it not known, never 0", op.Loss, LossText(op.Loss))
	}
	f.Members[1].Health.Server, f.Members[1].Report = events.ServerWritable, events.Report{Seen: 5, Role: events.RoleActive, Serving: 5}
	f.Record = wantRule(t, f, "done.serving").Record
	if len(f.Record.Forks) != 0 {
		t.Fatalf("forks %+v of a group without a log", f.Record.Forks)
	}
}

// TestNoLogWaitsUnlessAccepted: unknown loss refuses automation, and a person without --accept-loss, as for any other kind.
func TestNoLogWaitsUnlessAccepted(t *testing.T) {
	t.Parallel()
	f := noLogs(t, false)
	regionOut(f)
	if o := wantRule(t, f, "wait.loss-budget"); !strings.Contains(o.Why, "nobody can say what r2/b lacks") {
		t.Fatalf("says %q", o.Why)
	}
	f.Ask = &events.Ask{Verb: events.AskFailover, Actor: "ann", Group: "g"}
	wantRule(t, f, "refuse.loss")
	f.Ask.AcceptLoss = true
	f.Record = wantRule(t, f, "failover.asked").Record

	f = noLogs(t, false)
	f.Ask = &events.Ask{Verb: events.AskFailover, Actor: "ann", Group: "g", DryRun: true}
	if o := wantRule(t, f, "failover.dry-run"); !strings.Contains(o.Why, "not known") || strings.Contains(o.Why, "nothing is lost") {
		t.Fatalf("says %q", o.Why)
	}
	if n, _ := f.MayLose(refB); n != -1 {
		t.Fatalf("may lose %d: want -1, nobody can say", n)
	}
	for _, x := range f.Evidence() {
		if strings.Contains(x.Value, "LSN") {
			t.Errorf("%s: %s, of a kind without a log", x.What, x.Value)
		}
	}
}

// TestNoLogSwap: a planned move of a group whose file accepts no unknown loss rests on the clean stop: with it the target is promoted, without it the old active goes on.
func TestNoLogSwap(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) *Facts {
		t.Helper()
		f := noLogs(t, false)
		f.Ask = &events.Ask{ID: "1", Verb: events.AskSwitchover, Actor: "ann", Group: "g"}
		f.Record = wantRule(t, f, "swap.asked").Record
		f.Ask = nil
		f.Members[0].Report.Results = []events.Result{{Step: events.StepID("g", 4, "prepare"), Outcome: events.AlreadyDone}}
		f.Record = wantRule(t, f, "swap.intent").Record
		f.Members[1].Report.Passive = 5
		f.Members[0].Health.Server = events.ServerDown
		f.Members[0].Report = events.Report{Seen: 5, Role: events.RolePassive, Passive: 5, Version: 2}
		return f
	}
	f := begin(t)
	if o := wantRule(t, f, "swap.killed"); o.Record.Phase != events.PhaseActive || o.Record.Active != refA {
		t.Fatalf("record %+v: want A again", o.Record)
	}
	f = begin(t)
	f.Members[0].Report.Results = []events.Result{{Step: events.StepID("g", 5, "stop"), Outcome: events.Done}}
	f.Record = wantRule(t, f, "proof.ack").Record
	f.Members[1].Report.Results = []events.Result{{Step: events.StepID("g", 5, "cut"), Outcome: events.Refused, Why: "its queue is not empty"}}
	wantRule(t, f, "abort.target-lost")
	f.Members[1].Report.Results[0] = events.Result{Step: events.StepID("g", 5, "cut"), Outcome: events.Done}
	o := wantRule(t, f, "promote")
	if m := o.Record.Member(refA); m.Role != events.RolePassive || m.Work == nil {
		t.Fatalf("old side %+v: want it to follow at once", m)
	}
	// It is home once it says that it can take over.
	f.Record = o.Record
	f.Members[1].Health.Server, f.Members[1].Report = events.ServerWritable, events.Report{Seen: 5, Role: events.RoleActive, Serving: 5, Version: 3}
	f.Record = wantRule(t, f, "done.serving").Record
	f.Members[0].Member = *f.Record.Member(refA)
	f.Members[0].Report.Results = []events.Result{{Step: events.StepID("g", 5, workName(f.Record.Member(refA).Work)), Outcome: events.Done}}
	f.Members[0].Health.Server, f.Members[0].Health.Streaming = events.ServerRecovery, false
	if o := Step(f); o.Record != nil && o.Record.Member(refA).Work == nil {
		t.Fatal("restored although it does not say that it could take over")
	}
	f.Members[0].Health.Streaming = true
	if o := Step(f); o.Record == nil || o.Record.Member(refA).Work != nil {
		t.Fatalf("record %+v: want its restore done", o.Record)
	}
}

// TestNoLogBirth: the group is born of one that serves and others that say they can take over; an agent that cares for another kind is told of.
func TestNoLogBirth(t *testing.T) {
	t.Parallel()
	f := noLogs(t, true)
	f.Record = nil
	for i := range f.Members {
		f.Members[i].Report, f.Members[i].Reported = events.Report{}, false
	}
	f.Members[2].Health.Streaming, f.Members[2].Health.Error = false, "no copy of last night"
	if o := wantRule(t, f, "birth.not-following"); !strings.Contains(o.Why, "r3/c does not say that it could take over from r1/a: no copy of last night") {
		t.Fatalf("says %q", o.Why)
	}
	f.Members[2].Health.Streaming = true
	f.Members[1].Health.Kind = events.KindPostgres
	if o := wantRule(t, f, "birth.wait-agents"); !strings.Contains(o.Why, "kind postgres, the group is of kind exec") {
		t.Fatalf("says %q", o.Why)
	}
	f.Members[1].Health.Kind = events.KindExec
	f.Wall = time.Unix(1, 0)
	if o := wantRule(t, f, "birth"); o.Record.Active != refA {
		t.Fatalf("record %+v", o.Record)
	}
}
