package lease

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchback-dr/switchback/events"
)

func guardDurations(t testing.TB) events.Durations {
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// bootAt is an instant well after boot.
func bootAt(d time.Duration) events.Instant { return events.Instant(time.Hour + d) }

// guardAt is a guard of one held cluster "c" that was born at 0 and answered: 1 s left of an ask sent at 0.
func guardAt(t *testing.T, kills time.Duration) *Guard {
	d := guardDurations(t)
	d.KillAfter = kills
	g := NewGuard(d, bootAt(0), []Guarded{{Cluster: "c", Held: true}})
	g.Answered(bootAt(0), bootAt(0), "n1", []Left{{Cluster: "c", Left: time.Second, Held: true}})
	wantTick(t, g, 0)
	return g
}

func wantTick(t *testing.T, g *Guard, now time.Duration, want ...GuardAction) {
	t.Helper()
	if got := g.Tick(bootAt(now)); !slices.Equal(got, want) {
		t.Fatalf("Tick at %v: got %v, want %v", now, got, want)
	}
}

func wantFence(t *testing.T, g *Guard, want Fence) {
	t.Helper()
	if got := g.Fence("c"); got != want {
		t.Fatalf("fence is %q, want %q", got, want)
	}
}

func TestGuardStartsByFreezing(t *testing.T) {
	t.Parallel()
	g := NewGuard(guardDurations(t), bootAt(0), []Guarded{
		{Cluster: "b", Held: true}, {Cluster: "passive"}, {Cluster: "observed", Held: true, Exempt: true}, {Cluster: "a", Held: true},
		{Cluster: "handed-over", Held: true, Deadline: bootAt(time.Second)}, {Cluster: "lapsed", Held: true, Deadline: bootAt(-1)},
	})
	freeze := func(c string) GuardAction { return GuardAction{c, GuardFreeze} }
	wantTick(t, g, 0, freeze("b"), freeze("a"), freeze("lapsed"))
	wantTick(t, g, time.Millisecond)
	for _, c := range []string{"a", "b", "lapsed"} {
		g.Frozen(bootAt(2*time.Millisecond), c, true)
	}
	if got := g.NextWake(); got != bootAt(time.Second) {
		t.Fatalf("NextWake is %v, want the handed-over deadline %v", got, bootAt(time.Second))
	}
	wantTick(t, g, time.Second, freeze("handed-over"))
}

func TestGuardDeadlineCountsFromTheAsk(t *testing.T) {
	t.Parallel()
	g := guardAt(t, time.Hour)
	g.Answered(bootAt(900*time.Millisecond), bootAt(500*time.Millisecond), "n1", []Left{{Cluster: "c", Left: time.Second, Held: true}})
	if got := g.Deadline("c"); got != bootAt(1500*time.Millisecond) {
		t.Fatalf("deadline is %v, want asked + left = %v", got, bootAt(1500*time.Millisecond))
	}
	wantTick(t, g, 1500*time.Millisecond-1)
	wantTick(t, g, 1500*time.Millisecond, GuardAction{"c", GuardFreeze})
}

func TestGuardIgnoresAnswers(t *testing.T) {
	t.Parallel()
	more := []Left{{Cluster: "c", Left: time.Minute, Held: true}}
	for name, answer := range map[string]func(*Guard){
		"to an older ask":                    func(g *Guard) { g.Answered(bootAt(600), bootAt(400), "n1", more) },
		"of another nonce to the same ask":   func(g *Guard) { g.Answered(bootAt(600), bootAt(500), "n2", more) },
		"to an ask from the future":          func(g *Guard) { g.Answered(bootAt(600), bootAt(601), "n1", more) },
		"to an ask from before a jump":       func(g *Guard) { g.Jumped(bootAt(650)); g.Answered(bootAt(700), bootAt(600), "n1", more) },
		"about others, which extend nothing": func(g *Guard) { g.Answered(bootAt(700), bootAt(600), "n1", []Left{{Cluster: "x", Left: time.Minute}}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guardAt(t, time.Hour)
			g.Answered(bootAt(500), bootAt(500), "n1", []Left{{Cluster: "c", Left: time.Second, Held: true}})
			answer(g)
			if got := g.Deadline("c"); got > bootAt(500).Add(time.Second) {
				t.Fatalf("deadline is %v: extended", got)
			}
		})
	}
}

func TestGuardEarlierEndOfARightCounts(t *testing.T) {
	t.Parallel()
	g := guardAt(t, time.Hour)
	g.Answered(bootAt(20), bootAt(10), "n1", []Left{{Cluster: "c", Left: -time.Second, Held: true}})
	wantTick(t, g, 20, GuardAction{"c", GuardFreeze})
}

func TestGuardThaw(t *testing.T) {
	t.Parallel()
	g := guardAt(t, time.Hour)
	wantTick(t, g, time.Second, GuardAction{"c", GuardFreeze})
	g.Frozen(bootAt(time.Second), "c", true)
	if g.MayThaw(bootAt(time.Second), "c") {
		t.Fatal("may thaw without a deadline in the future")
	}
	now := 2 * time.Second
	g.Answered(bootAt(now), bootAt(now), "n2", []Left{{Cluster: "c", Left: time.Second, Held: false}})
	if g.MayThaw(bootAt(now), "c") {
		t.Fatal("may thaw a cluster that is not held: it would be writable until it is killed")
	}
	g.Answered(bootAt(now), bootAt(now), "n2", []Left{{Cluster: "c", Left: time.Second, Held: true}})
	if !g.MayThaw(bootAt(now), "c") {
		t.Fatal("may not thaw with a deadline in the future")
	}
	g.Thawed(bootAt(now), "c")
	wantTick(t, g, now)
	wantTick(t, g, 3*time.Second, GuardAction{"c", GuardFreeze})
}

func TestGuardKills(t *testing.T) {
	t.Parallel()
	kill, freeze := GuardAction{"c", GuardKill}, GuardAction{"c", GuardFreeze}
	s := guardDurations(t).Freeze

	t.Run("after kill-after, once, again if not proved", func(t *testing.T) {
		t.Parallel()
		g := guardAt(t, 10*time.Second)
		wantTick(t, g, time.Second, freeze)
		g.Frozen(bootAt(time.Second+10), "c", true)
		wantTick(t, g, 11*time.Second-1)
		wantTick(t, g, 11*time.Second, kill)
		wantTick(t, g, 12*time.Second)
		g.Killed(bootAt(12*time.Second), "c", false)
		wantTick(t, g, 12*time.Second, kill)
		g.Killed(bootAt(13*time.Second), "c", true)
		wantTick(t, g, time.Hour)
		g.Answered(bootAt(2*time.Hour), bootAt(2*time.Hour), "n1", []Left{{Cluster: "c", Left: time.Second, Held: true}})
		wantTick(t, g, 3*time.Hour, freeze) // started again, so under a deadline again
	})
	t.Run("what moves", func(t *testing.T) {
		t.Parallel()
		g := guardAt(t, time.Hour)
		wantTick(t, g, time.Second, freeze)
		g.Frozen(bootAt(time.Second+10), "c", true)
		g.Frozen(bootAt(time.Second+20), "c", true)
		wantTick(t, g, time.Second+20)
		g.Frozen(bootAt(time.Second+30), "c", false)
		wantTick(t, g, time.Second+30, kill)
	})
	t.Run("what can't be frozen within S", func(t *testing.T) {
		t.Parallel()
		g := guardAt(t, time.Hour)
		wantTick(t, g, time.Second, freeze)
		g.Frozen(bootAt(time.Second+10), "c", false)
		wantTick(t, g, time.Second+20, freeze)
		wantTick(t, g, time.Second+s-1)
		g.Frozen(bootAt(time.Second+s-1), "c", false)
		wantTick(t, g, time.Second+s, kill)
	})
	t.Run("whose freeze nobody reported within S", func(t *testing.T) {
		t.Parallel()
		g := guardAt(t, time.Hour)
		wantTick(t, g, time.Second, freeze)
		wantTick(t, g, time.Second+s, kill)
	})
	t.Run("never an exempt one by kill-after", func(t *testing.T) {
		t.Parallel()
		g := guardAt(t, 10*time.Second)
		wantTick(t, g, time.Second, freeze)
		g.Frozen(bootAt(time.Second), "c", true)
		g.Answered(bootAt(2*time.Second), bootAt(2*time.Second), "n1", []Left{{Cluster: "c", Held: true, Exempt: true}})
		wantTick(t, g, time.Hour)
	})
	t.Run("one that is frozen and no longer held", func(t *testing.T) {
		t.Parallel()
		g := guardAt(t, 10*time.Second)
		wantTick(t, g, time.Second, freeze)
		g.Frozen(bootAt(time.Second), "c", true)
		g.Answered(bootAt(2*time.Second), bootAt(2*time.Second), "n1", []Left{{Cluster: "c", Left: time.Second}})
		wantTick(t, g, 11*time.Second, kill)
	})
}

func TestGuardAgentsOwnFreezeCountsTowardsKillAfter(t *testing.T) {
	t.Parallel()
	g := guardAt(t, 10*time.Second)
	g.Frozen(bootAt(500*time.Millisecond), "c", true)
	wantFence(t, g, FenceFrozen)
	wantTick(t, g, 10500*time.Millisecond, GuardAction{"c", GuardKill})
}

func TestGuardJumpFreezesFirst(t *testing.T) {
	t.Parallel()
	g := guardAt(t, time.Hour)
	g.Jumped(bootAt(100))
	wantTick(t, g, 100, GuardAction{"c", GuardFreeze})
	g.Frozen(bootAt(110), "c", true)
	g.Answered(bootAt(120), bootAt(110), "n1", []Left{{Cluster: "c", Left: time.Second, Held: true}})
	if !g.MayThaw(bootAt(120), "c") {
		t.Fatal("an ask sent after the jump renews")
	}
}

// Whatever is said in whatever order: after a Tick no held cluster whose deadline passed is left alone, nothing due is overlooked by NextWake, no
// deadline is later than some answer allows, and a thaw needs a deadline, unless none ever freezes the cluster.
func TestGuardProperties(t *testing.T) {
	t.Parallel()
	d := guardDurations(t)
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b"}
		now := bootAt(0)
		g := NewGuard(d, now, []Guarded{{Cluster: "a", Held: true}, {Cluster: "b", Held: true}})
		allowed := map[string]events.Instant{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			c := rapid.SampledFrom(names).Draw(t, "cluster")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				asked := now.Add(-time.Duration(rapid.IntRange(-100, 3000).Draw(t, "ask age")) * time.Millisecond)
				l := Left{c, time.Duration(rapid.IntRange(-10, 2000).Draw(t, "left")) * time.Millisecond, rapid.Bool().Draw(t, "held"), rapid.Bool().Draw(t, "exempt"), OverrideNone}
				g.Answered(now, asked, "n", []Left{l})
				allowed[c] = max(allowed[c], asked.Add(max(0, l.Left)))
			case 2:
				g.Frozen(now, c, rapid.Bool().Draw(t, "ok"))
			case 3:
				g.Killed(now, c, rapid.Bool().Draw(t, "ok"))
			case 4:
				if g.MayThaw(now, c) {
					if g.Deadline(c) <= now && !slices.ContainsFunc(g.Guarded(), func(k Guarded) bool { return k.Cluster == c && k.Exempt }) {
						t.Fatalf("%s: may thaw at %v with deadline %v", c, now, g.Deadline(c))
					}
					g.Thawed(now, c)
				}
			case 5:
				if rapid.IntRange(0, 5).Draw(t, "rare") == 0 {
					g.Jumped(now)
				}
			}
			g.Tick(now)
			for _, k := range g.Guarded() {
				if k.Held && !k.Exempt && k.Deadline <= now && g.Fence(k.Cluster) == FenceNone {
					t.Fatalf("%s: deadline %v passed at %v and nothing was done", k.Cluster, k.Deadline, now)
				}
				if k.Deadline > allowed[k.Cluster] {
					t.Fatalf("%s: deadline %v is later than any answer allows: %v", k.Cluster, k.Deadline, allowed[k.Cluster])
				}
			}
			if wake := g.NextWake(); wake <= now {
				t.Fatalf("NextWake is %v after a Tick at %v: the shell would spin", wake, now)
			}
		}
	})
}
