package lease

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

var glass = Override{Text: "alice: the rest is gone", Seq: 10}

// TestOverrideHoldsUntilTheRecordSpeaks: whatever its right it is not frozen; a newer command ends that, and one that makes it passive kills it.
func TestOverrideHoldsUntilTheRecordSpeaks(t *testing.T) {
	t.Parallel()
	r := active(t)
	if !r.a.Overridden(r.now, own, glass) || r.a.Overridden(r.now, own, glass) {
		t.Fatal("it is news once")
	}
	r.later(2 * r.d.Run) // nothing was acknowledged
	eff := r.a.Tick(r.now)
	if vs := verbs(eff); len(vs) > 0 {
		t.Fatalf("did %v to what a person overrode", vs)
	}
	if ls := r.a.Lefts(r.now); len(ls) != 1 || !ls[0].Exempt || ls[0].Override != OverrideOn || ls[0].Left != 0 {
		t.Fatalf("told the guard %+v", ls)
	}
	if len(eff.Reports) == 0 || eff.Reports[0].Override != glass.Text || !eff.Reports[0].Exempt {
		t.Fatalf("reported %+v: want the override, and that no lease of it proves anything", eff.Reports)
	}
	if r.a.OverrideEnds(r.now, own) {
		t.Fatal("over, though nothing was heard")
	}
	wantVerb(t, r.set(2, events.RolePassive, 11), Kill)
	if !r.a.OverrideEnds(r.now, own) {
		t.Fatal("not over after the record spoke")
	}
}

// TestOverrideEndsWithARightThatIsNewer: a right from before it was given ends nothing.
func TestOverrideEndsWithARightThatIsNewer(t *testing.T) {
	t.Parallel()
	r := active(t)
	r.a.Overridden(r.now, own, glass)
	if r.a.OverrideEnds(r.now, own) {
		t.Fatal("ended by a right from before")
	}
	for range int(r.d.Run/r.d.Beat) + 2 {
		r.beats(0, 1, 2)
	}
	if !r.a.OverrideEnds(r.now, own) {
		t.Fatal("its right is back, by grants that are all newer")
	}
	over := glass
	over.Over = true
	r.a.Overridden(r.now, own, over)
	r.later(2 * r.d.Run)
	wantVerb(t, r.a.Tick(r.now), Freeze) // the lease rules again
}

// TestGuardKeepsAnOverrideItsAgentHasNotHeardOf.
func TestGuardKeepsAnOverrideItsAgentHasNotHeardOf(t *testing.T) {
	t.Parallel()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	now := events.Instant(time.Hour)
	g := NewGuard(d, now, []Guarded{{Cluster: "r/c", Held: true}})
	g.Tick(now)
	g.Frozen(now, "r/c", true)
	if g.MayThaw(now, "r/c") {
		t.Fatal("let go without a deadline")
	}
	g.Override("r/c")
	if !g.MayThaw(now, "r/c") || !g.Overridden("r/c") {
		t.Fatal("not let go though a person overrode it")
	}
	g.Thawed(now, "r/c")
	for _, s := range []OverrideState{OverrideNone, OverrideOn} {
		now = now.Add(time.Second)
		g.Answered(now, now, "n", []Left{{Cluster: "r/c", Held: true, Override: s}})
		if acts := g.Tick(now.Add(time.Hour)); len(acts) > 0 {
			t.Fatalf("%+v after an agent's %q", acts, s)
		}
	}
	now = now.Add(time.Second)
	g.Answered(now, now, "n", []Left{{Cluster: "r/c", Held: true, Override: OverrideOver}})
	if acts := g.Tick(now); len(acts) != 1 || acts[0].Verb != GuardFreeze {
		t.Fatalf("%+v once it is over: want a freeze", acts)
	}
}
