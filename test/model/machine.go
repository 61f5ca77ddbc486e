package model

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// machine turns the shipped cores into a table, entry by entry, as a search asks: a core is a function of its state and one input, so what it answered once
// it answers again. A state is made of parts; each is a shape (its bytes without numbers) and its numbers, renamed so that only their order is left.
type machine struct {
	cfg    *Config
	d      events.Durations
	at     places
	coder  *coder
	shapes map[string]uint32
	shape  []shape
	memo   map[string]*outcome
	turned map[turn]turned
	misses int
}

type shape struct {
	bytes  []byte
	spaces []uint8 // of its numbers, in order
	meta   meta
}

// num is a number of a state: its space and its rank there, from 1.
type num uint16

func (n num) space() uint8 { return uint8(n >> 8) }
func (n num) rank() uint8  { return uint8(n) }

func mkNum(space, rank uint8) num { return num(space)<<8 | num(rank) }

// part is one component of a state, or one message.
type part struct {
	shape uint32
	nums  []num
}

type outcome struct {
	parts []part // numbers by their rank among those of the arguments; beyond the last are new
}

func newMachine(cfg *Config) *machine {
	d := cfg.durations()
	return &machine{
		cfg: cfg, d: d, at: cfg.places(), coder: newCoder(d), shapes: map[string]uint32{}, memo: map[string]*outcome{}, turned: map[turn]turned{},
		shape: make([]shape, 1), // 0 is none
	}
}

// tags give every type that is a part a letter, so that shapes of different types never meet.
func (m *machine) tag(p any) byte {
	switch p.(type) {
	case *host:
		return 'h'
	case *ctl:
		return 'c'
	case *register:
		return 'r'
	case *mail:
		return 'm'
	case *word:
		return 'w'
	case *view:
		return 'v'
	case *publish:
		return 'p'
	case *grantAsk:
		return 'g'
	case *granted:
		return 'G'
	case *revocation:
		return 'x'
	case *reading:
		return 'R'
	case *budget:
		return 'b'
	case *order:
		return 'o'
	}
	panic(fmt.Sprintf("model: %T is no part", p))
}

func (m *machine) fresh(tag byte) any {
	switch tag {
	case 'h':
		return &host{}
	case 'c':
		return &ctl{}
	case 'r':
		return &register{}
	case 'm':
		return &mail{}
	case 'w':
		return &word{}
	case 'v':
		return &view{}
	case 'p':
		return &publish{}
	case 'g':
		return &grantAsk{}
	case 'G':
		return &granted{}
	case 'x':
		return &revocation{}
	case 'R':
		return &reading{}
	case 'b':
		return &budget{}
	case 'o':
		return &order{}
	}
	panic("model: unknown shape")
}

// put makes a value a part. Its numbers are raw: space and rank.
func (m *machine) put(p any, perm [events.Lanes]int) part {
	b, raws := m.coder.encode(p, perm)
	b = append(b, m.tag(p))
	nums := make([]num, len(raws))
	for i, r := range raws {
		nums[i] = mkNum(uint8(r>>spaceShift), uint8(r))
	}
	id, ok := m.shapes[string(b)]
	if !ok {
		id = uint32(len(m.shape))
		spaces := make([]uint8, len(nums))
		for i, n := range nums {
			spaces[i] = n.space()
		}
		m.shapes[string(b)] = id
		m.shape = append(m.shape, shape{bytes: b, spaces: spaces, meta: metaOf(p)})
	}
	return part{id, nums}
}

// get makes the value of a part again, at an instant.
func (m *machine) get(p part, at events.Instant) any {
	s := &m.shape[p.shape]
	raws := make([]uint64, len(p.nums))
	for i, n := range p.nums {
		raws[i] = raw(n.space(), uint64(n.rank()))
	}
	last := len(s.bytes) - 1
	v := m.fresh(s.bytes[last])
	m.coder.decode(s.bytes[:last], raws, at, v)
	return v
}

func (m *machine) meta(p part) *meta { return &m.shape[p.shape].meta }

// call is one run of a step on decoded parts.
type call struct {
	m    *machine
	args []any
	top  [spaces]uint8 // the highest rank of each space among the arguments
}

// next is a number nobody has yet.
func (c *call) next(space uint8) events.Seq {
	c.top[space]++
	return events.Seq(raw(space, uint64(c.top[space])))
}

// step is something that happens to one or more parts; it returns parts.
type step struct {
	name  string
	shift bool // one tick passes first
	do    func(c *call) []any
}

// run does a step, or remembers what it did. top is the highest rank of each space in the whole state: new numbers are higher.
func (m *machine) run(s *step, top *[spaces]uint8, args ...part) []part {
	var buf [256]byte
	key := append(append(buf[:0], s.name...), 0)
	all := m.joint(args)
	for _, a := range args {
		key = binary.LittleEndian.AppendUint32(key, a.shape)
		for _, n := range a.nums {
			key = append(key, jointRank(all, n))
		}
	}
	o, ok := m.memo[string(key)]
	if !ok {
		m.misses++
		o = m.compute(s, all, args)
		m.memo[string(key)] = o
	}
	var counts [spaces]uint8
	for _, n := range all {
		counts[n.space()]++
	}
	out := make([]part, len(o.parts))
	high := *top
	for i, p := range o.parts {
		nums := make([]num, len(p.nums))
		for k, n := range p.nums {
			sp, r := n.space(), n.rank()
			if r > counts[sp] {
				nums[k] = mkNum(sp, high[sp]+r-counts[sp])
				top[sp] = max(top[sp], nums[k].rank())
			} else {
				nums[k] = nth(all, sp, r)
			}
		}
		out[i] = part{p.shape, nums}
	}
	return out
}

// joint is the sorted set of the numbers of all arguments.
func (m *machine) joint(args []part) []num {
	all := make([]num, 0, 64)
	for _, a := range args {
		all = append(all, a.nums...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func jointRank(all []num, n num) uint8 {
	i, _ := slices.BinarySearch(all, n)
	first, _ := slices.BinarySearch(all, mkNum(n.space(), 0))
	return uint8(i - first + 1)
}

func nth(all []num, space, rank uint8) num {
	first, _ := slices.BinarySearch(all, mkNum(space, 0))
	return all[first+int(rank)-1]
}

func (m *machine) compute(s *step, all []num, args []part) *outcome {
	c := &call{m: m}
	at := now
	if s.shift {
		at -= events.Instant(Tick)
	}
	for _, a := range args {
		local := part{a.shape, make([]num, len(a.nums))}
		for i, n := range a.nums {
			local.nums[i] = mkNum(n.space(), jointRank(all, n))
		}
		c.args = append(c.args, m.get(local, at))
	}
	for _, n := range all {
		c.top[n.space()]++
	}
	o := &outcome{}
	for _, v := range s.do(c) {
		o.parts = append(o.parts, m.put(v, identity))
	}
	return o
}

// turn is a part's shape under other names of the acceptors.
type turn struct {
	shape uint32
	perm  uint8
}

type turned struct {
	shape uint32
	from  []uint8 // where each of its numbers stood before
}

var perms = [...][events.Lanes]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

// rename renames the acceptors in a part.
func (m *machine) rename(p part, perm uint8) part {
	if perm == 0 {
		return p
	}
	k := turn{p.shape, perm}
	t, ok := m.turned[k]
	if !ok {
		t = m.renamed(p.shape, perms[perm])
		m.turned[k] = t
	}
	nums := make([]num, len(p.nums))
	for i, j := range t.from {
		nums[i] = mkNum(permuteSpace(p.nums[j].space(), perms[perm]), p.nums[j].rank())
	}
	return part{t.shape, nums}
}

func (m *machine) renamed(shape uint32, perm [events.Lanes]int) turned {
	sp := m.shape[shape].spaces
	own := part{shape, make([]num, len(sp))}
	rank := uint8(0)
	for i := range sp {
		if i > 0 && sp[i] == sp[i-1] {
			rank++
		} else {
			rank = 1
		}
		own.nums[i] = mkNum(sp[i], rank)
	}
	q := m.put(m.get(own, now), perm)
	t := turned{shape: q.shape}
	for _, n := range q.nums {
		for i, o := range own.nums {
			if permuteSpace(o.space(), perm) == n.space() && o.rank() == n.rank() {
				t.from = append(t.from, uint8(i))
			}
		}
	}
	return t
}
