package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// upkeeps is the table of what keeps everybody told. Unlike moves every row that matches is done, and each sees the record as the rows before it left it.
var upkeeps = [...]row{
	{"upkeep.unfenced", "active", "the old active of a waived or external fence, or of a cut, has not been told yet (C4)", func(f *Facts) bool {
		op := f.Record.Op
		return waived(op) && f.member(op.From).Report.Seen < op.Proof.Epoch
	}, func(f *Facts, o *Outcome) { o.Revoke = f.member(f.Record.Op.From).Agent }, "revocations of the old active go on until they are stored or it answers"},
	{"upkeep.answered", "active", "the old active of a waived or external fence reported that it is passive", (*Facts).answeredLate, answer, "one copy only accepts writes, by its own agent's word now"},
	{"upkeep.acknowledged", "active", "the active acknowledged a newer candidate list", func(f *Facts) bool {
		a := f.active()
		return len(f.Record.Lists) > 1 && a.Reported && a.Report.Seen == f.Record.Epoch && a.Report.Version >= f.Record.Lists[1].Version
	}, func(f *Facts, o *Outcome) {
		r := o.draft(f)
		for len(r.Lists) > 1 && f.active().Report.Version >= r.Lists[1].Version {
			r.Lists = r.Lists[1:]
		}
	}, "the acknowledged candidate list is recorded"},
	{"upkeep.members", "active", "a member's agent moved its address", func(f *Facts) bool { return f.moved() }, func(f *Facts, o *Outcome) {
		r := o.draft(f)
		for i := range r.Members {
			if c := f.member(r.Members[i].Cluster); c.Known && c.Fresh {
				r.Members[i].Peer, r.Members[i].Cert, r.Members[i].Address = c.Peer, c.Cert, c.Address
			}
		}
	}, "addresses are recorded"},
	{"upkeep.candidates", "active", "the list of eligible clusters changed", func(f *Facts) bool {
		return !lists(f.Record.Current().Candidates, f.Record)
	}, func(f *Facts, o *Outcome) {
		r := o.draft(f)
		r.Lists = append(r.Lists, events.CandidateList{Version: r.Current().Version + 1, Candidates: candidates(r)})
		o.Sets = append(o.Sets, f.set(r, r.Active))
	}, "a new candidate list is sent to the active"},
	{"upkeep.config", "any", "the group's configuration changed", func(f *Facts) bool { return f.Revision != f.Record.Config && !f.Config.Removed }, func(f *Facts, o *Outcome) {
		r := o.draft(f)
		r.Config = f.Revision
		r.Exempt = r.Exempt || exempt(&f.Config)
		if r.Phase == events.PhaseActive {
			for i := range r.Members {
				o.Sets = append(o.Sets, f.set(r, r.Members[i].Cluster))
			}
		}
	}, "the configuration is obeyed from here on"},
	{"upkeep.fenceable", "active", "the active acknowledged that a deadline freezes it", (*Facts).fenceable, func(f *Facts, o *Outcome) { o.draft(f).Exempt = false },
		"a lapsed lease proves its fence from here on"},
	{"upkeep.found", "active", "an agent reports a cluster of a rebuilt record whose agent nobody knew", func(f *Facts) bool { return len(f.foundAgents()) > 0 }, found, "it belongs to that agent from here on"},
	{"upkeep.settled", "active", "stable and protected long enough since automation moved it", func(f *Facts) bool { return !f.Record.Settled && f.Stable >= f.D.Flapping },
		func(f *Facts, o *Outcome) { o.draft(f).Settled = true }, "stable: automation may move it again"},
	{"upkeep.approval", "active", "it was approved, and its active is well again", func(f *Facts) bool {
		a := f.active()
		return f.Record.Approve != "" && a.Fresh && a.Known && a.Health.Down == 0
	}, func(f *Facts, o *Outcome) { o.draft(f).Approve = "" }, "its approval has ended: it was for one incident"},
	{ruleRestored, "active", "a restored cluster streams on the right timeline", func(f *Facts) bool { return len(f.finished()) > 0 }, finish, "it is a passive again, and may be promoted once the active has it on its list"},
	{"restore.refused", "active", "a restore was refused for good", func(f *Facts) bool { return len(f.refusedRestore()) > 0 }, fail, "the cluster stays failed until a person asks again"},
	{"restore.stalled", "active", "a restore stands still", func(f *Facts) bool { return len(f.stalled()) > 0 }, stall, "an alarm, once; it goes on"},
	{"restore.begin", "active", "a failed cluster has reported in, or a passive is ahead of the active's timeline; nobody holds it, and automation may", func(f *Facts) bool { return len(f.due()) > 0 }, beginDue,
		"it is restored: counted, then rewound or copied"},
	{"restart.over", "active", "a planned restart ended", func(f *Facts) bool { ended, _ := f.restartOver(); return ended != "" }, func(f *Facts, o *Outcome) { f.endRestart(o, "") }, "its end is told"},
	{"drain.below", "active", "what it depends on is about to be moved on purpose, and it runs tasks", (*Facts).drainDue, drain, "it begins no more tasks, and those that run come to their end first"},
	{"drain.over", "active", "what it depends on does not move any more, or it moves itself", (*Facts).drainOver, undrain, "what was held back goes on"},
	{"upkeep.protected", "active", "a healthy passive exists again since the last move", protectedAgain, protect, "the second clock of the move stops"},
	{"tasks.counted", "active", "a ledger of tasks was opened or closed, or another number of its entries waits for a person", (*Facts).counted, count, "what it says in sum is recorded and told"},
	{"tasks.retried", "active", "the retry of tasks that a person asked for has its answer", func(f *Facts) bool { _, ok := f.retried(); return ok }, endRetry, "its answer is told"},
	{"upkeep.quiet", "any", "a maintenance is over", func(f *Facts) bool { return len(f.quietOver()) > 0 }, endQuiet, "its absence counts again"},
	{"upkeep.override", "any", "an agent reports that a person overrode a fence on its host, or ended that", func(f *Facts) bool { return len(f.overridden()) > 0 }, tellOverrides,
		"it is recorded, and an alarm"},
	{"upkeep.released", "active", "the group was removed from the configuration and can be let go", func(f *Facts) bool {
		return f.Config.Removed && !f.Record.Running() && f.notReleasable() == ""
	}, release, "{group} is not configured any more: it is released, and its databases go on as a plain pair"},
	{"upkeep.joined", "active", "a cluster was added to the configuration, and its agent reports it", func(f *Facts) bool {
		return !f.Config.Removed && !f.Record.Running() && f.joins() != nil
	}, join, "it belongs to the group from here on, failed until it is restored or given its first copy"},
	{"upkeep.left", "active", "a cluster that is not active was taken out of the configuration", func(f *Facts) bool {
		return !f.Config.Removed && !f.Record.Running() && f.Revision != 0 && f.leaves() != nil
	}, leave, "it is let go: no candidate, and nothing of it is fenced or started any more"},
	{"sync.off", "active", "the group is not in sync any more, and its active is told to wait", syncRow("sync.off"), syncOff, "everybody has left the sync set, and commits wait for nobody"},
	{"sync.broken", "active", "the active says that it does not wait as told any more", syncRow("sync.broken"), syncBroken, "nobody counts as having every write until it was seen to wait anew"},
	{"sync.join", "active", "nobody whom commits wait for will do, and a passive streams", syncRow("sync.join"), syncJoin, "the active is told to wait for it, too; it joins once that is seen"},
	{"sync.leave", "active", "commits wait for a cluster too long, or another has taken its place", syncRow("sync.leave"), syncLeave, "it leaves the set, and then commits do not wait for it any more"},
	// After the one that has somebody leave: who takes a place stands in the stored record before anybody makes room.
	{"sync.joined", "active", "the active was seen to wait for a cluster, which has everything acknowledged before", syncRow("sync.joined"), syncJoined, "it has every acknowledged write from here on"},
	{"upkeep.tell", "active", "a cluster's reported epoch is below the record's (C11)", func(f *Facts) bool { return len(f.behindEpoch()) > 0 }, func(f *Facts, o *Outcome) {
		for _, c := range f.behindEpoch() {
			o.Sets = append(o.Sets, f.set(f.Record, c))
		}
	}, "every cluster learns the epoch"},
}

// upkeep does every row that matches. None looks at what another one of the same step has done away with: a restore that ended, a cluster that left, a set that is empty.
func upkeep(f *Facts, o *Outcome) {
	moved, phase := o.Rule, f.phase()
	for _, r := range upkeepsIn[phase] {
		if !r.is(f) {
			continue
		}
		told := len(o.Notices)
		o.Rule, o.Upkeep = r.id, append(o.Upkeep, r.id) // what it tells bears its own id
		r.do(f, o)
		for j := told; j < len(o.Notices); j++ {
			if o.Notices[j].Why == "" {
				o.Notices[j].Why = f.say(r.why, o)
			}
		}
		if o.Record == nil {
			continue
		}
		if f = f.beside(o.Record); f.phase() != phase {
			break // it was released: what is left of this table is not about it
		}
	}
	o.Rule = moved
}

// beside is what is known beside another record than the one the facts were gathered for: of the clusters all that their agents say, and what that record says of
// them. What is as old as the sync order is new again where that order is.
func (f *Facts) beside(r *events.Record) *Facts {
	g := *f
	g.Record, g.Members = r.Clone(), make([]Cluster, 0, len(r.Members))
	for _, m := range g.Record.Members {
		c := *f.member(m.Cluster)
		for i := range f.Joining {
			if f.Joining[i].Cluster == m.Cluster {
				c = f.Joining[i]
			}
		}
		m.Peer, m.Cert, m.Address = c.Peer, c.Cert, c.Address // by its agent's word
		c.Member = m
		g.Members = append(g.Members, c)
	}
	if was, is := f.Record.Sync, r.Sync; is != nil && (was == nil || was.Version != is.Version) {
		g.SyncAge = 0
	}
	return &g
}

// newest keeps the last command of each cluster: one batch holds one message per subject.
func newest(sets []events.Set) []events.Set {
	var kept []events.Set
	for i, s := range sets {
		last := true
		for _, later := range sets[i+1:] {
			last = last && later.Cluster != s.Cluster
		}
		if last {
			kept = append(kept, s)
		}
	}
	return kept
}

// leavesItRunning reports whether a proof says nothing of the old active's lease, so that revocations go on (C4).
func leavesItRunning(k events.ProofKind) bool {
	return k == events.ProofUnfenced || k == events.ProofExternal || k == events.ProofCut
}

func (f *Facts) moved() bool {
	for i := range f.Record.Members {
		m := &f.Record.Members[i]
		if c := f.member(m.Cluster); c.Known && c.Fresh && (c.Peer != m.Peer || c.Cert != m.Cert || c.Address != m.Address) {
			return true
		}
	}
	return false
}

// foundAgents lists the members whose agent nobody knew, and that one agent reports now.
func (f *Facts) foundAgents() []*Cluster {
	var cs []*Cluster
	for i := range f.Members {
		if c := &f.Members[i]; c.Agent == (events.AgentRef{}) && len(c.Claims) == 1 {
			cs = append(cs, c)
		}
	}
	return cs
}

func found(f *Facts, o *Outcome) {
	for _, c := range f.foundAgents() {
		r := o.draft(f)
		r.Member(c.Cluster).Agent = c.Claims[0]
		o.Sets = append(o.Sets, f.set(r, c.Cluster))
		n := o.notice(f, events.NoticeAutomation)
		n.Cluster, n.Region, n.Why = c.Cluster.Cluster, c.Cluster.Region, fmt.Sprintf("%s is reported by agent %s: it is restored when a person asks", c.Cluster, c.Claims[0])
	}
}

// behindEpoch lists the clusters to tell: reported below the record's epoch and not told since.
func (f *Facts) behindEpoch() []events.Ref {
	var rs []events.Ref
	for i := range f.Record.Members {
		c := f.member(f.Record.Members[i].Cluster)
		if (!c.Reported || c.Report.Seen < f.Record.Epoch) && !f.Told(c.Cluster) {
			rs = append(rs, c.Cluster)
		}
	}
	return rs
}
