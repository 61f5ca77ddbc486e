package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// physical are the links of physical replication. A walsender with a database is none: over that one can write, and be told that it is done.
const physical = `SELECT pid, backend_start::text FROM pg_stat_activity WHERE backend_type = 'walsender' AND datid IS NULL`

// Links implements driver.Linker. A process counts when it is a link both before and after its start was read from the host: so the start is that
// of the link, and not of whoever got its pid.
func (d *Driver) Links(ctx context.Context) ([]driver.Process, error) {
	var out []driver.Process
	err := d.watch.use(ctx, func(c *pgx.Conn) error {
		out = nil
		before, err := linkPIDs(ctx, c)
		if err != nil {
			return err
		}
		if remote := c.PgConn().Conn().RemoteAddr(); strings.HasPrefix(remote.Network(), "tcp") {
			before[int(c.PgConn().PID())] = ourOwn
		}
		starts := map[int]uint64{}
		for pid := range before {
			if start, err := startOf(pid); err == nil {
				starts[pid] = start
			}
		}
		after, err := linkPIDs(ctx, c)
		if err != nil {
			return err
		}
		for pid, start := range starts {
			if since := before[pid]; since == ourOwn || since == after[pid] {
				out = append(out, driver.Process{PID: pid, Start: start})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find links: %w", err)
	}
	return out, nil
}

// ourOwn stands for the backend of the connection in hand: while we hold it, its pid is nobody else's.
const ourOwn = "our own"

func linkPIDs(ctx context.Context, c *pgx.Conn) (map[int]string, error) {
	rows, err := c.Query(ctx, physical)
	if err != nil {
		return nil, err
	}
	out := map[int]string{}
	var pid int
	var since string
	_, err = pgx.ForEachRow(rows, []any{&pid, &since}, func() error {
		out[pid] = since
		return nil
	})
	return out, err
}

// startOf is when a process began, in ticks since boot.
func startOf(pid int) (uint64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(stat, []byte(") ")) // no command of ours holds ") "
	f := strings.Fields(string(rest))
	if len(f) < 20 {
		return 0, fmt.Errorf("read /proc/%d/stat: %d fields after the name: want 20 or more", pid, len(f))
	}
	return strconv.ParseUint(f[19], 10, 64)
}
