package postgres_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// BenchmarkProbe is one probe of a server that serves, and of one that is down: once a second for every cluster of a host.
//
//	go test -run '^$' -bench '^BenchmarkProbe' ./regionagent/driver/postgres
func BenchmarkProbe(b *testing.B) {
	s := postgrestest.Primary(b)
	d, err := postgres.New(s.Config(events.Ref{Region: "eu-west-1", Cluster: s.Name}), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	probes := func(want events.Server) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if h := d.Probe(b.Context()); h.Server != want {
					b.Fatalf("%s (%s), want %s", h.Server, h.Error, want)
				}
			}
		}
	}
	b.Run("writable", probes(events.ServerWritable))
	if err := s.Control("stop", "-m", "fast"); err != nil {
		b.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond) // its control file is as old as any of a server that is down
	b.Run("down", probes(events.ServerDown))
}
