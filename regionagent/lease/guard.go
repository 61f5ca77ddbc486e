package lease

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Guarded is one cluster as the guard finds it when it starts.
type Guarded struct {
	Cluster string
	Held    bool // the ledger says active, or our mark without a ledger entry (D1): something to freeze. A passive is never frozen
	Exempt  bool // mode observe or isolation keep-running: never frozen by a deadline, never killed by kill-after
	// Overridden says that a person on the host wants it to run, whatever its right, until the agent says that this is over.
	Overridden bool
	Deadline   events.Instant // handed over by the guard before this one in the same boot; 0 = none, so freeze first (D1)
}

// Left is the agent's word on one cluster: how much of its right to run was left when it answered (A8).
type Left struct {
	Cluster string
	Left    time.Duration // 0 or less: the right is over
	Held    bool
	Exempt  bool
	// Override is what the agent knows of one: it may not have heard of it yet.
	Override OverrideState
}

// GuardVerb is what the guard's core wants done to a cluster.
type GuardVerb string

// The guard's verbs.
const (
	GuardFreeze GuardVerb = "freeze" // then tell the core through Frozen, and verify every 100 ms
	GuardKill   GuardVerb = "kill"   // then tell the core through Killed
)

// GuardAction is one thing to do now.
type GuardAction struct {
	Cluster string
	Verb    GuardVerb
}

// Fence is what the guard has done to a cluster.
type Fence string

// The fences of the guard.
const (
	FenceNone     Fence = ""         // it runs, or is down by itself
	FenceFreezing Fence = "freezing" // ordered, not verified yet
	FenceFrozen   Fence = "frozen"
	FenceKilling  Fence = "killing" // ordered, not proved yet
	FenceKilled   Fence = "killed"  // until an answer brings a deadline in the future
)

// Guard is the pure core of the guard (D1): per cluster one deadline, counted from when the guard asked, and what follows when it passes.
// If the agent dies, hangs or is late nothing special happens: deadlines pass by themselves. A freeze is never a proof; it is undone only by a
// thaw that MayThaw allows.
type Guard struct {
	d        events.Durations
	clusters []*guarded // in the order they became known: output never depends on a map
	index    map[string]*guarded
	answered events.Instant // when the newest answered ask was sent
	nonce    string         // who answered it
}

type guarded struct {
	Guarded
	fence Fence
	since events.Instant // freezing, frozen: when the freeze was ordered, or verified if the agent wanted it
	redo  bool           // the last freeze did not hold, or the last kill was not proved
}

// NewGuard returns a guard that freezes first: its first Tick names every held cluster that is not exempt and has no handed-over deadline in
// the future. Both dying together is thereby a pause (m30).
func NewGuard(d events.Durations, now events.Instant, cs []Guarded) *Guard {
	g := &Guard{d: d, index: map[string]*guarded{}, answered: now}
	for _, c := range cs {
		g.add(c)
	}
	return g
}

// Learn adds a cluster the guard did not know when it started, as NewGuard would; one it knows keeps what it has.
func (g *Guard) Learn(c Guarded) {
	if g.index[c.Cluster] == nil {
		g.add(c)
	}
}

func (g *Guard) add(c Guarded) *guarded {
	k, known := g.index[c.Cluster]
	if !known {
		k = &guarded{}
		g.index[c.Cluster] = k
		g.clusters = append(g.clusters, k)
	}
	k.Guarded = c
	return k
}

// Answered takes the agent's answer to the ask sent at asked. A deadline is asked + Left, never now + Left: what the agent knew may be as old as
// the ask. It may move a deadline back (a refused renewal ends the right at once). Ignored: an answer to an older ask than the newest one
// answered, one of another nonce to the same ask, one to an ask from the future or from before the last jump.
func (g *Guard) Answered(now, asked events.Instant, nonce string, left []Left) {
	if asked < g.answered || asked > now || (asked == g.answered && g.nonce != "" && nonce != g.nonce) {
		return
	}
	g.answered, g.nonce = asked, nonce
	for _, l := range left {
		before := g.index[l.Cluster]
		over := before != nil && before.Overridden && l.Override != OverrideOver
		k := g.add(Guarded{Cluster: l.Cluster, Held: l.Held, Exempt: l.Exempt || over, Overridden: over, Deadline: asked.Add(max(l.Left, 0))})
		if k.fence == FenceKilled && k.Deadline > now {
			k.fence = FenceNone // whoever starts it again is under a deadline again
		}
	}
}

// Jumped says that the clocks disagreed by more than M: freeze first, ask later. Every deadline lapses, and only an ask sent from now on renews it.
func (g *Guard) Jumped(now events.Instant) {
	g.answered, g.nonce = now, ""
	for _, k := range g.clusters {
		k.Deadline = 0
	}
}

// Tick returns what is due, each once. A freeze that is not verified S after it was ordered becomes a kill: S is never extended. So does a verified
// one that moved, and one older than kill-after.
func (g *Guard) Tick(now events.Instant) []GuardAction {
	var out []GuardAction
	for _, k := range g.clusters {
		verb, due := g.next(k)
		if now < due {
			continue
		}
		switch {
		case verb == GuardKill, k.fence == FenceFreezing && now >= k.since.Add(g.d.Freeze):
			verb, k.fence = GuardKill, FenceKilling
		case k.fence == FenceNone:
			k.fence, k.since = FenceFreezing, now
		}
		k.redo = false
		out = append(out, GuardAction{k.Cluster, verb})
	}
	return out
}

// next is what happens to a cluster if nobody says anything any more, and when.
func (g *Guard) next(k *guarded) (GuardVerb, events.Instant) {
	switch k.fence {
	case FenceNone:
		if k.Held && !k.Exempt {
			return GuardFreeze, k.Deadline
		}
	case FenceFreezing:
		if k.redo {
			return GuardFreeze, k.since
		}
		return GuardKill, k.since.Add(g.d.Freeze)
	case FenceFrozen:
		switch {
		case k.Exempt:
		case k.redo:
			return GuardKill, k.since
		default:
			return GuardKill, k.since.Add(g.d.KillAfter)
		}
	case FenceKilling:
		if k.redo {
			return GuardKill, k.since
		}
	case FenceKilled:
	}
	return "", events.Never
}

// Frozen says whether every process of a cluster was found stopped. False before the first true has the freeze repeated until S is over; false
// after it means that somebody moved it, and it is killed. A freeze the agent wanted enters here too.
func (g *Guard) Frozen(now events.Instant, cluster string, ok bool) {
	k := g.index[cluster]
	if k == nil {
		return
	}
	switch {
	case (k.fence == FenceNone || k.fence == FenceKilled) && ok: // killed: what was frozen is a new server
		k.fence, k.since, k.redo = FenceFrozen, now, false
	case k.fence == FenceFreezing && ok:
		k.fence, k.redo = FenceFrozen, false
	case k.fence == FenceFreezing, k.fence == FenceFrozen:
		k.redo = !ok
	}
}

// Killed says whether a kill was proved: no process left, port closed. False has it repeated. A kill the agent wanted enters here too.
func (g *Guard) Killed(_ events.Instant, cluster string, ok bool) {
	k := g.index[cluster]
	if k == nil {
		return
	}
	k.fence, k.redo = FenceKilling, !ok
	if ok {
		k.fence = FenceKilled
	}
}

// MayThaw reports whether the guard lets a cluster be thawed: it is held and its deadline is in the future, or no deadline ever freezes it. The agent asks
// A9 besides.
func (g *Guard) MayThaw(now events.Instant, cluster string) bool {
	k := g.index[cluster]
	return k != nil && (k.Exempt || k.Held && k.Deadline > now)
}

// Override takes a person's word that a cluster is to run whatever its right. It holds until an answer says that it is over.
func (g *Guard) Override(cluster string) {
	if k := g.index[cluster]; k != nil {
		k.Overridden, k.Exempt = true, true
	}
}

// Overridden reports whether a person's word holds for a cluster.
func (g *Guard) Overridden(cluster string) bool {
	k := g.index[cluster]
	return k != nil && k.Overridden
}

// Thawed says that a cluster is being let go. Call it before the first process runs: should the deadline pass meanwhile, the freeze is ordered anew.
func (g *Guard) Thawed(_ events.Instant, cluster string) {
	if k := g.index[cluster]; k != nil && (k.fence == FenceFrozen || k.fence == FenceFreezing) {
		k.fence, k.redo = FenceNone, false
	}
}

// Deadline is when a cluster's right ends as far as the guard knows (A8); 0 if it holds none.
func (g *Guard) Deadline(cluster string) events.Instant {
	if k := g.index[cluster]; k != nil {
		return k.Deadline
	}
	return 0
}

// Fence is what the guard has done to a cluster.
func (g *Guard) Fence(cluster string) Fence {
	if k := g.index[cluster]; k != nil {
		return k.fence
	}
	return FenceNone
}

// Guarded returns every cluster with the deadline held for it, for the next guard of the same boot.
func (g *Guard) Guarded() []Guarded {
	out := make([]Guarded, len(g.clusters))
	for i, k := range g.clusters {
		out[i] = k.Guarded
	}
	return out
}

// NextWake is when Tick must run next if nothing else happens; Never if nothing is due.
func (g *Guard) NextWake() events.Instant {
	wake := events.Never
	for _, k := range g.clusters {
		_, due := g.next(k)
		wake = min(wake, due)
	}
	return wake
}
