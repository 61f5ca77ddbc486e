package model

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// move is one thing that can happen next.
type move struct {
	what  func() string
	fault bool // something goes wrong
	begin bool // an operator begins an operation
	do    func(w *world)
}

// moves lists everything that can happen in a state. What is listed may turn out to change nothing.
func (w *world) moves() []move {
	l := &lister{w: w}
	l.messages()
	l.hosts()
	l.stored()
	l.operators()
	l.persons()
	l.synced()
	l.faults()
	if l.late() <= w.m.cfg.Delayed {
		l.add("time passes", func(w *world) { w.tick() })
	}
	return l.ms
}

type lister struct {
	w  *world
	ms []move
}

func (l *lister) add(what string, do func(w *world), args ...any) {
	l.ms = append(l.ms, move{what: func() string { return fmt.Sprintf(what, args...) }, do: do})
}

func (l *lister) fault(what string, do func(w *world), args ...any) {
	l.add("FAULT "+what, do, args...)
	l.ms[len(l.ms)-1].fault = true
}

// late counts the messages that would be under way longer than the instant they left at.
func (l *lister) late() int {
	n := 0
	for _, p := range l.w.flight {
		if t := l.w.m.meta(p).tag; t == 'p' || t == 'x' {
			n++
		}
	}
	return n
}

func name(h int) string { return string(rune('A' + h)) }

// messages are what becomes of those under way.
func (l *lister) messages() {
	done := map[[3]int]bool{}
	for i, p := range l.w.flight {
		x := l.w.m.meta(p)
		orphan := 0
		if x.orphan {
			orphan = 1
		}
		if key := [3]int{int(x.tag), x.host, orphan}; l.w.m.cfg.Coupled && (x.tag == 'p' || x.tag == 'x') {
			if done[key] {
				continue // the others of it share its fate
			}
			done[key] = true
		}
		switch x.tag {
		case 'p':
			l.publish(i, x)
		case 'x':
			l.revocation(i, x)
		case 'g':
			l.add("%s asks %s for a promise: it answers", func(w *world) { w.promise(w.take(i), true) }, name(x.host), name(x.lane))
			l.add("%s asks %s for a promise: the answer is lost", func(w *world) { w.promise(w.take(i), false) }, name(x.host), name(x.lane))
		case 'm':
			l.add("an older command reaches %s for %s", func(w *world) { w.host(x.host, hostMail, w.take(i)) }, name(x.host), x.cluster)
			l.add("an older command to %s for %s is lost", func(w *world) { w.take(i) }, name(x.host), x.cluster)
		}
	}
}

// alike takes a message, and with coupled acceptors those to the other two that share its fate.
func (w *world) alike(i int) []part {
	p := w.take(i)
	all := []part{p}
	if !w.m.cfg.Coupled {
		return all
	}
	x := w.m.meta(p)
	for j := 0; j < len(w.flight); {
		if y := w.m.meta(w.flight[j]); y.tag == x.tag && y.host == x.host && y.orphan == x.orphan {
			all = append(all, w.take(j))
		} else {
			j++
		}
	}
	return all
}

func (w *world) each(i int, do func(p part)) {
	for _, p := range w.alike(i) {
		do(p)
	}
}

func (l *lister) publish(i int, x *meta) {
	kind := "beat"
	if x.pending {
		kind = "rejoin"
	}
	if x.orphan {
		l.add("an old %s of %s reaches acceptor %d", func(w *world) { w.each(i, func(p part) { w.store(p, false) }) }, kind, name(x.host), x.lane)
		l.add("an old %s of %s to acceptor %d is lost", func(w *world) { w.alike(i) }, kind, name(x.host), x.lane)
		return
	}
	l.add("%s of %s stored on acceptor %d and answered", func(w *world) { w.each(i, func(p part) { w.store(p, true) }) }, kind, name(x.host), x.lane)
	l.add("%s of %s to acceptor %d is lost", func(w *world) { w.each(i, w.lose) }, kind, name(x.host), x.lane)
	if l.w.m.cfg.LostAcks {
		l.add("%s of %s stored on acceptor %d, the answer is lost", func(w *world) { w.each(i, func(p part) { w.store(p, false) }) }, kind, name(x.host), x.lane)
	}
	if l.w.m.cfg.Delayed > 0 {
		l.add("%s gives up waiting for its %s to acceptor %d, which is still under way", func(w *world) {
			w.each(i, func(p part) {
				w.lose(p)
				w.flight = append(w.flight, w.m.run(abandon, &w.top, p)[0])
			})
		}, name(x.host), kind, x.lane)
	}
}

func (l *lister) revocation(i int, x *meta) {
	if x.orphan {
		l.add("an old REVOCATION of %s reaches acceptor %d", func(w *world) { w.each(i, func(p part) { w.revoke(p, false) }) }, name(x.host), x.lane)
		l.add("an old REVOCATION of %s on acceptor %d is lost", func(w *world) { w.alike(i) }, name(x.host), x.lane)
		return
	}
	l.add("REVOCATION of %s stored on acceptor %d and answered", func(w *world) { w.each(i, func(p part) { w.revoke(p, true) }) }, name(x.host), x.lane)
	l.add("REVOCATION of %s on acceptor %d is lost", func(w *world) { w.each(i, func(p part) { w.ctl(ctlUnknown, p) }) }, name(x.host), x.lane)
	if l.w.m.cfg.LostAcks {
		l.add("REVOCATION of %s stored on acceptor %d, the answer is lost", func(w *world) {
			w.each(i, func(p part) {
				w.revoke(p, false)
				w.ctl(ctlUnknown, p)
			})
		}, name(x.host), x.lane)
	}
}

// revoke lets a revocation reach its acceptor.
func (w *world) revoke(p part, answered bool) {
	x := w.m.meta(p)
	i := w.register(x.host, x.lane)
	out := w.m.run(revoke, &w.top, w.fixed[i], p)
	switch {
	case len(out) > 0 && answered:
		w.fixed[i] = out[0]
		w.ctl(ctlStored, p, out[0])
	case len(out) > 0:
		w.fixed[i] = out[0]
	case answered:
		w.ctl(ctlRefused, p)
	}
}

// promise carries a request to the agent asked, and its answer back.
func (w *world) promise(q part, answered bool) {
	x := w.m.meta(q)
	for _, g := range w.host(x.lane, hostAsked, q) {
		if answered {
			w.host(x.host, hostGranted, q, g)
		}
	}
}

// persons free the lanes of an agent that met somebody else there, and start it anew: in any order, whether it is right or wrong.
func (l *lister) persons() {
	b := l.w.left()
	for h := range l.w.m.cfg.Hosts {
		if l.w.m.cfg.Ledgers == 0 || l.w.m.cfg.perfect(h) {
			continue
		}
		if b.Rejoins > 0 && l.w.leader().alive {
			c := b
			c.Rejoins--
			l.add("REJOIN of %s asked for", func(w *world) {
				w.spend(c)
				w.ask(order{events.AskRejoin, "", agentRef(h).String()})
			}, name(h))
		}
		if b.Persons > 0 && l.w.meta(h).foreign {
			c := b
			c.Persons--
			l.add("a person starts the agent of %s anew", func(w *world) {
				w.spend(c)
				w.host(h, hostCrash)
				w.orphan('p', h)
				w.restart(h)
			}, name(h))
		}
	}
}

// hosts are what the agents and guards do by themselves.
func (l *lister) hosts() {
	for h := range l.w.m.cfg.Hosts {
		x := l.w.meta(h)
		for n := range events.Lanes {
			if x.reading[n] {
				l.add("%s reads the last message on acceptor %d", func(w *world) {
					for k := range events.Lanes {
						if k == n || w.m.cfg.Coupled && w.meta(h).reading[k] {
							w.host(h, hostRead, w.fixed[w.register(h, k)])
						}
					}
				}, name(h), n)
				if l.w.m.cfg.Coupled {
					break
				}
			}
		}
		if x.todo > 0 {
			l.add("%s carries out what was ordered", func(w *world) { w.host(h, hostPerform) }, name(h))
		}
		if x.todo > 0 && x.orphan {
			l.add("what the dead agent of %s ordered dies too", func(w *world) { w.host(h, hostDrop) }, name(h))
		}
		if l.w.m.cfg.LazyGuard && x.guard && x.alive {
			l.add("the guard of %s asks its agent", func(w *world) { w.host(h, hostAsks) }, name(h))
		}
		if !x.guard {
			l.add("the guard of %s starts", func(w *world) { w.host(h, hostGuard) }, name(h))
		}
		if !x.alive {
			l.add("the agent of %s starts", func(w *world) { w.restart(h) }, name(h))
		}
	}
}

// stored are the commands and reports that wait.
func (l *lister) stored() {
	for i := l.w.m.at.mails; i < l.w.m.at.budget; i++ {
		switch x := l.w.meta(i); {
		case !x.waiting:
		case x.tag == 'm' && l.w.m.cfg.Deaf && x.host == 0:
		case x.tag == 'w' && l.w.leader().alive:
			l.add("the leader hears the report of %s on %s", func(w *world) { w.report(i) }, name(x.host), x.cluster)
		case x.tag == 'm' && l.w.meta(x.host).alive && x.resume:
			l.add("RESUME reaches %s", func(w *world) { w.deliver(i) }, name(x.host))
		case x.tag == 'm' && l.w.meta(x.host).alive:
			l.add("SET reaches %s for %s", func(w *world) { w.deliver(i) }, name(x.host), x.cluster)
		}
	}
}

// deliver hands an agent the newest command on one subject.
func (w *world) deliver(i int) {
	p := w.fixed[i]
	w.fixed[i] = w.m.run(emptied, &w.top, p)[0]
	w.host(w.meta(i).host, hostMail, p)
}

// operators ask for failovers and aborts while the bound on epochs leaves room.
func (l *lister) operators() {
	ctl := l.w.leader()
	if !ctl.alive {
		return
	}
	for _, g := range ctl.groups {
		if g.failed && g.phase == events.PhaseActive && int(g.epoch) < l.w.m.cfg.Epochs { // of no use if nothing moves after it
			l.add("RECORD restore of %s asked for", func(w *world) { w.ask(order{events.AskRestore, g.name, ""}) }, g.name)
		}
		if int(g.epoch) >= l.w.m.cfg.Epochs {
			continue
		}
		if g.phase != events.PhaseActive {
			l.add("RECORD abort of %s asked for", func(w *world) { w.ask(order{events.AskAbort, g.name, ""}) }, g.name)
			continue
		}
		for h := range l.w.m.cfg.Hosts {
			if h != g.active && l.w.m.cfg.aims(h) {
				l.add("RECORD failover of %s to %s asked for", func(w *world) { w.ask(order{events.AskFailover, g.name, clusterRef(g.name, h).String()}) }, g.name, name(h))
				l.ms[len(l.ms)-1].begin = true
			}
		}
	}
}

func (w *world) ask(o order) { w.ctl(ctlAsk, w.m.put(&o, identity)) }

// faults are what the budget still allows.
func (l *lister) faults() {
	b := l.w.left()
	for h := range l.w.m.cfg.Hosts {
		x := l.w.meta(h)
		if b.Crashes > 0 && x.alive {
			c := b
			c.Crashes--
			l.fault("the agent of %s dies", func(w *world) {
				w.spend(c)
				w.host(h, hostCrash)
				w.orphan('p', h)
			}, name(h))
		}
		if b.Ledgers > 0 && x.alive && !l.w.m.cfg.perfect(h) {
			c := b
			c.Ledgers--
			l.fault("the agent of %s dies and its ledger is lost", func(w *world) {
				w.spend(c)
				w.host(h, hostForget)
				w.orphan('p', h)
			}, name(h))
		}
		if b.Reboots > 0 && (x.alive || x.guard) {
			c := b
			c.Reboots--
			l.fault("%s loses power", func(w *world) {
				w.spend(c)
				w.host(h, hostOff)
				w.orphan('p', h)
			}, name(h))
		}
		if b.Guards > 0 && x.guard {
			c := b
			c.Guards--
			l.fault("the guard of %s is started anew", func(w *world) {
				w.spend(c)
				w.host(h, hostGuard)
			}, name(h))
		}
	}
	if b.Leaders > 0 && l.w.leader().alive {
		c := b
		c.Leaders--
		l.fault("another controller leads", func(w *world) {
			w.spend(c)
			w.lead()
		})
	}
	for n := range events.Lanes {
		if b.Disks > 0 && (n == 0 || !l.w.m.cfg.Coupled) {
			c := b
			c.Disks--
			l.fault("acceptor %d loses its disk", func(w *world) {
				w.spend(c)
				for i := w.m.at.regs; i < w.m.at.mails; i++ {
					if (i-w.m.at.regs)%events.Lanes == n || w.m.cfg.Coupled {
						w.fixed[i] = w.m.run(wipe, &w.top, w.fixed[i])[0]
					}
				}
			}, n)
		}
	}
}

// orphan leaves the messages of a kind under way with nobody to wait for them: of one host, or of every one (-1).
func (w *world) orphan(tag byte, h int) {
	for i, p := range w.flight {
		if x := w.m.meta(p); x.tag == tag && (h < 0 || x.host == h) && !x.orphan {
			w.flight[i] = w.m.run(abandon, &w.top, p)[0]
		}
	}
	if tag == 'p' {
		for i := 0; i < len(w.flight); { // a dead agent takes no answer to a request for a promise
			if x := w.m.meta(w.flight[i]); x.tag == 'g' && x.host == h {
				w.take(i)
			} else {
				i++
			}
		}
	}
}

// lead lets a new controller lead: it knows what is recorded, and hears every agent's health.
func (w *world) lead() {
	w.orphan('x', -1)
	w.ctl(ctlLead, w.fixed[w.m.at.mails:w.m.at.budget]...) // the newest commands and reports
	for i := w.m.at.words; i < w.m.at.budget; i++ {
		w.fixed[i] = w.m.run(heard, &w.top, w.fixed[i])[0]
	}
	for h := range w.m.cfg.Hosts {
		w.health(h)
	}
}

// restart starts an agent; it reads the newest commands to its clusters anew.
func (w *world) restart(h int) {
	w.host(h, hostStart)
}

// tick lets time pass for everybody.
func (w *world) tick() {
	for i := 0; i < len(w.flight); {
		if w.m.meta(w.flight[i]).tag == 'g' {
			w.take(i) // asked again at every beat
		} else {
			i++
		}
	}
	for h := range w.m.cfg.Hosts {
		w.host(h, hostTick)
	}
	w.ctl(ctlTick)
}
