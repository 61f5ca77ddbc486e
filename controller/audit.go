package controller

import (
	"github.com/switchback-dr/switchback/events"
)

// waiter is an ask in hand, and how what it is about stood before.
type waiter struct {
	ask    events.Ask
	before string
	reply  chan events.Answer
}

// fromBus is where an ask came from that no door says more of: its sender's permissions pin who it is from.
const fromBus = "bus"

// hold notes an ask that goes into the loop.
func (t *term) hold(a *ask) {
	w := waiter{ask: a.in.Ask, reply: a.reply}
	_, w.before = t.fleet.Standing(&a.in.Ask, "")
	t.waiting[a.in.ID] = w
}

// release hands on the answer to an ask in hand, and tells for the audit who asked for what, from where and why, and what that changed. A dry run changes nothing and is not told.
func (t *term) release(a events.Answer) {
	w, ok := t.waiting[a.ID]
	if !ok {
		return
	}
	delete(t.waiting, a.ID)
	w.reply <- a
	if w.ask.DryRun {
		return
	}
	what, after := t.fleet.Standing(&w.ask, a.Rollout)
	from := w.ask.From
	if from == "" {
		from = fromBus
	}
	n := events.Notice{
		Type: events.NoticeAudit, Group: w.ask.Group, Region: w.ask.Region, Cluster: w.ask.Cluster, Rollout: a.Rollout, Rule: "audit", By: w.ask.Actor, Why: w.ask.Verb + ": " + a.Why,
		Audit: &events.Audit{Ask: a.ID, Verb: w.ask.Verb, From: from, Reason: w.ask.Reason, Accepted: a.Accepted, Changes: []events.Change{{What: what, Before: w.before, After: after}}},
	}
	if n.Group == "" && len(a.Items) == 1 {
		n.Group = a.Items[0].Group
	}
	if len(a.Items) == 1 {
		n.Operation = a.Items[0].Operation
	}
	t.teller.tell(n)
}
