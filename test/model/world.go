package model

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// world is one state: its fixed parts in a fixed order, then what is under way.
type world struct {
	m      *machine
	fixed  []part // hosts, the leader, registers, mails, words, the budget
	flight []part
	top    [spaces]uint8
}

// places says where each fixed part stands.
type places struct {
	hosts, groups                   int
	ctl, regs, mails, words, budget int
}

func (c *Config) places() places {
	p := places{hosts: c.Hosts, groups: len(c.Groups), ctl: c.Hosts, regs: c.Hosts + 1}
	p.mails = p.regs + p.hosts*events.Lanes
	p.words = p.mails + p.hosts*(p.groups+1)
	p.budget = p.words + p.hosts*p.groups
	return p
}

func (w *world) register(h, lane int) int { return w.m.at.regs + h*events.Lanes + lane }

// mail is where the newest command on a subject stands: the clusters of a host in order, then its resume.
func (w *world) mail(h int, cluster string) int {
	i := slices.Index(w.m.cfg.Groups, cluster)
	if i < 0 {
		i = w.m.at.groups
	}
	return w.m.at.mails + h*(w.m.at.groups+1) + i
}

func (w *world) word(h int, cluster string) int {
	return w.m.at.words + h*w.m.at.groups + slices.Index(w.m.cfg.Groups, cluster)
}

func (w *world) clone() *world {
	c := *w
	c.fixed, c.flight = slices.Clone(w.fixed), slices.Clone(w.flight)
	return &c
}

// pack writes a state down so that two states that differ only in names are the same bytes: numbers keep their order and no more, messages are sorted, and
// of the six ways to name the acceptors the least is taken.
func (w *world) pack() string {
	best := w.bytes(0)
	if !w.m.cfg.Coupled {
		for perm := uint8(1); int(perm) < len(perms); perm++ {
			if b := w.bytes(perm); bytes.Compare(b, best) < 0 {
				best = b
			}
		}
	}
	return string(best)
}

func (w *world) bytes(perm uint8) []byte {
	fixed, flight := make([]part, len(w.fixed)), make([]part, len(w.flight))
	for i, p := range w.fixed {
		j := i
		if k := i - w.m.at.regs; k >= 0 && i < w.m.at.mails {
			j = w.m.at.regs + k/events.Lanes*events.Lanes + perms[perm][k%events.Lanes]
		}
		fixed[j] = w.m.rename(p, perm)
	}
	for i, p := range w.flight {
		flight[i] = w.m.rename(p, perm)
	}
	var used [spaces]uint64
	for _, ps := range [][]part{fixed, flight} {
		for _, p := range ps {
			for _, n := range p.nums {
				used[n.space()] |= 1 << n.rank()
			}
		}
	}
	one := func(b []byte, p part) []byte {
		b = binary.BigEndian.AppendUint32(b, p.shape)
		for _, n := range p.nums {
			b = append(b, uint8(bits.OnesCount64(used[n.space()]&(1<<n.rank()-1))+1))
		}
		return b
	}
	b := make([]byte, 0, 256)
	for _, p := range fixed {
		b = one(b, p)
	}
	if len(flight) == 1 {
		return one(b, flight[0])
	}
	each := make([][]byte, len(flight))
	for i, p := range flight {
		each[i] = one(nil, p)
	}
	slices.SortFunc(each, bytes.Compare)
	for _, e := range each {
		b = append(b, e...)
	}
	return b
}

// unpack makes a state of what pack wrote.
func (m *machine) unpack(s string) *world {
	w := &world{m: m}
	b := []byte(s)
	for len(b) > 0 {
		id := binary.BigEndian.Uint32(b)
		b = b[4:]
		sp := m.shape[id].spaces
		p := part{id, make([]num, len(sp))}
		for i, space := range sp {
			p.nums[i] = mkNum(space, b[i])
			w.top[space] = max(w.top[space], b[i])
		}
		b = b[len(sp):]
		if len(w.fixed) <= m.at.budget {
			w.fixed = append(w.fixed, p)
		} else {
			w.flight = append(w.flight, p)
		}
	}
	return w
}

func (w *world) meta(i int) *meta { return w.m.meta(w.fixed[i]) }
func (w *world) leader() *meta    { return w.meta(w.m.at.ctl) }
func (w *world) left() budget     { return w.meta(w.m.at.budget).budget }
func (w *world) spend(b budget)   { w.fixed[w.m.at.budget] = w.m.put(&b, identity) }
func (w *world) take(i int) part {
	p := w.flight[i]
	w.flight = slices.Delete(w.flight, i, i+1)
	return p
}

// host runs a step of a host, and carries what comes of it to where it goes.
func (w *world) host(h int, s *step, args ...part) []part {
	before := w.fixed[h]
	out := w.m.run(s, &w.top, append([]part{before}, args...)...)
	w.fixed[h] = out[0]
	var rest []part
	for _, p := range out[1:] {
		rest = append(rest, w.post(h, p)...)
	}
	w.look(h, before)
	for n := range events.Lanes {
		if w.m.cfg.perfect(h) && w.meta(h).reading[n] {
			w.host(h, hostRead, w.fixed[w.register(h, n)])
		}
	}
	return rest
}

// post carries one message of a host; what it has no place for is given back.
func (w *world) post(h int, p part) []part {
	switch x := w.m.meta(p); x.tag {
	case 'p':
		if w.m.cfg.perfect(h) {
			w.store(p, true)
			return nil
		}
		w.flight = append(w.flight, p)
	case 'g':
		if w.m.cfg.Answers {
			w.promise(p, true)
		} else if w.m.cfg.Grants {
			w.flight = append(w.flight, p)
		}
	case 'w':
		w.fixed[w.word(h, x.cluster)] = p
		if w.m.cfg.PromptWords {
			w.report(w.word(h, x.cluster))
		}
	default:
		return []part{p}
	}
	return nil
}

// look tells the leader what an agent's health says when that changed.
func (w *world) look(h int, before part) {
	var top [spaces]uint8
	old, v := w.m.run(hostView, &top, before)[0], w.m.run(hostView, &top, w.fixed[h])[0]
	if old.shape != v.shape && w.m.meta(v).alive && w.leader().alive {
		w.ctl(ctlHealth, v)
	}
}

// ctl runs a step of the leader, and carries what comes of it to where it goes. What it reads it reads at once.
func (w *world) ctl(s *step, args ...part) {
	out := w.m.run(s, &w.top, append([]part{w.fixed[w.m.at.ctl]}, args...)...)
	w.fixed[w.m.at.ctl] = out[0]
	var reads []part
	for _, p := range out[1:] {
		switch x := w.m.meta(p); x.tag {
		case 'm':
			i := w.mail(x.host, x.cluster)
			if old := w.meta(i); old.waiting && w.m.cfg.LateMail {
				w.flight = append(w.flight, w.fixed[i])
			}
			w.fixed[i] = p
		case 'w':
			w.fixed[w.word(x.host, x.cluster)] = p
		case 'x':
			w.flight = append(w.flight, p)
		case 'R':
			reads = append(reads, p)
		}
	}
	for _, p := range reads {
		x := w.m.meta(p)
		w.ctl(ctlRead, w.fixed[w.register(x.host, x.lane)])
	}
}

// store lets a publish reach its acceptor; acked or not, the leader sees what is stored.
func (w *world) store(p part, acked bool) {
	x := w.m.meta(p)
	i := w.register(x.host, x.lane)
	out := w.m.run(store, &w.top, w.fixed[i], p)
	if len(out) == 0 {
		w.lose(p)
		return
	}
	w.fixed[i] = out[0]
	if acked && !x.orphan {
		w.host(x.host, hostAcked, out[0], p)
	} else {
		w.lose(p)
	}
	w.ctl(ctlSeen, w.fixed[i])
	w.health(x.host)
}

// health tells the leader what an agent's servers are, as it does with every beat.
func (w *world) health(h int) {
	if w.meta(h).alive && w.leader().alive {
		w.ctl(ctlHealth, w.m.run(hostView, &w.top, w.fixed[h])[0])
	}
}

// lose tells the agent that waits for it that a publish has no answer.
func (w *world) lose(p part) {
	if x := w.m.meta(p); !x.orphan {
		w.host(x.host, hostLost, p)
	}
}

func (w *world) report(i int) { w.ctl(ctlWord, w.fixed[i]) }
