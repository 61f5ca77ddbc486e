package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// at is true time since the start of the run.
type at = time.Duration

// Shape is what a world is made of.
type Shape struct {
	Regions     []string // each has a hub server; the acceptors are those of the first three
	Groups      []events.GroupConfig
	Controllers []string // regions, one controller each; the first is preferred
	Profile     string
	Agents      int    // per region; the last group's clusters are held by the last agent, the others' by the first
	Noise       string // one of noises
}

// World is one run.
type World struct {
	now       at
	q         queue
	seq       uint64
	line      []byte // room for a line of the trace
	seed      uint64
	d         events.Durations
	shape     Shape
	net       *network
	hub       *hub
	hosts     []*host
	ctls      []*ctl
	servers   []*server
	pairs     []*pair // the same, by group
	seen      checks
	log       io.Writer
	hash      uint64
	steps     int
	bad       *Violation
	rows      map[string]int // decision rows that fired, but for
	agentRows map[string]int // those of agents
	notices   []events.Notice
	answers   []events.Answer
	nonces    int
	asks      int
	faults    faulty
	healed    bool   // every fault has ended
	stored    func() // called at each batch stored; nil = nobody cares
}

// Violation is a broken invariant.
type Violation struct {
	At   time.Duration
	Rule string // I1 … I9
	What string
}

func (v *Violation) Error() string { return fmt.Sprintf("%s at %v: %s", v.Rule, v.At, v.What) }

// New builds a world. log may be nil.
func New(shape Shape, seed uint64, log io.Writer) (*World, error) {
	d, err := events.Profile(shape.Profile)
	if err != nil {
		return nil, err
	}
	noise, ok := noises[shape.Noise]
	if !ok {
		return nil, fmt.Errorf("noise %q: want one of %v", shape.Noise, slices.Sorted(maps.Keys(noises)))
	}
	w := &World{seed: seed, d: d, shape: shape, log: log, rows: map[string]int{}, agentRows: map[string]int{}}
	w.net = &network{w: w, noise: noise, cut: map[link]int{}, dice: map[[2]string]*rand.Rand{}}
	w.hub = newHub(w)
	for _, r := range shape.Regions {
		for n := range max(shape.Agents, 1) {
			w.addHost(events.AgentRef{Region: r, Agent: fmt.Sprintf("h%d", n+1)})
		}
	}
	for i, g := range shape.Groups {
		agent := "h1"
		if i == len(shape.Groups)-1 && shape.Agents > 1 {
			agent = fmt.Sprintf("h%d", shape.Agents)
		}
		w.addGroup(g, agent)
	}
	for _, h := range w.hosts {
		h.boot()
	}
	w.replicate()
	for i, r := range shape.Controllers {
		w.addController(i, r)
	}
	return w, nil
}

// in schedules f after d.
func (w *World) in(d time.Duration, f func()) {
	w.seq++
	w.q.push(event{w.now + max(d, 0), w.seq, f})
}

// Run runs until the true time, or until an invariant breaks.
// A core that panics breaks its word too: the process would end.
func (w *World) Run(until at) (bad *Violation) {
	defer func() {
		if p := recover(); p != nil {
			w.fail("panic", "%v\n%s", p, debug.Stack())
			bad = w.bad
		}
	}()
	for w.bad == nil && len(w.q) > 0 && w.q[0].when <= until {
		e := w.q.pop()
		w.now = e.when
		e.do()
		w.steps++
		w.check()
	}
	if w.bad == nil {
		w.now = until
	}
	return w.bad
}

// trace writes a line and folds it into the hash of the run.
func (w *World) trace(format string, args ...any) {
	b := strconv.AppendUint(w.line[:0], w.hash, 10)
	n := len(b)
	b = fmt.Appendf(b, "%9.4f  ", w.now.Seconds())
	b = append(fmt.Appendf(b, format, args...), '\n')
	h := fnv.New64a()
	h.Write(b)
	w.hash, w.line = h.Sum64(), b
	if w.log != nil {
		w.log.Write(b[n:])
	}
}

func (w *World) fail(rule, format string, args ...any) {
	if w.bad == nil {
		w.bad = &Violation{w.now, rule, fmt.Sprintf(format, args...)}
		w.trace("VIOLATION %s: %s", rule, w.bad.What)
	}
}

// Hash is a digest of everything that happened: equal for equal seeds.
func (w *World) Hash() uint64 { return w.hash }
