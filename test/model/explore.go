package model

import (
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Result is what a search found.
type Result struct {
	States   int
	Moves    int
	Proved   int // states in which a proof is stored
	Moved    int // states in which somebody else than at the beginning is active
	Depth    int
	Bad      string   // the invariant that broke, "" = none
	Trace    []string // a shortest way there
	Complete bool     // every state within the bounds was seen
	Shapes   int
	Runs     int // of the shipped cores; everything else was remembered
	Took     time.Duration
}

var seed = maphash.MakeSeed()

func fingerprint(s string) uint64 {
	h := maphash.String(seed, s)
	if h == 0 {
		return 1
	}
	return h
}

// Explore searches every state of a configuration, breadth first, until an invariant breaks, nothing is left, or limit states were seen.
func Explore(cfg *Config, limit int, progress func(string)) (Result, error) {
	began := time.Now()
	m := newMachine(cfg)
	w, err := m.start()
	if err != nil {
		return Result{}, err
	}
	x := &search{m: m, seen: map[uint64]uint64{}, first: w.pack(), ends: ends{from: map[uint64][]uint64{}}}
	r := x.run(limit, progress)
	if dead := x.ends.dead(); r.Complete && len(dead) > 0 {
		r.Bad, r.Trace = fmt.Sprintf("I9 nothing leads back to one active and healthy passives from %d states", len(dead)), x.trace(dead[0])
	}
	r.Shapes, r.Runs, r.Took = len(m.shape), m.misses, time.Since(began)
	return r, nil
}

type search struct {
	m     *machine
	seen  map[uint64]uint64 // fingerprint to its parent's
	first string
	ends  ends
}

func (x *search) run(limit int, progress func(string)) (r Result) {
	root := fingerprint(x.first)
	x.seen[root] = 0
	front := []string{x.first}
	for len(front) > 0 {
		var next []string
		for _, s := range front {
			from := fingerprint(s)
			w := x.m.unpack(s)
			x.ends.look(from, w)
			for _, mv := range w.moves() {
				t := w.clone()
				mv.do(t)
				t.after()
				r.Moves++
				b := t.pack()
				f := fingerprint(b)
				x.ends.step(from, f, mv.fault)
				if _, ok := x.seen[f]; ok {
					continue
				}
				x.seen[f] = from
				if r.Bad = t.broken(); r.Bad != "" {
					r.States, r.Depth = len(x.seen), r.Depth+1
					r.Trace = x.trace(f)
					return r
				}
				t.count(&r)
				next = append(next, b)
			}
		}
		r.Depth++
		front = next
		if progress != nil {
			progress(fmt.Sprintf("%s depth %d states %d front %d shapes %d runs %d", x.m.cfg.Name, r.Depth, len(x.seen), len(front), len(x.m.shape), x.m.misses))
		}
		if limit > 0 && len(x.seen) >= limit {
			r.States = len(x.seen)
			return r
		}
	}
	r.States, r.Complete = len(x.seen), true
	return r
}

// trace walks from the first state to one, by fingerprints, and says what happened.
func (x *search) trace(f uint64) []string {
	var way []uint64
	for k := f; k != 0; k = x.seen[k] {
		way = append(way, k)
	}
	slices.Reverse(way)
	var lines []string
	cur := x.first
	for _, want := range way[1:] {
		w := x.m.unpack(cur)
		for _, mv := range w.moves() {
			t := w.clone()
			mv.do(t)
			t.after()
			if b := t.pack(); fingerprint(b) == want {
				cur = b
				lines = append(lines, fmt.Sprintf("%-70s %s", mv.what(), x.m.unpack(b)))
				break
			}
		}
	}
	return lines
}

// count notes how far operations got: a search in which nothing moves shows nothing.
func (w *world) count(r *Result) {
	for _, g := range w.leader().groups {
		switch {
		case g.phase == events.PhaseProved:
			r.Proved++
		case g.active != 0:
			r.Moved++
		}
	}
}

// broken names the invariant that does not hold in a state; "" if all hold.
func (w *world) broken() string {
	ctl := w.leader()
	if ctl.broken != "" {
		return ctl.broken
	}
	writers := map[string]int{}
	for h := range w.m.cfg.Hosts {
		x := w.meta(h)
		if x.broken != "" {
			return x.broken
		}
		for _, g := range x.acks {
			if writers[g]++; writers[g] > 1 {
				return "I1 two clusters of " + g + " can acknowledge a write"
			}
		}
	}
	for _, g := range ctl.groups {
		if bad := w.lost(g); bad != "" {
			return bad
		}
		for h := range w.m.cfg.Hosts {
			switch writes := slices.Contains(w.meta(h).acks, g.name); {
			case writes && h == g.active && g.phase == events.PhaseProved:
				return "I3 the stored proof of " + g.name + " is false: " + name(h) + " is still writable"
			case writes && h != g.active:
				return "I8 " + name(h) + " is writable although the record of " + g.name + " says " + name(g.active) + " is active"
			}
		}
	}
	return ""
}

// String says in one line what a search found.
func (r Result) String() string {
	what := "holds"
	switch {
	case r.Bad != "":
		what = "BROKEN " + r.Bad
	case !r.Complete:
		what = "holds within the bound, not complete"
	}
	return fmt.Sprintf("%-50s states %9d depth %3d proved %7d moved %7d runs %8d %6.1fs", what, r.States, r.Depth, r.Proved, r.Moved, r.Runs, r.Took.Seconds())
}
