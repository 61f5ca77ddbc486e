package sim

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// at is true time since the start of the run.
type at = time.Duration

type event struct {
	when at
	seq  uint64
	do   func()
}

type queue []*event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].when != q[j].when {
		return q[i].when < q[j].when
	}
	return q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*event)) }
func (q *queue) Pop() any {
	o := *q
	e := o[len(o)-1]
	*q = o[:len(o)-1]
	return e
}

// Shape is what a world is made of.
type Shape struct {
	Regions     []string // each has a hub server; the acceptors are those of the first three
	Groups      []events.GroupConfig
	Controllers []string // regions, one controller each; the first is preferred
	Profile     string
	Quiet       bool // no message is lost, repeated or badly delayed
}

// World is one run.
type World struct {
	now     at
	q       queue
	seq     uint64
	seed    uint64
	rng     *rand.Rand
	d       events.Durations
	shape   Shape
	net     *network
	hub     *hub
	hosts   []*host
	ctls    []*ctl
	servers []*server
	seen    checks
	log     io.Writer
	hash    uint64
	steps   int
	bad     *Violation
	rows    map[string]int // decision rows that fired
	notices []events.Notice
	answers []events.Answer
	nonces  int
	asks    int
	faulty  bool   // faults may happen
	stored  func() // called at each batch stored; nil = nobody cares
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
	w := &World{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x5157)), d: d, shape: shape, log: log, rows: map[string]int{}}
	w.net = &network{w: w, cut: map[[2]string]bool{}}
	w.hub = newHub(w)
	for _, r := range shape.Regions {
		w.addHost(r)
	}
	for _, g := range shape.Groups {
		w.addGroup(g)
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
	heap.Push(&w.q, &event{w.now + max(d, 0), w.seq, f})
}

// Run runs until the true time, or until an invariant breaks.
func (w *World) Run(until at) *Violation {
	for w.bad == nil && len(w.q) > 0 && w.q[0].when <= until {
		e := heap.Pop(&w.q).(*event)
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
	line := fmt.Sprintf("%9.4f  %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	h := fnv.New64a()
	fmt.Fprintf(h, "%d%s", w.hash, line)
	w.hash = h.Sum64()
	if w.log != nil {
		io.WriteString(w.log, line)
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

func (w *World) chance(p float64) bool { return w.rng.Float64() < p }

func (w *World) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)+1))
}

// network is who reaches whom, by region. A cut is one-way.
type network struct {
	w    *World
	cut  map[[2]string]bool
	loss float64
}

func (n *network) up(from, to string) bool { return from == to || !n.cut[[2]string{from, to}] }
func (n *network) both(a, b string) bool   { return n.up(a, b) && n.up(b, a) }

// delay is how long a message takes: mostly short, now and then long enough to land after its sender gave up.
func (n *network) delay() time.Duration {
	if n.w.shape.Quiet {
		return n.w.between(time.Millisecond, 4*time.Millisecond)
	}
	switch x := n.w.rng.Float64(); {
	case x < 0.02:
		return n.w.between(200*time.Millisecond, 3*time.Second)
	case x < 0.1:
		return n.w.between(20*time.Millisecond, 200*time.Millisecond)
	}
	return n.w.between(500*time.Microsecond, 20*time.Millisecond)
}

func (n *network) lost() bool { return !n.w.shape.Quiet && n.w.chance(0.01+n.loss) }

// send carries a message between regions: maybe lost, maybe repeated; f runs when it arrives. A partition drops what is on the way.
func (n *network) send(from, to string, f func()) {
	if !n.up(from, to) || n.lost() {
		return
	}
	times := 1
	if !n.w.shape.Quiet && n.w.chance(0.01) {
		times = 2
	}
	for range times {
		n.w.in(n.delay(), func() {
			if n.up(from, to) {
				f()
			}
		})
	}
}

// hub is the bus: three acceptors and one replicated stream, over the store that ships as the twin's server side.
type hub struct {
	w       *World
	store   *bus.Store
	down    map[string]bool // hub servers by region
	gap     at              // the state stream elects until then
	leader  string          // region that leads the state stream
	lanes   events.LaneSet
	reports map[string]events.Report
}

func newHub(w *World) *hub {
	h := &hub{w: w, store: bus.NewStore(), down: map[string]bool{}, leader: w.shape.Regions[len(w.shape.Regions)-1], reports: map[string]events.Report{}}
	for _, s := range events.Streams() {
		h.must(h.store.Create(s))
	}
	for n := range h.lanes.Lanes {
		h.lanes.Lanes[n] = events.LanePlace{Generation: 1, Region: w.shape.Regions[n%len(w.shape.Regions)]}
		h.must(h.store.Create(events.Lane(n, h.lanes.Lanes[n])))
	}
	return h
}

func (h *hub) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("sim: %v", err))
	}
}

// reach reports whether a client in region reaches the hub server of another.
func (h *hub) reach(region, server string) bool {
	return !h.down[server] && h.w.net.both(region, server)
}

// quorum lists the hub regions of the majority component around the state stream's leader, nil if there is none now.
func (h *hub) quorum() []string {
	if h.w.now < h.gap {
		return nil
	}
	around := func(leader string) []string {
		var in []string
		for _, r := range h.w.shape.Regions {
			if !h.down[r] && (r == leader || h.w.net.both(r, leader)) {
				in = append(in, r)
			}
		}
		return in
	}
	need := len(h.w.shape.Regions)/2 + 1
	if !h.down[h.leader] {
		if in := around(h.leader); len(in) >= need {
			return in
		}
	}
	for i := len(h.w.shape.Regions) - 1; i >= 0; i-- { // the witness, last, is preferred
		if r := h.w.shape.Regions[i]; !h.down[r] && len(around(r)) >= need {
			h.leader = r
			h.gap = h.w.now + h.w.between(1500*time.Millisecond, 5*time.Second) // an election
			return nil
		}
	}
	return nil
}

// state reports whether a client in region can use the replicated streams now.
func (h *hub) state(region string) bool {
	for _, r := range h.quorum() {
		if h.reach(region, r) {
			return true
		}
	}
	return false
}

// connected reports whether plain messages between two regions find a way over some hub server.
func (h *hub) connected(from, to string) bool {
	for _, r := range h.w.shape.Regions {
		if h.reach(from, r) && h.reach(r, r) && (h.reach(to, r) || h.relayed(r, to)) {
			return true
		}
	}
	return false
}

func (h *hub) relayed(server, to string) bool {
	for _, r := range h.w.shape.Regions {
		if r != server && !h.down[r] && h.w.net.both(server, r) && h.reach(to, r) {
			return true
		}
	}
	return false
}

// plain carries a message that is not stored from one region to another over the hub.
func (h *hub) plain(from, to string, f func()) {
	if !h.connected(from, to) || h.w.net.lost() {
		return
	}
	h.w.in(h.w.net.delay(), func() {
		if h.connected(from, to) {
			f()
		}
	})
}

// request carries a request to the replicated streams and its answer back: do runs at the server, then got at the client. If either way fails got
// never runs, though do may have, and may still.
func (h *hub) request(region string, do func(), got func()) {
	if !h.state(region) || h.w.net.lost() {
		return
	}
	h.w.in(h.w.net.delay(), func() {
		if len(h.quorum()) == 0 {
			return
		}
		do()
		if h.w.net.lost() {
			return
		}
		h.w.in(h.w.net.delay(), func() {
			if h.state(region) {
				got()
			}
		})
	})
}

// lane carries a request to one acceptor and its answer back.
func (h *hub) lane(region string, n int, do func(), got func()) {
	server := h.lanes.Lanes[n].Region
	if !h.reach(region, server) || h.w.net.lost() {
		return
	}
	h.w.in(h.w.net.delay(), func() {
		if h.down[server] || !h.w.net.up(region, server) {
			return
		}
		do()
		if h.w.net.lost() {
			return
		}
		h.w.in(h.w.net.delay(), func() {
			if h.reach(region, server) {
				got()
			}
		})
	})
}
