package sim

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// server is one simulated database server: what a client could do to it, whatever any agent believes.
type server struct {
	w        *World
	ref      events.Ref
	name     string // the same, written
	pair     *pair  // its group's
	cfg      *events.GroupConfig
	host     *host
	state    events.Server // down, recovery, writable
	frozen   bool
	signal   bool          // standby.signal lies in its data
	stuck    bool          // does not answer its protocol, and does nothing
	slow     time.Duration // how much longer each of its driver's verbs takes
	mark     string
	lsn      events.LSN
	timeline uint32
	history  []fork // of its timelines, oldest first
	upstream events.Ref
	cut      bool
	exempt   at // a host pause: I1 is waived until then

	restore *bool               // the restore under way: set to false, it is cancelled
	refuses int                 // faults by which its driver refuses a restore
	stalls  int                 // … by which one stands still
	tasks   *events.TaskSummary // the newest ledger its agent has on disk
	moved   at                  // when its restore last got on
	broken  bool                // its data is half rebuilt: nothing but a restore makes anything of it

	syncing
	end mark // where its upstream last said that its log ends
}

// fork is where a timeline ended and the next began.
type fork struct {
	timeline uint32
	at       events.LSN
}

// continues reports whether a log that ends at (timeline, at) is the beginning of this one.
func (s *server) continues(timeline uint32, at events.LSN) bool {
	if timeline == s.timeline {
		return at <= s.lsn
	}
	for _, f := range s.history {
		if f.timeline == timeline {
			return at <= f.at
		}
	}
	return false
}

// take makes its log what another one's is.
func (s *server) take(up *server) {
	s.lsn, s.timeline, s.history = up.lsn, up.timeline, append([]fork(nil), up.history...)
}

// writable is ground truth: it can acknowledge a write now.
func (s *server) writable() bool {
	return s.state == events.ServerWritable && !s.frozen && !s.stuck && !s.host.off && !s.host.still.on()
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
	if s.state != events.ServerDown || s.broken {
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
	s.names = s.order.Names // read before anybody is let in
	s.signal = true         // re-placed in a running active's directory (I8)
}

func (s *server) promote() bool {
	if s.state != events.ServerRecovery || s.frozen || s.stuck {
		return false
	}
	if s.broken || s.restore != nil {
		s.w.fail("C7", "%s is promoted although it is being restored", s.ref)
	}
	s.history = append(s.history, fork{s.timeline, s.lsn})
	s.state, s.upstream, s.cut = events.ServerWritable, events.Ref{}, false
	s.timeline++
	s.signal = true
	s.forget()
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
		if up := s.source(); up != nil {
			s.take(up)
			s.end = mark{up.timeline, up.lsn}
		}
	}
	for _, s := range w.servers {
		s.acknowledge()
	}
	w.in(50*time.Millisecond, w.replicate)
}

// source is the server it streams from now, nil if it streams from none.
func (s *server) source() *server {
	if s.state != events.ServerRecovery || s.frozen || s.cut || s.stuck || s.host.off || s.restore != nil || s.broken {
		return nil
	}
	up := s.w.server(s.upstream)
	if up == nil || up.state == events.ServerDown || up.frozen || up.stuck || up.host.off || !s.w.net.both(planeData, s.ref.Region, up.ref.Region) || !up.continues(s.timeline, s.lsn) {
		return nil
	}
	return up
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
	return w.pairOf(name).servers
}

// addGroup makes a group's servers: the primary writable, the others following, and stores its configuration.
func (w *World) addGroup(g events.GroupConfig, agent string) {
	p := &pair{name: g.Group}
	w.pairs = append(w.pairs, p)
	for i, r := range g.Clusters() {
		h := w.hostOf(events.AgentRef{Region: r.Region, Agent: agent})
		s := &server{w: w, ref: r, name: r.String(), pair: p, cfg: &g, host: h, state: events.ServerRecovery, signal: true, lsn: 1000, timeline: 1, upstream: g.Primary}
		if i == 0 {
			s.state, s.upstream = events.ServerWritable, events.Ref{}
		}
		h.servers = append(h.servers, s)
		w.servers, p.servers = append(w.servers, s), append(p.servers, s)
	}
	w.storeConfig(g)
}
