package events

import "time"

// Lanes is how many acceptors there are, and so lanes per agent (2-safety, The lease is the beat).
const Lanes = 3

// Quorum is how many lanes make a right to run, and how many acceptances make a revocation.
const Quorum = 2

// LaneKind is what a message on a lane says.
type LaneKind string

// The kinds of a lane's last message; LaneNone is an empty subject.
const (
	LaneNone    LaneKind = ""
	LaneBeat    LaneKind = "BEAT"    // renews, on a counted lane
	LanePending LaneKind = "PENDING" // rejoins; renews nothing (A5)
	LaneRevoke  LaneKind = "REV"     // the leader's revocation (C2)
)

// LaneBody is the body of every message on a lane (K1).
type LaneBody struct {
	Kind     LaneKind      `json:"kind"`
	Nonce    string        `json:"nonce,omitempty"`    // the agent's start nonce; empty on a revocation
	No       uint64        `json:"no,omitempty"`       // counts this start's publishes on the lane, so that a lost ack's beat is known again (A4)
	Rejoin   Seq           `json:"rejoin,omitempty"`   // on PENDING: sequence of the first PENDING of this rejoin, 0 on that one itself (A1)
	Honoured time.Duration `json:"honoured,omitempty"` // F+S+M of the agent, in ns; the leader waits max(L, that)
	Attempt  string        `json:"attempt,omitempty"`  // on REV: the attempt it belongs to
	Active   int           `json:"active,omitempty"`   // how many clusters the agent holds active
}

// EventType names the payload in the catalogue.
func (LaneBody) EventType() string { return "switchback.lane" }

// RejoinSeq is the rejoin a PENDING message stored at seq belongs to (A1).
func (b LaneBody) RejoinSeq(seq Seq) Seq {
	if b.Rejoin != 0 {
		return b.Rejoin
	}
	return seq
}

// LaneSet is `ctl.lanes`: the current generation of every acceptor and the hub region it is pinned to (K1, C9).
type LaneSet struct {
	Lanes [Lanes]LanePlace `json:"lanes"`
}

// LanePlace is one acceptor: its generation, from 1, and its hub region.
type LanePlace struct {
	Generation uint64 `json:"generation"`
	Region     string `json:"region"`
}

// EventType names the payload in the catalogue.
func (LaneSet) EventType() string { return "switchback.lanes" }
