package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/switchback-dr/switchback/events"
)

// patience is how long a restore waits for its source: after a switchover it is being promoted just now. It looks every ready.
const (
	patience = 15 * time.Second
	ready    = 20 * time.Millisecond
)

// source is the active that a restore makes it a follower of.
type source struct {
	address  string
	systemID string
	timeline uint32
	lsn      events.LSN // how far its log was when asked
	history  []era
	segment  uint64 // size of its log's files in bytes
}

// errForeign is a source with which nothing can be shared.
var errForeign = errors.New("its system identifier is another")

// dialSource opens a connection of the replication role, as the standby's own: a replication one, or an ordinary one to database postgres.
func (d *Driver) dialSource(ctx context.Context, address string, replication bool) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(d.conninfo(address) + " dbname=postgres")
	if err != nil {
		return nil, fmt.Errorf("connect to %s: replication.options or password_file can't be used: %w", address, err)
	}
	keep := map[string]string{"application_name": "switchback restore of " + d.cfg.Cluster.Cluster}
	for _, k := range []string{"options", "client_encoding"} { // anything else is libpq's and none of the server's
		if v, ok := cfg.RuntimeParams[k]; ok {
			keep[k] = v
		}
	}
	if replication {
		keep["replication"] = "true"
	}
	cfg.RuntimeParams, cfg.ConnectTimeout = keep, 5*time.Second
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return c, nil
}

// query runs one statement or replication command and returns the first row as text.
func query(ctx context.Context, c *pgconn.PgConn, sql string) ([]string, error) {
	results, err := c.Exec(ctx, sql).ReadAll()
	name, _, _ := strings.Cut(sql, " ")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return nil, fmt.Errorf("%s: no row in its answer", name)
	}
	row := make([]string, len(results[0].Rows[0]))
	for i, b := range results[0].Rows[0] {
		row[i] = string(b)
	}
	return row, nil
}

// source waits until the source is writable and tells what it is. An empty systemID is that of a server without data.
func (d *Driver) source(ctx context.Context, address, systemID string) (s source, err error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	var c *pgconn.PgConn
	defer func() { hangUp(c) }()
	var last error
	err = poll(wait, ready, func() (bool, error) {
		if c == nil || c.IsClosed() {
			conn, err := d.dialSource(wait, address, true)
			if c = conn; err != nil {
				c, last = nil, keep(wait, last, err)
				return false, nil
			}
		}
		s, err = d.identify(wait, c, address)
		if last = keep(wait, last, err); err == nil && systemID != "" && s.systemID != systemID {
			return false, fmt.Errorf("%w: %s, here it is %s", errForeign, s.systemID, systemID)
		}
		return err == nil, nil
	})
	switch {
	case err == nil:
		return s, nil
	case last != nil:
		err = last // what it said, not that the time was up
	}
	return s, fmt.Errorf("source %s: not ready after %v: %w", address, time.Since(began).Round(time.Millisecond), err)
}

// keep is the newer error, unless it only says that the time is up.
func keep(ctx context.Context, old, err error) error {
	if ctx.Err() != nil && old != nil {
		return old
	}
	return err
}

func hangUp(c *pgconn.PgConn) {
	if c != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // no farewell: it may be gone
		c.Close(ctx)
	}
}

// identify asks once. A source in recovery is an error: it is not promoted yet.
func (d *Driver) identify(ctx context.Context, c *pgconn.PgConn, address string) (s source, err error) {
	s.address = address
	in, err := query(ctx, c, "SHOW in_hot_standby")
	if err != nil {
		return s, err
	}
	if in[0] != "off" {
		return s, fmt.Errorf("it is in recovery: want the active")
	}
	row, err := query(ctx, c, "IDENTIFY_SYSTEM") // after it: asked before, one that is just being promoted would name its old timeline
	if err != nil {
		return s, err
	}
	timeline, err := strconv.ParseUint(row[1], 10, 32)
	if err != nil {
		return s, fmt.Errorf("IDENTIFY_SYSTEM: timeline %q", row[1])
	}
	s.systemID, s.timeline = row[0], uint32(timeline)
	if s.lsn, err = events.ParseLSN(row[2]); err != nil {
		return s, fmt.Errorf("IDENTIFY_SYSTEM: %w", err)
	}
	s.history = []era{{timeline: s.timeline}}
	if s.timeline > 1 {
		file, err := query(ctx, c, "TIMELINE_HISTORY "+row[1])
		if err != nil {
			return s, err
		}
		if s.history, err = parseHistory(s.timeline, file[1]); err != nil {
			return s, err
		}
	}
	size, err := query(ctx, c, "SHOW wal_segment_size")
	if err != nil {
		return s, err
	}
	s.segment, err = parseSize(size[0])
	return s, err
}

// parseSize reads what SHOW says of a setting in bytes, as in 16MB.
func parseSize(s string) (uint64, error) {
	digits := strings.TrimRight(s, "kMGTB")
	n, err := strconv.ParseUint(digits, 10, 32)
	shift, known := map[string]uint{"B": 0, "kB": 10, "MB": 20, "GB": 30, "TB": 40}[s[len(digits):]]
	if err != nil || !known {
		return 0, fmt.Errorf("size %q: want a number and a unit", s)
	}
	return n << shift, nil
}

// checkpointed waits until the source's control file shows its timeline: until then pg_rewind against it silently does the wrong thing and says
// "no rewind required" (facts, C3a).
func (d *Driver) checkpointed(ctx context.Context, s source) error {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := d.dialSource(wait, s.address, false)
	if err != nil {
		return err
	}
	defer hangUp(c)
	shown := ""
	err = poll(wait, ready, func() (bool, error) {
		row, err := query(wait, c, "SELECT timeline_id FROM pg_control_checkpoint()")
		if err != nil {
			return false, err
		}
		shown = row[0]
		return shown == strconv.FormatUint(uint64(s.timeline), 10), nil
	})
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		return errNotCheckpointed{shown, s}
	}
	return err
}

// errNotCheckpointed is a source whose control file shows an old timeline.
type errNotCheckpointed struct {
	shown string
	s     source
}

func (e errNotCheckpointed) Error() string {
	return fmt.Sprintf("source %s is on timeline %d, its control file shows %s for %v: it has not checkpointed since its promotion", e.s.address, e.s.timeline, e.shown, patience)
}

// missing says why the source can't send its log from a position on; empty = it can. It begins a stream and looks whether any of it comes: the
// server itself knows best what it has removed.
func (d *Driver) missing(ctx context.Context, s source, timeline uint32, from events.LSN) string {
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := d.dialSource(short, s.address, true)
	if err != nil {
		return "" // the standby will say it better
	}
	defer hangUp(c)
	start := events.LSN(uint64(from) - uint64(from)%s.segment) // a standby asks for whole files
	if start == 0 {
		return ""
	}
	f := c.Frontend()
	f.SendQuery(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION PHYSICAL %v TIMELINE %d", start, timeline)})
	if err := f.Flush(); err != nil {
		return ""
	}
	for {
		m, err := c.ReceiveMessage(short)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
			return proof(refused.Code, refused.Message)
		}
		if err != nil {
			return "" // nothing to send, and nothing against it
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			return proof(m.Code, m.Message)
		case *pgproto3.CopyData, *pgproto3.CopyDone:
			return ""
		}
	}
}

// proof is the message of an error that will not pass: removed log, or a position that is not of this server's history. One that may (too many
// connections) proves nothing.
func proof(code, message string) string {
	if code == "58P01" || code == "XX000" {
		return message
	}
	return ""
}
