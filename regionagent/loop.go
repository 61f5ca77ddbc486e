package regionagent

import (
	"context"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/guard"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// loop drives the core. Asks of the guard are answered here and nowhere else: an agent whose loop hangs must not be spoken for (D1).
func (a *agent) loop(ctx context.Context) error {
	var watch boottime.Watch
	wake := time.NewTimer(0)
	defer wake.Stop()
	beat := time.NewTicker(a.d.Beat)
	defer beat.Stop()
	next := a.begin(ctx)
	for a.fatal == nil {
		var asks <-chan uint64
		var states <-chan guard.State
		if a.client != nil {
			asks, states = a.client.Asks(), a.client.States()
		}
		wake.Reset(min(max(next.Sub(boottime.Now()), 0), a.d.Beat))
		select {
		case <-ctx.Done():
			return nil
		case f := <-a.inbox:
			next = a.step(ctx, f)
		case n := <-asks:
			next = a.answer(ctx, n)
		case s := <-states:
			a.fenced(s)
		case c := <-a.clients:
			next = a.guarded(ctx, c)
		case <-beat.C:
			if jump := watch.Jump(); jump > a.d.Margin {
				a.log.Error("clocks jumped: every right is void until it is renewed", "by", jump)
				next = a.step(ctx, a.core.Jumped)
			}
			a.overrides(ctx)
			if a.over.news {
				a.over.news = false
				next = a.step(ctx, a.core.Tick)
			}
			a.watchGuard(ctx)
			a.health.beat()
			a.export()
		case <-wake.C:
			next = a.step(ctx, a.core.Tick)
		}
	}
	return a.fatal
}

// begin waits for what the guard holds from before this start, which is part of the right (A8): judged without it, what runs rightly would be frozen by every
// upgrade. It waits no longer than a guard may be away.
func (a *agent) begin(ctx context.Context) events.Instant {
	a.began = boottime.Now()
	a.overrides(ctx)
	late := time.NewTimer(guard.Away(a.d))
	defer late.Stop()
	select {
	case c := <-a.clients:
		a.guarded(ctx, c)
	case <-late.C:
		a.log.Error("the guard does not answer")
	case <-ctx.Done():
	}
	return a.step(ctx, a.core.Tick)
}

// step hands one input to the core and carries its effects out, in order: the ledger is on disk before anything else is done or said.
func (a *agent) step(ctx context.Context, f func(now events.Instant) lease.Effects) events.Instant {
	eff := f(boottime.Now())
	if eff.Save {
		if err := a.file.Save(a.core.Ledger()); err != nil {
			a.fatal = fmt.Errorf("save the ledger: %w (the guard freezes what nobody speaks for)", err)
			return 0
		}
	}
	if eff.Nudge && a.client != nil {
		if err := a.client.Nudge(); err != nil {
			a.log.Debug("nudge the guard", telemetry.Err(err))
		}
	}
	for _, act := range eff.Do {
		a.do(ctx, act)
	}
	for _, n := range eff.Read {
		a.lanes[n].read(a.core.Place(n))
	}
	for _, b := range eff.Beats {
		a.lanes[b.Lane].beat(b, a.core.Place(b.Lane))
	}
	for _, q := range eff.Ask {
		go a.askPeer(ctx, q)
	}
	for _, r := range eff.Reports {
		a.reports.put(r)
	}
	for _, f := range a.after {
		f()
	}
	a.after = nil
	return eff.Wake
}

// answer tells the guard what is left, and from then on relies on it.
func (a *agent) answer(ctx context.Context, ask uint64) events.Instant {
	now := boottime.Now()
	left := a.core.Lefts(now)
	if err := a.client.Answer(ask, left); err != nil {
		a.log.Warn("answer the guard", telemetry.Err(err))
		return now.Add(a.d.Beat)
	}
	var next events.Instant
	for _, l := range left {
		ref, err := events.ParseRef(l.Cluster)
		if err == nil {
			next = a.step(ctx, func(t events.Instant) lease.Effects { return a.core.Handed(t, ref, l, now.Add(l.Left)) })
		}
	}
	return next
}

// fenced hears what the guard did by itself.
func (a *agent) fenced(s guard.State) {
	a.log.Info("guard", "cluster", s.Cluster, "fence", string(s.Fence), "why", s.Why)
	if ref, err := events.ParseRef(s.Cluster); err == nil {
		a.probeNow(ref)
	}
}

// guarded takes a new connection to the guard. What a guard held when this process came up is part of the right (A8).
func (a *agent) guarded(ctx context.Context, c *guard.Client) events.Instant {
	first := a.client == nil
	if !first {
		_ = a.client.Close() // the old one has ended
	}
	a.client = c
	held := map[events.Ref]events.Instant{}
	for _, h := range c.Held {
		if ref, err := events.ParseRef(h.Cluster); err == nil {
			held[ref] = h.Until
			a.probeNow(ref)
		}
	}
	if !first {
		return boottime.Now()
	}
	return a.step(ctx, func(t events.Instant) lease.Effects { return a.core.GuardHeld(t, held) })
}

// watchGuard freezes by itself what must be held while the guard is dead (D1). A kill or thaw waits for the guard, or for the core's own rows.
func (a *agent) watchGuard(ctx context.Context) {
	now := boottime.Now()
	down := a.unguarded(now)
	a.metrics.guard.Set(bit(!down))
	if !down {
		a.silent = 0
		return
	}
	defer a.endSilent() // after the freeze was ordered
	for _, l := range a.core.Lefts(now) {
		ref, err := events.ParseRef(l.Cluster)
		if err != nil || !l.Held || l.Exempt {
			continue
		}
		if c := a.find(ref); c != nil && c.last.Server == events.ServerWritable {
			a.log.Error("the guard is down: frozen until it is back", "cluster", l.Cluster)
			go func() {
				if _, err := freezer.Freeze(ctx, a.tree(c)); err != nil {
					a.log.Error("freeze without the guard", "cluster", l.Cluster, telemetry.Err(err))
				}
				a.probeNow(ref)
			}()
		}
	}
}

// unguarded reports whether the guard has been away for too long.
func (a *agent) unguarded(now events.Instant) bool {
	if a.client == nil {
		return now.Sub(a.began) >= guard.Away(a.d)
	}
	return a.client.Down(now)
}

// dialGuard keeps a connection to the guard.
func (a *agent) dialGuard(ctx context.Context) {
	var n unheard
	for ctx.Err() == nil {
		cs := make([]guard.Cluster, 0, len(a.clusters))
		for _, c := range a.clusters {
			cs = append(cs, guard.Cluster{Cluster: c.ref.String(), Tree: a.tree(c)})
		}
		if held, err := guard.ReadHeld(a.cfg.Ledger(), a.cfg.Overrides(), cs); err == nil {
			for i := range held {
				cs[i].Held, cs[i].Exempt = held[i].Held, held[i].Exempt
			}
		}
		short, cancel := context.WithTimeout(ctx, max(2*time.Second, 2*guard.Away(a.d))) // a guard that has just started may still read what is held
		c, err := guard.Dial(short, a.cfg.GuardSocket(), a.d, a.nonce, cs)
		cancel()
		if told := n.failed(err); told != "" {
			a.log.Error(told)
		}
		if err != nil {
			a.log.Debug("guard not reached", telemetry.Err(err))
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		a.log.Info("guard reached")
		select {
		case a.clients <- c:
		case <-ctx.Done():
			_ = c.Close()
			return
		}
		select {
		case <-c.Gone():
			a.log.Error("guard lost")
		case <-ctx.Done():
		}
	}
}
