package whatif

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// world is the core of one term, and agents that do what they are told.
type world struct {
	d       events.Durations
	fleet   *fleet.Fleet
	at      events.Instant // boot clock of the imagined leader
	wall    time.Time      // at the start
	seq     events.Seq
	regions []string
	gone    map[string]bool // regions lost
	agents  []*agent        // sorted
	later   []*later        // sorted by when, then by order of asking
	lostAt  events.Instant  // 0 = not yet
	moved   events.Instant  // when a record changed last
	told    []Told
	served  map[string]time.Duration
}

type later struct {
	when events.Instant
	do   func()
}

// agent is one agent, with its clusters as it said last.
type agent struct {
	ref      events.AgentRef
	health   events.Health // its clusters sorted, each as it is now
	honoured time.Duration
	full     uint64
}

const start = events.Instant(time.Hour)

func newWorld(s fleet.Snapshot, d events.Durations, wall time.Time) *world {
	w := &world{d: d, at: start, wall: wall, seq: 1 << 40, gone: map[string]bool{}, served: map[string]time.Duration{}}
	byRef := map[events.AgentRef]*agent{}
	for _, h := range s.Health {
		if h.Observer {
			continue
		}
		a := byRef[h.Agent]
		if a == nil {
			a = &agent{ref: h.Agent, honoured: d.Honoured()}
			byRef[h.Agent] = a
			w.agents = append(w.agents, a)
		}
		a.take(h)
	}
	slices.SortFunc(w.agents, func(x, y *agent) int { return cmp.Compare(x.ref.String(), y.ref.String()) })
	seen := map[string]bool{}
	for _, l := range s.Lanes.Lanes {
		seen[l.Region] = true
	}
	for _, g := range s.Groups {
		for _, c := range g.Clusters() {
			seen[c.Region] = true
		}
	}
	w.regions = slices.Sorted(maps.Keys(seen))
	w.fleet = fleet.New(s, d, w.now())
	w.bus()
	return w
}

// take merges a message of health: a full one names every cluster, a delta those that changed.
func (a *agent) take(h events.Health) {
	was := a.health.Clusters
	if h.Delta == 0 {
		was = nil
	}
	if h.Full < a.health.Full || (h.Full == a.health.Full && h.Delta < a.health.Delta) {
		return
	}
	for _, c := range h.Clusters {
		i := slices.IndexFunc(was, func(x events.ClusterHealth) bool { return x.Cluster == c.Cluster })
		if i >= 0 {
			was[i] = c
		} else {
			was = append(was, c)
		}
	}
	if h.Peer == "" {
		h.Peer, h.Cert = a.health.Peer, a.health.Cert
	}
	a.health, a.health.Clusters = h, was
}

func (w *world) now() fleet.Now {
	return fleet.Now{Boot: w.at, Wall: w.wall.Add(w.at.Sub(start))}
}

// since is how long ago the regions were lost, negative before.
func (w *world) since() time.Duration {
	if w.lostAt == 0 {
		return -1
	}
	return w.at.Sub(w.lostAt)
}

func (w *world) lose(regions []string) {
	for _, r := range regions {
		w.gone[r] = true
	}
	w.lostAt = w.at
	w.bus()
}

// bus tells which hub regions answer.
func (w *world) bus() {
	var up []string
	for _, r := range w.regions {
		if !w.gone[r] {
			up = append(up, r)
		}
	}
	w.apply(fleet.BusSeen{Regions: up})
}

// run lets time pass: every beat each agent that is left beats and says how it is; in between, what is due is done.
func (w *world) run(d time.Duration) {
	for end := w.at.Add(d); w.at < end; {
		beat := w.at.Add(w.d.Beat)
		for len(w.later) > 0 && w.later[0].when <= beat {
			l := w.later[0]
			w.later = w.later[1:]
			w.at = max(w.at, l.when)
			l.do()
		}
		w.at = max(w.at, beat)
		for _, a := range w.agents {
			if !w.gone[a.ref.Region] {
				w.beat(a)
			}
		}
		w.apply(fleet.Tick{})
	}
}

func (w *world) beat(a *agent) {
	for n := range events.Lanes {
		if p := w.fleet.Lane(n); !w.gone[p.Region] {
			w.seq++
			w.apply(fleet.LaneSeen{Lane: n, Generation: p.Generation, Agent: a.ref, Seq: w.seq, Body: events.LaneBody{Kind: events.LaneBeat, Nonce: a.health.Nonce, Honoured: a.honoured}})
		}
	}
	w.say(a)
}

// say is an agent's full health.
func (w *world) say(a *agent) {
	a.full++
	h := a.health
	h.Full, h.Delta, h.Nonce = a.full, 0, "what-if"
	h.Clusters = slices.Clone(h.Clusters)
	for i := range h.Clusters {
		c := &h.Clusters[i]
		if c.Server == events.ServerRecovery && w.dark(c) {
			c.Streaming, c.Heard = false, w.since()
		}
	}
	w.apply(fleet.HealthSeen{Health: h})
}

// dark reports whether what a cluster follows is lost.
func (w *world) dark(c *events.ClusterHealth) bool {
	g := w.fleet.GroupOf(c.Cluster)
	return g != nil && w.gone[g.Active.Region]
}

func (w *world) in(d time.Duration, do func()) {
	l := &later{w.at.Add(d), do}
	i, _ := slices.BinarySearchFunc(w.later, l, func(x, y *later) int {
		if x.when <= y.when {
			return -1
		}
		return 1
	})
	w.later = slices.Insert(w.later, i, l)
}
