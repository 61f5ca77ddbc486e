package airflow

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// What a planned move holds back stands in the metadata database itself, in a table of our own: written in one transaction with the pauses, so that there is no pause without its word
// nor a word without its pause, and it goes wherever the database goes.
const drainTable = `CREATE SCHEMA IF NOT EXISTS switchback;
CREATE TABLE IF NOT EXISTS switchback.paused_dags (dag_id text PRIMARY KEY, step text NOT NULL, at timestamptz NOT NULL)`

// hold pauses every DAG that is not, for a step; one that was paused by somebody else is none of ours. It says for how long that step has held any back, and how many tasks are
// queued or run.
func (d *database) hold(ctx context.Context, step string) (since time.Duration, left int, err error) {
	err = d.use(ctx, func(c *pgx.Conn) error {
		var there bool
		if err := c.QueryRow(ctx, "SELECT to_regclass('switchback.paused_dags') IS NOT NULL").Scan(&there); err != nil {
			return err
		}
		if !there {
			if _, err := c.Exec(ctx, drainTable, pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("make the table of paused DAGs: %w", err)
			}
		}
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			for _, q := range []string{
				"UPDATE switchback.paused_dags SET step = $1, at = now() WHERE step <> $1",
				"INSERT INTO switchback.paused_dags SELECT dag_id, $1, now() FROM dag WHERE NOT is_paused ON CONFLICT (dag_id) DO NOTHING",
			} {
				if _, err := tx.Exec(ctx, q, step); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(ctx, "UPDATE dag SET is_paused = true WHERE NOT is_paused AND dag_id IN (SELECT dag_id FROM switchback.paused_dags)"); err != nil {
				return err
			}
			var s float64
			err := tx.QueryRow(ctx, "SELECT coalesce(extract(epoch FROM now() - min(at)), 0)::float8, (SELECT count(*) FROM task_instance WHERE state IN ('queued', 'running', 'restarting')) FROM switchback.paused_dags").Scan(&s, &left)
			since = time.Duration(s * float64(time.Second))
			return err
		})
	})
	return since, left, err
}

// heldFor is the step something is held back for; empty = nothing is.
func (d *database) heldFor(ctx context.Context) (step string, err error) {
	err = d.use(ctx, func(c *pgx.Conn) error {
		var there bool
		if err := c.QueryRow(ctx, "SELECT to_regclass('switchback.paused_dags') IS NOT NULL").Scan(&there); err != nil || !there {
			return err
		}
		return c.QueryRow(ctx, "SELECT coalesce((SELECT step FROM switchback.paused_dags LIMIT 1), '')").Scan(&step)
	})
	return step, err
}

// letGo has the DAGs go on that were paused for a step, in one transaction with its word.
func (d *database) letGo(ctx context.Context, step string) (n int64, err error) {
	err = d.use(ctx, func(c *pgx.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			t, err := tx.Exec(ctx, "UPDATE dag SET is_paused = false WHERE is_paused AND dag_id IN (SELECT dag_id FROM switchback.paused_dags WHERE step = $1)", step)
			if err == nil {
				n = t.RowsAffected()
				_, err = tx.Exec(ctx, "DELETE FROM switchback.paused_dags WHERE step = $1", step)
			}
			return err
		})
	})
	return n, err
}
