package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

var _ driver.Tender = (*Driver)(nil)

// slotPrefix begins the name of every slot of ours; no other slot is touched.
const slotPrefix = "switchback_"

// slotOf is the name of the slot that a cluster uses on the others: at most 63 characters, so that a long name ends in a hash of it.
func slotOf(cluster string) string {
	s := slotPrefix + strings.ReplaceAll(cluster, "-", "_")
	if len(s) > 63 {
		s = fmt.Sprintf("%s_%x", s[:54], sha256.Sum256([]byte(cluster)))[:63]
	}
	return s
}

// slotAsk bounds a question to a source about our slot: whoever is to follow must not wait for a source that is gone.
const slotAsk = time.Second

// slotAt is the slot that this cluster may use on a source, made there if need be; empty = none. It is not ok if the source did not say.
func (d *Driver) slotAt(ctx context.Context, address string) (slot string, ok bool) {
	if d.cfg.Replication.Slot != "" {
		return "", true // the site's own stands in its place
	}
	ctx, cancel := context.WithTimeout(ctx, slotAsk)
	defer cancel()
	c, err := d.dialSource(ctx, address, true)
	if err == nil {
		defer hangUp(c)
		slot, err = askSlot(ctx, c, slotOf(d.cfg.Cluster.Cluster))
	}
	if err != nil {
		d.log.Info("follows without a slot", "source", address, "err", err)
	}
	return slot, err == nil || answered(err)
}

// answered: the source refused what it was asked of slots. One that is on its way up or down, or ends its sessions (class 57), says nothing of them: a follower that forgot its slot then
// would begin its link anew just when the last of a clean stop is sent over it.
func answered(err error) bool {
	e, told := errors.AsType[*pgconn.PgError](err)
	return told && !strings.HasPrefix(e.Code, "57")
}

// askSlot makes the slot where the source bounds what a slot may pin: without a bound a follower that is gone would fill the source's disk.
func askSlot(ctx context.Context, c *pgconn.PgConn, name string) (string, error) {
	keep, err := query(ctx, c, "SHOW max_slot_wal_keep_size")
	if err != nil || keep[0] == "-1" {
		return "", err
	}
	there, err := query(ctx, c, "READ_REPLICATION_SLOT "+name) // type, position, timeline; the position of a lost slot is gone
	if err != nil {
		return "", err
	}
	if there[0] != "" && there[1] != "" {
		return name, nil
	}
	if there[0] != "" {
		if _, err := c.Exec(ctx, "DROP_REPLICATION_SLOT "+name).ReadAll(); err != nil {
			return "", fmt.Errorf("DROP_REPLICATION_SLOT: %w", err)
		}
	}
	_, err = query(ctx, c, "CREATE_REPLICATION_SLOT "+name+" PHYSICAL RESERVE_WAL")
	if err != nil {
		return "", err
	}
	return name, nil
}

// slotLook is how often a follower that streams looks whether there is a slot for it.
const slotLook = time.Minute

// Tend implements driver.Tender. While an action is under way it does nothing.
func (d *Driver) Tend(ctx context.Context, peers []string) error {
	select {
	case d.doing <- struct{}{}:
		defer func() { <-d.doing }()
	default:
		return nil
	}
	var recovery, streams bool
	err := d.work.use(ctx, func(c *pgx.Conn) error { // which keeps the connection warm for the next action, too
		t := tending{Driver: d, c: c, want: map[string]bool{}}
		for _, p := range peers {
			if p != d.cfg.Cluster.Cluster {
				t.want[slotOf(p)] = true
			}
		}
		err := t.tend(ctx)
		recovery, streams = t.recovery, t.streams
		return err
	})
	if err != nil {
		return fmt.Errorf("tend slots: %w", err)
	}
	if recovery {
		return d.tendOwn(ctx, streams)
	}
	return nil
}

// tendOwn sees to it that a follower uses its slot on the source if there is one, and none that is not there.
func (d *Driver) tendOwn(ctx context.Context, streams bool) error {
	u, there := d.upstream()
	if !there || u.cut || u.source == "" || streams && time.Since(d.lookedForSlot) < slotLook {
		return nil
	}
	d.lookedForSlot = time.Now()
	slot, ok := d.slotAt(ctx, u.source)
	if !ok || slot == u.slot {
		return nil
	}
	u.slot = slot
	if _, err := d.setUpstream(u); err != nil {
		return err
	}
	return d.reload(ctx, upstreamSettings)
}

// tending is one look at the slots of a running server.
type tending struct {
	*Driver
	c                          *pgx.Conn
	want                       map[string]bool // by name
	recovery, streams, bounded bool
}

const tendQuery = `SELECT r, EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), current_setting('max_slot_wal_keep_size') <> '-1',
 CASE WHEN r THEN least((SELECT redo_lsn FROM pg_control_checkpoint()), pg_last_wal_replay_lsn()) END::text FROM pg_is_in_recovery() r`

const slotsQuery = `SELECT slot_name::text, active, coalesce(wal_status, '') = 'lost' OR restart_lsn IS NULL, coalesce(restart_lsn < $1::pg_lsn, false)
 FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary AND starts_with(slot_name, '` + slotPrefix + `')`

type slot struct {
	name                 string
	active, lost, behind bool
}

// tend makes what is wanted and missing, makes anew what is lost, and drops what nobody wants. On a standby nobody moves a slot along but we: up to its
// last restart point, from where it keeps its log anyway, and from where a peer that comes back after a promotion will want it.
func (t *tending) tend(ctx context.Context) error {
	var redo *string
	if err := t.c.QueryRow(ctx, tendQuery).Scan(&t.recovery, &t.streams, &t.bounded, &redo); err != nil {
		return err
	}
	if !t.bounded && len(t.want) > 0 && t.saidUnbounded.CompareAndSwap(false, true) {
		t.log.Warn("no slots are kept for the other clusters: max_slot_wal_keep_size is -1, so that one that stays away would fill the disk; set it to what may be pinned")
	}
	rows, err := t.c.Query(ctx, slotsQuery, redo)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (s slot, err error) {
		return s, r.Scan(&s.name, &s.active, &s.lost, &s.behind)
	})
	if err != nil {
		return err
	}
	var bad []error
	for _, s := range all {
		wanted := t.want[s.name] && t.bounded
		switch {
		case s.active:
			delete(t.want, s.name)
		case !wanted || s.lost:
			bad = append(bad, t.run(ctx, "SELECT pg_drop_replication_slot($1)", s.name))
		default:
			delete(t.want, s.name)
			if s.behind {
				bad = append(bad, t.run(ctx, "SELECT pg_replication_slot_advance($1, $2)", s.name, *redo))
			}
		}
	}
	if !t.bounded {
		return errors.Join(bad...)
	}
	for _, name := range slices.Sorted(maps.Keys(t.want)) {
		bad = append(bad, t.run(ctx, "SELECT pg_create_physical_replication_slot($1, true)", name))
	}
	return errors.Join(bad...)
}

func (t *tending) run(ctx context.Context, sql, name string, args ...any) error {
	if _, err := t.c.Exec(ctx, sql, append([]any{name}, args...)...); err != nil {
		return fmt.Errorf("slot %s: %w", name, err)
	}
	t.log.Debug("slot", "did", sql, "name", name)
	return nil
}
