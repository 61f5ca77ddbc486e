package lease

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

var (
	me    = events.AgentRef{Region: "r1", Agent: "h"}
	own   = events.Ref{Region: "r1", Cluster: "a"}
	other = events.Ref{Region: "r2", Cluster: "b"}
)

// rig drives one agent by hand: every input at an instant, and the effects it had.
type rig struct {
	t   *testing.T
	a   *Agent
	now events.Instant
	d   events.Durations
	seq events.Seq
}

func newRig(t *testing.T, led Ledger) *rig {
	t.Helper()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, now: events.Instant(100 * time.Second), d: d}
	r.a = New(me, d, led, "nonce", []events.Ref{own}, r.now)
	if eff := r.a.Tick(r.now); !eff.Save {
		t.Fatal("the new nonce was not saved before anything else")
	}
	return r
}

func (r *rig) later(d time.Duration) { r.now = r.now.Add(d) }

func (r *rig) places() {
	var set events.LaneSet
	for n := range set.Lanes {
		set.Lanes[n] = events.LanePlace{Generation: 1, Region: "r"}
	}
	r.a.Places(r.now, set)
}

// read answers the read of every lane with the same message.
func (r *rig) read(seq events.Seq, body events.LaneBody) Effects {
	var eff Effects
	for n := range events.Lanes {
		eff = r.a.Read(r.now, n, 1, seq, body)
	}
	return eff
}

// beats acknowledges whatever is in flight on the lanes named, sent now.
func (r *rig) beats(lanes ...int) {
	r.t.Helper()
	r.later(r.d.Beat)
	r.a.Tick(r.now)
	for _, n := range lanes {
		r.seq++
		r.a.Acked(r.now, n, 1, r.a.lanes[n].no, r.seq+1000)
	}
}

func (r *rig) states(want ...string) {
	r.t.Helper()
	for n, s := range r.a.LaneStates() {
		if s != want[n%len(want)] {
			r.t.Fatalf("lane %d is %s: want %v", n, s, want)
		}
	}
}

func (r *rig) set(epoch events.Epoch, role events.Role, seq events.Seq) Effects {
	return r.a.Set(r.now, events.Set{Cluster: own, Group: "g", Epoch: epoch, Role: role, Mode: events.ModeAuto, Version: 1,
		Candidates: []events.Candidate{{Cluster: other}}}, seq)
}

// active brings an agent to: three lanes counted, its cluster active and writable.
func active(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, Ledger{ID: "x", Nonces: []string{"before"}})
	r.places()
	r.a.Tick(r.now)
	r.read(7, events.LaneBody{Kind: events.LaneBeat, Nonce: "before"})
	r.states("counted")
	r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerWritable})
	r.beats(0, 1, 2) // those that left with the reading
	r.beats(0, 1, 2)
	r.set(1, events.RoleActive, 10)
	r.a.Handed(r.now, own, Left{Held: true}, r.now.Add(r.d.Run))
	return r
}

func verbs(eff Effects) (vs []Verb) {
	for _, a := range eff.Do {
		vs = append(vs, a.Verb)
	}
	return vs
}

func wantVerb(t *testing.T, eff Effects, want Verb) {
	t.Helper()
	for _, v := range verbs(eff) {
		if v == want {
			return
		}
	}
	t.Fatalf("ordered %v: want %s", verbs(eff), want)
}

func TestRightIsTheSecondLargestLaneFromWhenItWasSent(t *testing.T) {
	t.Parallel()
	r := active(t)
	sent := r.now.Add(-r.d.Beat) // what was acknowledged last left a beat ago
	r.later(100 * time.Millisecond)
	if got := r.a.Right(r.now, own); got != sent.Add(r.d.Run) {
		t.Fatalf("right ends %v after the beats were sent: want F", got.Sub(sent))
	}
	r.beats(0) // one lane alone renews nothing
	if got := r.a.Right(r.now, own); got != sent.Add(r.d.Run) {
		t.Fatalf("one lane moved the right to %v after", got.Sub(sent))
	}
}

func TestLapsedRightFreezes(t *testing.T) {
	t.Parallel()
	r := active(t)
	r.later(r.d.Run)
	wantVerb(t, r.a.Tick(r.now), Freeze)
}

func TestServerThatDoesNotAnswerIsNotStopped(t *testing.T) {
	t.Parallel()
	r := active(t)
	r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerUnknown, Mark: "g"})
	eff := r.set(2, events.RolePassive, 11)
	wantVerb(t, eff, Kill)
	for _, rep := range eff.Reports {
		if rep.Passive != 0 {
			t.Fatal("said passive of a server nobody found stopped")
		}
	}
}

func TestRevokedLaneRejoinsAndCountsOnlyByItsOwnResume(t *testing.T) {
	t.Parallel()
	r := active(t)
	for n := range events.Lanes {
		r.later(r.d.Beat)
		r.a.Tick(r.now)
		r.a.Lost(r.now, n, 1, r.a.lanes[n].no)
	}
	r.read(50, events.LaneBody{Kind: events.LaneRevoke, Attempt: "1"})
	r.states("broken")
	if r.a.Right(r.now, own) != 0 {
		t.Fatal("a revoked lane left a right behind")
	}
	r.beats(0, 1, 2)
	r.states("pending")
	first := r.a.lanes[0].rejoin
	resume := func(rejoin events.Seq, seq events.Seq) {
		res := events.Resume{Agent: me, Groups: []events.Set{{Cluster: own, Group: "g", Epoch: 1, Role: events.RoleActive, Mode: events.ModeAuto, Version: 1}}}
		for n := range res.Lanes {
			res.Lanes[n] = &events.ResumeLane{Generation: 1, Rejoin: r.a.lanes[n].rejoin}
		}
		res.Lanes[0].Rejoin = rejoin
		r.a.Resume(r.now, res, seq)
	}
	resume(first+99, 60)
	if s := r.a.LaneStates(); s != [events.Lanes]string{"pending", "counted", "counted"} {
		t.Fatalf("lanes %v: want the wrongly named one still pending", s)
	}
	resume(first, 61)
	r.states("counted")
}

func TestResumeThatDoesNotNameAGroupLeavesItFrozen(t *testing.T) {
	t.Parallel()
	r := active(t)
	eff := r.a.Resume(r.now, events.Resume{Agent: me}, 99)
	if !eff.Save || r.a.Right(r.now, own) != 0 {
		t.Fatal("an active that a RESUME left out kept its right")
	}
	wantVerb(t, eff, Freeze)
	r.set(1, events.RoleActive, 100)
	if r.a.Right(r.now, own) == 0 {
		t.Fatal("a SET that names it did not settle it")
	}
}

func TestLateAndLowerCommandsAreDropped(t *testing.T) {
	t.Parallel()
	r := active(t)
	r.set(3, events.RolePassive, 20)
	for _, c := range []struct {
		epoch events.Epoch
		seq   events.Seq
	}{{2, 30}, {3, 20}, {3, 19}} {
		if eff := r.set(c.epoch, events.RoleActive, c.seq); eff.Save {
			t.Fatalf("took epoch %d, sequence %d", c.epoch, c.seq)
		}
	}
	if e := r.a.led.Find(own); e.Role != events.RolePassive || e.Seen != 3 {
		t.Fatalf("ledger %+v", e)
	}
}

// passive brings an agent to: its cluster follows, G4 over.
func passive(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, Ledger{ID: "x"})
	r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerRecovery, Mark: "g"})
	r.set(4, events.RolePassive, 10)
	return r
}

func TestNothingIsSaidBeforeForgottenPromisesAreOver(t *testing.T) {
	t.Parallel()
	r := passive(t)
	said := func(eff Effects) events.Epoch {
		for _, rep := range eff.Reports {
			if rep.Passive != 0 {
				return rep.Passive
			}
		}
		return 0
	}
	r.later(r.d.Wait - 1)
	if got := said(r.a.Tick(r.now)); got != 0 {
		t.Fatalf("said passive at %d before L was over (G4)", got)
	}
	r.later(1)
	if got := said(r.a.Tick(r.now)); got != 4 {
		t.Fatalf("said passive at %d: want 4", got)
	}
}

func TestPromises(t *testing.T) {
	t.Parallel()
	r := passive(t)
	r.later(r.d.Wait)
	r.a.Tick(r.now)
	if g, _ := r.a.Asked(r.now, own, "g", 3); g.Yes || g.Seen != 4 {
		t.Fatalf("epoch below: %+v", g)
	}
	g, eff := r.a.Asked(r.now, own, "g", 5)
	if !g.Yes || !eff.Save || r.a.led.Find(own).Seen != 5 {
		t.Fatalf("epoch above: %+v, saved %v", g, eff.Save)
	}
	if c := r.a.cluster(own); c.promise != r.now.Add(r.d.Wait) {
		t.Fatal("a promise lasts until now + L")
	}
	if g, _ := r.a.Asked(r.now, own, "other", 5); g.Yes {
		t.Fatal("promised for a group it is not in")
	}
	// What is appointed meanwhile waits for the promise.
	r.places()
	r.a.Tick(r.now)
	r.read(7, events.LaneBody{Kind: events.LaneBeat, Nonce: "nonce"})
	r.set(6, events.RoleActive, 20)
	r.beats(0, 1, 2)
	r.a.Handed(r.now, own, Left{Held: true}, r.now.Add(time.Hour))
	if vs := verbs(r.a.Tick(r.now)); len(vs) > 0 {
		t.Fatalf("did %v over its own promise", vs)
	}
}

func TestGrantsOfTheWholeListCarryAnActive(t *testing.T) {
	t.Parallel()
	r := active(t)
	r.later(r.d.Silent() - r.d.Beat)
	r.a.Tick(r.now)
	r.later(r.d.Beat)
	eff := r.a.Tick(r.now)
	if len(eff.Ask) != 1 || eff.Ask[0].To.Cluster != other || eff.Ask[0].Epoch != 1 {
		t.Fatalf("asked %+v: want every candidate, once the bus is silent for 2h", eff.Ask)
	}
	q := eff.Ask[0]
	r.a.Granted(r.now, q, Grant{Yes: true, Seen: 1})
	if got := r.a.Right(r.now, own); got != q.Sent.Add(r.d.Run) {
		t.Fatalf("right ends at %v: want F after the request was sent", got)
	}
	if eff := r.a.Granted(r.now, q, Grant{Seen: 9}); !eff.Save || r.a.led.Find(own).Role != events.RolePassive {
		t.Fatal("a peer that knows a higher epoch has the effect of SET(that epoch, passive)")
	}
}

func TestStoppedActiveRejoinsEveryLane(t *testing.T) {
	t.Parallel()
	led := Ledger{ID: "x", Nonces: []string{"before"}, Entries: []Entry{{Cluster: own, Group: "g", Seen: 4, SeenSeq: 3, Role: events.RoleActive, Primary: true, Mode: events.ModeAuto}}}
	r := newRig(t, led)
	r.places()
	r.a.Tick(r.now)
	r.read(7, events.LaneBody{Kind: events.LaneBeat, Nonce: "before"})
	r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerDown, Mark: "g"})
	r.states("broken")
}

func TestForeignNonceFreezesAndStopsBeating(t *testing.T) {
	t.Parallel()
	r := active(t)
	r.later(r.d.Beat)
	r.a.Tick(r.now)
	r.a.Lost(r.now, 0, 1, r.a.lanes[0].no)
	eff := r.a.Read(r.now, 0, 1, 90, events.LaneBody{Kind: events.LaneBeat, Nonce: "somebody else"})
	if r.a.Foreign() == "" {
		t.Fatal("a nonce it never wrote went unnoticed")
	}
	wantVerb(t, eff, Freeze)
	r.later(r.d.Beat)
	if eff := r.a.Tick(r.now); len(eff.Beats) > 0 || len(eff.Ask) > 0 {
		t.Fatal("it beats or asks on")
	}
}

func TestUnmanagedIsNeverTouched(t *testing.T) {
	t.Parallel()
	r := newRig(t, Ledger{ID: "x"})
	if eff := r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerWritable}); len(eff.Do) > 0 {
		t.Fatalf("did %v to a cluster without mark and ledger", verbs(eff))
	}
	wantVerb(t, r.a.Observed(r.now, events.ClusterHealth{Cluster: own, Server: events.ServerWritable, Mark: "g"}), Freeze)
}

func TestJumpVoidsEveryRight(t *testing.T) {
	t.Parallel()
	r := active(t)
	wantVerb(t, r.a.Jumped(r.now), Freeze)
	r.states("unknown")
}

func TestRebuiltAcceptorHoldsNoLease(t *testing.T) {
	t.Parallel()
	r := active(t)
	var set events.LaneSet
	for n := range set.Lanes {
		set.Lanes[n] = events.LanePlace{Generation: 2, Region: "r"}
	}
	r.a.Places(r.now, set)
	for n := range events.Lanes {
		r.a.Read(r.now, n, 2, 0, events.LaneBody{})
	}
	r.states("broken")
	if r.a.Right(r.now, own) != 0 {
		t.Fatal("leases of acceptors that are gone still count")
	}
}
