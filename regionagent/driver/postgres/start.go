package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
)

// start is the gate, the only way to come up writable (I8): the signal file is away just while the server starts.
func (d *Driver) start(ctx context.Context, permit func(context.Context) error) events.Result {
	h := d.rested(ctx)
	already := h.Server == events.ServerWritable
	if !already {
		if why := d.notOurs(ctx); why != "" {
			return refused("%s", why)
		}
		if h.Server == events.ServerRecovery { // an active that came up around the gate
			if r := d.stop(ctx); !r.Outcome.OK() {
				return result(r.Outcome, "stop a server found in recovery: %s", r.Why)
			}
			h = d.rested(ctx)
		}
		if r := must(h, events.ServerDown); r != nil {
			return *r
		}
		if r := d.open(ctx, permit); r != nil {
			return *r
		}
		h = d.now(ctx)
	}
	if h.Server != events.ServerWritable {
		return unknown("started, then found %s: %s", h.Server, h.Error)
	}
	if err := d.settle(ctx, h.Timeline); err != nil {
		return unknown("the server is writable, but a start around the gate would be too: %v", err)
	}
	r := done(already)
	r.Timeline = h.Timeline
	return r
}

// notOurs says why the gate may not open this data directory; empty = it may. Removing the signal file from a standby's data would fork the
// active's own timeline without a trace, so data last run as a standby must carry our word that this cluster wrote it and followed nobody since.
func (d *Driver) notOurs(ctx context.Context) string {
	if why := d.broken(); why != "" {
		return why
	}
	if _, err := os.Stat(d.path("backup_label")); err == nil {
		return "the data is a base backup that never ran: somebody else's log"
	}
	c, err := d.control(ctx)
	if err != nil {
		return fmt.Sprintf("the control file can't be read: %v", err)
	}
	if !c.standby() {
		return ""
	}
	w, err := d.readOwn(writerFile)
	switch {
	case err != nil || w.Cluster != d.cfg.Cluster.String():
		return fmt.Sprintf("control file: %q on timeline %d, which this cluster did not write: promote it or start it as a standby", c.state, c.tip())
	case c.tip() > w.Timeline:
		return fmt.Sprintf("control file: %q on timeline %d, this cluster last wrote timeline %d", c.state, c.tip(), w.Timeline)
	}
	return ""
}

// open asks once more whether it may, removes the signal files, starts the server and waits until it is writable. If it does not come to that, the signal is put back.
func (d *Driver) open(ctx context.Context, permit func(context.Context) error) *events.Result {
	err := errors.Join(d.render(), d.dropAlterSystem(append(append(neutralSettings, upstreamSettings...), d.orderSettings()...)))
	if err == nil {
		_, err = d.setUpstream(upstream{})
	}
	if err == nil && permit != nil {
		err = permit(ctx)
	}
	for _, name := range []string{signalFile, "recovery.signal"} {
		if err == nil {
			_, err = remove(d.path(name))
		}
	}
	if err == nil {
		err = d.launch(ctx, false)
	}
	if err == nil {
		return nil
	}
	r := result(events.Retry, "%v", err)
	if all, look := processes(d.cfg.Data); look != nil || len(all) > 0 {
		r = unknown("%v; %d processes of it run", err, len(all))
	}
	if back := d.placeSignal(); back != nil {
		r = unknown("%s; the signal file is not back: %v", r.Why, back)
	}
	return &r
}

// startStandby starts it read-only, following source if given, else whom it followed before.
func (d *Driver) startStandby(ctx context.Context, source string) events.Result {
	if source != "" {
		if err := checkHostPort(source); err != nil {
			return refused("source %q: want host:port (%v)", source, err)
		}
	}
	h := d.rested(ctx)
	if h.Server == events.ServerRecovery {
		if source != "" {
			return d.follow(ctx, source)
		}
		return done(true)
	}
	if r := must(h, events.ServerDown); r != nil {
		return *r
	}
	if why := d.broken(); why != "" {
		return refused("%s", why)
	}
	drop := append(neutralSettings, d.orderSettings()...)
	if _, there := d.upstream(); there || source != "" {
		drop = append(drop, upstreamSettings...)
	}
	err := errors.Join(d.placeSignal(), d.render(), d.dropAlterSystem(drop))
	if err == nil {
		_, err = remove(d.path("recovery.signal"))
	}
	if err == nil && source != "" {
		err = d.pointAt(d.at(ctx, source))
	}
	if err == nil {
		err = d.launch(ctx, true)
	}
	if err != nil {
		return result(events.Retry, "%v", err)
	}
	return done(false)
}

// pointAt writes whom to follow. What it will hold then is somebody else's log, so our word that it is its own goes first.
func (d *Driver) pointAt(u upstream) error {
	if _, err := remove(d.path(writerFile)); err != nil {
		return err
	}
	if err := d.waitForNobody(); err != nil {
		return err
	}
	_, err := d.setUpstream(u)
	return err
}

func (d *Driver) placeSignal() error {
	return d.write(d.path(signalFile), "")
}

// settle makes a writable server safe against every start around the gate (I8). A promotion has just deleted the signal file.
func (d *Driver) settle(ctx context.Context, timeline uint32) error {
	if err := d.seal(timeline); err != nil {
		return err
	}
	return d.reload(ctx, append(neutralSettings, upstreamSettings...))
}

// seal is the files' part of it: signal file, our word on whose log it is, nobody to follow, restart_after_crash off.
func (d *Driver) seal(timeline uint32) error {
	if err := d.placeSignal(); err != nil {
		return err
	}
	if _, err := d.writeOwn(writerFile, own{Timeline: timeline}); err != nil {
		return err
	}
	if err := d.render(); err != nil {
		return err
	}
	_, err := d.setUpstream(upstream{})
	return err
}

// reload makes a running server read our files, once nothing of ALTER SYSTEM wins over them.
func (d *Driver) reload(ctx context.Context, settings []string) error {
	return d.work.use(ctx, func(c *pgx.Conn) error {
		if err := resetAlterSystem(ctx, c, settings); err != nil {
			return err
		}
		if _, err := c.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		return nil
	})
}
