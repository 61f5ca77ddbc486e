package model

import "github.com/switchback-dr/switchback/events"

// ends finds the states from which nothing that may still happen leads back to one active and healthy passives (I9): no message, no process that starts, no time, no
// operator's or person's ask. An ask that a bound of the search does not allow any more counts as a way back. Only a search to its end shows anything.
type ends struct {
	from  map[uint64][]uint64 // by state, those that lead to it without a fault
	order []uint64            // every state that was looked at, in the order of its depth
	back  []uint64            // states that are whole, or of which the bounds hide where they lead
}

// step notes that one state leads to another.
func (e *ends) step(from, to uint64, fault bool) {
	if !fault && from != to {
		e.from[to] = append(e.from[to], from)
	}
}

// look notes a state.
func (e *ends) look(f uint64, w *world) {
	e.order = append(e.order, f)
	if w.whole() || w.bounded() {
		e.back = append(e.back, f)
	}
}

// dead lists the states that no way leads back from, the nearest to the beginning first.
func (e *ends) dead() (all []uint64) {
	live := make(map[uint64]bool, len(e.order))
	for rest := e.back; len(rest) > 0; {
		f := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		if !live[f] {
			live[f] = true
			rest = append(rest, e.from[f]...)
		}
	}
	for _, f := range e.order {
		if !live[f] {
			all = append(all, f)
		}
	}
	return all
}

// whole reports whether every group has one active that serves, and passives that follow it by its epoch.
func (w *world) whole() bool {
	ctl := w.leader()
	for _, g := range ctl.groups {
		if g.phase != events.PhaseActive || g.failed {
			return false
		}
		for h := range w.m.cfg.Hosts {
			if w.m.unfit(w.fixed[h], g, h) != "" {
				return false
			}
		}
	}
	return true
}

// bounded reports whether a person could do something that the bounds of the search do not allow any more, or a fault of it never ends.
func (w *world) bounded() bool {
	ctl, c := w.leader(), w.m.cfg
	if c.Deaf {
		return true
	}
	for _, g := range ctl.groups {
		if int(g.epoch) >= c.Epochs && (g.phase != events.PhaseActive || g.failed) {
			return true
		}
	}
	b := w.left()
	return c.Ledgers > 0 && (b.Persons == 0 || b.Rejoins == 0)
}
