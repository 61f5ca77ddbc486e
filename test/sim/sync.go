package sim

import (
	"slices"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// syncing is what a server in sync does to its commits: they wait for whom its processes have read that they must, which is not always what it was told last.
type syncing struct {
	order     events.SyncOrder // as it lies in its data
	names     []string         // whom commits wait for now
	confirmed map[string]events.LSN
	foreign   string     // somebody changed by hand what it was told
	since     at         // commits wait since then, 0 = they are acknowledged
	at        events.LSN // … for that to be confirmed
}

// mark is a position in a history.
type mark struct {
	timeline uint32
	at       events.LSN
}

// standby is the server of its group that streams from it under a name, nil if none does.
func (s *server) standby(name string) *server {
	for _, o := range s.pair.servers {
		if o.ref.Cluster == name && o.source() == s {
			return o
		}
	}
	return nil
}

// acknowledges is ground truth: a commit that a client sends now is acknowledged.
func (s *server) acknowledges() bool {
	return s.writable() && !slices.ContainsFunc(s.names, func(n string) bool { return s.standby(n) == nil })
}

// acknowledge notes what was acknowledged by now, and since when commits wait.
func (s *server) acknowledge() {
	if !s.writable() {
		return
	}
	for _, n := range s.order.Names {
		if o := s.standby(n); o != nil {
			if s.confirmed == nil {
				s.confirmed = map[string]events.LSN{}
			}
			s.confirmed[n] = o.lsn
		}
	}
	switch {
	case s.acknowledges():
		s.since = 0
		if s.w.seen.acked == nil {
			s.w.seen.acked = map[string]mark{}
		}
		s.w.seen.acked[s.cfg.Group] = mark{s.timeline, s.lsn}
	case s.since == 0:
		s.since, s.at = s.w.now, s.lsn
	}
}

// lacks reports whether a server's log lacks something that its group acknowledged.
func (w *World) lacks(s *server) bool {
	m, some := w.seen.acked[s.cfg.Group]
	return some && (s.broken || !s.continues(m.timeline, m.at))
}

// checkSync checks I4: whoever stands in the recorded set has everything that was ever acknowledged.
func (w *World) checkSync(r *events.Record) {
	if r == nil || r.Sync == nil {
		return
	}
	for _, c := range r.Sync.Set {
		if s := w.server(c); w.lacks(s) {
			m := w.seen.acked[r.Group]
			w.fail("I4", "%s (timeline %d, %v) is in the recorded sync set of %s and lacks what was acknowledged up to timeline %d, %v", c, s.timeline, s.lsn, r.Group, m.timeline, m.at)
		}
	}
}

// forget is a server that follows another, or was just appointed: whoever it waited for is nobody to it.
func (s *server) forget() { s.syncing = syncing{} }

// sync is the simulated driver's: the server's processes read a setting some time after it was written, and only then a commit is seen to wait by it.
func (h *host) sync(s *server, a lease.Action, end func(events.Result)) {
	w := h.w
	w.in(h.between(2*time.Millisecond, 300*time.Millisecond), func() {
		if h.off {
			return
		}
		if s.frozen || s.stuck || s.state != events.ServerWritable || h.chance(0.02) || !s.tell(h, *a.Sync) || !slices.Equal(s.names, a.Sync.Names) && len(a.Sync.Names) > 0 {
			end(events.Result{Outcome: events.Retry, Why: "simulated: no commit was seen to wait"})
			return
		}
		end(events.Result{Outcome: events.Done, LSN: s.lsn})
	})
}

// tell writes an order, once everything in the server goes by the one before.
func (s *server) tell(h *host, o events.SyncOrder) bool {
	if s.order.Version == o.Version && slices.Equal(s.order.Names, o.Names) {
		return true
	}
	for _, n := range o.Names {
		if !slices.Contains(s.order.Names, n) && s.standby(n) == nil {
			return false
		}
	}
	if !slices.Equal(s.names, s.order.Names) {
		return false
	}
	s.w.trace("%s is told to wait for %v (%d)", s.ref, o.Names, o.Version)
	s.order, s.foreign = o, ""
	s.w.in(h.between(0, 700*time.Millisecond), func() {
		if s.order.Version == o.Version && s.state == events.ServerWritable {
			s.names = o.Names
		}
	})
	return true
}

// syncHealth is what a probe says of it.
func (s *server) syncHealth() *events.SyncHealth {
	if s.state != events.ServerWritable || s.order.Version == 0 {
		return nil
	}
	h := &events.SyncHealth{Version: s.order.Version, Foreign: s.foreign}
	if s.since != 0 {
		h.Waiting, h.At = s.w.now-s.since, s.at
	}
	for _, n := range s.order.Names {
		h.Standbys = append(h.Standbys, events.SyncStandby{Name: n, Streaming: s.standby(n) != nil, Flushed: s.confirmed[n]})
	}
	return h
}
