package model

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// ctl is the leader, and what is stored for every leader: the records.
type ctl struct {
	Fleet   *fleet.Fleet // nil = nobody leads
	Term    events.Seq
	Records []fleet.Record
	Broken  string // an invariant that only the record can see
}

type (
	// revocation is one on its way to an acceptor.
	revocation struct {
		Host   int
		Orphan bool // its leader is gone
		fleet.Revocation
	}
	// reading is a leader's question for the last message of a lane.
	reading struct{ Host, Lane int }
	// granted is a promise on its way back.
	granted struct {
		Yes  bool
		Seen events.Epoch
	}
	// order is what an operator asks.
	order struct{ Verb, Group, To string }
)

// lanePlaces is the acceptors of the record. All are alike.
var lanePlaces = events.LaneSet{Lanes: [events.Lanes]events.LanePlace{{Generation: 1, Region: "rw"}, {Generation: 1, Region: "rw"}, {Generation: 1, Region: "rw"}}}

// ctlStep runs one input through the leader's core, with everything that follows at the same instant.
type ctlStep struct {
	call *call
	c    *ctl
	out  []any
}

var moment = fleet.Now{Boot: now}

// rounds bounds how often a leader may look again at one instant.
const rounds = 64

func (s *ctlStep) input(in fleet.Input) {
	if s.c.Fleet == nil {
		return
	}
	for range rounds {
		eff := s.c.Fleet.Apply(moment, in)
		last := s.store(eff.Batches)
		for _, r := range eff.Revoke {
			s.out = append(s.out, &revocation{Host: hostOf(r.Agent), Revocation: r})
		}
		for _, k := range eff.Read {
			s.out = append(s.out, &reading{hostOf(k.Agent), k.Lane})
		}
		switch {
		case len(last) > 0:
			in = fleet.Committed{Last: last}
		case eff.Wake <= now:
			in = fleet.Tick{}
		default:
			return
		}
	}
	panic("model: a leader finds no end at one instant")
}

func hostOf(a events.AgentRef) int { return slices.Index(regionNames[:], a.Region) }

// store is what the bus does with batches: every record, then the commands.
func (s *ctlStep) store(batches [][]fleet.Write) (last []events.Seq) {
	for _, b := range batches {
		var seq events.Seq
		for _, w := range b {
			seq = s.call.next(spaceState)
			switch p := w.Payload.(type) {
			case events.Record:
				s.record(p)
			case events.Set:
				h := hostOf(events.AgentRef{Region: p.Cluster.Region})
				s.out = append(s.out, &mail{Host: h, Cluster: p.Cluster.Cluster, Waiting: true, Seq: seq, Set: &p})
			case events.Resume:
				h := hostOf(p.Agent)
				s.out = append(s.out, &mail{Host: h, Cluster: events.ResumeCluster, Waiting: true, Seq: seq, Resume: &p})
			case events.LaneSet, events.Automation:
			default:
				panic(fmt.Sprintf("model: nobody stores a %T", p))
			}
		}
		last = append(last, seq)
	}
	return last
}

// record stores a record, and checks what only its history shows.
func (s *ctlStep) record(r events.Record) {
	for i := range s.c.Records {
		old := &s.c.Records[i]
		if old.Group != r.Group {
			continue
		}
		if r.Epoch < old.Epoch {
			s.c.Broken = fmt.Sprintf("I2 the record went from epoch %d to %d", old.Epoch, r.Epoch)
		}
		if r.Active != old.Active && (old.Phase != events.PhaseProved || r.Op == nil || r.Op.Proof == nil || r.Op.Proof.Epoch != r.Epoch) {
			s.c.Broken = "I3 moved without a stored proof of its epoch"
		}
		s.c.Records[i].Record = r
		return
	}
	s.c.Records = append(s.c.Records, fleet.Record{Record: r, Revision: 1})
}

// lead begins a term from what is recorded (memory is empty at every new term).
func (s *ctlStep) lead(words []*word, mails []*mail) {
	m := s.call.m
	s.c.Term = s.call.next(spaceTerm)
	snap := fleet.Snapshot{Term: s.c.Term, Region: "rw", Lanes: lanePlaces, Fleet: events.FleetConfig{MaxOut: 1}, Groups: m.cfg.groupConfigs(), Records: cloned(s.c.Records)}
	for _, w := range words {
		snap.Reports = append(snap.Reports, w.Report)
	}
	for _, x := range mails {
		snap.Commands = append(snap.Commands, fleet.Command{Agent: agentRef(x.Host), Cluster: x.Cluster, Seq: x.Seq})
	}
	s.c.Fleet = fleet.New(snap, m.d, moment)
	open(reflect.ValueOf(s.c.Fleet).Elem().FieldByName("attempts")).SetUint(raw(spaceAttempt, 0))
	s.input(fleet.BusSeen{Regions: []string{"ra", "rb", "rc", "rw"}})
}

func cloned(rs []fleet.Record) []fleet.Record {
	out := make([]fleet.Record, len(rs))
	for i := range rs {
		out[i] = fleet.Record{Record: *rs[i].Clone(), Revision: rs[i].Revision}
	}
	return out
}

func (s *ctlStep) ask(o *order) {
	a := events.Ask{Verb: o.Verb, Group: o.Group, Actor: "op", AcceptLoss: !s.call.m.cfg.Sync, WhileBlind: true, To: o.To}
	if o.Verb == events.AskRejoin {
		a = events.Ask{Verb: o.Verb, Actor: "op", Agent: o.To, Reason: "model"}
	}
	s.input(fleet.AskSeen{Ask: a})
}

func (r *register) seen() fleet.LaneSeen {
	return fleet.LaneSeen{Lane: r.Lane, Generation: r.Generation, Agent: agentRef(r.Host), Seq: r.Seq, Body: r.Body}
}

func (v *view) health() events.Health {
	return events.Health{Agent: agentRef(v.Host), Nonce: v.Nonce, Foreign: v.Foreign, Peer: agentRef(v.Host).String(), Clusters: v.Servers}
}
