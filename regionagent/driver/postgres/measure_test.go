package postgres_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/drivertest"
)

// TestMeasure: both sides of a pair tell their statistics, under names that Prometheus's own tool finds nothing wrong with; one that is down has pg_up 0 and nothing else.
func TestMeasure(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.untilServer(events.ServerWritable)
	measure := func(s subject) (map[string][]driver.Metric, error) {
		ms, err := s.Driver().(driver.Meter).Measure(t.Context())
		all := map[string][]driver.Metric{}
		for _, m := range ms {
			all[m.Name] = append(all[m.Name], m)
		}
		return all, err
	}
	value := func(all map[string][]driver.Metric, name string, labels ...string) float64 {
		t.Helper()
		for _, m := range all[name] {
			if slices.Equal(m.Labels, labels) {
				return m.Value
			}
		}
		t.Errorf("no %s%v among %v", name, labels, all[name])
		return -1
	}
	onA, errA := measure(a)
	onB, errB := measure(b)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	for _, x := range []struct {
		all     map[string][]driver.Metric
		replica float64
	}{{onA, 0}, {onB, 1}} {
		if value(x.all, "pg_up") != 1 || value(x.all, "pg_replication_is_replica") != x.replica || value(x.all, "pg_database_size_bytes", "datname", "postgres") <= 0 ||
			value(x.all, "pg_wal_position_bytes") <= 0 || value(x.all, "pg_stat_bgwriter_checkpoints_req_total") < 0 {
			t.Errorf("measured: %+v", x.all)
		}
	}
	before := value(onA, "pg_stat_database_xact_commit_total", "datname", "postgres")
	for range 3 {
		a.must("INSERT INTO written VALUES (now())")
	}
	until(t, "commits are counted", func() bool { // a session tells them when it is idle
		now, err := measure(a)
		return err == nil && value(now, "pg_stat_database_xact_commit_total", "datname", "postgres") >= before+3
	})
	until(t, "the standby is seen", func() bool {
		now, err := measure(a)
		return err == nil && len(now["pg_stat_replication_lag_bytes"]) == 1 && len(now["pg_stat_replication_lag_seconds"]) == 1
	})
	if len(onB["pg_stat_replication_lag_bytes"]) != 0 {
		t.Errorf("the standby has standbys: %+v", onB["pg_stat_replication_lag_bytes"])
	}
	for name := range onA {
		if onB[name] == nil && !strings.HasPrefix(name, "pg_stat_replication_") && !strings.HasPrefix(name, "pg_locks") {
			t.Errorf("%s is known of the active only: after a failover it would end", name)
		}
	}
	drivertest.WellNamed(t, slices.Concat(slices.Collect(maps.Values(onA))...))
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	a.untilServer(events.ServerDown)
	if now, err := measure(a); err == nil || len(now) != 1 || value(now, "pg_up") != 0 {
		t.Errorf("down: %+v, %v", now, err)
	}
}
