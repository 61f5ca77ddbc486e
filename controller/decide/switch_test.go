package decide

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

func asked(f *Facts, a events.Ask) *Facts {
	a.ID, a.Actor, a.Group = "x", "bob", "g"
	f.Ask = &a
	return f
}

// A dry run of what switches something says what it would do, and switches nothing.
func TestDryRunSwitchesNothing(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{events.AskDisarm, events.AskArm, events.AskAcknowledge, events.AskApprove} {
		f := asked(waitsForApproval(t), events.Ask{Verb: verb, DryRun: true})
		f.Record.Settled = false
		if o := wantRule(t, f, "ask.dry-run"); o.Record != nil || !o.Answers[0].Accepted {
			t.Errorf("%s: changed %+v, answered %+v", verb, o.Record, o.Answers)
		}
	}
}

func waitsForApproval(t *testing.T) *Facts {
	f := healthy(t)
	regionOut(f)
	f.Permit = gate.Permission{Rule: "wait.approval", Why: "a person approves it first"}
	return f
}

// An approval is for one incident: it lets automation move the group, and ends with the move or when the active is well again.
func TestApproval(t *testing.T) {
	t.Parallel()
	f := waitsForApproval(t)
	wantRule(t, f, "wait.approval")
	o := wantRule(t, asked(f, events.Ask{Verb: events.AskApprove, Reason: "seen"}), "ask.approve")
	if o.Record.Approve != "by bob: seen" || !o.Answers[0].Accepted {
		t.Fatalf("approved %q, answered %+v", o.Record.Approve, o.Answers)
	}
	f.Record, f.Ask, f.Permit = o.Record, nil, gate.Permission{OK: true}
	if o := wantRule(t, f, "failover.region-out"); o.Record.Approve != "" {
		t.Errorf("the approval %q outlived its move", o.Record.Approve)
	}

	well := healthy(t)
	well.Record.Approve = "by bob"
	if o := Step(well); o.Record == nil || o.Record.Approve != "" {
		t.Errorf("its active is well, but it stays approved")
	}
	unheard := healthy(t)
	unheard.Record.Approve = "by bob"
	unheard.Members[0].Fresh, unheard.Members[0].Known = false, false
	if o := Step(unheard); o.Record != nil && o.Record.Approve == "" {
		t.Errorf("a leader that never heard the active took the approval back")
	}
}

func TestNothingToApprove(t *testing.T) {
	t.Parallel()
	quiet := asked(healthy(t), events.Ask{Verb: events.AskApprove})
	blocked := asked(waitsForApproval(t), events.Ask{Verb: events.AskApprove})
	blocked.Permit = gate.Permission{Rule: "wait.blind", Why: "blind"}
	for _, f := range []*Facts{quiet, blocked} {
		if o := wantRule(t, f, "refuse.approve"); o.Record != nil || o.Answers[0].Accepted {
			t.Errorf("changed %+v, answered %+v", o.Record, o.Answers)
		}
	}
}

// An acknowledgement ends the cool-down at once; without one only stability does.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	f := asked(healthy(t), events.Ask{Verb: events.AskAcknowledge})
	wantRule(t, f, "refuse.acknowledge")
	f.Record.Settled, f.Stable = false, time.Second
	if o := wantRule(t, f, "ask.acknowledge"); !o.Record.Settled || !o.Answers[0].Accepted {
		t.Errorf("settled %v, answered %+v", o.Record.Settled, o.Answers)
	}
	f.Ask = nil
	if o := Step(f); o.Record != nil {
		t.Errorf("nobody acknowledged it and it was stable for a second only, but the record changed: %+v", o.Record)
	}
}
