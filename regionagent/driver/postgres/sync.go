package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// A setting proves nothing: commits wait because of a flag that the checkpointer sets when it gets round to reading it, and are released by the processes of the
// links, each by the setting that it has read. So what is said of a server is what was seen of it, one step after the other:
//
//	every link's process goes by the setting before ─▶ the new one is written ─▶ every link's process goes by the new one ─▶ a commit of ours waits
//
// From the last on every commit waits for every name: the flag is up, nobody puts it down but the checkpointer on an empty setting, and nobody is released by
// an older setting. What was acknowledged until then was on disk here before the position that is answered.

// syncReads is how long the server's processes may take to read a setting before the try is given up.
const syncReads = time.Second

// errHeld is a process of the server that has not read its settings yet.
var errHeld = errors.New("it has not read its settings yet")

// sync carries an order out. Whatever keeps it from being seen to hold is retry, as the order stays; refused is one thing alone: somebody changed the setting
// of the order before, so that nobody knows what was acknowledged meanwhile.
func (d *Driver) sync(ctx context.Context, a driver.Action) events.Result {
	if a.Sync == nil {
		return result(events.Retry, "no order was given")
	}
	if r := must(d.rested(ctx), events.ServerWritable); r != nil {
		r.Outcome = events.Retry
		return *r
	}
	before, there := d.waits()
	if a.Anew { // what went by what somebody else put there goes by nothing first, so that whatever it shows next is ours
		if err := d.place(ctx, events.SyncOrder{}); err != nil {
			return result(events.Retry, "%v", err)
		}
		before, there = d.waits()
	}
	if before.version != 0 {
		if foreign := d.foreign(ctx, before); foreign != "" {
			return refused("somebody changed what was in place: %s", foreign)
		}
	}
	r := events.Result{Outcome: events.Done}
	var err error
	switch same := there && before.version == a.Sync.Version && slices.Equal(before.names, a.Sync.Names); {
	case len(a.Sync.Names) == 0:
		r = done(same)
		err = d.place(ctx, *a.Sync)
	case same:
		r.LSN, err = d.seen(ctx, before)
	default:
		if err = d.settled(ctx, before, there, a.Sync.Names); err == nil {
			err = d.place(ctx, *a.Sync)
		}
		if err == nil {
			w, _ := d.waits()
			r.LSN, err = d.seen(ctx, w)
		}
	}
	if err != nil {
		d.notSeen.Store(new(err.Error()))
		return result(events.Retry, "%v", err)
	}
	d.notSeen.Store(nil)
	return r
}

// place writes an order and has the server read it. What it answers is of this session; the server's other processes read it when they get round to it.
func (d *Driver) place(ctx context.Context, o events.SyncOrder) error {
	w, err := d.setWaits(o)
	if err != nil {
		return err
	}
	if err := d.render(); err != nil {
		return err
	}
	if err := d.reload(ctx, syncSettings); err != nil {
		return err
	}
	if r := d.effective(ctx, `SELECT name || ' = ' || setting || coalesce(' from ' || sourcefile, '') FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting <> $1`, w.setting()); r != nil {
		return errors.New(r.Why)
	}
	return nil
}

// settled waits until nothing of the server goes by anything older than what lies there now, so that whatever it shows next is of the new order. Whoever is to be
// waited for has to be there under its name: else every commit would wait for nobody.
func (d *Driver) settled(ctx context.Context, before waits, there bool, names []string) error {
	if err := d.able(ctx); err != nil {
		return err
	}
	if !there { // the site's own setting, if any, goes first
		if err := d.place(ctx, events.SyncOrder{}); err != nil {
			return err
		}
	}
	for _, n := range names {
		if slices.Contains(before.names, n) {
			continue
		}
		links, err := d.links(ctx)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(links, func(l syncLink) bool { return l.name == n && l.streams }); i < 0 {
			return fmt.Errorf("nobody streams under the name %q: want application_name=%s in its primary_conninfo, and nothing else in replication.options", n, n)
		}
	}
	if err := d.readBy(ctx, before); err != nil {
		return fmt.Errorf("the setting before: %w", err)
	}
	if len(before.names) > 0 {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, syncReads) // nobody could end its wait: that it ends says that the flag is down
	defer cancel()
	if err := d.awaiting.use(short, func(c *pgx.Conn) error { return d.canary(short, d.awaiting, c) }); err != nil {
		return fmt.Errorf("the setting before: the checkpointer goes by an older one: %w", errors.Join(errHeld, err))
	}
	return nil
}

// seen waits until an order that lies there is seen to hold, and answers the position below which everything lies that was acknowledged without it.
func (d *Driver) seen(ctx context.Context, w waits) (events.LSN, error) {
	if err := d.readBy(ctx, w); err != nil {
		return 0, err
	}
	for {
		at, waited, err := d.waitOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return 0, fmt.Errorf("no commit was seen to wait: %w", errors.Join(ctx.Err(), err))
		case err != nil || waited:
			return at, err
		}
	}
}

// waitOnce has a canary written and watches it. It is done as soon as that is seen to wait; one whose wait was over before anybody looked proves nothing.
func (d *Driver) waitOnce(ctx context.Context) (at events.LSN, waited bool, err error) {
	p := d.pending(ctx)
	if p == nil {
		return 0, false, fmt.Errorf("a canary can't be written: %w", ctx.Err())
	}
	for {
		if at, waited, err = d.watchWait(ctx, p); err != nil || waited {
			return at, waited, err
		}
		select {
		case <-p.done:
			return 0, false, p.err
		case <-ctx.Done():
			return 0, false, ctx.Err()
		default:
		}
	}
}

const watchQuery = `SELECT coalesce(wait_event, '') = 'SyncRep', pg_current_wal_flush_lsn()::text FROM pg_stat_activity WHERE pid = $1`

// watchWait looks at a pending canary. Its commit is on disk here before it waits, and so lies below the position read after it was seen to.
func (d *Driver) watchWait(ctx context.Context, p *pending) (at events.LSN, waits bool, err error) {
	pid := p.pid.Load()
	if pid == 0 {
		return 0, false, nil // not connected yet
	}
	err = d.work.use(ctx, func(c *pgx.Conn) error {
		var flushed string
		err := c.QueryRow(ctx, watchQuery, pid).Scan(&waits, &flushed)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			at, err = events.ParseLSN(flushed)
		}
		return err
	})
	return at, waits, err
}

// readBy waits until the process of every link goes by an order. One that never does is held: it may release commits by what it read before.
func (d *Driver) readBy(ctx context.Context, w waits) error {
	short, cancel := context.WithTimeout(ctx, syncReads)
	defer cancel()
	var held string
	err := poll(short, fast, func() (bool, error) {
		links, err := d.links(ctx)
		if err == nil {
			held = ""
		}
		for _, l := range links {
			if l.sends && l.priority != w.priority(l.name) {
				held = fmt.Sprintf("the link of %q (pid %d)", l.name, l.pid)
			}
		}
		return held == "", err
	})
	if err != nil && held != "" {
		return fmt.Errorf("%s: %w", held, errHeld)
	}
	return err
}

// syncLink is one process that sends log.
type syncLink struct {
	pid      int
	name     string
	sends    bool // log, or will after what it missed: only then it releases commits, and only then it shows its priority
	streams  bool
	priority int
	flushed  events.LSN
	age      time.Duration
}

const linksQuery = `SELECT pid, application_name, state NOT IN ('startup', 'backup'), state = 'streaming', sync_priority, coalesce(flush_lsn::text, ''), extract(epoch FROM clock_timestamp() - backend_start)::float8
 FROM pg_stat_replication ORDER BY backend_start DESC, pid`

// links lists them, the newest first.
func (d *Driver) links(ctx context.Context) (ls []syncLink, err error) {
	err = d.work.use(ctx, func(c *pgx.Conn) error { ls, err = readLinks(ctx, c); return err })
	return ls, err
}

func readLinks(ctx context.Context, c *pgx.Conn) ([]syncLink, error) {
	rows, err := c.Query(ctx, linksQuery)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (l syncLink, err error) {
		var flushed string
		var age float64
		if err = r.Scan(&l.pid, &l.name, &l.sends, &l.streams, &l.priority, &flushed, &age); err == nil {
			l.flushed, err = events.ParseLSN(flushed)
		}
		l.age = time.Duration(age * float64(time.Second))
		return l, err
	})
}

// startRace are the releases since which a server that starts does not acknowledge commits before its checkpointer has read the setting, by major version.
var startRace = map[int]int{13: 21, 14: 18, 15: 13, 16: 9, 17: 5}

// able says why this server can't be seen to wait, whatever it is told.
func (d *Driver) able(ctx context.Context) error {
	var version int
	var weak string
	err := d.work.use(ctx, func(c *pgx.Conn) (err error) {
		if err = c.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err == nil {
			weak, err = weakCommit(ctx, c)
		}
		return err
	})
	major, minor := version/10000, version%10000
	if from, known := startRace[major]; err == nil && (known && minor < from || major < 13) {
		return fmt.Errorf("PostgreSQL %d.%d may acknowledge commits without a wait in the moment of its start: want %d.%d or later", major, minor, max(major, 13), max(from, startRace[13]*(1-min(1, major/13))))
	}
	if err == nil && weak != "" {
		return errors.New(weak)
	}
	return err
}

const weakQuery = `SELECT setting, sourcefile || ':' || sourceline FROM pg_file_settings WHERE name = 'synchronous_commit' AND error IS NULL ORDER BY seqno DESC LIMIT 1`

// strong are the values of synchronous_commit with which a commit waits until it is on the other's disk.
var strong = []string{"on", "true", "yes", "1", "remote_apply"}

// weakCommit says where the site has told every session not to wait; "" = nowhere.
func weakCommit(ctx context.Context, c *pgx.Conn) (string, error) {
	var value, where string
	switch err := c.QueryRow(ctx, weakQuery).Scan(&value, &where); {
	case errors.Is(err, pgx.ErrNoRows):
		return "", nil
	case err != nil:
		return "", err
	case slices.Contains(strong, value):
		return "", nil
	}
	return fmt.Sprintf("synchronous_commit = %s (%s): commits would not wait, take it out of there", value, where), nil
}
