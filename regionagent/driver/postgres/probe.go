package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
)

// facts is what one query tells of a server that answers its protocol.
type facts struct {
	recovery           bool
	systemID           string
	timeline           uint32
	lsn, replayed      events.LSN // active: written; standby: received, replayed
	receiver, upstream string     // status of the WAL receiver ("" = none) and whom it is connected to
	conninfo           string
	end                events.LSN // where the upstream said its log ends
	backups            int        // base backups that are taken of it
	paused             bool
	heard              time.Duration
}

// The timeline of an active is in the name of the file it writes: the control file shows the old one until a checkpoint (facts). A standby's
// is the newest of what it checkpointed, must reach, and receives. After a restart the receiver's position begins anew below what is replayed.
const factsQuery = `SELECT r, (SELECT system_identifier::text FROM pg_control_system()),
 CASE WHEN r THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_control_recovery()), w.received_tli)
      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
 coalesce((CASE WHEN r THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_lsn() END)::text, ''),
 coalesce((CASE WHEN r THEN pg_last_wal_replay_lsn() END)::text, ''),
 coalesce(w.status, ''), coalesce(w.sender_host, ''), coalesce(w.sender_port, 0), current_setting('primary_conninfo'), coalesce(w.latest_end_lsn::text, ''),
 coalesce(extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time), 0)::float8,
 (SELECT count(*) FROM pg_stat_progress_basebackup), coalesce(CASE WHEN r THEN pg_is_wal_replay_paused() END, false)
 FROM pg_is_in_recovery() r LEFT JOIN pg_stat_wal_receiver w ON true`

func readFacts(ctx context.Context, c *pgx.Conn) (f facts, err error) {
	var lsn, replayed, end, host string
	var port int
	var heard float64
	err = c.QueryRow(ctx, factsQuery).Scan(&f.recovery, &f.systemID, &f.timeline, &lsn, &replayed, &f.receiver, &host, &port, &f.conninfo, &end, &heard, &f.backups, &f.paused)
	if err != nil {
		return f, fmt.Errorf("query: %w", err)
	}
	for text, to := range map[*string]*events.LSN{&lsn: &f.lsn, &replayed: &f.replayed, &end: &f.end} {
		if *to, err = events.ParseLSN(*text); err != nil {
			return f, fmt.Errorf("query: %w", err)
		}
	}
	if host != "" {
		f.upstream = net.JoinHostPort(host, strconv.Itoa(port))
	}
	f.heard = max(time.Duration(heard*float64(time.Second)), 1) // 0 would mean unknown
	return f, nil
}

// ProbeLimit is what a probe gives itself when ctx has no deadline.
const ProbeLimit = 2 * time.Second

// Probe implements driver.Driver. Seven tenths of the time left go to the protocol, the rest to looking at processes if it did not answer.
func (d *Driver) Probe(ctx context.Context) events.ClusterHealth {
	ctx, cancel := limited(ctx, ProbeLimit)
	defer cancel()
	h := d.look(ctx, d.watch, true)
	d.metrics.probed(h)
	return h
}

func limited(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// look says what is true, over one of the links. Every answer is of this moment: nothing is remembered but for the lag's samples.
func (d *Driver) look(ctx context.Context, l *link, canary bool) events.ClusterHealth {
	h := events.ClusterHealth{Cluster: d.cfg.Cluster, Kind: events.KindPostgres, Server: events.ServerUnknown, Address: d.address(ctx), Alarm: d.space()}
	if l == d.watch {
		h.Size, h.Free = d.weigh()
		h.Work = d.progress.work()
	}
	if m, err := d.readOwn(markFile); err == nil {
		h.Mark = m.Group
	} else if !errors.Is(err, os.ErrNotExist) {
		h.Error = err.Error()
	}
	if p, ok := postmaster(d.cfg.Data); ok && p.frozen() {
		if all, err := processes(d.cfg.Data); err == nil && frozenWhole(d.cfg.Data, all) {
			h.Server = events.ServerFrozen
			return h
		}
	}
	deadline, _ := ctx.Deadline()
	talk, cancel := context.WithTimeout(ctx, time.Until(deadline)*7/10)
	defer cancel()
	told := false
	err := l.use(talk, func(c *pgx.Conn) error {
		told = false
		f, err := readFacts(talk, c)
		if err != nil {
			return err
		}
		h.Error = ""
		d.fill(&h, f)
		if w, there := d.waits(); there && canary && h.Server == events.ServerWritable {
			told = true
			return d.lookSync(talk, c, w, &h)
		}
		return nil
	})
	if err == nil && l == d.watch {
		h.Alarm = joined(h.Alarm, d.knock())
	}
	if err == nil && canary && h.Server == events.ServerWritable && !told {
		began := time.Now()
		if _, err = l.once(talk, func(c *pgx.Conn) error { return d.canary(talk, l, c) }); err != nil {
			err = fmt.Errorf("canary: %w", err)
		} else {
			h.Canary, h.CanaryOK = time.Since(began), true
		}
	}
	if err != nil {
		h.Error = err.Error()
		if h.Server == events.ServerUnknown {
			d.silent(ctx, &h)
		}
	}
	return h
}

// joined is both of two alarms, or the one there is.
func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func (d *Driver) fill(h *events.ClusterHealth, f facts) {
	h.SystemID, h.Timeline, h.LSN = f.systemID, f.timeline, f.lsn
	h.Hinders = d.hinders(f)
	if !f.recovery {
		h.Server = events.ServerWritable
		return
	}
	h.Stopped = "it answers, in recovery" + d.signalled()
	h.Server, h.Replayed, h.Streaming = events.ServerRecovery, f.replayed, f.receiver == "streaming"
	if h.Upstream = f.upstream; h.Upstream == "" {
		h.Upstream = sourceOf(f.conninfo)
	}
	if !h.Streaming {
		// Without a receiver only the control file tells, and that shows the old timeline until the next restart point. The startup process names the file it is at.
		if file, _ := d.replaying(); len(file) == walFileName {
			if tli, err := strconv.ParseUint(file[:8], 16, 32); err == nil {
				h.Timeline = max(h.Timeline, uint32(tli))
			}
		}
	}
	h.End, h.Heard = d.word.told(time.Now(), h, f.end, f.heard)
	if h.LagKnown = h.Streaming && f.end != 0; h.LagKnown {
		h.Lag = int64(max(f.end, f.replayed) - f.replayed)
		h.LagTime = d.lag.behind(time.Now(), f.end, f.replayed)
	}
}

// silent says what can be said of a server that did not answer: down only when no process of it exists and nobody listens in its place.
func (d *Driver) silent(ctx context.Context, h *events.ClusterHealth) {
	all, err := processes(d.cfg.Data)
	switch {
	case err != nil:
		h.Error += "; " + err.Error()
	case frozenWhole(d.cfg.Data, all):
		h.Server = events.ServerFrozen
	case len(all) > 0:
		h.Error = fmt.Sprintf("%d processes, but no answer: %s", len(all), h.Error)
	default:
		closed, err := d.closed(ctx)
		if !closed {
			h.Error = fmt.Sprintf("no process of it, but its place is not free: %v", err)
			return
		}
		h.Server, h.Empty = events.ServerDown, d.empty() && !exists(d.beside(oldDir)) && !exists(d.beside(asideDir))
		h.Stopped = "postmaster absent, no process of it, port closed" + d.signalled()
		if h.Empty {
			h.Error = "there is no data in " + d.cfg.Data
			return
		}
		if c, err := d.leftAs(ctx); err == nil {
			h.SystemID, h.Timeline = c.systemID, c.tip()
			h.Error = "control file: " + c.state
		}
		if why := d.broken(); why != "" {
			h.Error = why
		}
	}
}

// signalled says whether a start that bypasses the gate would come up read-only.
func (d *Driver) signalled() string {
	if exists(d.path(signalFile)) {
		return ", " + signalFile + " present"
	}
	return ""
}

// address is where clients and peers reach it, empty while not even the port is known.
func (d *Driver) address(ctx context.Context) string {
	if d.cfg.Advertise != "" {
		return d.cfg.Advertise
	}
	p, err := d.where(ctx)
	host, err2 := os.Hostname()
	if errors.Join(err, err2) != nil {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(p.port))
}

// sourceOf reads host:port out of a connection string, empty if it names none.
func sourceOf(conninfo string) string {
	if conninfo == "" {
		return ""
	}
	cfg, err := pgx.ParseConfig(conninfo)
	if err != nil || cfg.Host == "" {
		return ""
	}
	return net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
}
