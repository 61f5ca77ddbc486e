package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// hub is the bus: three acceptors and one replicated stream, over the store that ships as the twin's server side.
type hub struct {
	w       *World
	store   *bus.Store
	down    map[string]int             // hub servers by region: how many faults hold each down
	slow    map[laneSeen]int           // lanes that a fault makes slow
	deaf    map[laneSeen]int           // lanes whose republished messages a fault keeps from the controllers of a region
	lost    map[heardBy]int            // agents that are not heard, or hear nothing
	late    map[heardBy]int            // agents that hear late
	cut     map[laneSeen]int           // lanes that a region does not reach, whatever the links
	there   map[laneSeen]time.Duration // how much later its requests arrive there, and answers come back
	back    map[laneSeen]time.Duration
	lateBy  map[heardBy]time.Duration // how late exactly; 0 = as chance has it
	dice    *rand.Rand
	gap     at     // the state stream elects until then
	leader  string // region that leads the state stream
	lanes   events.LaneSet
	fleet   events.FleetConfig
	reports map[events.Ref]events.Report // as stored, typed: decoding them again and again would be most of a run
	bodies  map[laneOf]events.LaneBody   // of the last message of each agent on each lane, the same
	set     events.LaneSet               // what recordedLanes read last, at setAt
	setAt   events.Seq
	term    events.Term // what holder read last, at termAt
	termAt  events.Seq
}

// laneOf is an agent's place on an acceptor's stream.
type laneOf struct {
	lane       int
	generation uint64
	agent      events.AgentRef
}

func newHub(w *World) *hub {
	h := &hub{w: w, store: bus.NewStore(), down: map[string]int{}, slow: map[laneSeen]int{}, deaf: map[laneSeen]int{}, lost: map[heardBy]int{}, late: map[heardBy]int{},
		cut: map[laneSeen]int{}, there: map[laneSeen]time.Duration{}, back: map[laneSeen]time.Duration{}, lateBy: map[heardBy]time.Duration{},
		dice: w.luck("hub"), leader: w.shape.Regions[len(w.shape.Regions)-1], reports: map[events.Ref]events.Report{}, bodies: map[laneOf]events.LaneBody{}}
	h.fleet = events.FleetConfig{Profile: w.d.Profile, MaxOut: 1}
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

// deliver carries on the commands that the store republished to agents. Plain copies on a stream's own subject (Seq 0, also of refused publishes) have no
// reader: nobody may read commands there.
func (h *hub) deliver(from string) {
	for _, m := range h.store.Heard() {
		if m.Seq == 0 || !strings.HasPrefix(m.Subject, events.Prefix+"did.") {
			continue
		}
		p := strings.Split(m.Subject, ".")
		for _, a := range h.w.hosts {
			if a.ref.Region == p[2] && a.ref.Agent == p[3] {
				subject := events.SubjectCommand(a.ref, p[4])
				h.tell(from, a, func() { a.alive(a.life, func() { a.command(subject, m.Data, m.Seq) }) })
			}
		}
	}
}

// beaten carries on what was just published on a lane to controllers, if the store republished it.
func (h *hub) beaten(in fleet.LaneSeen) {
	for _, m := range h.store.Heard() {
		if m.Seq == 0 {
			continue
		}
		in.Seq = m.Seq
		for _, c := range h.w.ctls {
			if c.fleet != nil && h.deaf[laneSeen{c.region, in.Lane}] == 0 && (c.blind == 0 || c.region == in.Agent.Region) { // nobody else listens
				h.plain(h.lanes.Lanes[in.Lane].Region, c.region, func() { c.alive(c.life, func() { c.input(in) }) })
			}
		}
	}
}

// tell carries a command to an agent, as its faults allow.
func (h *hub) tell(from string, a *host, f func()) {
	hears := heardBy{a.ref, false}
	switch {
	case h.lost[hears] > 0:
	case h.lateBy[hears] > 0:
		h.w.in(h.lateBy[hears], func() { h.plain(from, a.ref.Region, f) })
	case h.late[hears] > 0:
		h.w.in(within(h.dice, 0, 5*time.Second), func() { h.plain(from, a.ref.Region, f) })
	default:
		h.plain(from, a.ref.Region, f)
	}
}

// publishLane stores on one acceptor, as its server would.
func (h *hub) publishLane(n int, gen uint64, a events.AgentRef, body events.LaneBody, last events.Seq) (events.Seq, error) {
	seq, err := h.store.Publish(bus.Out{Subject: events.SubjectLane(n, gen, a), Stream: events.LaneStream(n, gen), Last: &last})
	if err == nil {
		h.bodies[laneOf{n, gen, a}] = body
	}
	h.beaten(fleet.LaneSeen{Lane: n, Generation: gen, Agent: a, Body: body})
	return seq, err
}

func (h *hub) lastLane(n int, gen uint64, a events.AgentRef) (events.Seq, events.LaneBody) {
	m, err := h.store.Last(events.LaneStream(n, gen), events.SubjectLane(n, gen, a))
	if err != nil || m == nil {
		return 0, events.LaneBody{}
	}
	return m.Seq, h.bodies[laneOf{n, gen, a}]
}

// holder is who holds a term.
func (h *hub) holder(m *bus.Message) string {
	if m.Seq != h.termAt {
		h.term, h.termAt = events.Term{}, m.Seq
		h.must(json.Unmarshal(m.Data, &h.term))
	}
	return h.term.Holder
}

// recordedLanes is ctl.lanes as stored, or the first generation before any leader wrote it.
func (h *hub) recordedLanes() events.LaneSet {
	if m, _ := h.store.Last(events.StreamState, events.SubjectLanes); m != nil {
		if m.Seq != h.setAt {
			h.set, h.setAt = events.LaneSet{}, m.Seq
			h.must(json.Unmarshal(m.Data, &h.set))
		}
		return h.set
	}
	set := events.LaneSet{}
	for n := range set.Lanes {
		set.Lanes[n] = events.LanePlace{Generation: 1, Region: h.lanes.Lanes[n].Region}
	}
	return set
}

// generationFor is the generation an agent's own core believes in.
func (h *hub) generationFor(a *host, n int) uint64 { return a.agent.Place(n).Generation }

func (h *hub) storeReport(a *host, r events.Report) {
	if old, ok := h.reports[r.Cluster]; ok && old.Nonce == r.Nonce && old.No > r.No {
		return // it expected another one before it: refused
	}
	h.reports[r.Cluster] = r
	data, err := json.Marshal(r)
	h.must(err)
	_, err = h.store.Publish(bus.Out{Subject: events.SubjectReport(a.ref, r.Cluster.Cluster), Data: data})
	h.must(err)
	h.store.Heard()
	for _, c := range h.w.ctls {
		h.plain(a.ref.Region, c.region, func() { c.alive(c.life, func() { c.input(fleet.ReportSeen{Report: r}) }) })
	}
}

// commit stores a batch for a leader and notes the records in it.
func (h *hub) commit(c *ctl, out []bus.Out) (events.Seq, error) {
	seq, err := h.store.Batch(out)
	if err != nil {
		h.store.Heard()
		return 0, err
	}
	for _, o := range out {
		if strings.HasPrefix(o.Subject, events.Prefix+"rec.") {
			var r events.Record
			h.must(json.Unmarshal(o.Data, &r))
			h.w.recorded(c, &r)
		}
	}
	h.deliver(h.leader)
	if h.w.stored != nil {
		h.w.stored()
	}
	return seq, nil
}

func (w *World) storeConfig(g events.GroupConfig) {
	data, err := json.Marshal(g)
	w.hub.must(err)
	seq, err := w.hub.store.Publish(bus.Out{Subject: events.SubjectGroup(g.Group), Data: data})
	w.hub.must(err)
	w.hub.store.Heard()
	w.pairOf(g.Group).config = fleet.GroupConfig{GroupConfig: g, Revision: seq}
}

// stored are the reports and configurations, in order.
func (h *hub) stored() (reports []events.Report, groups []fleet.GroupConfig) {
	for _, s := range h.w.servers {
		if r, ok := h.reports[s.ref]; ok {
			reports = append(reports, r)
		}
	}
	for _, p := range h.w.pairs {
		if p.config.Group != "" { // else it is lost
			groups = append(groups, p.config)
		}
	}
	return reports, groups
}

// snapshot is what a new leader reads.
func (h *hub) snapshot(term events.Seq, region string) fleet.Snapshot {
	s := fleet.Snapshot{Term: term, Region: region, Lanes: h.recordedLanes(), Fleet: h.fleet}
	all := func(stream, pattern string, f func(m bus.Message)) {
		ms, err := h.store.All(stream, pattern)
		h.must(err)
		for _, m := range ms {
			f(m)
		}
	}
	all(events.StreamState, events.SubjectLanes, func(m bus.Message) { s.LanesSeq = m.Seq })
	all(events.StreamState, events.SubjectAutomation, func(m bus.Message) {
		h.must(json.Unmarshal(m.Data, &s.Automation))
		s.AutoSeq = m.Seq
	})
	all(events.StreamState, events.SubjectRecord("*"), func(m bus.Message) {
		r := fleet.Record{Revision: m.Seq}
		h.must(json.Unmarshal(m.Data, &r.Record))
		s.Records = append(s.Records, r)
	})
	var heads []events.Rollout
	var parts []events.RolloutPart
	all(events.StreamState, events.SubjectRollouts+"*", func(m bus.Message) {
		heads = append(heads, events.Rollout{})
		h.must(json.Unmarshal(m.Data, &heads[len(heads)-1]))
	})
	all(events.StreamState, events.SubjectRollouts+"*.*", func(m bus.Message) {
		parts = append(parts, events.RolloutPart{})
		h.must(json.Unmarshal(m.Data, &parts[len(parts)-1]))
	})
	s.Rollouts = fleet.Assemble(heads, parts)
	all(events.StreamState, events.Prefix+"cmd.>", func(m bus.Message) {
		a, cluster, _ := events.ParseCommand(m.Subject)
		s.Commands = append(s.Commands, fleet.Command{Agent: a, Cluster: cluster, Seq: m.Seq})
	})
	all(events.StreamConfig, events.SubjectGroup("*"), func(m bus.Message) {
		g := fleet.GroupConfig{Revision: m.Seq}
		h.must(json.Unmarshal(m.Data, &g.GroupConfig))
		s.Groups = append(s.Groups, g)
	})
	all(events.StreamReport, events.Prefix+"report.>", func(m bus.Message) {
		var r events.Report
		h.must(json.Unmarshal(m.Data, &r))
		s.Reports = append(s.Reports, r)
	})
	return s
}

// setUp writes what an empty record begins with: where the acceptors are.
func (h *hub) setUp() {
	data, err := json.Marshal(h.lanes)
	h.must(err)
	_, err = h.store.Publish(bus.Out{Subject: events.SubjectLanes, Data: data})
	h.must(err)
	h.store.Heard()
}

// loseDisk is the loss of one acceptor's disk: its stream is there again, empty, with sequences that begin anew. It is noticed and rebuilt as a new
// generation (K1, C9); until the record says so, everybody still talks to the empty one. noticed is after how long exactly, 0 = as chance has it.
func (h *hub) loseDisk(n int, noticed time.Duration) {
	h.w.trace("acceptor %d loses its disk", n)
	h.must(h.store.Wipe(events.LaneStream(n, h.lanes.Lanes[n].Generation)))
	if noticed == 0 {
		noticed = h.again()
	}
	h.rebuild(n, h.lanes.Lanes[n].Generation, noticed)
}

// again is when a rebuild that was not recorded is tried again.
func (h *hub) again() time.Duration { return within(h.dice, 200*time.Millisecond, 3*time.Second) }

// rebuild makes the new stream and has the leader record it, until it is recorded.
func (h *hub) rebuild(n int, old uint64, after time.Duration) {
	h.w.in(after, func() {
		if h.recordedLanes().Lanes[n].Generation > old {
			h.lanes.Lanes[n] = h.recordedLanes().Lanes[n]
			return
		}
		place := events.LanePlace{Generation: old + 1, Region: h.lanes.Lanes[n].Region}
		h.must(h.store.Create(events.Lane(n, place)))
		for _, c := range h.w.ctls {
			if c.fleet != nil {
				c.alive(c.life, func() { c.input(fleet.LaneRebuilt{Lane: n, Place: place}) })
			}
		}
		h.rebuild(n, old, h.again())
	})
}
