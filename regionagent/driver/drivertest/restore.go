package drivertest

import (
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

func (s *suite) cutUntil() {
	s.write(s.active)
	stop := s.do(s.active, driver.Action{Verb: driver.Stop}, events.Done)
	if r := s.do(s.passive, driver.Action{Verb: driver.Cut, Until: stop.LSN}, events.Done); r.Replayed < stop.LSN {
		s.Errorf("cut at %v/%v, want all up to %v", r.LSN, r.Replayed, stop.LSN)
	}
	s.do(s.passive, driver.Action{Verb: driver.Cut, Until: stop.LSN}, events.AlreadyDone)
	// The move is called off: the old active opens again, and the passive goes on following it.
	s.do(s.active, driver.Action{Verb: driver.Start}, events.Done)
	s.do(s.passive, driver.Action{Verb: driver.Follow}, events.Done)
	s.write(s.active)
	a := s.untilServer(s.active, events.ServerWritable)
	s.until(s.passive, "caught up", func(h events.ClusterHealth) bool { return streams(h) && h.Replayed >= a.LSN })
}

// failover cuts the passive off, writes so many times to the active, kills it and promotes the passive.
func (s *suite) failover(active, passive Subject, lost int) {
	s.Helper()
	s.do(active, driver.Action{Verb: driver.Start}, events.AlreadyDone)
	s.write(active)
	a := s.untilServer(active, events.ServerWritable)
	s.until(passive, "caught up", func(h events.ClusterHealth) bool { return streams(h) && h.Replayed >= a.LSN })
	s.do(passive, driver.Action{Verb: driver.Cut}, events.Done)
	for range lost {
		s.write(active)
		s.probe(active) // its canary is no client's loss
	}
	s.must(active.Kill())
	s.untilServer(active, events.ServerDown)
	s.do(passive, driver.Action{Verb: driver.Promote}, events.Done)
	s.do(passive, driver.Action{Verb: driver.Checkpoint}, events.Done, events.AlreadyDone)
	s.write(passive)
}

// home checks that a cluster follows another with all that it has, and can't be opened.
func (s *suite) home(x, source Subject) {
	s.Helper()
	up := s.untilServer(source, events.ServerWritable)
	p := s.until(x, "home", func(h events.ClusterHealth) bool { return streams(h) && h.Replayed >= up.LSN })
	if p.Timeline != up.Timeline || p.Upstream != source.Address() || p.SystemID != up.SystemID {
		s.Errorf("home: %+v, its source: %+v", p, up)
	}
	s.noWrite(x)
	s.must(x.Kill())
	s.untilServer(x, events.ServerDown)
	s.do(x, driver.Action{Verb: driver.Start}, events.Refused) // it holds somebody else's log
	s.must(x.Boot(s.Context()))
	s.until(x, "home after a reboot", streams)
	s.noWrite(x)
	s.write(source)
}

func (s *suite) lost(r events.Result, want int) {
	s.Helper()
	if s.env.NoLog {
		if r.Lost != nil {
			s.Errorf("lost %+v: want it not counted", r.Lost)
		}
		return
	}
	if r.Lost == nil || r.Lost.Commits != want || r.Lost.Unread != "" || len(r.Lost.List) != want {
		s.Errorf("lost %+v, want exactly %d commits", r.Lost, want)
	}
}

func (s *suite) restoreKilled() {
	s.failover(s.active, s.passive, 3)
	s.do(s.passive, driver.Action{Verb: driver.Restore, Source: s.active.Address()}, events.Refused) // writable
	order := driver.Action{Verb: driver.Restore, Source: s.passive.Address()}
	first, second := s.twice(s.active, order)
	if !s.env.NoLog && (first.How != "rewound" || second.How != first.How || first.Timeline == 0 || first.LSN == 0) {
		s.Errorf("restored: %+v, then %+v", first, second)
	}
	s.lost(first, 3)
	s.lost(second, 3)
	s.home(s.active, s.passive)
}

func (s *suite) restoreStopped() {
	s.do(s.active, driver.Action{Verb: driver.Start}, events.AlreadyDone)
	s.write(s.active)
	stop := s.do(s.active, driver.Action{Verb: driver.Stop}, events.Done)
	s.do(s.passive, driver.Action{Verb: driver.Cut, Until: stop.LSN}, events.Done)
	s.do(s.passive, driver.Action{Verb: driver.Promote}, events.Done)
	first, second := s.twice(s.active, driver.Action{Verb: driver.Restore, Source: s.passive.Address()})
	if !s.env.NoLog && (first.How != "followed" || second.How != first.How) {
		s.Errorf("restored: %+v, then %+v", first, second)
	}
	s.lost(first, 0)
	s.write(s.passive)
	s.home(s.active, s.passive)
}

func (s *suite) restorePassive() {
	order := driver.Action{Verb: driver.Restore, Source: s.active.Address()}
	if r := s.do(s.passive, order, events.Done, events.AlreadyDone); r.Lost != nil {
		s.Errorf("a passive lost something: %+v", r)
	}
	s.until(s.passive, "streaming as the driver points it", streams) // pointed anew, its receiver connects again
	s.do(s.passive, order, events.AlreadyDone)
	s.do(s.passive, driver.Action{Verb: driver.Cut}, events.Done)
	s.write(s.active)
	if r := s.do(s.passive, order, events.Done); r.How != "followed" && !s.env.NoLog {
		s.Errorf("restored: %+v", r)
	}
	s.must(s.passive.Freeze())
	s.do(s.passive, order, events.Refused, events.Unknown)
	s.must(s.passive.Thaw())
	s.home(s.passive, s.active)
}

func (s *suite) restoreCopy() {
	s.failover(s.active, s.passive, 2)
	first, second := s.twice(s.active, driver.Action{Verb: driver.Restore, Source: s.passive.Address(), Copy: true})
	if !s.env.NoLog && (first.How != "copied" || second.How != first.How || first.Copied == 0 || second.Copied != first.Copied) {
		s.Errorf("restored: %+v, then %+v", first, second)
	}
	s.lost(first, 2)
	s.lost(second, 2)
	s.home(s.active, s.passive)
}

// thereAndBack has each be the active twice, with a loss each time.
func (s *suite) thereAndBack() {
	from, to := s.active, s.passive
	for i := range 3 {
		s.failover(from, to, i)
		r := s.do(from, driver.Action{Verb: driver.Restore, Source: to.Address(), Step: "restore/" + string(rune('a'+i))}, events.Done)
		if !s.env.NoLog && (r.Lost == nil || r.Lost.Commits != i || r.Lost.Unread != "") {
			s.Errorf("round %d: lost %+v", i, r.Lost)
		}
		up := s.untilServer(to, events.ServerWritable)
		s.until(from, "home", func(h events.ClusterHealth) bool { return streams(h) && h.Timeline == up.Timeline })
		from, to = to, from
	}
}

func (s *suite) release() {
	s.do(s.active, driver.Action{Verb: driver.Start}, events.AlreadyDone)
	s.do(s.passive, driver.Action{Verb: driver.Restore, Source: s.active.Address()}, events.Done, events.AlreadyDone)
	for _, x := range []Subject{s.active, s.passive} {
		before := s.probe(x).Server
		s.do(x, driver.Action{Verb: driver.Mark, Group: "orders"}, events.Done)
		s.do(x, driver.Action{Verb: driver.Release}, events.Done)
		s.do(x, driver.Action{Verb: driver.Release}, events.AlreadyDone)
		if h := s.probe(x); h.Server != before || h.Mark != "" {
			s.Errorf("released: %+v, it was %s", h, before)
		}
	}
	s.write(s.active)
	a := s.untilServer(s.active, events.ServerWritable)
	s.until(s.passive, "still following", func(h events.ClusterHealth) bool { return streams(h) && h.Replayed >= a.LSN })
}
