package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// cluster is one cluster as the shell sees it: at most one job at a time, at most one waiting.
type cluster struct {
	name    string
	tree    driver.Tree
	running *job
	waiting *job
	told    lease.Fence // last reported
	why     string      // of the last job
	blind   int         // verifications in a row that could not look
	said    string      // last failure logged
	// spokenFor: an agent has answered for it, so it is under care even if it is not held.
	spokenFor bool
}

type job struct {
	verb Verb
	why  string
	from *conn // nil: the guard's own
	n    uint64
	stop context.CancelFunc
}

// verify is the job that only looks.
const verify Verb = "verify"

// rank orders jobs: a higher one ends a lower one that runs and replaces one that waits. A fence is never behind a thaw.
var rank = map[Verb]int{verify: 0, Thaw: 1, Freeze: 2, Kill: 3}

type result struct {
	cluster *cluster
	job     *job
	out     freezer.Outcome
	empty   bool // verify: no process is left
	moving  int  // verify: processes that run
	err     error
}

const (
	thawLimit = 2 * time.Second
	killLimit = 10 * time.Second
	// killPause comes after a kill that was not proved, before it is tried again.
	killPause = 500 * time.Millisecond
	// blindLimit is how many verifications in a row may fail to look before that counts as moving.
	blindLimit = 3
)

// ordered is the job for what the core wants.
func ordered(a lease.GuardAction, c *cluster) *job {
	if a.Verb == lease.GuardFreeze {
		return &job{verb: Freeze, why: "its right to run is over"}
	}
	why := map[lease.Fence]string{
		lease.FenceFreezing: "it could not be frozen within S", lease.FenceKilling: "the kill before was not proved", lease.FenceFrozen: "frozen longer than kill-after",
	}[c.told]
	if c.told == lease.FenceFrozen && c.said != "" {
		why = c.said
	}
	return &job{verb: Kill, why: why}
}

// do starts what the agent asks for.
func (g *guard) do(ctx context.Context, in inbound) {
	m := in.message
	c := g.clusters[m.Cluster]
	j := &job{verb: m.Verb, why: "the agent asked for it", from: in.from, n: m.N}
	switch {
	case c == nil:
		g.refuse(j, fmt.Sprintf("cluster %q: no hello named it", m.Cluster))
	case rank[m.Verb] == 0:
		g.refuse(j, fmt.Sprintf("verb %q: want freeze, thaw or kill", m.Verb))
	case m.Verb == Freeze && g.core.Overridden(m.Cluster):
		g.refuse(j, "a person on the host overrode its fence")
	default:
		g.order(ctx, c, j)
	}
}

func (g *guard) refuse(j *job, why string) {
	if j.from != nil {
		j.from.send(message{Kind: kindDone, N: j.n, Done: &Done{Why: why}})
	}
}

// order has a job done as soon as nothing at least as strong is before it.
func (g *guard) order(ctx context.Context, c *cluster, j *job) {
	if c.running == nil {
		g.begin(ctx, c, j)
		return
	}
	if rank[j.verb] > rank[c.running.verb] {
		c.running.stop()
	}
	if w := c.waiting; w != nil {
		if rank[w.verb] > rank[j.verb] {
			w, j = j, w
		}
		g.refuse(w, "overtaken by "+string(j.verb))
	}
	c.waiting = j
}

func (g *guard) begin(ctx context.Context, c *cluster, j *job) {
	limit := map[Verb]time.Duration{verify: g.Durations.Freeze, Freeze: g.Durations.Freeze, Thaw: thawLimit, Kill: killLimit}[j.verb]
	if j.verb == Thaw {
		now := boottime.Now() // it may have waited
		if !g.core.MayThaw(now, c.name) {
			g.Metrics.Refused.Inc()
			g.refuse(j, "no deadline in the future is held for it: answer an ask with what is left of the right first")
			return
		}
		g.core.Thawed(now, c.name) // before the first process runs: the deadline counts again
	}
	if j.verb != verify {
		c.why = j.why
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	j.stop, c.running = cancel, j
	tree := c.tree
	g.work.Go(func() {
		defer cancel()
		r := result{cluster: c, job: j}
		switch j.verb {
		case verify:
			var pids []int
			pids, r.err = freezer.Verify(tree)
			r.moving = len(pids)
			if p, err := freezer.Find(tree); r.err == nil && r.moving == 0 && err == nil {
				r.empty = len(p.PIDs()) == 0
			}
		case Freeze:
			r.out, r.err = freezer.Freeze(limited, tree)
		case Thaw:
			r.out, r.err = freezer.Thaw(limited, tree)
		case Kill:
			if g.Outlet != nil {
				g.Outlet.End(c.name)
			}
			if r.out, r.err = freezer.Kill(limited, tree); r.err != nil {
				nap(ctx, killPause)
			}
		}
		select {
		case g.results <- r:
		case <-ctx.Done():
		}
	})
}

func nap(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// finish takes a job's result and begins the next.
func (g *guard) finish(ctx context.Context, r result) {
	c, j, now := r.cluster, r.job, boottime.Now()
	c.running = nil
	switch j.verb {
	case verify:
		g.verified(now, r)
	case Freeze:
		if r.err == nil && r.out.Processes == 0 {
			g.core.Killed(now, c.name, true) // nothing to hold: what starts later is a new server, not a frozen one that moves
			break
		}
		g.core.Frozen(now, c.name, r.err == nil)
	case Kill:
		g.core.Killed(now, c.name, r.err == nil)
	}
	if j.verb != verify {
		g.report(r)
	}
	if w := c.waiting; w != nil {
		c.waiting = nil
		if j.verb == Kill && r.err == nil && w.verb == Freeze {
			g.refuse(w, "overtaken by kill") // it is gone: whatever a freeze would catch now is a new server, started with a right
			return
		}
		g.begin(ctx, c, w)
	}
}

func (g *guard) report(r result) {
	c, j := r.cluster, r.job
	cause := "deadline"
	if j.from != nil {
		cause = "agent"
	}
	g.Metrics.Fences.WithLabelValues(string(j.verb), cause, fmt.Sprint(r.err == nil)).Inc()
	g.Metrics.Took.WithLabelValues(string(j.verb)).Observe(r.out.Took.Seconds())
	d := Done{OK: r.err == nil, How: r.out.How, Took: events.Duration(r.out.Took), NoCgroup: r.out.NoCgroup}
	c.blind = 0
	if r.err != nil {
		d.Why = r.err.Error()
		if c.said != d.Why { // a kill that can't be proved is tried for ever
			g.Log.Error("fence failed", "cluster", c.name, "verb", j.verb, "cause", cause, "err", r.err)
		}
		c.said = d.Why
	} else {
		c.said = ""
		g.Log.Info("fence done", "cluster", c.name, "verb", j.verb, "cause", cause, "how", d.How, "took", r.out.Took, "processes", r.out.Processes, "no_cgroup", d.NoCgroup)
	}
	if j.from != nil {
		j.from.send(message{Kind: kindDone, N: j.n, Done: &d})
	}
}

// verifyFrozen looks at every frozen cluster that is not busy.
func (g *guard) verifyFrozen(ctx context.Context, now events.Instant) {
	if now < g.verify {
		return
	}
	g.verify = now.Add(verifyEvery)
	for _, name := range g.names {
		if c := g.clusters[name]; c.running == nil && g.core.Fence(name) == lease.FenceFrozen {
			g.begin(ctx, c, &job{verb: verify})
		}
	}
}

func (g *guard) verified(now events.Instant, r result) {
	c := r.cluster
	if r.err != nil {
		c.blind++
		g.Log.Error("can't look at a frozen cluster", "cluster", c.name, "times", c.blind, "err", r.err)
		if c.blind < blindLimit {
			return
		}
	} else {
		c.blind = 0
	}
	if r.moving > 0 {
		c.said = fmt.Sprintf("%d of its processes ran while it was frozen", r.moving)
	}
	if r.empty { // it ended while it was frozen
		g.core.Killed(now, c.name, true)
		return
	}
	g.core.Frozen(now, c.name, r.err == nil && r.moving == 0)
}
