package exec

import (
	"context"
	"errors"
	"fmt"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// call is one action under way: what was found before it, and what the driver remembered.
type call struct {
	*Driver
	a   driver.Action
	was events.ClusterHealth
	own own
}

// keep changes what the driver remembers; on disk when it returns.
func (c *call) keep(change func(*own)) error {
	next := c.own
	change(&next)
	if next == c.own {
		return nil
	}
	if err := c.write(ownFile, next); err != nil {
		return err
	}
	c.own = next
	return nil
}

// proved waits until a probe finds what a command said to be true. Until then nobody knows.
func (c *call) proved(ctx context.Context, r events.Result, want string, is func(events.ClusterHealth) bool) events.Result {
	for r.Outcome.OK() {
		h := c.look(ctx)
		if is(h) {
			return r
		}
		if err := pause(ctx); err != nil {
			return unknown("%s said %s, but it was not found to be %s: it is %s (%s)", c.a.Verb, r.Outcome, want, h.Server, h.Error)
		}
	}
	return r
}

func serves(h events.ClusterHealth) bool { return h.Server == events.ServerWritable && h.CanaryOK }

func standsBy(h events.ClusterHealth) bool { return h.Server == events.ServerRecovery }

// start makes it active on its own data. The standby file is away just while it is started (I8).
func (c *call) start(ctx context.Context) events.Result {
	already := c.was.Server == events.ServerWritable && c.was.Lacks == "" // a part that is missing is begun as the whole is
	if c.was.Server != events.ServerWritable && !c.own.Wrote {
		return refused("its data was last written by somebody else: promote it, or start it as a standby")
	}
	if already {
		if err := errors.Join(c.placeStandby(), c.keep(func(o *own) { o.Wrote, o.Clean, o.Cut, o.Source = true, false, false, "" })); err != nil {
			return unknown("it is active, but a start beside the driver would be too: %v", err)
		}
		return events.Result{Outcome: events.AlreadyDone}
	}
	if c.a.Permit != nil {
		if err := c.a.Permit(ctx); err != nil {
			return result(events.Retry, "%v", err)
		}
	}
	return c.activate(ctx, driver.Start)
}

// promote makes a standby active.
func (c *call) promote(ctx context.Context) events.Result {
	switch c.was.Server {
	case events.ServerWritable:
		if err := errors.Join(c.placeStandby(), c.keep(func(o *own) { o.Wrote, o.Clean, o.Cut, o.Source = true, false, false, "" })); err != nil {
			return unknown("%v", err)
		}
		return events.Result{Outcome: events.AlreadyDone}
	case events.ServerRecovery:
		return c.activate(ctx, driver.Promote)
	}
	return refused("it is %s: only one that stands by is promoted", c.was.Server)
}

// activate runs a command that makes it active. That its data is its own is written down before: a crash in between must not leave an active that may never start again.
func (c *call) activate(ctx context.Context, verb driver.Verb) events.Result {
	before := c.own
	if err := c.keep(func(o *own) { o.Wrote, o.Clean, o.Cut, o.Source, o.Released = true, false, false, "", false }); err != nil {
		return result(events.Retry, "nothing was begun: %v", err)
	}
	if _, err := c.remove(standbyFile); err != nil {
		return result(events.Retry, "nothing was begun: %v", err)
	}
	r := c.proved(ctx, c.command(ctx, verb), "active and serving", serves)
	if err := c.placeStandby(); err != nil {
		return unknown("%s %s, but a start beside the driver would be active too: %v", verb, r.Outcome, err)
	}
	if r.Outcome == events.Refused { // nothing was done
		if err := c.keep(func(o *own) { *o = before }); err != nil {
			return unknown("%s; %v", r.Why, err)
		}
	}
	return r
}

// startStandby makes it stand by, for another source if one is given.
func (c *call) startStandby(ctx context.Context) events.Result {
	if c.was.Server == events.ServerWritable {
		return refused("it is active: stop it first")
	}
	moves := c.a.Source != "" && (c.a.Source != c.own.Source || c.own.Cut || c.own.Wrote)
	if c.was.Server == events.ServerRecovery && !moves {
		if err := c.placeStandby(); err != nil {
			return unknown("%v", err)
		}
		return events.Result{Outcome: events.AlreadyDone}
	}
	return c.standBy(ctx, driver.StartStandby, moves)
}

// standBy runs a command that makes it stand by. Told to follow somebody, what it holds is its own no more: that is written down before.
func (c *call) standBy(ctx context.Context, verb driver.Verb, moves bool) events.Result {
	err := c.placeStandby()
	if err == nil {
		err = c.keep(func(o *own) {
			o.Clean = false
			if moves {
				o.Wrote = false
			}
		})
	}
	if err != nil {
		return result(events.Retry, "nothing was begun: %v", err)
	}
	r := c.proved(ctx, c.command(ctx, verb), "standing by", standsBy)
	if !r.Outcome.OK() {
		return r
	}
	if err := c.keep(func(o *own) {
		if moves {
			o.Source, o.Cut = c.a.Source, false
		}
	}); err != nil {
		return unknown("it stands by, but that is not written down: %v", err)
	}
	r.Outcome = events.Done // it did not, before
	return r
}

// stop ends every process of it, cleanly: with everything written that was acknowledged.
func (c *call) stop(ctx context.Context) events.Result {
	gone := func(h events.ClusterHealth) bool {
		p, err := freezer.Find(c.Tree())
		return h.Server.Stopped() && err == nil && len(p.All) == 0
	}
	if gone(c.was) {
		if c.own.Wrote && !c.own.Clean {
			return refused("nothing of it runs, but it was not stopped cleanly")
		}
		return events.Result{Outcome: events.AlreadyDone}
	}
	err := c.placeStandby()
	if err == nil && c.was.Server == events.ServerWritable { // also where nobody but a person started it
		err = c.keep(func(o *own) { o.Wrote = true })
	}
	if err != nil {
		return result(events.Retry, "nothing was begun: %v", err)
	}
	r := c.proved(ctx, c.command(ctx, driver.Stop), "gone", gone)
	if !r.Outcome.OK() {
		return r
	}
	if err := c.keep(func(o *own) { o.Clean = true }); err != nil {
		return unknown("it is stopped, but that it was cleanly is not written down: %v", err)
	}
	r.Outcome = events.Done
	if r.Why == "" {
		r.Why = "stopped cleanly"
	}
	return r
}

// cut has a standby take nothing more. Its command may refuse: then it lacks something, and a planned move is given up.
func (c *call) cut(ctx context.Context) events.Result {
	if c.was.Server != events.ServerRecovery {
		return refused("it is %s: only one that stands by is cut", c.was.Server)
	}
	if c.own.Cut {
		return events.Result{Outcome: events.AlreadyDone}
	}
	r := c.optional(ctx, driver.Cut)
	if r.Outcome.OK() {
		if err := c.keep(func(o *own) { o.Cut = true }); err != nil {
			return unknown("%v", err)
		}
		r.Outcome = events.Done
	}
	return r
}

// has reports whether it has a verb that need not be there.
func (c *call) has(verb driver.Verb) bool {
	if b := c.cfg.Body; b != nil {
		return b.Has(verb)
	}
	return len(c.cfg.Commands[string(verb)]) > 0
}

// optional runs a command that need not be there.
func (c *call) optional(ctx context.Context, verb driver.Verb) events.Result {
	if !c.has(verb) {
		return events.Result{Outcome: events.Done}
	}
	return c.command(ctx, verb)
}

// follow undoes a cut, or follows another source.
func (c *call) follow(ctx context.Context) events.Result {
	if c.was.Server != events.ServerRecovery {
		return refused("it is %s: only one that stands by follows", c.was.Server)
	}
	if !c.own.Cut && !c.own.Wrote && (c.a.Source == "" || c.a.Source == c.own.Source) {
		return events.Result{Outcome: events.AlreadyDone}
	}
	if c.a.Source == "" {
		c.a.Source = c.own.Source
	}
	verb := driver.Follow
	if !c.has(verb) {
		verb = driver.StartStandby
	}
	return c.standBy(ctx, verb, true)
}

// restore makes it stand by for the source, whatever state its data is in. While that is under way its data is nobody's.
func (c *call) restore(ctx context.Context) events.Result {
	if c.was.Server == events.ServerWritable {
		return refused("it is active: a restore begins with one that is fenced")
	}
	home := standsBy(c.was) && c.was.Streaming && !c.own.Wrote && !c.own.Broken && c.a.Source == c.own.Source
	if home && (!c.a.Copy || c.own.Restored == c.a.Step) {
		return events.Result{Outcome: events.AlreadyDone}
	}
	verb := driver.Restore
	if !c.has(verb) {
		if verb = driver.StartStandby; c.a.Copy {
			return refused("it has no command restore: nothing can be copied anew")
		}
	}
	before := c.own
	err := c.placeStandby()
	if err == nil {
		err = c.keep(func(o *own) { o.Broken, o.Wrote, o.Clean = true, false, false })
	}
	if err != nil {
		return result(events.Retry, "nothing was begun: %v", err)
	}
	r := c.command(ctx, verb)
	if r.Outcome == events.Refused { // nothing was done
		if err := c.keep(func(o *own) { *o = before }); err != nil {
			return unknown("%s; %v", r.Why, err)
		}
		return r
	}
	if r.Outcome.OK() {
		if err := c.keep(func(o *own) {
			o.Broken, o.Cut, o.Source = false, false, c.a.Source
			if c.a.Copy {
				o.Restored = c.a.Step
			}
		}); err != nil {
			return unknown("it is restored, but that is not written down: %v", err)
		}
		r.Outcome = events.Done
	}
	return c.proved(ctx, r, "standing by, ready to take over", func(h events.ClusterHealth) bool { return standsBy(h) && h.Streaming })
}

// release leaves it in its role, without anything that only makes sense with us.
func (c *call) release(ctx context.Context) events.Result {
	switch {
	case c.was.Server == events.ServerDown:
		return refused("it is down: only one that runs, or stands by, is released")
	case c.own.Released && c.was.Mark == "":
		return events.Result{Outcome: events.AlreadyDone}
	case c.own.Cut:
		return refused("it is cut: it would follow nobody")
	}
	r := c.optional(ctx, driver.Release)
	if !r.Outcome.OK() {
		return r
	}
	_, err := c.remove(markFile)
	if err == nil && c.was.Server == events.ServerWritable {
		_, err = c.remove(standbyFile)
	}
	if err == nil {
		err = c.keep(func(o *own) { o.Released = true })
	}
	if err != nil {
		return unknown("release: %v", fmt.Errorf("it is let go, but not all of ours is out of it: %w", err))
	}
	r.Outcome = events.Done
	return r
}
