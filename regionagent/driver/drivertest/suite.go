package drivertest

import (
	"context"
	"errors"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

func (s *suite) states() {
	s.write(s.active)
	a := s.until(s.active, "writable with a canary", func(h events.ClusterHealth) bool {
		return h.Server == events.ServerWritable && h.CanaryOK
	})
	p := s.until(s.passive, "caught up", func(h events.ClusterHealth) bool { return streams(h) && h.Replayed >= a.LSN })
	s.noWrite(s.passive)
	switch {
	case s.env.NoLog:
	case a.SystemID == "" || a.SystemID != p.SystemID:
		s.Errorf("system ids %q and %q: want one", a.SystemID, p.SystemID)
	case a.Timeline == 0 || a.Timeline != p.Timeline:
		s.Errorf("timelines %d and %d: want one", a.Timeline, p.Timeline)
	case !p.LagKnown:
		s.Error("a streaming passive does not know its lag")
	}
	if p.Upstream != s.active.Address() {
		s.Errorf("upstream %q, want %q", p.Upstream, s.active.Address())
	}
	if p.CanaryOK {
		s.Error("a passive passed a write canary")
	}
	// The gate finds it open: nothing to do but to see that it can't be opened around the gate.
	s.do(s.active, driver.Action{Verb: driver.Start}, events.AlreadyDone)
	s.do(s.passive, driver.Action{Verb: driver.StartStandby}, events.AlreadyDone)
}

func (s *suite) frozen() {
	for _, x := range []Subject{s.active, s.passive} {
		before := s.probe(x)
		s.must(x.Freeze())
		for range 2 {
			if h := s.probe(x); h.Server != events.ServerFrozen && h.Server != events.ServerUnknown {
				s.Errorf("frozen server probes as %s", h.Server)
			}
		}
		s.do(x, driver.Action{Verb: driver.Stop, Limit: s.env.ProbeLimit}, events.Refused, events.Unknown)
		s.must(x.Thaw())
		s.untilServer(x, before.Server)
	}
	s.write(s.active)
}

func (s *suite) killed() {
	s.do(s.active, driver.Action{Verb: driver.Start}, events.AlreadyDone) // from here on the driver vouches for its log
	s.write(s.active)
	before := s.untilServer(s.active, events.ServerWritable)
	s.must(s.active.Kill())
	s.untilServer(s.active, events.ServerDown)
	s.noWrite(s.active)
	s.do(s.active, driver.Action{Verb: driver.Stop}, events.Refused) // down, but nobody stopped it cleanly
	s.must(s.active.Boot(s.Context()))
	s.untilServer(s.active, events.ServerRecovery)
	s.noWrite(s.active)

	s.do(s.active, driver.Action{Verb: driver.Start, Permit: func(context.Context) error { return errors.New("its right is over by now") }}, events.Retry)
	s.noWrite(s.active)
	s.twice(s.active, driver.Action{Verb: driver.Start})
	s.write(s.active)
	after := s.untilServer(s.active, events.ServerWritable)
	if after.Timeline != before.Timeline {
		s.Errorf("the gate moved timeline %d to %d", before.Timeline, after.Timeline)
	}
	if after.LSN <= before.LSN && !s.env.NoLog {
		s.Errorf("log ends at %v after a write, it ended at %v before the kill", after.LSN, before.LSN)
	}
	s.must(s.active.Kill()) // the gate put the signal file back
	s.must(s.active.Boot(s.Context()))
	s.untilServer(s.active, events.ServerRecovery)
}

func (s *suite) stopStart() {
	s.write(s.active)
	before := s.untilServer(s.active, events.ServerWritable)
	first, second := s.twice(s.active, driver.Action{Verb: driver.Stop})
	if first.LSN == 0 && !s.env.NoLog || first.LSN != second.LSN {
		s.Errorf("stop answered %v, then %v: want the end of the shutdown checkpoint both times", first.LSN, second.LSN)
	}
	s.untilServer(s.active, events.ServerDown)
	s.until(s.passive, "everything delivered", func(h events.ClusterHealth) bool { return h.Replayed >= first.LSN })
	s.must(s.active.Boot(s.Context())) // a clean stop left the signal file too
	s.untilServer(s.active, events.ServerRecovery)
	r := s.do(s.active, driver.Action{Verb: driver.Start}, events.Done)
	if r.Timeline != before.Timeline {
		s.Errorf("started on timeline %d, it was on %d", r.Timeline, before.Timeline)
	}
	s.write(s.active)
	h := s.untilServer(s.active, events.ServerWritable)
	s.until(s.passive, "streaming again", func(p events.ClusterHealth) bool { return streams(p) && p.Replayed >= h.LSN })
}

func (s *suite) notItsLog() {
	s.do(s.passive, driver.Action{Verb: driver.Start}, events.Refused)
	s.untilServer(s.passive, events.ServerRecovery)
	s.twice(s.passive, driver.Action{Verb: driver.Stop})
	s.do(s.passive, driver.Action{Verb: driver.Start}, events.Refused)
	s.untilServer(s.passive, events.ServerDown)
	s.twice(s.passive, driver.Action{Verb: driver.StartStandby})
	s.until(s.passive, "streaming again", streams)
}

func (s *suite) switchover() {
	s.write(s.active)
	stop := s.do(s.active, driver.Action{Verb: driver.Stop}, events.Done)
	s.until(s.passive, "everything delivered", func(h events.ClusterHealth) bool { return h.Replayed >= stop.LSN })
	old := s.probe(s.passive).Timeline
	first, second := s.twice(s.passive, driver.Action{Verb: driver.Promote})
	if first.LSN != stop.LSN || second.LSN != first.LSN {
		s.Errorf("promoted at %v, then said %v; the old active stopped at %v", first.LSN, second.LSN, stop.LSN)
	}
	if first.Timeline != old+1 && !s.env.NoLog || second.Timeline != first.Timeline {
		s.Errorf("promoted from timeline %d to %d, then said %d", old, first.Timeline, second.Timeline)
	}
	s.write(s.passive)
	if h := s.probe(s.passive); h.Server != events.ServerWritable || h.Timeline != first.Timeline || !h.CanaryOK {
		s.Errorf("promoted server: %+v, want writable on timeline %d", h, first.Timeline)
	}
	if r := s.do(s.passive, driver.Action{Verb: driver.Checkpoint}, events.Done, events.AlreadyDone); r.Timeline != first.Timeline {
		s.Errorf("checkpointed on timeline %d, want %d", r.Timeline, first.Timeline)
	}
	s.do(s.passive, driver.Action{Verb: driver.Checkpoint}, events.AlreadyDone)

	s.twice(s.active, driver.Action{Verb: driver.StartStandby, Source: s.passive.Address()})
	s.write(s.passive)
	h := s.probe(s.passive)
	p := s.until(s.active, "the old active follows", func(p events.ClusterHealth) bool { return streams(p) && p.Replayed >= h.LSN })
	if p.Timeline != first.Timeline || p.Upstream != s.passive.Address() {
		s.Errorf("old active: timeline %d, upstream %q", p.Timeline, p.Upstream)
	}
	s.noWrite(s.active)
	s.do(s.active, driver.Action{Verb: driver.Start}, events.Refused) // now it holds somebody else's log
}

func (s *suite) promotedBoots() {
	s.do(s.passive, driver.Action{Verb: driver.Promote}, events.Done)
	s.write(s.passive)
	s.must(s.passive.Kill())
	s.must(s.passive.Boot(s.Context()))
	s.untilServer(s.passive, events.ServerRecovery)
	s.noWrite(s.passive)
	s.do(s.passive, driver.Action{Verb: driver.Start}, events.Done)
	s.write(s.passive)
}

func (s *suite) cut() {
	s.write(s.active)
	cut := driver.Action{Verb: driver.Cut}
	first, second := s.twice(s.passive, cut)
	if first.LSN == 0 && !s.env.NoLog || first.LSN != second.LSN || first.Replayed != second.Replayed {
		s.Errorf("cut at %v/%v, then %v/%v", first.LSN, first.Replayed, second.LSN, second.Replayed)
	}
	s.write(s.active)
	stands := func(when string) {
		s.Helper()
		if h := s.untilServer(s.passive, events.ServerRecovery); h.Streaming || h.Replayed != first.Replayed {
			s.Errorf("%s: streaming %v, replayed %v, cut at %v", when, h.Streaming, h.Replayed, first.Replayed)
		}
	}
	stands("after a write")
	s.do(s.passive, driver.Action{Verb: driver.Stop}, events.Done)
	s.do(s.passive, driver.Action{Verb: driver.StartStandby}, events.Done)
	stands("after a restart")
	s.do(s.passive, cut, events.AlreadyDone)
	a := s.untilServer(s.active, events.ServerWritable)
	s.twice(s.passive, driver.Action{Verb: driver.Follow})
	s.until(s.passive, "caught up", func(h events.ClusterHealth) bool { return streams(h) && h.Replayed >= a.LSN })
	s.do(s.passive, driver.Action{Verb: driver.Follow, Source: s.active.Address()}, events.AlreadyDone)
}

func (s *suite) mark() {
	for _, group := range []string{"orders", ""} {
		s.twice(s.passive, driver.Action{Verb: driver.Mark, Group: group})
		if h := s.probe(s.passive); h.Mark != group {
			s.Errorf("mark %q, want %q", h.Mark, group)
		}
	}
}

func (s *suite) refusals() {
	for _, v := range []driver.Verb{driver.Cut, driver.Follow, driver.StartStandby, "dance"} {
		s.do(s.active, driver.Action{Verb: v, Source: s.passive.Address()}, events.Refused)
	}
	s.write(s.active)
	s.do(s.passive, driver.Action{Verb: driver.Stop}, events.Done)
	for _, v := range []driver.Verb{driver.Promote, driver.Cut, driver.Follow, driver.Checkpoint} {
		s.do(s.passive, driver.Action{Verb: v, Source: s.active.Address()}, events.Refused)
	}
	s.untilServer(s.passive, events.ServerDown)
}

func (s *suite) ended() {
	over, cancel := context.WithCancel(s.Context())
	cancel()
	for _, x := range []Subject{s.active, s.passive} {
		before := s.probe(x).Server
		began := time.Now()
		if h := x.Driver().Probe(over); h.Server == events.ServerDown {
			s.Error("a probe with no time left says down")
		}
		if r := x.Driver().Do(over, driver.Action{Verb: driver.Stop}); r.Outcome.OK() {
			s.Errorf("stop with no time left: %s", r.Outcome)
		}
		if took := time.Since(began); took > s.env.ProbeLimit {
			s.Errorf("ended contexts took %v", took)
		}
		s.untilServer(x, before)
	}
}
