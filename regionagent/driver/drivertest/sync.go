package drivertest

import (
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// ordered gives an order until it is seen to hold, and returns the answer that says so.
func (s *suite) ordered(o events.SyncOrder) events.Result {
	s.Helper()
	a := driver.Action{Verb: driver.Sync, Sync: &o}
	for deadline := time.Now().Add(s.env.Settle); ; {
		r := s.do(s.active, a, events.Done, events.AlreadyDone, events.Retry)
		if r.Outcome.OK() {
			return r
		}
		if time.Now().After(deadline) {
			s.Fatalf("an order of %v was not seen to hold: %s", o.Names, r.Why)
		}
	}
}

// inSync brings a pair to where the active's commits wait for the passive.
func (s *suite) inSync(version uint64) {
	s.Helper()
	s.do(s.active, driver.Action{Verb: driver.Start}, events.AlreadyDone)
	s.do(s.passive, driver.Action{Verb: driver.Follow, Source: s.active.Address()}, events.Done, events.AlreadyDone)
	s.until(s.passive, "streaming", streams)
	before := s.untilServer(s.active, events.ServerWritable)
	r := s.ordered(events.SyncOrder{Version: version, Names: []string{s.name(s.passive)}})
	if r.LSN < before.LSN {
		s.Fatalf("what was acknowledged without a wait lies below %v, it says; the log was at %v before", r.LSN, before.LSN)
	}
	h := s.until(s.active, "acknowledged in sync", func(h events.ClusterHealth) bool { return h.CanaryOK })
	if h.Sync == nil || h.Sync.Version != version || h.Sync.Foreign != "" || h.Sync.Waiting != 0 || len(h.Sync.Standbys) != 1 || !h.Sync.Standbys[0].Streaming {
		s.Fatalf("health in sync: %+v", h.Sync)
	}
}

func (s *suite) name(x Subject) string { return s.probe(x).Cluster.Cluster }

func (s *suite) sync() {
	nobody := events.SyncOrder{Version: 3, Names: []string{"nobody-there"}}
	s.do(s.active, driver.Action{Verb: driver.Sync, Sync: &nobody}, events.Retry) // or every commit would wait for ever
	s.write(s.active)
	s.inSync(7)
	s.write(s.active)
	s.must(s.passive.Freeze())
	s.noWrite(s.active)
	h := s.until(s.active, "commits wait", func(h events.ClusterHealth) bool { return h.Sync != nil && h.Sync.Waiting > 0 })
	if h.Server != events.ServerWritable || h.CanaryOK || h.Sync.At == 0 || h.Sync.Standbys[0].Flushed >= h.Sync.At {
		s.Errorf("while commits wait: %+v, %+v", h, h.Sync)
	}
	off := driver.Action{Verb: driver.Sync, Sync: &events.SyncOrder{Version: 8}}
	s.twice(s.active, off)
	s.write(s.active)
	s.until(s.active, "acknowledged alone", func(h events.ClusterHealth) bool {
		return h.CanaryOK && h.Sync != nil && h.Sync.Version == 8 && h.Sync.Waiting == 0
	})
	s.must(s.passive.Thaw())
	s.inSync(9)
	s.must(s.active.Kill()) // what it was told outlives it
	s.must(s.passive.Freeze())
	s.do(s.active, driver.Action{Verb: driver.Start}, events.Done)
	s.noWrite(s.active)
	s.must(s.passive.Thaw())
	s.until(s.active, "acknowledged after a restart", func(h events.ClusterHealth) bool { return h.CanaryOK && h.Sync.Version == 9 && h.Sync.Foreign == "" })
}

func (s *suite) syncCut() {
	s.inSync(1)
	s.write(s.active)
	sent := s.probe(s.active)
	cut := s.do(s.passive, driver.Action{Verb: driver.Cut}, events.Done)
	if cut.LSN < sent.Sync.Standbys[0].Flushed {
		s.Errorf("cut at %v, it had confirmed %v", cut.LSN, sent.Sync.Standbys[0].Flushed)
	}
	s.noWrite(s.active)
	s.do(s.passive, driver.Action{Verb: driver.Promote}, events.Done)
	s.write(s.passive)
	s.noWrite(s.active)
	s.must(s.active.Kill())
	// Home again: what it waited for as an active is not waited for by the one it follows, nor by itself when it is promoted.
	s.do(s.active, driver.Action{Verb: driver.Restore, Source: s.passive.Address()}, events.Done)
	s.do(s.passive, driver.Action{Verb: driver.Stop}, events.Done)
	s.do(s.active, driver.Action{Verb: driver.Promote}, events.Done)
	s.write(s.active)
}
