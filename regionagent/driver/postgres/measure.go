package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// measured is one query of the numbers worth keeping: its first columns are labels, each of the others is a metric of its own.
type measured struct {
	labels  []string
	columns []column
	query   string
	since   int // server_version_num it is for, 0 = any
	until   int // … and the first it is not for, 0 = none
}

type column struct {
	name, help string
	counter    bool
}

// measurements are the statistics under the names that dashboards of PostgreSQL know, but for the endings that Prometheus wants: counters end in _total, and what is no
// histogram does not end in _count.
var measurements = []measured{
	{nil, []column{
		{"pg_replication_is_replica", "1 if the server is in recovery.", false},
		{"pg_postmaster_start_time_seconds", "When the postmaster started, in seconds since 1970.", false},
		{"pg_settings_max_connections", "max_connections.", false},
		{"pg_wal_position_bytes", "Position written, or on a standby replayed.", false},
	}, `SELECT pg_is_in_recovery()::int::float8, extract(epoch FROM pg_postmaster_start_time())::float8, current_setting('max_connections')::float8,
 coalesce((CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn)::float8, 0)`, 0, 0},
	{[]string{"datname"}, []column{
		{"pg_stat_database_numbackends", "Sessions of the database.", false},
		{"pg_stat_database_xact_commit_total", "Transactions committed.", true},
		{"pg_stat_database_xact_rollback_total", "Transactions rolled back.", true},
		{"pg_stat_database_blks_read_total", "Blocks read from disk.", true},
		{"pg_stat_database_blks_hit_total", "Blocks found in the buffer cache.", true},
		{"pg_stat_database_tup_returned_total", "Rows that queries looked at.", true},
		{"pg_stat_database_tup_fetched_total", "Rows that queries fetched.", true},
		{"pg_stat_database_tup_inserted_total", "Rows inserted.", true},
		{"pg_stat_database_tup_updated_total", "Rows updated.", true},
		{"pg_stat_database_tup_deleted_total", "Rows deleted.", true},
		{"pg_stat_database_conflicts_total", "Queries cancelled by recovery.", true},
		{"pg_stat_database_temp_files_total", "Temporary files made.", true},
		{"pg_stat_database_temp_bytes_total", "Bytes written to temporary files.", true},
		{"pg_stat_database_deadlocks_total", "Deadlocks found.", true},
	}, `SELECT datname::text, numbackends::float8, xact_commit::float8, xact_rollback::float8, blks_read::float8, blks_hit::float8, tup_returned::float8, tup_fetched::float8,
 tup_inserted::float8, tup_updated::float8, tup_deleted::float8, conflicts::float8, temp_files::float8, temp_bytes::float8, deadlocks::float8
 FROM pg_stat_database WHERE datname IS NOT NULL`, 0, 0},
	{[]string{"datname"}, []column{{"pg_database_size_bytes", "Size of the database.", false}},
		`SELECT datname::text, pg_database_size(oid)::float8 FROM pg_database WHERE datallowconn`, 0, 0},
	{[]string{"datname", "state"}, []column{
		{"pg_stat_activity_sessions", "Sessions by what they do.", false},
		{"pg_stat_activity_max_tx_duration_seconds", "Age of the oldest transaction of such a session.", false},
	}, `SELECT datname::text, state, count(*)::float8, coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
 FROM pg_stat_activity WHERE datname IS NOT NULL AND state IS NOT NULL GROUP BY 1, 2`, 0, 0},
	{[]string{"mode"}, []column{{"pg_locks_held", "Locks, held or waited for.", false}}, `SELECT mode, count(*)::float8 FROM pg_locks GROUP BY 1`, 0, 0},
	{[]string{"application_name", "state"}, []column{
		{"pg_stat_replication_lag_bytes", "How much a standby has not replayed yet.", false},
		{"pg_stat_replication_lag_seconds", "How long replaying lags behind, by the standby's last word.", false},
	}, `SELECT application_name, state, coalesce(sum(pg_current_wal_lsn() - replay_lsn), 0)::float8, coalesce(max(extract(epoch FROM replay_lag)), 0)::float8
 FROM pg_stat_replication WHERE NOT pg_is_in_recovery() AND application_name NOT LIKE 'pg\_%' GROUP BY 1, 2`, 0, 0},
	{[]string{"slot_name", "slot_type"}, []column{{"pg_replication_slot_active", "1 if somebody uses the slot.", false}},
		`SELECT slot_name::text, slot_type, active::int::float8 FROM pg_replication_slots`, 0, 0},
	{nil, []column{
		{"pg_stat_bgwriter_checkpoints_timed_total", "Checkpoints by time.", true},
		{"pg_stat_bgwriter_checkpoints_req_total", "Checkpoints asked for.", true},
		{"pg_stat_bgwriter_buffers_checkpoint_total", "Buffers written by checkpoints.", true},
		{"pg_stat_bgwriter_buffers_clean_total", "Buffers written by the background writer.", true},
	}, `SELECT checkpoints_timed::float8, checkpoints_req::float8, buffers_checkpoint::float8, buffers_clean::float8 FROM pg_stat_bgwriter`, 0, 170000},
	{nil, []column{
		{"pg_stat_bgwriter_checkpoints_timed_total", "Checkpoints by time.", true},
		{"pg_stat_bgwriter_checkpoints_req_total", "Checkpoints asked for.", true},
		{"pg_stat_bgwriter_buffers_checkpoint_total", "Buffers written by checkpoints.", true},
		{"pg_stat_bgwriter_buffers_clean_total", "Buffers written by the background writer.", true},
	}, `SELECT num_timed::float8, num_requested::float8, c.buffers_written::float8, b.buffers_clean::float8 FROM pg_stat_checkpointer c, pg_stat_bgwriter b`, 170000, 0},
}

// Measure implements driver.Meter. A server that does not answer has pg_up 0 and nothing else.
func (d *Driver) Measure(ctx context.Context) ([]driver.Metric, error) {
	up := driver.Metric{Name: "pg_up", Help: "1 if the server answers."}
	var out []driver.Metric
	err := d.meter.use(ctx, func(c *pgx.Conn) error {
		out = nil
		var version int
		if err := c.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
			return err
		}
		for i := range measurements {
			m := &measurements[i]
			if version < m.since || m.until > 0 && version >= m.until {
				continue
			}
			found, err := m.ask(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", m.columns[0].name, err)
			}
			out = append(out, found...)
		}
		return nil
	})
	if err == nil {
		up.Value = 1
	} else {
		out = nil // of before it fell silent
	}
	return append(out, up), err
}

func (m *measured) ask(ctx context.Context, c *pgx.Conn) (out []driver.Metric, err error) {
	rows, err := c.Query(ctx, m.query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		labels, values := make([]string, len(m.labels)), make([]float64, len(m.columns))
		var to []any
		for i := range labels {
			to = append(to, &labels[i])
		}
		for i := range values {
			to = append(to, &values[i])
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		var pairs []string
		for i, name := range m.labels {
			pairs = append(pairs, name, labels[i])
		}
		for i, col := range m.columns {
			out = append(out, driver.Metric{Name: col.name, Help: col.help, Counter: col.counter, Labels: pairs, Value: values[i]})
		}
	}
	return out, rows.Err()
}
