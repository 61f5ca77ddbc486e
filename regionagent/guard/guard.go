// Package guard is the second process of an agent's host. It holds, per cluster, the deadline by which the agent's right to run ends, and
// freezes what the agent did not speak for in time: because it died, hangs, was paused, or has nothing left (D1). What it decides
// is the pure lease.Guard; what it does to processes is package freezer; this package is the process around both.
//
//	agent ──hello, left, nudge, do──▶ socket ──▶ one loop ──▶ lease.Guard ──▶ freeze, kill
//	      ◀──held, ask, done, state──            ▲    │
//	                                   results ──┘    └──▶ one job at a time per cluster ──▶ freezer
package guard

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// Config is what a guard needs.
type Config struct {
	Socket    string // the agent connects here; mode 0600. Its directory must be writable by the guard's user alone
	Handover  string // deadlines for the next guard of the same boot; in a directory like the socket's
	Durations events.Durations
	Clusters  []Cluster // those known at start; a hello adds to them. Held and Exempt are not read here
	// Held says at start what must be frozen first, from the agent's ledger and marks; see ReadHeld. With an error its list is what must be assumed.
	Held func() ([]lease.Guarded, error)
	// InProcess says that others live in this process: its memory and its OOM score are left alone.
	InProcess bool
	Outlet    Outlet // nil: none
	Log       *slog.Logger
	Metrics   *Metrics
}

const (
	verifyEvery = 100 * time.Millisecond // how often a frozen cluster is looked at
	// longestNap bounds how late a suspend or a clock jump is noticed: Go's timers stand still while the host is suspended.
	longestNap = 50 * time.Millisecond
)

type guard struct {
	Config
	core     *lease.Guard
	clusters map[string]*cluster
	names    []string             // in the order they became known
	jump     func() time.Duration // by how much the clocks moved apart since the last call
	agent    *conn                // nil: none connected
	asked    map[uint64]events.Instant
	n        uint64
	nextAsk  events.Instant
	verify   events.Instant
	inbox    chan inbound
	results  chan result
	work     sync.WaitGroup
}

// Run guards until ctx ends, then leaves its deadlines for the next one. It freezes first whatever is held and has no deadline handed over.
// Errors: another guard has the socket; the socket can't be made; the deadlines could not be handed over.
func Run(ctx context.Context, c Config) error {
	l, err := listen(c.Socket)
	if err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	if !c.InProcess {
		harden(c.Log)
	}
	g := start(c)
	g.work.Go(func() { g.accept(ctx, l) })
	g.loop(ctx)
	_ = l.Close() // ends accept
	g.work.Wait()
	return leave(c.Handover, g.core)
}

func start(c Config) *guard {
	g := &guard{
		Config: c, clusters: map[string]*cluster{}, asked: map[uint64]events.Instant{}, inbox: make(chan inbound), results: make(chan result),
		jump: new(boottime.Watch).Jump,
	}
	for _, k := range c.Clusters {
		g.learn(k)
	}
	handed, err := takeOver(c.Handover)
	if err != nil {
		c.Log.Warn("no deadlines taken over: freezing first", "err", err)
	}
	held, err := c.Held()
	if err != nil {
		c.Log.Error("the ledger can't be read: everything marked is taken as held", "err", err)
	}
	var known []lease.Guarded
	for _, h := range held {
		if g.clusters[h.Cluster] == nil {
			c.Log.Warn("held but not configured: can't be fenced here", "cluster", h.Cluster)
			continue
		}
		h.Deadline = handed[h.Cluster]
		known = append(known, h)
	}
	g.core = lease.NewGuard(c.Durations, boottime.Now(), known)
	c.Log.Info("guard started", "clusters", len(g.names), "deadlines", len(handed))
	return g
}

func (g *guard) learn(k Cluster) {
	if g.clusters[k.Cluster] == nil {
		g.names = append(g.names, k.Cluster)
		g.clusters[k.Cluster] = &cluster{name: k.Cluster}
	}
	g.clusters[k.Cluster].tree = k.Tree
}

// loop is the only goroutine that touches the core. The end of ctx ends its jobs too: the next guard begins them anew.
func (g *guard) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := boottime.Now()
		g.checkClocks(now)
		g.inform() // before anything that takes time: a right that ended a moment ago must not be sent by
		for _, a := range g.core.Tick(now) {
			g.order(ctx, g.clusters[a.Cluster], ordered(a, g.clusters[a.Cluster]))
		}
		g.verifyFrozen(ctx, now)
		g.ask(now, false)
		g.tell()
		timer.Reset(min(g.core.NextWake().Sub(now), longestNap))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case m := <-g.inbox:
			g.take(ctx, m)
		case r := <-g.results:
			g.finish(ctx, r)
		}
	}
}

func (g *guard) checkClocks(now events.Instant) {
	if jump := g.jump(); jump > g.Durations.Margin {
		g.Log.Error("the clocks moved apart: freezing first, asking later", "by", jump)
		g.Metrics.Jumps.Inc()
		g.core.Jumped(now)
		g.ask(now, true)
	}
}

// ask asks the agent for what is left of its rights: every h/2, or at once.
func (g *guard) ask(now events.Instant, atOnce bool) {
	if g.agent == nil || (now < g.nextAsk && !atOnce) {
		return
	}
	g.n++
	g.asked[g.n] = boottime.Now() // before it is sent: the deadline counts from here
	delete(g.asked, g.n-remembered)
	g.nextAsk = now.Add(g.Durations.Beat / 2)
	g.agent.send(message{Kind: kindAsk, N: g.n, Clusters: g.outlets()})
}

// remembered is how many asks stay answerable; an answer to an older one is worth nothing any more.
const remembered = 256

// tell reports every fence that changed since the last time.
func (g *guard) tell() {
	count := map[lease.Fence]float64{}
	for _, name := range g.names {
		c, fence := g.clusters[name], g.core.Fence(name)
		if fence != lease.FenceNone {
			count[fence]++
		}
		if fence == c.told {
			continue
		}
		g.Log.Info("fence", "cluster", name, "from", c.told, "to", fence, "why", c.why)
		c.told = fence
		if g.agent != nil {
			g.agent.send(message{Kind: kindState, Cluster: name, Fence: fence, Why: c.why})
		}
	}
	for _, f := range []lease.Fence{lease.FenceFreezing, lease.FenceFrozen, lease.FenceKilling, lease.FenceKilled} {
		g.Metrics.Fenced.WithLabelValues(string(f)).Set(count[f])
	}
}

// take handles one message, or the end of a connection.
func (g *guard) take(ctx context.Context, in inbound) {
	now, m := boottime.Now(), in.message
	if in.from != g.agent && m.Kind != kindHello && m.Kind != kindOverride {
		return // a replaced agent, or one that never said who it is
	}
	switch m.Kind {
	case kindEnd:
		g.Log.Warn("agent gone: its deadlines run on", "nonce", in.from.nonce)
		g.agent = nil
		g.Metrics.Attached.Set(0)
	case kindHello:
		g.hello(now, in)
	case kindNudge:
		g.ask(now, true)
	case kindLeft:
		g.answered(now, m)
	case kindDo:
		g.do(ctx, in)
	case kindOverride:
		g.override(ctx, in)
	default:
		g.Log.Warn("message of a kind this guard does not know", "kind", m.Kind)
	}
}

// hello makes the sender the one agent, tells it what is held, and asks.
func (g *guard) hello(now events.Instant, in inbound) {
	if g.agent != nil && g.agent != in.from {
		g.Log.Warn("agent replaced", "nonce", g.agent.nonce, "by", in.message.Nonce)
		g.agent.end()
	}
	in.from.nonce = in.message.Nonce
	g.agent, g.asked = in.from, map[uint64]events.Instant{}
	g.Metrics.Attached.Set(1)
	for _, k := range in.message.Clusters {
		if k.Tree != nil {
			g.learn(Cluster{Cluster: k.Cluster, Tree: *k.Tree})
			g.core.Learn(lease.Guarded{Cluster: k.Cluster, Held: k.Held, Exempt: k.Exempt})
		}
	}
	held := message{Kind: kindHeld, Clusters: make([]wireCluster, 0, len(g.names))}
	for _, name := range g.names {
		left := max(0, g.core.Deadline(name).Sub(boottime.Now()))
		held.Clusters = append(held.Clusters, wireCluster{Cluster: name, Left: events.Duration(left), Fence: g.core.Fence(name)})
	}
	in.from.send(held)
	g.ask(now, true)
}

func (g *guard) answered(now events.Instant, m message) {
	asked, ok := g.asked[m.N]
	if !ok {
		return // too old to matter, or to an ask of a connection before this one
	}
	left := make([]lease.Left, 0, len(m.Clusters))
	for _, k := range m.Clusters {
		if g.clusters[k.Cluster] == nil {
			g.Log.Error("answer about a cluster no hello named: can't be fenced here", "cluster", k.Cluster)
			continue
		}
		g.clusters[k.Cluster].spokenFor = true
		if g.Outlet != nil {
			g.Outlet.Spare(k.Cluster, k.Spare)
		}
		left = append(left, lease.Left{Cluster: k.Cluster, Left: k.Left.D(), Held: k.Held, Exempt: k.Exempt, Override: k.Override})
	}
	g.Metrics.Answers.Inc()
	g.core.Answered(now, asked, g.agent.nonce, left)
}
