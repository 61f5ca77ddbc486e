package postgres

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/switchback-dr/switchback/events"
)

// stop ends the server cleanly. The signal file goes first; then one SIGINT refuses new clients, ends the sessions and lets the replication
// links drain, in that order and without a gap (smart stop would let sessions go on committing). It is over when the control file says so and
// nobody is left who could write: archiver and walsenders may stay for long after (facts: slow archive_command).
func (d *Driver) stop(ctx context.Context) events.Result {
	var err error
	switch h := d.now(ctx); h.Server {
	case events.ServerFrozen:
		return *must(h, events.ServerRecovery)
	case events.ServerWritable:
		err = d.seal(h.Timeline)
	default:
		err = d.placeSignal()
	}
	if err != nil {
		return unknown("nothing was stopped: %v", err)
	}
	pm, running := postmaster(d.cfg.Data)
	if !running {
		if err := d.gone(ctx); err != nil {
			return unknown("no postmaster: %v", err)
		}
		return d.stopped(context.WithoutCancel(ctx), true)
	}
	if ctx.Err() != nil {
		return result(events.Retry, "nothing was begun: %v", ctx.Err())
	}
	f, _ := readPIDFile(d.cfg.Data) // gone meanwhile: then it was stopping, or our signal says so
	if err := d.signal(pm.pid, syscall.SIGINT); err != nil {
		return unknown("stop: %v", err)
	}
	left := ""
	err = poll(ctx, fast, func() (bool, error) {
		if p, ok := postmaster(d.cfg.Data); ok && p.pid != pm.pid {
			return false, fmt.Errorf("it was started again by somebody else, as pid %d", p.pid)
		}
		var err error
		left, err = writers(d.cfg.Data)
		return left == "", err
	})
	if err != nil {
		c, _ := d.control(context.WithoutCancel(ctx))
		return unknown("stop: %v; control file: %q; still there: %s", err, c.state, left)
	}
	return d.stopped(context.WithoutCancel(ctx), f.status == "stopping")
}

// stopped reads the end of the log off a server that has stopped writing.
func (d *Driver) stopped(ctx context.Context, already bool) events.Result {
	ctx, cancel := context.WithTimeout(ctx, ProbeLimit)
	defer cancel()
	c, err := d.control(ctx)
	switch {
	case err != nil:
		return unknown("no process writes, but the control file can't be read: %v", err)
	case !c.clean():
		return refused("it is down, but was not stopped cleanly (control file: %q): nobody can say where its log ends", c.state)
	}
	r := done(already)
	r.Timeline = c.tip()
	if c.state == shutDownInRecovery {
		r.LSN = c.minRecovery // a standby writes no checkpoint; what it holds ends here or later
		if r.LSN == 0 {
			r.LSN = c.checkpoint
		}
		return r
	}
	if r.LSN, err = d.shutdownEnd(ctx, c); err != nil {
		return unknown("it was stopped cleanly, its shutdown checkpoint begins at %v, but its end is not known: %v", c.checkpoint, err)
	}
	r.Why = fmt.Sprintf("shutdown checkpoint from %v to %v", c.checkpoint, r.LSN)
	return r
}

// gone waits until no process of it is left: a postmaster removes its pid file a moment before it ends.
func (d *Driver) gone(ctx context.Context) error {
	n := 0
	err := poll(ctx, fast, func() (bool, error) {
		all, err := processes(d.cfg.Data)
		n = len(all)
		return n == 0, err
	})
	if err != nil {
		return fmt.Errorf("%d processes of it are left: %w", n, err)
	}
	return nil
}

// writers names the processes that could still write to the log or the control file; empty = none is left. Title by title: whoever just forked
// still has the postmaster's and so counts.
func writers(data string) (string, error) {
	pm, _ := postmaster(data)
	all, err := processes(data)
	if err != nil {
		return "", err
	}
	var left []string
	for _, p := range all {
		if p.pid == pm.pid {
			continue
		}
		harmless := false
		for _, title := range []string{"archiver", "walsender", "logger"} {
			harmless = harmless || strings.HasPrefix(p.title, "postgres: ") && strings.Contains(p.title, title)
		}
		if !harmless {
			left = append(left, fmt.Sprintf("%s (pid %d)", p.title, p.pid))
		}
	}
	return strings.Join(left, ", "), nil
}

// signal sends to a process of this server and to nobody else: os.FindProcess holds the process (pidfd), then it is looked at, then signalled.
func (d *Driver) signal(pid int, sig syscall.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("signal %d: %w", pid, err)
	}
	defer p.Release()
	dir, err := os.Stat(d.cfg.Data)
	if err != nil {
		return fmt.Errorf("signal %d: %w", pid, err)
	}
	if _, ok := ours(dir, pid); !ok {
		return fmt.Errorf("signal %d: it is no process of this server any more", pid)
	}
	if err := p.Signal(sig); err != nil {
		return fmt.Errorf("signal %d: %w", pid, err)
	}
	return nil
}
