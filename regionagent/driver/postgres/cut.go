package postgres

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
)

// cut ends the WAL receiver for good: no upstream, no archive, also after a restart. It answers once the receiver is gone and all that was
// received is replayed, with both positions; from then on the LSN stands. Up to `until` it first waits for what still arrives: what the receiver has
// not taken off its socket when it is told to end is lost (facts: a peer's planned switchovers).
func (d *Driver) cut(ctx context.Context, until events.LSN) events.Result {
	h := d.rested(ctx)
	if r := must(h, events.ServerRecovery); r != nil {
		return *r
	}
	if until > h.Replayed {
		if err := d.work.use(ctx, func(c *pgx.Conn) error { return arrive(ctx, c, until) }); err != nil {
			return unknown("nothing was cut: wait for %v: %v", until, err)
		}
	}
	u, there := d.upstream()
	already := there && u.cut
	if !there {
		u.source = h.Upstream
	}
	u.cut = true
	if _, err := d.setUpstream(u); err != nil {
		return unknown("cut: %v", err)
	}
	if err := d.render(); err != nil {
		return unknown("cut: %v", err)
	}
	if err := d.reload(ctx, upstreamSettings); err != nil {
		return unknown("cut: %v", err)
	}
	if r := d.effective(ctx, `SELECT name || ' = ' || setting || coalesce(' from ' || sourcefile, '') FROM pg_settings WHERE name IN ('primary_conninfo', 'restore_command') AND setting <> ''`); r != nil {
		return *r
	}
	r := done(already)
	if err := d.work.use(ctx, func(c *pgx.Conn) (err error) { r.LSN, r.Replayed, err = d.drain(ctx, c, h.Timeline); return err }); err != nil {
		return unknown("cut: the settings are in place, but it does not stand still yet: %v", err)
	}
	return r
}

const arriveQuery = `SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text, pg_last_wal_replay_lsn()::text,
 EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')`

// arrive waits until a position is replayed, for as long as its log still comes, and for three quarters of the time there is: the cut needs the rest.
// That it did not come is no error: the answer of the cut says where it stands.
func arrive(ctx context.Context, c *pgx.Conn, until events.LSN) error {
	wait := ctx
	if deadline, ok := ctx.Deadline(); ok {
		short, cancel := context.WithTimeout(ctx, time.Until(deadline)*3/4)
		defer cancel()
		wait = short
	}
	err := poll(wait, fast, func() (bool, error) {
		var rec, rep string
		var streams bool
		if err := c.QueryRow(ctx, arriveQuery).Scan(&rec, &rep, &streams); err != nil {
			return false, err
		}
		received, err := events.ParseLSN(rec)
		replayed, err2 := events.ParseLSN(rep)
		return replayed >= until || !streams && received < until, errors.Join(err, err2)
	})
	if wait.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// effective waits until no row is left of a query for settings that are not yet as our files have them. Some that stays after the reload has
// reached everybody is set where it wins over us.
func (d *Driver) effective(ctx context.Context, query string, args ...any) *events.Result {
	const reach = 3 * time.Second
	wait, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	var wins string
	err := poll(wait, fast, func() (bool, error) {
		err := d.work.use(ctx, func(c *pgx.Conn) error {
			rows, err := c.Query(ctx, query, args...)
			if err != nil {
				return err
			}
			all, err := pgx.CollectRows(rows, pgx.RowTo[string])
			wins = fmt.Sprint(all)
			if len(all) == 0 {
				wins = ""
			}
			return err
		})
		return wins == "", err
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && wins != "":
		r := refused("a setting wins over ours: %s; take it out of there (ALTER SYSTEM RESET, command line)", wins)
		return &r
	}
	r := unknown("settings: %v", err)
	return &r
}

// drainQuery looks at the startup process: only in this wait has it tried everything, found no receiver, and come away with nothing.
const drainQuery = `SELECT coalesce((SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'), 0),
 coalesce((SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'), 0),
 coalesce((SELECT wait_event = 'RecoveryRetrieveRetryInterval' FROM pg_stat_activity WHERE backend_type = 'startup'), false),
 greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text, pg_last_wal_replay_lsn()::text`

// drain waits until the receiver is gone for good and replay has come to the end of what was received.
//
// The postmaster tells its children of a reload one after the other, so a startup process that has not heard yet may still start a receiver with
// the old settings: it is told here, before the first look that counts. The end of what was received may lie inside a record whose rest never
// came; then replay stays below it, and what says that it is done is that no whole record follows.
func (d *Driver) drain(ctx context.Context, c *pgx.Conn, timeline uint32) (received, replayed events.LSN, err error) {
	var signalled time.Time
	told := 0
	err = poll(ctx, fast, func() (bool, error) {
		var receiver, startup int
		var idle bool
		var rec, rep string
		if err := c.QueryRow(ctx, drainQuery).Scan(&receiver, &startup, &idle, &rec, &rep); err != nil {
			return false, err
		}
		var err, err2 error
		received, err = events.ParseLSN(rec)
		if replayed, err2 = events.ParseLSN(rep); err != nil || err2 != nil {
			return false, fmt.Errorf("positions %q, %q", rec, rep)
		}
		switch {
		case startup == 0:
			return false, nil
		case startup != told:
			told = startup
			return false, d.signal(startup, syscall.SIGHUP)
		case receiver != 0: // a startup process that is busy asks it to end only when it next runs out of log: see to it now
			if time.Since(signalled) > 50*time.Millisecond {
				signalled = time.Now()
				_ = d.signal(receiver, syscall.SIGTERM) // gone already is what we want, and the next poll looks
			}
			return false, nil
		case !idle:
			return false, nil
		case replayed == received:
			return true, nil
		}
		return !d.recordAt(ctx, timeline, replayed), nil
	})
	return received, replayed, err
}

// at is a source as it is to be followed: by our slot if it has one for us.
func (d *Driver) at(ctx context.Context, source string) upstream {
	slot, ok := d.slotAt(ctx, source)
	if old, _ := d.upstream(); !ok && old.source == source {
		slot = old.slot
	}
	return upstream{source: source, slot: slot}
}

// follow undoes a cut, or follows another source; an empty source is the one it had. Whether it streams is for the probe to say.
func (d *Driver) follow(ctx context.Context, source string) events.Result {
	h := d.rested(ctx)
	if r := must(h, events.ServerRecovery); r != nil {
		return *r
	}
	u, _ := d.upstream()
	if source != "" {
		if err := checkHostPort(source); err != nil {
			return refused("source %q: want host:port (%v)", source, err)
		}
		u.source = source
	}
	if u.source == "" {
		return refused("no source given, and none is known that it followed before")
	}
	u = d.at(ctx, u.source)
	already := true
	if old, there := d.upstream(); !there || old != u {
		already = false
		if err := d.pointAt(u); err != nil {
			return unknown("follow: %v", err)
		}
	}
	if err := d.render(); err != nil {
		return unknown("follow: %v", err)
	}
	if err := d.reload(ctx, upstreamSettings); err != nil {
		return unknown("follow: %v", err)
	}
	if r := d.effective(ctx, `SELECT name || ' = ' || setting FROM pg_settings WHERE name = 'primary_conninfo' AND setting <> $1 OR name = 'primary_slot_name' AND setting <> $2`,
		d.conninfo(u.source), d.slotName(u)); r != nil {
		return *r
	}
	return done(already)
}
