package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
)

// The polls: fast where somebody waits for an acknowledgement (pg_ctl's and pg_promote's own waits cost 100 ms each), slow while a server starts.
const (
	fast = 2 * time.Millisecond
	slow = 10 * time.Millisecond
)

// appear is how long a start command may take to bring forth a process: a busy host forks late.
const appear = 3 * time.Second

// start is the gate, the only way to come up writable (I8): the signal file is away just while the server starts.
func (d *Driver) start(ctx context.Context) events.Result {
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
		if r := d.open(ctx); r != nil {
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

// open removes the signal files, starts the server and waits until it is writable. If it does not come to that, the signal is put back.
func (d *Driver) open(ctx context.Context) *events.Result {
	err := errors.Join(d.render(), d.dropAlterSystem(append(neutralSettings, upstreamSettings...)))
	if err == nil {
		_, err = d.setUpstream(upstream{})
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
	drop := neutralSettings
	if _, there := d.upstream(); there || source != "" {
		drop = append(drop, upstreamSettings...)
	}
	err := errors.Join(d.placeSignal(), d.render(), d.dropAlterSystem(drop))
	if err == nil {
		_, err = remove(d.path("recovery.signal"))
	}
	if err == nil && source != "" {
		err = d.pointAt(upstream{source: source})
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
	_, err := d.setUpstream(u)
	return err
}

// launch starts the server in its own unit, or by pg_ctl, whose child it does not stay; then it waits for the protocol to say what it is.
func (d *Driver) launch(ctx context.Context, recovery bool) error {
	if err := d.forgetStalePID(ctx); err != nil {
		return err
	}
	began, logged := time.Now(), fileSize(d.path(logFile))
	ordered := make(chan error, 1)
	go func() { ordered <- d.command(ctx) }() // pg_ctlcluster answers seconds after the server does
	var last error
	seen := false
	err := poll(ctx, slow, func() (bool, error) {
		select {
		case err := <-ordered:
			if err != nil {
				return false, err
			}
		default:
		}
		var in bool
		last = d.work.use(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&in) })
		if last == nil {
			if in == recovery {
				return true, nil
			}
			return false, fmt.Errorf("start: it came up with recovery %v, want %v", in, recovery)
		}
		all, err := processes(d.cfg.Data)
		seen = seen || len(all) > 0
		if err == nil && len(all) == 0 && (seen || time.Since(began) > appear) {
			return false, fmt.Errorf("start: no process of it is left: %s", d.logTail(logged))
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("start: no answer in time: %w", last)
	}
	return err
}

// command is whatever runs this server here.
func (d *Driver) command(ctx context.Context) error {
	if d.cfg.Unit != "" {
		if _, err := os.Stat("/run/systemd/system"); err == nil {
			_, err := d.run(ctx, false, "systemctl", "start", "--no-block", "--", d.cfg.Unit)
			return err
		}
		if m := debianUnit.FindStringSubmatch(d.cfg.Unit); m != nil {
			_, err := d.run(ctx, false, "pg_ctlcluster", "--skip-systemctl-redirect", m[1], m[2], "start")
			return err
		}
		return fmt.Errorf("start: unit %q needs systemd, which does not run here", d.cfg.Unit)
	}
	_, err := d.tool(ctx, "pg_ctl", "start", "--no-wait", "-D", d.cfg.Data, "-l", d.path(logFile))
	return err
}

// forgetStalePID removes the lock files of a server that is proved gone: postmaster.pid, and the socket's if it names this data directory.
// PostgreSQL itself refuses to start over one whose pid lives again as any process of the same user, for instance another cluster's (facts:
// pid reuse), or is a zombie nobody waited for.
func (d *Driver) forgetStalePID(ctx context.Context) error {
	all, err := processes(d.cfg.Data)
	if err == nil && len(all) > 0 {
		err = fmt.Errorf("%d processes of it run", len(all))
	}
	if err == nil {
		_, err = remove(d.path("postmaster.pid"))
	}
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	p, err := d.where(ctx)
	if err != nil || p.socket == "" {
		return err
	}
	lock := p.unix() + ".lock"
	if b, err := os.ReadFile(lock); err == nil {
		if lines := strings.SplitN(string(b), "\n", 3); len(lines) == 3 && lines[1] == d.cfg.Data {
			_, err = remove(lock)
			return err
		}
	}
	return nil
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

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// logTail is the end of what the server printed since an offset, for whoever asks why it did not start.
func (d *Driver) logTail(from int64) string {
	b, err := os.ReadFile(d.path(logFile))
	if err != nil || int64(len(b)) <= from {
		return "its log has the reason"
	}
	b = bytes.TrimSpace(b[from:])
	if len(b) > 400 {
		b = b[len(b)-400:]
	}
	return string(b)
}
