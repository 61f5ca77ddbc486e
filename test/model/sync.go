package model

import (
	"slices"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// syncing is what a server of a group in sync does to its commits, and how far it is. A position is how many writes there were: a space has a few.
type syncing struct {
	LSN     events.LSN
	Acked   events.LSN       // ground truth: up to where its group acknowledged, whoever did
	Order   events.SyncOrder // as it lies in its data
	Names   []string         // whom those of its processes wait for that have not read it yet
	Cut     bool             // its receiver is cut, for good
	Linked  bool             // somebody streams from it
	Flushed events.LSN       // … and confirmed to have so much
	Waits   int              // ticks for which a commit has waited
}

// waitsMost bounds what is counted: longer than any duration that is looked at.
const waitsMost = 2

// follows reports whether a standby streams from another server.
func (s *server) follows(from *server) bool {
	return s.State == events.ServerRecovery && !s.Frozen && !s.Cut && from.State == events.ServerWritable
}

// acknowledges is ground truth: a commit that a client sends now is acknowledged, by whichever of its processes waits for the fewest.
func (s *server) acknowledges() bool {
	return s.writable() && (s.Linked || len(s.Order.Names) == 0 || len(s.Names) == 0)
}

// sync is the driver's: a new order is written once every process goes by the one before, and then it is seen to hold once every process has read it.
func (s *server) sync(o events.SyncOrder) bool {
	if !s.writable() {
		return false
	}
	if s.Order.Version != o.Version {
		if !slices.Equal(s.Names, s.Order.Names) || len(o.Names) > 0 && !s.Linked {
			return false
		}
		s.Order = o
	}
	return len(o.Names) == 0 || slices.Equal(s.Names, o.Names)
}

// wait counts for how long a commit waits.
func (s *server) wait() {
	if s.writable() && s.LSN > s.Acked {
		s.Waits = min(s.Waits+1, waitsMost)
	}
}

// syncHealth is what a probe says of it; nil if it was told nothing.
func (s *server) syncHealth() *events.SyncHealth {
	if s.State != events.ServerWritable || s.Order.Version == 0 {
		return nil
	}
	h := &events.SyncHealth{Version: s.Order.Version}
	if s.Waits > 0 {
		h.Waiting, h.At = Tick*1<<s.Waits/2, s.LSN
	}
	for _, n := range s.Order.Names {
		h.Standbys = append(h.Standbys, events.SyncStandby{Name: n, Streaming: s.Linked, Flushed: s.Flushed})
	}
	return h
}

// link is what passes between the two servers of each group at once: who streams, what is confirmed, and what is acknowledged by that.
func link(hosts []*host) {
	for i := range hosts[0].Servers {
		a, b := &hosts[0].Servers[i], &hosts[1].Servers[i]
		for _, p := range [][2]*server{{a, b}, {b, a}} {
			s, o := p[0], p[1]
			if s.Linked = o.follows(s); s.Linked {
				s.Flushed = o.LSN
			}
			switch {
			case !s.writable():
			case len(s.Order.Names) == 0 || len(s.Names) == 0:
				s.Acked = max(s.Acked, s.LSN)
			case s.Linked:
				s.Acked = max(s.Acked, min(s.LSN, o.LSN))
			}
		}
		a.Acked = max(a.Acked, b.Acked)
		b.Acked = a.Acked
		for _, s := range []*server{a, b} {
			if s.LSN <= s.Acked || !s.writable() {
				s.Waits = 0
			}
		}
	}
}

var (
	linkHosts = &step{name: "link", do: func(c *call) []any {
		link([]*host{c.args[0].(*host), c.args[1].(*host)})
		return c.args
	}}
	// receive has the second host's standbys get everything the first host's servers wrote.
	receive = &step{name: "receive", do: func(c *call) []any {
		from, to := c.args[0].(*host), c.args[1].(*host)
		for i := range to.Servers {
			if f, t := &from.Servers[i], &to.Servers[i]; t.follows(f) && f.writable() {
				t.LSN = max(t.LSN, f.LSN)
			}
		}
		return c.args
	}}
	hostWrite = hostDo("write", func(s *hostStep, _ []any) {
		for i := range s.h.Servers {
			if v := &s.h.Servers[i]; v.writable() {
				v.LSN++
			}
		}
	})
	hostReads = hostDo("reads", func(s *hostStep, _ []any) {
		for i := range s.h.Servers {
			v := &s.h.Servers[i]
			v.Names = v.Order.Names
		}
	})
)

// after carries what passes between servers, and tells the leader of it.
func (w *world) after() {
	if w.m.cfg.Sync {
		w.pair(linkHosts, 0, 1)
	}
}

// pair runs a step of two hosts.
func (w *world) pair(s *step, h, k int) {
	old := [2]part{w.fixed[h], w.fixed[k]}
	out := w.m.run(s, &w.top, old[0], old[1])
	w.fixed[h], w.fixed[k] = out[0], out[1]
	w.look(h, old[0])
	w.look(k, old[1])
}

// synced are what happens to the servers of a group in sync by themselves, and by their clients.
func (l *lister) synced() {
	if !l.w.m.cfg.Sync {
		return
	}
	b := l.w.left()
	for h := range 2 {
		x := l.w.meta(h)
		if b.Writes > 0 && len(x.writable) > 0 {
			c := b
			c.Writes--
			l.add("a client writes to %s", func(w *world) {
				w.spend(c)
				w.host(h, hostWrite)
			}, name(h))
		}
		if x.unread && len(x.writable) > 0 {
			l.add("every process of %s has read whom commits wait for", func(w *world) { w.host(h, hostReads) }, name(h))
		}
		if y := l.w.meta(1 - h); len(x.writable) > 0 && y.lsn < x.lsn {
			l.add("%s receives what %s wrote", func(w *world) { w.pair(receive, h, 1-h) }, name(1-h), name(h))
		}
	}
}

// syncMeta is what the search needs to know of servers in sync, of the one group there is.
type syncMeta struct {
	unread     bool
	lsn, acked events.LSN
}

func (h *host) syncMeta() (x syncMeta) {
	for i := range h.Servers {
		s := &h.Servers[i]
		x = syncMeta{unread: !slices.Equal(s.Names, s.Order.Names), lsn: s.LSN, acked: s.Acked}
	}
	return x
}

// lost names what of I4 does not hold: who stands in the recorded set, or is appointed and nobody accepted a loss, has everything that was acknowledged.
func (w *world) lost(g groupMeta) string {
	for h := range w.m.cfg.Hosts {
		if x := w.meta(h); x.lsn < x.acked && (g.set[h] || h == g.active && h != 0) {
			return "I4 " + name(h) + " lacks an acknowledged write of " + g.name
		}
	}
	return ""
}

// told holds where an active was told to wait and its processes have not read it yet.
func told(w *world) bool { return w.meta(0).unread }

// forget is a server that follows another, or was just appointed: whoever it waited for is nobody to it.
func (s *server) forget() { s.Order, s.Names, s.Cut, s.Waits = events.SyncOrder{}, nil, false, 0 }

// syncDo carries out what only a group in sync asks for, and what every verb changes about it.
func (s *server) syncDo(a lease.Action) bool {
	switch a.Verb {
	case lease.Sync:
		return s.sync(*a.Sync)
	case lease.Cut:
		s.Cut = true
	case lease.Follow:
		s.Cut = false
	case lease.Start:
		s.Names = s.Order.Names
	}
	return true
}
