package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
)

// promote makes a running standby writable and returns once it acknowledged a write, before any checkpoint. The LSN is the fork point by the
// new timeline's history file: a position read beforehand would be too early (facts: lag read before promotion ended).
func (d *Driver) promote(ctx context.Context) events.Result {
	h := d.rested(ctx)
	already := h.Server == events.ServerWritable
	if !already {
		if r := must(h, events.ServerRecovery); r != nil {
			return *r
		}
		if why := d.broken(); why != "" { // and somebody started it around us
			return refused("%s", why)
		}
		if w, _ := d.waits(); len(w.names) > 0 { // of when it was active before: whoever it waited for then is nobody to it now
			if err := d.place(ctx, events.SyncOrder{}); err != nil {
				return unknown("promote: %v", err)
			}
		}
		if err := d.work.use(ctx, func(c *pgx.Conn) error { return promoteOver(ctx, c) }); err != nil {
			return unknown("promote: %v", err)
		}
		// The promotion deleted it. Without the fsync that settle makes good, so that the first write need not wait for a disk.
		if f, err := os.OpenFile(d.path(signalFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			err = errors.Join(f.Chown(int(d.owner.uid), int(d.owner.gid)), f.Close())
			if err != nil {
				d.log.Warn("re-place signal file", "err", err)
			}
		}
	}
	err := d.work.use(ctx, func(c *pgx.Conn) error {
		f, err := readFacts(ctx, c)
		if err != nil {
			return err
		}
		h.Timeline = f.timeline
		return d.canary(ctx, d.work, c)
	})
	if err != nil {
		return unknown("writable on timeline %d, but no write was acknowledged: %v", h.Timeline, err)
	}
	if err := d.settle(ctx, h.Timeline); err != nil {
		return unknown("serving on timeline %d, but a start around the gate would be writable: %v", h.Timeline, err)
	}
	r := done(already)
	r.Timeline = h.Timeline
	if r.LSN, err = d.forkPoint(h.Timeline); err != nil {
		r.Why = fmt.Sprintf("where it forked is not known: %v", err)
	}
	return r
}

// promoteOver uses pg_promote without its wait, which polls every 100 ms.
func promoteOver(ctx context.Context, c *pgx.Conn) error {
	var in, asked bool
	if err := c.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&in); err != nil || !in {
		return err
	}
	if err := c.QueryRow(ctx, "SELECT pg_promote(false)").Scan(&asked); err != nil {
		return err
	}
	if !asked {
		return errors.New("the server did not take the signal")
	}
	return poll(ctx, fast, func() (bool, error) {
		err := c.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&in)
		return !in, err
	})
}

// forkPoint is where a timeline left its parent: the last line of its history file. Timeline 1 has none.
func (d *Driver) forkPoint(timeline uint32) (events.LSN, error) {
	if timeline == 1 {
		return 0, nil
	}
	b, err := os.ReadFile(d.path(fmt.Sprintf("pg_wal/%08X.history", timeline)))
	if err != nil {
		return 0, err
	}
	var last []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && !strings.HasPrefix(f[0], "#") {
			last = f
		}
	}
	if last == nil {
		return 0, fmt.Errorf("history of timeline %d: no line with a parent", timeline)
	}
	return events.ParseLSN(last[1])
}
