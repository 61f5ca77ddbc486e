package model

import (
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// start is the state every search begins in: every group born, everybody well, nothing under way. It is reached by the cores themselves.
func (m *machine) start() (*world, error) {
	w := &world{m: m, fixed: make([]part, m.at.budget+1)}
	for h := range m.cfg.Hosts {
		x := &host{No: h}
		for _, g := range m.cfg.Groups {
			s := server{Ref: clusterRef(g, h), Group: g, State: events.ServerRecovery, Signal: true}
			if h == 0 {
				s.State = events.ServerWritable
			}
			if m.cfg.Sync {
				s.LSN, s.Acked = 1, 1
			}
			x.Servers = append(x.Servers, s)
			w.fixed[w.mail(h, g)] = m.put(&mail{Host: h, Cluster: g}, identity)
			w.fixed[w.word(h, g)] = m.put(&word{Host: h, Cluster: g}, identity)
		}
		w.fixed[w.mail(h, events.ResumeCluster)] = m.put(&mail{Host: h, Cluster: events.ResumeCluster}, identity)
		w.fixed[h] = m.put(x, identity)
		for n := range events.Lanes {
			w.fixed[w.register(h, n)] = m.put(&register{Host: h, Lane: n, Generation: 1}, identity)
		}
	}
	w.fixed[m.at.ctl] = m.put(&ctl{}, identity)
	w.spend(budget{m.cfg.Crashes, m.cfg.Reboots, m.cfg.Guards, m.cfg.Disks, m.cfg.Leaders, m.cfg.Ledgers, m.cfg.Persons, m.cfg.Rejoins, m.cfg.Writes})
	w.lead()
	for h := range m.cfg.Hosts {
		w.host(h, hostGuard)
		w.host(h, hostStart)
	}
	if m.cfg.From != nil {
		if !w.calm(m.cfg.From) {
			return nil, fmt.Errorf("%s does not begin: never as it should be\n%s", m.cfg.Name, w.String())
		}
		return m.unpack(w.pack()), nil
	}
	w.calm(nil)
	w = m.unpack(w.pack())
	if why := w.unwell(); why != "" {
		return nil, fmt.Errorf("%s does not begin: %s\n%s", m.cfg.Name, why, w.String())
	}
	if m.cfg.Begin != nil {
		for _, g := range m.cfg.Groups {
			w.ask(order{events.AskFailover, g, clusterRef(g, 1).String()})
			w.calm(nil)
			w.ask(order{events.AskRestore, g, ""})
		}
		if !w.calm(m.cfg.Begin) {
			return nil, fmt.Errorf("%s does not begin: never as it should be\n%s", m.cfg.Name, w.String())
		}
		w = m.unpack(w.pack())
	}
	if m.cfg.Leaderless {
		w.fixed[m.at.ctl] = m.put(&ctl{}, identity)
	}
	return w, nil
}

// calm delivers everything and lets time pass, until a condition holds.
func (w *world) calm(until func(*world) bool) bool {
	for range 20 {
		for w.calmer() {
			w.after()
			if until != nil && until(w) {
				return true
			}
		}
		w.tick()
		w.after()
	}
	for w.calmer() {
	}
	return false
}

// listWaits holds where the second host is active, and the command that gives it its first candidate again waits for it.
func listWaits(w *world) bool {
	g := w.leader().groups[0]
	return g.phase == events.PhaseActive && g.active == 1 && slices.Contains(w.meta(1).writable, g.name) && w.meta(w.mail(1, g.name)).waiting
}

func (w *world) calmer() bool {
	if w.m.cfg.Sync && w.meta(0).unread {
		w.host(0, hostReads)
		return true
	}
	for i, p := range w.flight {
		switch w.m.meta(p).tag {
		case 'p':
			w.store(w.take(i), true)
			return true
		default:
			w.take(i)
			return true
		}
	}
	for h := range w.m.cfg.Hosts {
		for n := range events.Lanes {
			if w.meta(h).reading[n] {
				w.host(h, hostRead, w.fixed[w.register(h, n)])
				return true
			}
		}
		if w.meta(h).todo > 0 {
			w.host(h, hostPerform)
			return true
		}
		if w.m.cfg.LazyGuard {
			if before := w.fixed[h].shape; w.meta(h).guard {
				if w.host(h, hostAsks); w.fixed[h].shape != before {
					return true
				}
			}
		}
	}
	for i := w.m.at.mails; i < w.m.at.budget; i++ {
		if x := w.meta(i); x.waiting && x.tag == 'm' {
			w.deliver(i)
			return true
		} else if x.waiting {
			w.report(i)
			return true
		}
	}
	return false
}

// unwell says what is not as at the beginning; "" if nothing: one active per group that serves with all three lanes, everybody else passive and told.
func (w *world) unwell() string {
	ctl := w.leader()
	switch {
	case !ctl.alive:
		return "nobody leads"
	case len(ctl.groups) != len(w.m.cfg.Groups):
		return "a group is not born"
	case len(w.flight) > 0:
		return "something is under way"
	}
	for _, g := range ctl.groups {
		if g.phase != events.PhaseActive {
			return g.name + " is " + string(g.phase)
		}
		for h := range w.m.cfg.Hosts {
			if why := w.m.unfit(w.fixed[h], g, h); why != "" {
				return why
			}
		}
	}
	return ""
}
