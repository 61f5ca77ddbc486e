package lease

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// TestPlannedStopIsNotFrozenHalfWay: while a clean stop is under way the guard goes on holding the lanes' right, never more, and never beyond the step's limit.
func TestPlannedStopIsNotFrozenHalfWay(t *testing.T) {
	t.Parallel()
	r := active(t)
	stop := events.Set{Cluster: own, Group: "g", Epoch: 2, Role: events.RolePassive, Mode: events.ModeAuto, Version: 1,
		Step: &events.Step{ID: "g/2/stop", Verb: events.VerbStop, Deadline: r.d.FenceAck}}
	if vs := verbs(r.a.Set(r.now, stop, 11)); len(vs) != 0 {
		t.Fatalf("ordered %v while another verb is under way on a writable server: want nothing yet", vs)
	}
	wantVerb(t, r.a.Finished(r.now, Action{Cluster: own, Verb: r.a.cluster(own).busy}, events.Result{Outcome: events.Done}, events.ServerWritable), Stop)
	taken := r.now
	left := func() time.Duration {
		t.Helper()
		ls := r.a.Lefts(r.now)
		if len(ls) != 1 || !ls[0].Held {
			t.Fatalf("told the guard %+v: want one cluster, held until it is stopped", ls)
		}
		return ls[0].Left
	}
	if got, want := left(), r.a.laneRight().Sub(r.now); got != want || got <= 0 {
		t.Fatalf("%v left during a clean stop: want what the lanes give, %v", got, want)
	}
	r.later(r.d.Run)
	if got := left(); got != 0 {
		t.Fatalf("%v left after the lanes lapsed: want none, whatever is under way", got)
	}
	for r.now < taken.Add(r.d.FenceAck-r.d.Beat) {
		r.beats(0, 1, 2)
	}
	r.beats(0, 1, 2)
	if got := left(); got > taken.Add(r.d.FenceAck).Sub(r.now) {
		t.Fatalf("%v left: want no more than the step's limit", got)
	}
	r.later(r.d.Beat)
	if got := left(); got != 0 {
		t.Fatalf("%v left after the step's limit: want none", got)
	}
}

// TestPassiveWithoutStopHasNothingLeft: passive by anything but a planned stop is over at once.
func TestPassiveWithoutStopHasNothingLeft(t *testing.T) {
	t.Parallel()
	r := active(t)
	r.set(2, events.RolePassive, 11)
	if ls := r.a.Lefts(r.now); len(ls) != 1 || ls[0].Left != 0 {
		t.Fatalf("told the guard %+v: want nothing left", ls)
	}
}
