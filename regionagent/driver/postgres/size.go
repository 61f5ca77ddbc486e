package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// ownProcesses is how many a server has beside those its settings bound: postmaster, logger, checkpointer, two writers, archiver, launchers, startup or receiver.
const ownProcesses = 10

// sizeSettings bound how many processes a server may have besides.
var sizeSettings = []string{"max_connections", "autovacuum_max_workers", "max_worker_processes", "max_wal_senders"}

// Processes implements driver.Sizer: as the server runs, or as its files would start it.
func (d *Driver) Processes(ctx context.Context) (int, error) {
	n := 0
	talk, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := d.watch.use(talk, func(c *pgx.Conn) error {
		return c.QueryRow(talk, "SELECT sum(setting::int) FROM pg_settings WHERE name = ANY($1)", sizeSettings).Scan(&n)
	})
	if err == nil {
		return n + ownProcesses, nil
	}
	n = 0
	for _, name := range sizeSettings {
		s, err := d.setting(ctx, name)
		if err != nil {
			return 0, fmt.Errorf("how many processes it may have: %w", err)
		}
		v, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("how many processes it may have: %s is %q: want a number", name, s)
		}
		n += v
	}
	return n + ownProcesses, nil
}
