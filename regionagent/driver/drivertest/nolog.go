package drivertest

import (
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// noLog is what a kind without a log must say: nothing of what only a log tells, and no to whoever wants commits to wait.
func (s *suite) noLog() {
	s.write(s.active)
	for _, x := range []Subject{s.active, s.passive} {
		if h := s.probe(x); h.LSN != 0 || h.Replayed != 0 || h.Timeline != 0 || h.SystemID != "" || h.LagKnown || h.Lag != 0 || h.End != 0 || h.Sync != nil {
			s.Errorf("claims what only a log tells: %+v", h)
		}
		if h := s.probe(x); h.Kind.Logged() {
			s.Errorf("kind %q has a log", h.Kind)
		}
	}
	s.do(s.active, driver.Action{Verb: driver.Sync, Sync: &events.SyncOrder{Version: 1, Names: []string{s.name(s.passive)}}}, events.Refused)
	s.write(s.active)
}
