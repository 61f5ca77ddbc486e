package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// canaryPrefix is that of a message in each transaction of ours: a count of lost commits tells them from the clients'.
const canaryPrefix = "switchback"

// The canary is one row per cluster in a schema of our own, made on first use; its counter says how many canaries were acknowledged or in doubt.
const (
	canaryWrite = `INSERT INTO switchback.canary AS c (cluster, n, at) SELECT $1, 1, now() FROM pg_logical_emit_message(true, '` + canaryPrefix + `', 'canary')
ON CONFLICT (cluster) DO UPDATE SET n = c.n + 1, at = now()`
	canaryTable = `SELECT pg_logical_emit_message(true, '` + canaryPrefix + `', 'canary'); CREATE SCHEMA IF NOT EXISTS switchback;
CREATE TABLE IF NOT EXISTS switchback.canary (cluster text PRIMARY KEY, n bigint NOT NULL, at timestamptz NOT NULL) WITH (fillfactor = 50)`
)

// canary writes one row and returns nil only for what a client may count: the whole exchange ended with ReadyForQuery (an ack is
// ReadyForQuery, never CommandComplete: pgx returns only then), and no warning came with it (a cancelled wait for a synchronous standby ends
// with a warning and an ordinary answer: the row is here and nowhere else).
func (d *Driver) canary(ctx context.Context, l *link, c *pgx.Conn) error {
	l.warned = nil
	_, err := c.Exec(ctx, canaryWrite, d.cfg.Cluster.String())
	if s := sqlState(err); s == "42P01" || s == "3F000" { // no such table, no such schema
		if _, err := c.Exec(ctx, canaryTable, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("create schema switchback: %w", err)
		}
		l.warned = nil
		_, err = c.Exec(ctx, canaryWrite, d.cfg.Cluster.String())
	}
	if err != nil {
		return err
	}
	if w := l.warned; w != nil {
		return fmt.Errorf("acknowledged with a warning: %s", w.Message)
	}
	return nil
}
