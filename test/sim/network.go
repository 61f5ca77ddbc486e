package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// A plane is one kind of traffic between regions; a link can be cut for one and not for another.
type plane string

// The planes.
const (
	planeBus  plane = "bus"  // clients and hub servers, hub servers among themselves
	planePeer plane = "peer" // asks for promises and their answers, looks at others
	planeData plane = "data" // replication and restores
)

var planes = []plane{planeBus, planePeer, planeData}

type link struct {
	plane    plane
	from, to string
}

// Noise is what the network does to messages when nothing is wrong with it.
type Noise struct {
	Loss  float64 // of a message or an answer
	Twice float64 // of one that is carried again
	Slow  float64 // of one that takes up to three seconds: it may land after its sender gave up
	Fail  float64 // of a driver's verb, to be tried again
	Clock float64 // how far each clock's rate may be off
}

// clockError keeps F/(1-x) + S below L/(1+x), with 40 ms left for scheduling: what M is for. It holds for both profiles.
const clockError = 0.06

// noises are the levels a schedule may choose.
var noises = map[string]Noise{
	"none":  {},
	"some":  {Loss: 0.01, Twice: 0.01, Slow: 0.02, Fail: 0.02, Clock: clockError},
	"heavy": {Loss: 0.04, Twice: 0.03, Slow: 0.06, Fail: 0.05, Clock: clockError},
}

// network is who reaches whom, by region. A cut is one-way.
type network struct {
	w     *World
	noise Noise
	cut   map[link]int // how many cuts lie on it
	dice  map[[2]string]*rand.Rand
}

func (n *network) up(p plane, from, to string) bool {
	return from == to || len(n.cut) == 0 || n.cut[link{p, from, to}] == 0
}

func (n *network) both(p plane, a, b string) bool { return n.up(p, a, b) && n.up(p, b, a) }

// between is the luck of one link. Each has its own, so that leaving one event out of a schedule changes as little of the rest as can be.
func (n *network) between(from, to string) *rand.Rand {
	r := n.dice[[2]string{from, to}]
	if r == nil {
		r = n.w.luck(from + ">" + to)
		n.dice[[2]string{from, to}] = r
	}
	return r
}

// luck makes a source of randomness that depends on the seed and a name alone.
func (w *World) luck(name string) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, name)
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

func within(r *rand.Rand, lo, hi time.Duration) time.Duration {
	return lo + time.Duration(r.Int64N(int64(hi-lo)+1))
}

// delay is how long a message takes: mostly short, now and then long enough to land after its sender gave up.
func (n *network) delay(r *rand.Rand) time.Duration {
	if n.noise == (Noise{}) {
		return within(r, time.Millisecond, 4*time.Millisecond)
	}
	switch x := r.Float64(); {
	case x < n.noise.Slow:
		return within(r, 200*time.Millisecond, 3*time.Second)
	case x < n.noise.Slow+0.08:
		return within(r, 20*time.Millisecond, 200*time.Millisecond)
	}
	return within(r, 500*time.Microsecond, 20*time.Millisecond)
}

func (n *network) lost(r *rand.Rand) bool { return n.noise.Loss > 0 && r.Float64() < n.noise.Loss }

// times is how often a message that is not lost arrives.
func (n *network) times(r *rand.Rand) int {
	if n.noise.Twice > 0 && r.Float64() < n.noise.Twice {
		return 2
	}
	return 1
}

// send carries a message between regions on a plane: maybe lost, maybe repeated; f runs when it arrives. A partition drops what is on the way.
func (n *network) send(p plane, from, to string, f func()) {
	r := n.between(from, to)
	if !n.up(p, from, to) || n.lost(r) {
		return
	}
	for range n.times(r) {
		n.w.in(n.delay(r), func() {
			if n.up(p, from, to) {
				f()
			}
		})
	}
}

// reach reports whether a client in region reaches the hub server of another.
func (h *hub) reach(region, server string) bool {
	return h.down[server] == 0 && h.w.net.both(planeBus, region, server)
}

// quorum lists the hub regions of the majority component around the state stream's leader, nil if there is none now.
func (h *hub) quorum() []string {
	if h.w.now < h.gap {
		return nil
	}
	around := func(leader string) []string {
		var in []string
		for _, r := range h.w.shape.Regions {
			if h.down[r] == 0 && (r == leader || h.w.net.both(planeBus, r, leader)) {
				in = append(in, r)
			}
		}
		return in
	}
	need := len(h.w.shape.Regions)/2 + 1
	if h.down[h.leader] == 0 {
		if in := around(h.leader); len(in) >= need {
			return in
		}
	}
	for i := len(h.w.shape.Regions) - 1; i >= 0; i-- { // the witness, last, is preferred
		if r := h.w.shape.Regions[i]; h.down[r] == 0 && len(around(r)) >= need {
			h.leader = r
			h.gap = h.w.now + within(h.dice, 1500*time.Millisecond, 5*time.Second) // an election
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
		if r != server && h.down[r] == 0 && h.w.net.both(planeBus, server, r) && h.reach(to, r) {
			return true
		}
	}
	return false
}

// plain carries a message that is not stored from one region to another over the hub: maybe lost, maybe repeated.
func (h *hub) plain(from, to string, f func()) {
	r := h.w.net.between(from, to)
	if !h.connected(from, to) || h.w.net.lost(r) {
		return
	}
	for range h.w.net.times(r) {
		h.w.in(h.w.net.delay(r), func() {
			if h.connected(from, to) {
				f()
			}
		})
	}
}

// request carries a request to the replicated streams and its answer back: do runs at the server, then got at the client. If either way fails got
// never runs, though do may have, and may still.
func (h *hub) request(region string, do func(), got func()) {
	r := h.w.net.between(region, "state")
	if !h.state(region) || h.w.net.lost(r) {
		return
	}
	h.w.in(h.w.net.delay(r), func() {
		if len(h.quorum()) == 0 {
			return
		}
		do()
		if h.w.net.lost(r) {
			return
		}
		h.w.in(h.w.net.delay(r), func() {
			if h.state(region) {
				got()
			}
		})
	})
}

// lane carries a request to one acceptor and its answer back.
func (h *hub) lane(region string, n int, do func(), got func()) {
	server := h.lanes.Lanes[n].Region
	r := h.w.net.between(region, laneNames[n])
	seen := laneSeen{region, n}
	if !h.reach(region, server) || h.cut[seen] > 0 || h.w.net.lost(r) {
		return
	}
	h.w.in(h.there[seen]+h.laneDelay(region, n, r), func() {
		if h.down[server] > 0 || !h.w.net.up(planeBus, region, server) {
			return
		}
		do()
		if h.w.net.lost(r) {
			return
		}
		h.w.in(h.back[seen]+h.laneDelay(region, n, r), func() {
			if h.reach(region, server) {
				got()
			}
		})
	})
}

var laneNames = [...]string{"lane 0", "lane 1", "lane 2"}

// laneDelay is the network's, and more while a fault makes the lane slow from there.
func (h *hub) laneDelay(region string, n int, r *rand.Rand) time.Duration {
	d := h.w.net.delay(r)
	if h.slow[laneSeen{region, n}] > 0 {
		d += within(r, 100*time.Millisecond, 2500*time.Millisecond)
	}
	return d
}

// laneSeen is a lane as a region sees it.
type laneSeen struct {
	region string
	lane   int
}
