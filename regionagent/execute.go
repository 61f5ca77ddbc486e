package regionagent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/guard"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// fenceLimit bounds one freeze, thaw or kill; probeLimit one probe; verbLimit a verb that names no limit of its own.
const (
	fenceLimit = 10 * time.Second
	probeLimit = time.Second
	verbLimit  = 60 * time.Second
)

// do begins an action. The guard's verbs are urgent and overlap whatever the driver does; the driver's wait in the cluster's queue.
func (a *agent) do(ctx context.Context, act lease.Action) {
	c := a.find(act.Cluster)
	if c == nil { // under care by the ledger, but no longer configured: the guard still holds it by its mark
		a.log.Error("action for a cluster that is not configured", "cluster", act.Cluster.String(), "verb", string(act.Verb))
		return
	}
	a.log.Info("acts", "cluster", act.Cluster.String(), "verb", string(act.Verb), "rule", act.Rule)
	if act.Verb == lease.Start && c.sick != 0 {
		c.starts++
	}
	if r, slow := c.driver.(driver.Riser); slow && raises(act.Verb) && c.rising == 0 {
		c.rising = boottime.Now().Add(r.Rises())
	}
	switch act.Verb {
	case lease.Freeze, lease.Thaw, lease.Kill:
		go a.fence(ctx, c, act, a.client)
	case lease.Cancel:
		if end := c.cancel.Load(); end != nil {
			(*end)()
		}
	default:
		select {
		case c.work <- act:
		default:
			a.log.Error("the cluster's queue is full", "cluster", act.Cluster.String())
		}
	}
}

// fence has the guard freeze, thaw or kill. While it is dead a freeze or kill is done here; a thaw waits for it.
func (a *agent) fence(ctx context.Context, c *cluster, act lease.Action, client *guard.Client) {
	ctx2, cancel := context.WithTimeout(ctx, fenceLimit)
	defer cancel()
	began := time.Now()
	r := events.Result{Step: act.Step}
	why, err := a.hold(ctx2, c, act.Verb, client)
	r.Took, r.Why, r.Outcome = time.Since(began), why, events.Done
	if err != nil {
		r.Outcome, r.Why = events.Retry, err.Error()
		a.log.Warn("fence", "cluster", c.ref.String(), "verb", string(act.Verb), "err", err)
		select { // the core orders it again at once: not in a tight loop
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	a.metrics.fence(c.ref, act.Verb, r)
	a.finished(ctx, c, act, r)
}

func (a *agent) hold(ctx context.Context, c *cluster, v lease.Verb, client *guard.Client) (string, error) {
	if v != lease.Thaw && guard.InForce(a.cfg.Overrides(), a.cfg.Ledger(), c.ref.String()) {
		return "", errors.New("a person on this host overrode its fence a moment ago")
	}
	if client != nil {
		done, err := client.Do(ctx, guard.Verb(v), c.ref.String())
		if err == nil && !done.OK {
			return "", errors.New(done.Why)
		}
		if err == nil {
			return fmt.Sprintf("%s by %s in %s", past(v), done.How, done.Took), nil
		}
		if !errors.Is(err, guard.ErrDown) {
			return "", err
		}
	}
	switch v {
	case lease.Freeze:
		o, err := freezer.Freeze(ctx, a.tree(c))
		return fmt.Sprintf("frozen by %s without the guard in %s", o.How, o.Took), err
	case lease.Kill:
		o, err := freezer.Kill(ctx, a.tree(c))
		return fmt.Sprintf("killed without the guard in %s, port closed", o.Took), err
	}
	return "", guard.ErrDown
}

func past(v lease.Verb) string {
	return map[lease.Verb]string{lease.Freeze: "frozen", lease.Thaw: "thawed", lease.Kill: "killed, port closed,"}[v]
}

// execute carries out the driver's verbs of one cluster, one at a time.
func (a *agent) execute(ctx context.Context, c *cluster) {
	for {
		var act lease.Action
		select {
		case <-ctx.Done():
			return
		case act = <-c.work:
		}
		began := time.Now()
		started := c.tasks.starts(a, act)
		r := a.drive(ctx, c, act)
		started(r)
		if r.Took == 0 {
			r.Took = time.Since(began)
		}
		a.log.Info("acted", "cluster", c.ref.String(), "verb", string(act.Verb), "outcome", string(r.Outcome), "took", r.Took.Round(time.Millisecond).String(), "why", r.Why)
		a.finished(ctx, c, act, r)
	}
}

// drive has the driver carry one verb out. A restore takes as long as it takes, and ends early when the core says so; the host does a few at a time.
func (a *agent) drive(ctx context.Context, c *cluster, act lease.Action) events.Result {
	switch act.Verb {
	case lease.FenceOther:
		return a.external(ctx, c, act)
	case lease.Account, lease.RetryTasks:
		return a.account(ctx, c, act)
	}
	limit := act.Limit
	if limit <= 0 {
		limit = verbLimit
	}
	do := driver.Action{Step: act.Step, Verb: driver.Verb(act.Verb), Group: act.Group, Source: act.Source, Until: act.Until, Copy: act.Copy, Limit: limit, Sync: act.Sync, Anew: act.Anew, Tasks: act.Tasks}
	do.Drain = act.Verb == lease.Checkpoint && act.Rule == "step" // the core orders one by itself after each promotion, the controller one before each planned move
	if act.Verb == lease.Start {
		do.Permit = func(ctx context.Context) error { return a.permit(ctx, c) }
		defer a.withdraw(c)
	}
	if act.Verb != lease.Restore {
		short, cancel := context.WithTimeout(ctx, limit+time.Second)
		defer cancel()
		return c.driver.Do(short, do)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.cancel.Store(&cancel)
	defer c.cancel.Store(nil)
	select {
	case a.restoring <- struct{}{}:
		defer func() { <-a.restoring }()
	case <-ctx.Done():
		return events.Result{Outcome: events.Retry, Why: "not begun: " + ctx.Err().Error()}
	}
	do.Limit = 0
	return c.driver.Do(ctx, do)
}

// permit has the start gate let one start through (A9). It is asked anew right before the start, since what came before may have taken long.
func (a *agent) permit(ctx context.Context, c *cluster) error {
	until := make(chan events.Instant, 1)
	a.post(ctx, func(now events.Instant) lease.Effects {
		until <- a.core.Permitted(now, c.ref)
		return a.core.Tick(now)
	})
	select {
	case u := <-until:
		if u == 0 {
			return errors.New("the right to run is over: it may not start any more")
		}
		return guard.GivePermit(a.cfg.Permit(c.ref.Cluster), c.ref.String(), u)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// withdraw takes back a permit that no gate took.
func (a *agent) withdraw(c *cluster) {
	if _, err := guard.TakePermit(a.cfg.Permit(c.ref.Cluster), c.ref.String(), boottime.Now()); err != nil {
		a.log.Error("the permit of a start can't be taken back: it lasts until its right is over", "cluster", c.ref.String(), "err", err)
	}
}

// tend lets a driver keep ready what the clusters that may follow this one will need, such as slots.
func (a *agent) tend(ctx context.Context, c *cluster) {
	t, can := c.driver.(driver.Tender)
	if !can {
		return
	}
	a.everyReRead(ctx, func(short context.Context) {
		peers := c.peers.Load()
		if peers == nil {
			return
		}
		if err := t.Tend(short, *peers); err != nil && ctx.Err() == nil {
			a.log.Warn("tend", "cluster", c.ref.String(), "err", err)
		}
	})
}

// everyReRead does something every ReRead until ctx ends, and gives it as long each time.
func (a *agent) everyReRead(ctx context.Context, do func(short context.Context)) {
	tick := time.NewTicker(a.d.ReRead)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		short, cancel := context.WithTimeout(ctx, a.d.ReRead)
		do(short)
		cancel()
	}
}

// finished tells the core the end of an action, with what the server is found to be.
func (a *agent) finished(ctx context.Context, c *cluster, act lease.Action, r events.Result) {
	short, cancel := context.WithTimeout(ctx, probeLimit)
	h := c.driver.Probe(short)
	for act.Verb == lease.Stop && r.Outcome.OK() && !h.Server.Stopped() && short.Err() == nil {
		time.Sleep(5 * time.Millisecond) // its shutdown is on disk, and its last process on the way out: nothing to kill
		h = c.driver.Probe(short)
	}
	cancel()
	a.post(ctx, func(now events.Instant) lease.Effects {
		c.ended.Add(1)
		if raises(act.Verb) {
			c.rising = min(c.rising, now)
		}
		a.seen(now, c, h)
		a.core.Proved(c.ref, h.Stopped)
		return a.core.Finished(now, act, r, h.Server)
	})
}

// probe looks at a cluster every Probe, and at once when asked. What it found while an action ended is dropped and looked for again: it may be of before.
func (a *agent) probe(ctx context.Context, c *cluster) {
	tick := time.NewTicker(a.d.Probe)
	defer tick.Stop()
	for {
		short, cancel := context.WithTimeout(ctx, probeLimit)
		ended := c.ended.Load()
		h := c.driver.Probe(short)
		cancel()
		a.post(ctx, func(now events.Instant) lease.Effects {
			if c.ended.Load() != ended {
				a.probeNow(c.ref)
				return a.core.Tick(now)
			}
			a.seen(now, c, h)
			return a.core.Observed(now, h)
		})
		select {
		case <-ctx.Done():
			return
		case <-c.look:
		case <-tick.C:
		}
	}
}

func (a *agent) probeNow(r events.Ref) {
	if c := a.find(r); c != nil {
		select {
		case c.look <- struct{}{}:
		default:
		}
	}
}

// raises reports whether an order brings a cluster up to serve.
func raises(v lease.Verb) bool { return v == lease.Start || v == lease.Promote }

// down is for how long a cluster has not served although it is to, and nothing excuses it; 0 = nothing speaks against it. What is on its way up for the first time, and what waits for what it
// depends on until a moment ago, counts as down from now on.
func (c *cluster) down(now events.Instant, well, serves, waits bool) time.Duration {
	if serves {
		c.rising = 0
	}
	switch {
	case well:
		c.sick, c.starts = 0, 0
	case c.sick == 0, c.rising > now:
		c.sick = now
	case c.waited && !waits:
		c.sick, c.starts = now, 0 // what it waited for is there: from here on it is its own affair
	}
	c.waited = waits
	if c.sick == 0 {
		return 0
	}
	return max(now.Sub(c.sick), 1)
}

// seen keeps what a probe found, with how long an active that has the right has not served: what the controller judges a cluster by, never a port.
func (a *agent) seen(now events.Instant, c *cluster, h events.ClusterHealth) {
	well, serves := true, false
	for _, v := range a.core.Views(now) {
		if v.Cluster == c.ref {
			h.Managed, h.Seen, h.Role = v.Managed && !v.Let, v.Epoch, v.Role
			c.peers.Store(nil)
			if v.Tend != nil {
				c.peers.Store(&v.Tend)
			}
			serves = h.Server == events.ServerWritable && (h.CanaryOK || h.Sync != nil && h.Sync.Waiting > 0) // it writes, and waits for another server
			well = v.Role != events.RoleActive || v.Right <= now || serves || h.Server == events.ServerFrozen
			serves = serves || v.Role != events.RoleActive
		}
	}
	h.Down = c.down(now, well, serves, h.Waits != "")
	h.Restarts = c.starts
	c.last = h
}
