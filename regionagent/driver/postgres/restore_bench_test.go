package postgres_test

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// BenchmarkRestore is the way home of a server of some 100 MB, from the order until it streams, by each rung of the ladder.
func BenchmarkRestore(b *testing.B) {
	for _, how := range []string{"followed", "rewound", "copied"} {
		b.Run(how, func(b *testing.B) {
			var took time.Duration
			var copied int64
			for b.Loop() {
				b.StopTimer()
				old, active := large(b, how == "followed")
				b.StartTimer()
				r := old.do(events.Done, driver.Action{Verb: driver.Restore, Source: active.Address(), Step: "s", Copy: how == "copied"})
				if r.How != how {
					b.Fatalf("restored: %+v", r)
				}
				took, copied = took+r.Took, copied+r.Copied
			}
			b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/restore")
			b.ReportMetric(float64(copied)/float64(b.N)/1e6, "MB/restore")
		})
	}
}

// large is a pair after a switchover, or after a failover with a few lost commits.
func large(b *testing.B, clean bool) (old, active subject) {
	old, active = pair(b, wide...)
	old.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
	old.must("CREATE TABLE wide AS SELECT g, repeat('x', 1000) FROM generate_series(1, 95000) g")
	sent := old.probe().LSN
	until(b, "it has them", func() bool { return active.probe().Replayed >= sent })
	if clean {
		stop := old.do(events.Done, driver.Action{Verb: driver.Stop})
		active.do(events.Done, driver.Action{Verb: driver.Cut, Until: stop.LSN})
	} else {
		active.do(events.Done, driver.Action{Verb: driver.Cut})
		old.commit()
		if err := old.Kill(); err != nil {
			b.Fatal(err)
		}
		old.untilServer(events.ServerDown)
	}
	active.do(events.Done, driver.Action{Verb: driver.Promote})
	active.do(events.Done, driver.Action{Verb: driver.Checkpoint})
	return old, active
}
