package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
)

// pending is one canary of a server in sync. It is never given up while it waits: a cancelled wait would be one more commit in doubt, and how long one waits is
// what there is to know.
type pending struct {
	began time.Time
	pid   atomic.Uint32 // its session's, 0 = not there yet
	at    events.LSN    // what its standbys must have; known once it was seen to wait. The prober's alone
	took  time.Duration // once done
	done  chan struct{}
	err   error
}

// pending is the canary that is under way, or a new one. It ends by itself, or with the driver.
func (d *Driver) pending(ctx context.Context) *pending {
	select {
	case d.canaryLock <- struct{}{}:
		defer func() { <-d.canaryLock }()
	case <-ctx.Done():
		return nil
	}
	if p := d.canaryNow; p != nil {
		select {
		case <-p.done:
		default:
			return p
		}
	}
	p := &pending{began: time.Now(), done: make(chan struct{})}
	d.canaryNow = p
	go func() {
		defer close(p.done)
		_, p.err = d.awaiting.once(d.life, func(c *pgx.Conn) error {
			p.pid.Store(c.PgConn().PID())
			return d.canary(d.life, d.awaiting, c)
		})
		p.took = time.Since(p.began)
	}()
	return p
}

// lookSync adds what there is to say of a server that was ever told to wait: whether it still goes by what it was told, and whether commits wait. It reports
// whether a canary was acknowledged.
func (d *Driver) lookSync(ctx context.Context, c *pgx.Conn, w waits, h *events.ClusterHealth) error {
	s := &events.SyncHealth{Version: w.version}
	h.Sync = s
	if why := d.notSeen.Load(); why != nil {
		s.Why = *why
	}
	if err := c.QueryRow(ctx, "SELECT current_setting('synchronous_standby_names')").Scan(&s.Setting); err != nil {
		return err
	}
	if s.Setting != w.setting() {
		s.Foreign = fmt.Sprintf("synchronous_standby_names = '%s'", s.Setting)
	}
	if len(w.names) == 0 {
		return d.plainCanary(ctx, c, h)
	}
	weak, err := weakCommit(ctx, c)
	if err != nil {
		return err
	}
	if weak != "" {
		s.Foreign = weak
	}
	if s.Open, err = exempt(ctx, c); err != nil {
		return err
	}
	return d.lookWait(ctx, c, w, h)
}

func (d *Driver) plainCanary(ctx context.Context, c *pgx.Conn, h *events.ClusterHealth) error {
	began := time.Now()
	if err := d.canary(ctx, d.watch, c); err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	h.Canary, h.CanaryOK = time.Since(began), true
	return nil
}

// lookWait gives the canary of a server in sync the rest of the time there is.
func (d *Driver) lookWait(ctx context.Context, c *pgx.Conn, w waits, h *events.ClusterHealth) error {
	p := d.pending(ctx)
	if p == nil {
		return fmt.Errorf("canary: %w", ctx.Err())
	}
	deadline, _ := ctx.Deadline()
	rest := time.NewTimer(time.Until(deadline) * 3 / 4)
	defer rest.Stop()
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("canary: %w", p.err)
		}
		h.Canary, h.CanaryOK = p.took, true
	case <-rest.C:
	}
	links, err := readLinks(ctx, c)
	if err != nil {
		return err
	}
	if !h.CanaryOK {
		var waits bool
		var flushed string
		err := c.QueryRow(ctx, watchQuery, p.pid.Load()).Scan(&waits, &flushed)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if !waits {
			return errors.New("canary: no answer, and it waits for no standby")
		}
		if p.at == 0 {
			if p.at, err = events.ParseLSN(flushed); err != nil {
				return err
			}
		}
		h.Sync.Waiting, h.Sync.At = time.Since(p.began), p.at
		h.Error = "commits wait for a standby for " + h.Sync.Waiting.Round(time.Millisecond).String()
	}
	seen := map[string]bool{}
	for _, name := range w.names {
		s := events.SyncStandby{Name: name}
		for _, l := range links {
			if l.name == name {
				s.Streaming, s.Flushed = s.Streaming || l.streams, max(s.Flushed, l.flushed)
			}
		}
		h.Sync.Standbys = append(h.Sync.Standbys, s)
		seen[name] = true
	}
	if h.Sync.Waiting > 0 {
		return d.endGhosts(ctx, c, links, seen)
	}
	return nil
}

// ghostAge is how old the newest link of a name must be before an older one under the same name is taken for dead.
const ghostAge = 300 * time.Millisecond

// endGhosts ends links whose standby has come back under a new one: the server would wait for the dead one until wal_sender_timeout.
func (d *Driver) endGhosts(ctx context.Context, c *pgx.Conn, links []syncLink, named map[string]bool) error {
	newest := map[string]bool{}
	for _, l := range links {
		if !named[l.name] {
			continue
		}
		if newest[l.name] {
			d.log.Info("ends a dead link", "name", l.name, "pid", l.pid)
			if _, err := c.Exec(ctx, "SELECT pg_terminate_backend($1)", l.pid); err != nil {
				return err
			}
			continue
		}
		if !l.streams || l.age < ghostAge {
			return nil // which of them is dead will show
		}
		newest[l.name] = true
	}
	return nil
}

const exemptQuery = `SELECT concat_ws(' in ', CASE WHEN r.rolname IS NOT NULL THEN 'role ' || r.rolname END, CASE WHEN d.datname IS NOT NULL THEN 'database ' || d.datname END) || ' has ' || c
 FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
 WHERE c LIKE 'synchronous\_commit=%' AND substr(c, 20) <> ALL($1) ORDER BY 1`

// exempt lists who commits without a wait by a setting of its own. Sessions that set it themselves show nowhere.
func exempt(ctx context.Context, c *pgx.Conn) ([]string, error) {
	rows, err := c.Query(ctx, exemptQuery, strong)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// foreign says what is in place of what an order's file says; "" = that is obeyed. A reload that is just under way is waited for.
func (d *Driver) foreign(ctx context.Context, w waits) string {
	short, cancel := context.WithTimeout(ctx, syncReads/2)
	defer cancel()
	found := ""
	_ = poll(short, slow, func() (bool, error) { // out of time: what was found last is the answer
		err := d.work.use(short, func(c *pgx.Conn) error {
			return c.QueryRow(short, "SELECT current_setting('synchronous_standby_names')").Scan(&found)
		})
		return err == nil && found == w.setting(), err
	})
	if found == w.setting() {
		return ""
	}
	return fmt.Sprintf("synchronous_standby_names = '%s', it was '%s'", found, w.setting())
}
