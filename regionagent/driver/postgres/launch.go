package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The polls: fast where somebody waits for an acknowledgement (pg_ctl's and pg_promote's own waits cost 100 ms each), slow while a server starts.
const (
	fast = 2 * time.Millisecond
	slow = 10 * time.Millisecond
)

// appear is how long a start command may take to bring forth a process: a busy host forks late.
const appear = 3 * time.Second

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
			_, err := d.runInside(ctx, false, "pg_ctlcluster", "--skip-systemctl-redirect", m[1], m[2], "start")
			return err
		}
		return fmt.Errorf("start: unit %q needs systemd, which does not run here", d.cfg.Unit)
	}
	_, err := d.runInside(ctx, os.Geteuid() == 0, filepath.Join(d.cfg.Bin, "pg_ctl"), "start", "--no-wait", "-D", d.cfg.Data, "-l", d.path(logFile))
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

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// logTail is the end of what the server printed since an offset, for whoever asks why it did not start.
func (d *Driver) logTail(from int64) string { return d.tail(d.path(logFile), from) }

func (d *Driver) tail(path string, from int64) string {
	b, err := d.read(path)
	if err != nil || int64(len(b)) <= from {
		return "its log has the reason"
	}
	b = bytes.TrimSpace(b[from:])
	if len(b) > 400 {
		b = b[len(b)-400:]
	}
	return string(b)
}
