package sim

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// server is one simulated database server: what a client could do to it, whatever any agent believes.
type server struct {
	w        *World
	ref      events.Ref
	cfg      *events.GroupConfig
	host     *host
	state    events.Server // down, recovery, writable
	frozen   bool
	signal   bool // standby.signal lies in its data
	stuck    bool // does not answer its protocol, and does nothing
	mark     string
	lsn      events.LSN
	timeline uint32
	upstream events.Ref
	cut      bool
	exempt   at // a host pause: I1 is waived until then
}

// writable is ground truth: it can acknowledge a write now.
func (s *server) writable() bool {
	return s.state == events.ServerWritable && !s.frozen && !s.stuck && !s.host.off && s.w.now >= s.host.paused
}

// probed is what a probe finds.
func (s *server) probed() events.Server {
	switch {
	case s.state == events.ServerDown:
		return events.ServerDown
	case s.frozen:
		return events.ServerFrozen
	case s.stuck:
		return events.ServerUnknown
	}
	return s.state
}

// start brings it up: writable only through the gate, which removed the signal file.
func (s *server) start(gate bool) {
	if s.state != events.ServerDown {
		return
	}
	s.frozen, s.stuck = false, false
	if gate {
		s.signal = false
	}
	if s.signal {
		s.state = events.ServerRecovery
		return
	}
	s.state = events.ServerWritable
	s.signal = true // re-placed in a running active's directory (I8)
}

func (s *server) promote() bool {
	if s.state != events.ServerRecovery || s.frozen || s.stuck {
		return false
	}
	s.state, s.upstream, s.cut = events.ServerWritable, events.Ref{}, false
	s.timeline++
	s.signal = true
	return true
}

// kill leaves it down, with the signal file in place first.
func (s *server) kill() {
	s.signal = true
	s.state, s.frozen, s.stuck = events.ServerDown, false, false
}

// replicate moves positions on: a writable server writes, a standby follows while it can.
func (w *World) replicate() {
	for _, s := range w.servers {
		if s.writable() {
			s.lsn += 100
		}
	}
	for _, s := range w.servers {
		if s.state != events.ServerRecovery || s.frozen || s.cut || s.host.off {
			continue
		}
		up := w.server(s.upstream)
		if up == nil || up.state == events.ServerDown || up.frozen || up.host.off || !w.net.both(s.ref.Region, s.upstream.Region) {
			continue
		}
		if up.lsn >= s.lsn && up.timeline >= s.timeline {
			s.lsn, s.timeline = up.lsn, up.timeline
		}
	}
	w.in(50*time.Millisecond, w.replicate)
}

func (w *World) server(r events.Ref) *server {
	for _, s := range w.servers {
		if s.ref == r {
			return s
		}
	}
	return nil
}

// group lists the servers of a group.
func (w *World) group(name string) []*server {
	var ss []*server
	for _, s := range w.servers {
		if s.cfg.Group == name {
			ss = append(ss, s)
		}
	}
	return ss
}

// addGroup makes a group's servers: the primary writable, the others following, and stores its configuration.
func (w *World) addGroup(g events.GroupConfig) {
	for i, r := range g.Clusters() {
		h := w.hostIn(r.Region)
		s := &server{w: w, ref: r, cfg: &g, host: h, state: events.ServerRecovery, signal: true, lsn: 1000, timeline: 1, upstream: g.Primary}
		if i == 0 {
			s.state, s.upstream = events.ServerWritable, events.Ref{}
		}
		h.servers = append(h.servers, s)
		w.servers = append(w.servers, s)
	}
	w.storeConfig(g)
}
