// Package decide is the decision on one group: facts in, the first matching row of an ordered table out.
//
//	fleet gathers facts ─▶ Step: first row that matches ─▶ Outcome: a new record, commands, notices, an attempt
//
// Rows say in words what operators see. There are two tables: moves (what changes who is active) and upkeep (what keeps everybody told); upkeep
// is looked at only when no move changed the record. TABLE.md is generated from them.
//
// Pure: standard library only; no clock, I/O, goroutine, logging, randomness or map order.
package decide

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// Facts is everything Step looks at, gathered by the fleet at one instant.
type Facts struct {
	Now      events.Instant
	Wall     time.Time // display only
	Term     events.Seq
	D        events.Durations
	Config   events.GroupConfig
	Revision uint64          // of Config
	Record   *events.Record  // nil: not born
	Members  []Cluster       // in the record's order, or the configuration's before birth
	Region   gate.Judgement  // of the active's region
	Permit   gate.Permission // for automation, now
	Ask      *events.Ask     // an operator's ask about this group that has no answer yet
	Blind    bool
	Lease    Lease                         // proof by lease, as far as it got
	OpAge    time.Duration                 // since this leader first saw the running operation
	PhaseAge time.Duration                 // since this leader first saw its phase
	Sent     events.LSN                    // last known position the active had written
	SentAge  time.Duration                 // how long ago it said so
	Stable   time.Duration                 // how long the active has served and been protected without a break, as this leader saw it
	GapAge   time.Duration                 // since this leader first saw the running operation's intent
	Under    string                        // the id of the outage of its region, which an automatic move bears; empty = there is none
	Turn     string                        // in an outage of its region: whom it waits for; empty = it is its turn
	Joining  []Cluster                     // configured, but no member of the record yet
	Uses     Uses                          // of groups that depend on each other
	Restore  gate.Permission               // for automation to restore a failed cluster
	SyncAge  time.Duration                 // since this leader first saw the record's sync order
	Told     func(cluster events.Ref) bool // the newest command to it already says what it must
}

// Cluster is what is known of one member.
type Cluster struct {
	events.Member
	Claims      []events.AgentRef // agents that report it, sorted; more than one is an alarm
	Known       bool              // its agent's health was received since this leader watches
	Age         time.Duration     // of the health
	Fresh       bool              // its agent beats
	Leased      bool              // two of its agent's lanes show beats that count
	Silent      time.Duration     // how long its agent has been silent, 0 while it beats
	Looked      bool              // others looked at this agent's addresses since it fell silent, and
	Seen        string            // who sees it; empty = nobody
	Turn        string            // failed: whom its restore by automation waits for; empty = it is its turn
	Health      events.ClusterHealth
	Report      events.Report
	Reported    bool
	External    bool          // its agent has an external fence, to be used against the others
	Astray      bool          // its ledger had applied a newer command than any that is stored for it, and has applied none since
	Behind      time.Duration // how far behind the active it was at the active's last word
	BehindKnown bool
}

// Lease is how far proof by lease (C3a) got for the active's agent.
type Lease struct {
	Running  bool
	Accepted []events.ProofLane
	Received events.Instant // the newest receipt behind the two oldest acceptances, or of the active's word that it has the candidate list in force
	Wait     time.Duration  // max(L, F+S+M of the agent)
}

// Waited reports whether two acceptances are there and L is over since the receipts behind them (C3a).
func (l Lease) Waited(now events.Instant) bool {
	return len(l.Accepted) >= events.Quorum && now >= l.Received.Add(l.Wait)
}

// Outcome is what a step decided.
type Outcome struct {
	Rule    string
	Why     string
	Record  *events.Record  // to be saved; nil = unchanged
	Sets    []events.Set    // leave with the record, in one batch
	Attempt bool            // the active's agent must be under revocation
	Drop    bool            // its acceptances and proofs are void (C7)
	Revoke  events.AgentRef // revocations that must go on although the record moved (C4); zero = none
	Notices []events.Notice
	Answers []events.AnswerItem // to Ask: one for each operation it began, or the refusal
	Upkeep  []string            // the rows of upkeep that were done
	Wake    events.Instant      // look again no later than this
	Halt    string              // the halt that holds, whichever row answered an ask; empty = none

	sentence string // the matching row's, not filled in yet
}

// active returns the facts of the record's active cluster.
func (f *Facts) active() *Cluster { return f.member(f.Record.Active) }

// target returns the facts of the operation's target.
func (f *Facts) target() *Cluster { return f.member(f.Record.Target) }

func (f *Facts) member(r events.Ref) *Cluster {
	for i := range f.Members {
		if f.Members[i].Cluster == r {
			return &f.Members[i]
		}
	}
	return &Cluster{}
}

// passiveAt reports whether the cluster's agent said: passive at this epoch, stopped, no promise out (A11).
func (c *Cluster) passiveAt(e events.Epoch) bool { return c.Reported && c.Report.Passive >= e }

// unfit says why a cluster can't be promoted, "" if it can: its lifecycle role is passive, it streams or did when its upstream was
// last there, and its agent is alive (C7, "a new target must …").
func (f *Facts) unfit(c *Cluster) string {
	switch {
	case c.Cluster == f.Record.Active:
		return "it is active already"
	case c.Role != events.RolePassive:
		return "it is " + string(c.Role) + " until it is restored"
	case c.Member.Work != nil:
		return "it is being rebuilt (" + c.Member.Work.ID + ")"
	case !f.listed(c.Cluster):
		return "the active has not acknowledged it as a candidate yet"
	case !c.Fresh || !c.Known:
		return "its agent is silent"
	case c.Health.Server != events.ServerRecovery:
		return "its server is " + string(c.Health.Server)
	case c.Reported && c.Report.Primary:
		return "its data needs a restore"
	case !c.passiveAt(f.heldEpoch()):
		return fmt.Sprintf("it has not reported passive at epoch %d yet", f.heldEpoch())
	case c.Health.SystemID != "" && f.active().SystemID != "" && c.Health.SystemID != f.active().SystemID:
		return "its data is of another system"
	case c.Health.Timeline < f.timeline() && (f.Ask == nil || !f.Ask.AcceptLoss):
		return fmt.Sprintf("it has not followed to timeline %d yet: it lacks everything written since the last move", f.timeline())
	case f.timeline() != 0 && c.Health.Timeline > f.timeline():
		return fmt.Sprintf("it is on timeline %d, which %s never wrote", c.Health.Timeline, f.Record.Active)
	}
	return ""
}

// timeline is the one the active writes, 0 while nobody knows: a candidate on an older one never got what was written since the last promotion.
func (f *Facts) timeline() uint32 {
	if a := f.active(); a.Known && a.Health.Server == events.ServerWritable {
		return a.Health.Timeline
	}
	if op := f.Record.Op; op != nil && op.Ended == "done" && op.To == f.Record.Active {
		return op.Timeline
	}
	return 0
}

// heldEpoch is the epoch a new target must have reported passive at: the record's, or while an operation runs the one before its intent,
// which the new SET then raises (C7).
func (f *Facts) heldEpoch() events.Epoch {
	if f.Record.Phase == events.PhaseActive {
		return f.Record.Epoch
	}
	return f.Record.Epoch - 1
}

// listed reports whether the cluster stands in every candidate list the active may be using: from the last one it acknowledged to the newest
// one sent (G3 asks all of *its* list, so a target outside it could be promoted over its grants).
func (f *Facts) listed(c events.Ref) bool {
	if a := f.active(); len(f.Record.Lists) == 0 || !a.Reported || a.Report.Seen == 0 {
		return false // its agent never took it under care: born, but told of it by nobody, so no lease of it ends anything
	}
	for _, l := range f.Record.Lists {
		if !l.Holds(c) {
			return false
		}
	}
	return true
}

// best picks the target: whoever has every acknowledged write, else the most advanced candidate, preference breaks ties. want limits it to one cluster; nil and why if there is none.
func (f *Facts) best(want events.Ref, not events.Ref) (*Cluster, string) {
	var best *Cluster
	why := "it has no recovery cluster"
	for i := range f.Members {
		c := &f.Members[i]
		if c.Cluster == f.Record.Active || c.Cluster == not || (want != (events.Ref{}) && c.Cluster != want) {
			continue
		}
		if u := f.unfit(c); u != "" {
			why = c.Cluster.String() + ": " + u
			continue
		}
		if u := f.outside(c.Cluster); u != "" {
			why = u
			continue
		}
		if best == nil || f.inSet(c.Cluster) && !f.inSet(best.Cluster) || f.inSet(c.Cluster) == f.inSet(best.Cluster) && c.Health.LSN > best.Health.LSN {
			best = c
		}
	}
	if best != nil {
		return best, ""
	}
	return nil, why
}
