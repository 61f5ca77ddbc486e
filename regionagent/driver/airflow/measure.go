package airflow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

const (
	// measureLimit ends a query of the database; what it would have told is missing.
	measureLimit = 2 * time.Second
	// measureShare is how much of one connection's time a query may take: one that took 100 ms is asked again after 10 s, and until then its last answer is told. A metadata database may have
	// many millions of task instances, and no dashboard is worth a hundredth of it.
	measureShare = 100
)

// meter asks the metadata database for the numbers worth keeping.
type meter struct {
	open func(context.Context) (*pgx.Conn, error)

	mu      sync.Mutex
	conn    *pgx.Conn
	there   map[string]bool // tables, and table.column, of the database
	answers []answer        // one for each of measurements
}

type answer struct {
	metrics []driver.Metric
	due     time.Time // when it may be asked again
}

func newMeter(open func(context.Context) (*pgx.Conn, error)) *meter {
	return &meter{open: open, answers: make([]answer, len(measurements))}
}

// measure asks. It tells what it could find out, with an error that says what is missing.
func (m *meter) measure(ctx context.Context) (out []driver.Metric, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	for i := range measurements {
		q, a := &measurements[i], &m.answers[i]
		if !m.there[q.needs] {
			continue
		}
		if began := time.Now(); !began.Before(a.due) {
			found, bad := q.ask(ctx, m.conn)
			now := time.Now()
			a.metrics, a.due = found, now.Add(measureShare*now.Sub(began))
			if bad != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", q.columns[0].name, bad))
			}
		}
		out = append(out, a.metrics...)
		if m.conn.IsClosed() {
			return nil, errors.Join(err, m.drop())
		}
	}
	return out, err
}

// ready connects if need be, and learns what this version of Airflow has. The session changes nothing.
func (m *meter) ready(ctx context.Context) (err error) {
	if m.conn != nil {
		return nil
	}
	if m.conn, err = m.open(ctx); err != nil {
		m.conn = nil
		return err
	}
	for i := range m.answers {
		m.answers[i] = answer{} // of before it fell silent, maybe of another server
	}
	m.there = map[string]bool{}
	_, err = m.conn.Exec(ctx, fmt.Sprintf("SET default_transaction_read_only = on; SET statement_timeout = %d; SET application_name = 'switchback metrics'", measureLimit.Milliseconds()))
	var names []string
	if err == nil {
		rows, _ := m.conn.Query(ctx, `SELECT c.relname || coalesce('.' || a.attname, '') FROM pg_class c
 LEFT JOIN LATERAL (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped UNION ALL SELECT NULL) a ON true
 WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid)`) // its error is the rows'
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return errors.Join(fmt.Errorf("ask the metadata database what it has: %w", err), m.drop())
	}
	for _, n := range names {
		m.there[n] = true
	}
	if !m.there["task_instance"] {
		return errors.Join(errors.New("the metadata database has no table task_instance: want the one that Airflow uses, and its schema"), m.drop())
	}
	return nil
}

// drop lets go of the connection.
func (m *meter) drop() error {
	if m.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = m.conn.Close(ctx) // it is gone either way
	m.conn = nil
	return nil
}

func (m *meter) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.drop()
}

func (q *measured) ask(ctx context.Context, c *pgx.Conn) (out []driver.Metric, err error) {
	rows, err := c.Query(ctx, q.query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		labels, values := make([]string, len(q.labels)), make([]float64, len(q.columns))
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
		for i, name := range q.labels {
			pairs = append(pairs, name, strings.ToValidUTF8(labels[i], "?"))
		}
		for i, col := range q.columns {
			out = append(out, driver.Metric{Name: col.name, Help: col.help, Labels: pairs, Value: values[i]})
		}
	}
	return out, rows.Err()
}
