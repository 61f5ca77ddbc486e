package model

import (
	"fmt"
	"reflect"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// host is one machine: the shipped cores of its agent and guard, what it has on disk, and its servers as they truly are.
type host struct {
	No      int
	Agent   *lease.Agent // nil = no process
	Guard   *lease.Guard // nil = no process
	Disk    lease.Ledger // as fsynced
	Starts  int          // of the agent: each has its own nonce
	Servers []server
	Todo    []lease.Action // ordered by the agent, not carried out yet
	Orphan  bool           // … by an agent that is dead
	Idle    int            // ticks for which an active that must run did not
	Broken  string         // an invariant that only this host can see
}

// server is one database server: what a client could do to it, whatever any core believes.
type server struct {
	Ref    events.Ref
	Group  string
	State  events.Server // down, recovery, writable
	Frozen bool
	Signal bool // standby.signal lies in its data
	Mark   string
	syncing
}

func (s *server) writable() bool { return s.State == events.ServerWritable && !s.Frozen }

func (s *server) probed() events.Server {
	if s.Frozen && s.State != events.ServerDown {
		return events.ServerFrozen
	}
	return s.State
}

func (s *server) down() { s.State, s.Frozen = events.ServerDown, false }

// start brings it up: past the gate with the signal file out of the way, else as the file says (I8).
func (s *server) start(gate bool) {
	if s.State != events.ServerDown {
		return
	}
	s.Frozen = false
	if s.Signal && !gate {
		s.State = events.ServerRecovery
		return
	}
	s.State, s.Signal = events.ServerWritable, true
}

// The messages a host sends and gets.
type (
	// publish is a beat on its way to an acceptor.
	publish struct {
		Host   int
		Orphan bool // nobody waits for its answer any more
		Beat   lease.Beat
	}
	// grantAsk is a request for a promise on its way.
	grantAsk struct {
		Host int
		Ask  lease.Ask
	}
	// register is the last message on a lane, as its acceptor has it.
	register struct {
		Host, Lane int
		Generation uint64
		Seq        events.Seq
		Body       events.LaneBody
	}
	// mail is the newest command on one subject, and whether it was delivered.
	mail struct {
		Host    int
		Cluster string // ResumeCluster for a resume
		Waiting bool
		Seq     events.Seq
		Set     *events.Set
		Resume  *events.Resume
	}
	// word is the newest report on one cluster.
	word struct {
		Host    int
		Cluster string
		Waiting bool
		Report  events.Report
	}
	// view is what an agent's health says.
	view struct {
		Host    int
		Nonce   string
		Foreign string
		Alive   bool
		Servers []events.ClusterHealth
	}
)

// hostStep runs one input through a host's cores, with everything that follows at the same instant.
type hostStep struct {
	m   *machine
	h   *host
	out []any
}

const now = epochNow

func agentRef(h int) events.AgentRef {
	return events.AgentRef{Region: regionNames[h], Agent: "h"}
}

var regionNames = [hostsMost]string{"ra", "rb", "rc", "rd"}

// input hands the agent's core one input and carries out what it wants.
func (s *hostStep) input(f func(a *lease.Agent) lease.Effects) {
	if s.h.Agent == nil {
		return
	}
	s.carryOut(f(s.h.Agent))
	s.follow()
}

func (s *hostStep) carryOut(eff lease.Effects) {
	h := s.h
	if eff.Save {
		was := h.Disk
		h.Disk = h.Agent.Ledger()
		for _, e := range was.Entries {
			if x := h.Disk.Find(e.Cluster); x == nil || x.Seen < e.Seen {
				h.Broken = fmt.Sprintf("I2 the ledger of %s fell below epoch %d", e.Cluster, e.Seen)
			}
		}
	}
	for _, b := range eff.Beats {
		s.out = append(s.out, &publish{Host: h.No, Beat: b})
	}
	for _, q := range eff.Ask {
		s.out = append(s.out, &grantAsk{Host: h.No, Ask: q})
	}
	for _, r := range eff.Reports {
		s.out = append(s.out, &word{Host: h.No, Cluster: r.Cluster.Cluster, Waiting: true, Report: r})
	}
	if eff.Nudge { // whatever is done ends after what is said here left
		s.ask()
	}
	for _, a := range eff.Do {
		s.order(a)
	}
}

// order takes an action of the agent: what the guard does is done at once, and so is what a configuration does not slow down.
func (s *hostStep) order(a lease.Action) {
	slow := s.m.cfg.Slow && (a.Verb == lease.Start || a.Verb == lease.Promote || a.Verb == lease.Kill || a.Verb == lease.Stop)
	if slow || s.m.cfg.LazyGuard && a.Verb == lease.Thaw { // a guard that was not asked yet may refuse, again and again

		s.h.Todo = append(s.h.Todo, a)
		return
	}
	s.perform(a)
}

// perform carries an action out and tells the agent its end.
func (s *hostStep) perform(a lease.Action) {
	v := s.h.server(a.Cluster)
	ok := s.do(v, a)
	r := events.Result{Step: a.Step, Outcome: events.Done, Why: string(a.Verb), LSN: max(1, v.LSN), Replayed: max(1, v.LSN), Timeline: 1}
	if !ok {
		r = events.Result{Step: a.Step, Outcome: events.Retry, Why: "model"}
	}
	s.input(func(x *lease.Agent) lease.Effects { return x.Finished(now, a, r, v.probed()) })
}

func (h *host) server(r events.Ref) *server {
	for i := range h.Servers {
		if h.Servers[i].Ref == r {
			return &h.Servers[i]
		}
	}
	panic("model: no server " + r.String())
}

func (s *hostStep) do(v *server, a lease.Action) bool {
	g, name := s.h.Guard, v.Ref.String()
	if !v.syncDo(a) {
		return false
	}
	switch a.Verb {
	case lease.Freeze:
		s.freeze(v)
	case lease.Kill:
		v.Signal = true
		v.down()
		if g != nil {
			g.Killed(now, name, true)
		}
	case lease.Thaw:
		if g == nil || !g.MayThaw(now, name) {
			return false
		}
		g.Thawed(now, name)
		v.Frozen = false
	case lease.Start:
		if v.Frozen {
			return false
		}
		if v.State == events.ServerRecovery {
			v.State = events.ServerDown
		}
		v.start(true)
	case lease.StartStandby:
		v.Signal = true
		v.start(false)
	case lease.Promote:
		if v.State != events.ServerRecovery || v.Frozen {
			return false
		}
		v.State, v.Signal = events.ServerWritable, true
		v.forget()
	case lease.Stop:
		if v.Frozen {
			return false
		}
		v.Signal = true
		v.down()
	case lease.Mark:
		v.Mark = a.Group
	case lease.Restore:
		if v.Frozen || v.State == events.ServerWritable {
			return false
		}
		v.Signal, v.State = true, events.ServerRecovery
		v.forget()
		v.LSN = 0
	case lease.Sync, lease.Cut, lease.Follow, lease.Checkpoint, lease.Cancel, lease.Release:
	default:
		panic("model: nobody carries out " + string(a.Verb))
	}
	return true
}

// freeze stops every process of a server, and tells the guard what was found.
func (s *hostStep) freeze(v *server) {
	v.Frozen = v.State != events.ServerDown
	if g := s.h.Guard; g != nil {
		if v.Frozen {
			g.Frozen(now, v.Ref.String(), true)
		} else {
			g.Killed(now, v.Ref.String(), true)
		}
	}
}

// follow does everything that happens at once: the guard asks, what is due is frozen, the agent sees it.
func (s *hostStep) follow() {
	if s.h.Agent != nil && !s.m.cfg.LazyGuard {
		s.ask()
	}
	s.guard()
	s.observe()
}

// ask is the guard's question and the agent's answer, both at this instant (D1).
func (s *hostStep) ask() {
	h := s.h
	if h.Guard == nil || h.Agent == nil {
		return
	}
	lefts := h.Agent.Lefts(now)
	h.Guard.Answered(now, now, h.nonce(), lefts)
	for _, l := range lefts {
		ref, err := events.ParseRef(l.Cluster)
		if err != nil {
			panic("model: " + err.Error())
		}
		at, told, was := h.Guard.Deadline(l.Cluster), private(h.Agent, ref).FieldByName("told"), handed(h.Agent, ref)
		if at != was && (at > now || was > now) || told.FieldByName("Held").Bool() != l.Held || told.FieldByName("Exempt").Bool() != l.Exempt {
			s.input(func(a *lease.Agent) lease.Effects { return a.Handed(now, ref, l, at) })
		}
	}
}

// idle counts the ticks that an active stands still, where that is looked at.
func (s *hostStep) idle() {
	if !s.m.cfg.Runs {
		return
	}
	still := false
	for i := range s.h.Servers {
		e := s.h.Disk.Find(s.h.Servers[i].Ref)
		still = still || e != nil && e.Role == events.RoleActive && !s.h.Servers[i].writable()
	}
	s.h.Idle++
	if !still {
		s.h.Idle = 0
	}
	if s.h.Idle > idleMost {
		s.h.Broken = "I6 an active stands still although its recovery agents answer"
	}
}

// idleMost is how many ticks an active may stand still before it has asked for promises: until the bus counts as silent.
const idleMost = 2

// guard carries out what the guard's core wants.
func (s *hostStep) guard() {
	if s.h.Guard == nil {
		return
	}
	for _, a := range s.h.Guard.Tick(now) {
		for i := range s.h.Servers {
			v := &s.h.Servers[i]
			switch {
			case v.Ref.String() != a.Cluster:
			case a.Verb == lease.GuardFreeze:
				s.freeze(v)
			default:
				v.Signal = true
				v.down()
				s.h.Guard.Killed(now, a.Cluster, true)
			}
		}
	}
}

// observe lets the agent see what its servers are.
func (s *hostStep) observe() {
	h := s.h
	for i := range h.Servers {
		v := &h.Servers[i]
		if h.Agent != nil && believed(h.Agent, v.Ref) != v.probed() {
			s.input(func(a *lease.Agent) lease.Effects { return a.Observed(now, v.health()) })
		}
	}
}

func (s *server) health() events.ClusterHealth {
	h := events.ClusterHealth{
		Cluster: s.Ref, Kind: events.KindPostgres, Server: s.probed(), Mark: s.Mark, SystemID: s.Group, Timeline: 1, Address: s.Ref.String(),
	}
	h.LSN, h.Sync = s.LSN, s.syncHealth()
	if s.State == events.ServerRecovery && !s.Frozen {
		h.Streaming, h.LagKnown = !s.Cut, true
	}
	return h
}

func (h *host) nonce() string { return fmt.Sprintf("%s%d", regionNames[h.No], h.Starts) }

// private reads a field of one cluster of an agent's core.
func private(a *lease.Agent, ref events.Ref) reflect.Value {
	cs := open(reflect.ValueOf(a).Elem().FieldByName("cs"))
	for i := range cs.Len() {
		if c := cs.Index(i).Elem(); open(c.FieldByName("ref")).Interface() == ref {
			return c
		}
	}
	panic("model: the agent holds no " + ref.String())
}

// believed is what the agent last found its server to be, handed the deadline it knows its guard to hold.
func believed(a *lease.Agent, ref events.Ref) events.Server {
	return events.Server(private(a, ref).FieldByName("server").String())
}

func handed(a *lease.Agent, ref events.Ref) events.Instant {
	return events.Instant(private(a, ref).FieldByName("handed").Int())
}

// startAgent starts the agent's process (A7).
func (s *hostStep) startAgent() {
	h := s.h
	h.Starts++
	refs := make([]events.Ref, 0, len(h.Servers))
	for i := range h.Servers {
		refs = append(refs, h.Servers[i].Ref)
	}
	h.Agent = lease.New(agentRef(h.No), s.m.d, h.Disk, h.nonce(), refs, now)
	lanes := reflect.ValueOf(h.Agent).Elem().FieldByName("lanes")
	for n := range events.Lanes {
		open(lanes.Index(n).FieldByName("no")).SetUint(raw(laneSpace(spaceNo, h.No, n), 0))
	}
	s.input(func(a *lease.Agent) lease.Effects { return a.Tick(now) })
	for i := range h.Servers {
		ref := h.Servers[i].Ref
		if h.Guard != nil && h.Guard.Deadline(ref.String()) > now {
			at := h.Guard.Deadline(ref.String())
			s.input(func(a *lease.Agent) lease.Effects { return a.GuardHeld(now, map[events.Ref]events.Instant{ref: at}) })
		}
	}
	s.input(func(a *lease.Agent) lease.Effects { return a.Places(now, lanePlaces) })
}

// startGuard starts the guard's process: what it must hold it reads from the ledger.
func (s *hostStep) startGuard() {
	var cs []lease.Guarded
	for i := range s.h.Servers {
		v := &s.h.Servers[i]
		if e := s.h.Disk.Find(v.Ref); e != nil {
			cs = append(cs, lease.Guarded{Cluster: v.Ref.String(), Held: e.Held(), Exempt: e.Exempt()})
		} else if v.Mark != "" {
			cs = append(cs, lease.Guarded{Cluster: v.Ref.String(), Held: true})
		}
	}
	s.h.Guard = lease.NewGuard(s.m.d, now, cs)
	s.guard()
	s.observe()
}
