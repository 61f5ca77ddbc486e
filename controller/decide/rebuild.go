package decide

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// A record that is lost, or that ledgers contradict, is written anew from what agents claim, by a person's word and above every epoch that any ledger has seen.
// Nothing is guessed: only where exactly one cluster claims to be the active and every other agent is heard and claims not to, the person need not name it.
//
//	asked ─▶ every other claims passive ───────────────────────────────────────────▶ ACTIVE: nothing starts but what its own ledger says is active
//	     └─▶ not all do: FENCING, all others told passive at the new epoch ─▶ all said so, or were waived by name ─▶ ACTIVE

// Rebuilding reports whether a record waits for every other member to say passive before its active is told.
func Rebuilding(r *events.Record) bool {
	return r.Running() && r.Op.Verb == events.AskRebuildRecord && r.Phase == events.PhaseFencing
}

func rebuilding(f *Facts) bool { return Rebuilding(f.Record) }

// claims reports whether a member's agent, or its server, says that it is the active.
func (c *Cluster) claims() bool {
	return c.Health.Role == events.RoleActive && c.Health.Managed || c.Reported && !c.Health.Managed && c.Report.Role == events.RoleActive && !c.Report.Released ||
		c.Health.Server == events.ServerWritable || c.Health.Server == events.ServerFrozen
}

// harmless reports whether a member's agent is heard and has it on disk that it must not start: role passive, found stopped. Or there is no data to start.
func (c *Cluster) harmless() bool {
	h := &c.Health
	return c.Fresh && c.Known && (h.Managed && h.Role == events.RolePassive && h.Server.Stopped() || h.Empty && !h.Managed)
}

// floor is the highest epoch that the record or any ledger of the group has seen.
func (f *Facts) floor() events.Epoch {
	var e events.Epoch
	if f.Record != nil {
		e = f.Record.Epoch
	}
	for i := range f.Members {
		e = max(e, f.Members[i].seen())
	}
	return e
}

// claimant is the one member to be the active: the one named, or the only one that claims it where every other agent is heard and does not. Else why not.
func (f *Facts) claimant() (*Cluster, string) {
	if want := f.asked(); want != (events.Ref{}) {
		c := f.member(want)
		switch {
		case c.Cluster != want:
			return nil, fmt.Sprintf("%s is no cluster of %s", want, f.Config.Group)
		case !c.Fresh || !c.Known:
			return nil, fmt.Sprintf("the agent of %s is silent: it can be the active only when its agent is there", want)
		case c.Health.Empty:
			return nil, fmt.Sprintf("there is no data in the place of %s", want)
		}
		return c, ""
	}
	var one *Cluster
	for i := range f.Members {
		c := &f.Members[i]
		switch {
		case !c.Fresh || !c.Known:
			return nil, fmt.Sprintf("the agent of %s is not heard, so nobody knows what it claims", c.Cluster)
		case c.claims() && one != nil:
			return nil, fmt.Sprintf("%s and %s both claim to be the active", one.Cluster, c.Cluster)
		case c.claims():
			one = c
		case !c.harmless():
			return nil, fmt.Sprintf("%s has lost its ledger, or says neither active nor passive (server %s)", c.Cluster, c.Health.Server)
		}
	}
	if one == nil {
		return nil, "none claims to be the active"
	}
	if one.seen() < f.highest() {
		return nil, fmt.Sprintf("%s claims to be the active at epoch %d, but a ledger has seen %d", one.Cluster, one.seen(), f.highest())
	}
	return one, ""
}

func (f *Facts) highest() events.Epoch {
	var e events.Epoch
	for i := range f.Members {
		e = max(e, f.Members[i].seen())
	}
	return e
}

// notRebuildable says why a record is not written anew as asked; "" if it is.
func (f *Facts) notRebuildable() string {
	h, _ := f.halted()
	switch {
	case f.Record != nil && f.Record.Gone != "":
		return fmt.Sprintf("%s was released from care: `switchback apply` takes it under care again", f.Config.Group)
	case f.Revision == 0:
		return fmt.Sprintf("the configuration does not know %s: `switchback apply -f FILE` first", f.Config.Group)
	case h == nil && (f.Record == nil || !rebuilding(f)):
		return "no ledger contradicts the record: there is nothing to rebuild"
	}
	if _, why := f.claimant(); why != "" {
		if f.asked() == (events.Ref{}) {
			why += ": a person must decide, with --active CLUSTER --reason"
		}
		return why
	}
	return ""
}

// unproved says whose word is missing before the chosen active may be told; "" if nobody's.
func (f *Facts) unproved(chosen events.Ref) string {
	var who []string
	for i := range f.Members {
		c := &f.Members[i]
		if c.Cluster == chosen || c.harmless() || f.Record != nil && rebuilding(f) && c.passiveAt(f.Record.Epoch) {
			continue
		}
		who = append(who, c.Cluster.String())
	}
	return strings.Join(who, ", ")
}

// Testimony is what each agent claims, for `why`.
func (f *Facts) Testimony() []events.Fact { return f.testimony() }

// testimony is what each agent claims, for a person to judge.
func (f *Facts) testimony() []events.Fact {
	var fs []events.Fact
	for i := range f.Members {
		c := &f.Members[i]
		says := "no ledger of it is known"
		switch {
		case c.Health.Managed:
			says = fmt.Sprintf("%s at epoch %d", c.Health.Role, c.Health.Seen)
		case c.Reported && c.Report.Seen > 0:
			says = fmt.Sprintf("last word: %s at epoch %d", c.Report.Role, c.Report.Seen)
		case c.Health.Mark != "":
			says = "ledger lost; its data is marked as " + c.Health.Mark + "'s"
		}
		heard := "agent never heard"
		if c.Known {
			heard = fmt.Sprintf("agent %s beats; server %s", c.Agent, c.Health.Server)
			if c.Silent > 0 {
				heard = fmt.Sprintf("agent %s silent for %s; server was %s", c.Agent, round(c.Silent), c.Health.Server)
			}
			heard += fmt.Sprintf(", timeline %d, LSN %v", c.Health.Timeline, c.Health.LSN)
			if c.Health.Streaming {
				heard += ", streams from " + c.Health.Upstream
			}
		}
		fs = append(fs, events.Fact{What: "claim of " + c.Cluster.String(), Value: says + "; " + heard, Age: events.Duration(c.Age), Blocks: !c.Fresh || !c.Known})
	}
	return fs
}

func refuseRebuild(f *Facts, o *Outcome) {
	refuse(f, o)
	o.Why = f.notRebuildable()
	o.Answers[0].Facts = f.testimony()
}

func rebuildDryRun(f *Facts, o *Outcome) {
	c, _ := f.claimant()
	o.Why = fmt.Sprintf("would write %s at epoch %d: %s active, the others told passive", f.Config.Group, f.floor()+1, c.Cluster)
	if who := f.unproved(c.Cluster); who != "" && f.Ask.Unfenced {
		o.Why += fmt.Sprintf("; NOT waiting for %s: if one of them runs, two copies accept writes", who)
	} else if who != "" {
		o.Why += fmt.Sprintf("; it is told so only when %s said passive at that epoch", who)
	}
	o.Why += "; nothing was done, --apply does it"
	o.answer(f, true, "")
	o.Answers[0].Facts = f.testimony()
}

// rebuild writes the record anew (C0 by a person's word, above every ledger's epoch).
func rebuild(f *Facts, o *Outcome) {
	c, _ := f.claimant()
	r := &events.Record{Group: f.Config.Group, Settled: true}
	if f.Record != nil {
		r = f.Record.Clone()
		r.Next, r.Restart = nil, nil
	}
	epoch := f.floor() + 1
	r.Epoch, r.Phase, r.Active, r.Target, r.Config, r.Since, r.Exempt = epoch, events.PhaseFencing, c.Cluster, events.Ref{}, f.Revision, f.Wall, true
	r.Works = max(r.Works, uint64(epoch)) // the ids of works that were lost are not given out again
	f.rebuiltMembers(r)
	f.rebuiltSync(r, c)
	version := r.Current().Version
	for i := range f.Members {
		version = max(version, f.Members[i].Report.Version)
	}
	r.Lists = []events.CandidateList{{Version: version + 1, Candidates: candidates(r)}}
	r.Op = &events.Operation{
		ID: fmt.Sprintf("%s-%d", r.Group, epoch), Verb: events.AskRebuildRecord, Ask: f.Ask.ID, By: f.Ask.Actor, Rule: o.Rule, Why: f.say(o.sentence, o), From: c.Cluster, To: c.Cluster, Began: f.Wall,
		Timeline: c.Health.Timeline,
	}
	if f.Ask.Unfenced {
		r.Op.Unfenced = f.Ask.Actor + ": " + f.Ask.Reason
	}
	o.Record = r
	o.answer(f, true, r.Op.ID)
	o.Answers[0].Facts = f.testimony()
	who := f.unproved(c.Cluster)
	if who == "" || f.Ask.Unfenced {
		o.Why = f.appoint(r, who)
		f.tellAll(o)
	} else {
		o.Why = fmt.Sprintf("%s is the active of the rebuilt record; it is told so when %s said passive at epoch %d", c.Cluster, who, epoch)
		f.tellOthers(o)
	}
	n := o.notice(f, events.NoticeAlarm)
	n.Facts = f.testimony()
}

// rebuiltSync lets nobody count as having every acknowledged write until its active was seen to wait for it again: a record that was put back may name one that has left
// since (I4). Whoever that active was told to wait for stays; another active, or one of a group that is not in sync and waits by an order that was lost, is told to wait for nobody.
func (f *Facts) rebuiltSync(r *events.Record, active *Cluster) {
	h := active.Health.Sync
	switch {
	case r.Sync != nil && f.Record.Active == r.Active:
	case r.Sync != nil || h != nil && h.Version > 0 && !f.syncs():
		r.Sync = &events.Sync{}
	default:
		return
	}
	r.Sync.Set, r.Sync.Alone, r.Sync.Why = nil, f.Wall, "the record was rebuilt"
	r.Sync.Tell(r.Epoch, r.Sync.Told)
}

// rebuiltMembers are the group's as configured and reported. Who may hold writes that nobody else has waits for a person; who follows is a passive.
func (f *Facts) rebuiltMembers(r *events.Record) {
	old := r.Members
	r.Members = nil
	for i := range f.Members {
		c := &f.Members[i]
		m := c.Member
		for _, x := range old {
			if x.Cluster == m.Cluster && m.Home == "" {
				m.Home = x.Home
			}
		}
		m.Work, m.Hold, m.Role = nil, "", events.RolePassive
		if c.Health.SystemID != "" {
			m.SystemID = c.Health.SystemID
		}
		switch {
		case m.Cluster == r.Active:
			m.Role = events.RoleActive
		case c.Health.Empty:
			m.Role, m.Hold = events.RoleFailed, "there is no data yet: `switchback protect "+r.Group+"` copies it"
		case !c.harmless() || c.Report.Primary:
			m.Role, m.Hold = events.RoleFailed, fmt.Sprintf("it may hold writes of before the record was rebuilt: `switchback restore %s --cluster %s` counts and keeps them, then makes it follow", r.Group, m.Cluster)
		}
		r.Members = append(r.Members, m)
	}
}

// appoint makes the chosen cluster the active of the rebuilt record; who names those whose word was waived.
func (f *Facts) appoint(r *events.Record, who string) string {
	r.Phase, r.Op.Ended, r.Op.Stage = events.PhaseActive, "done", ""
	r.Exempt = exempt(&f.Config)
	p := &events.Proof{Kind: events.ProofAck, Epoch: r.Epoch, Said: fmt.Sprintf("every other agent of %s has it on disk that its cluster is passive", r.Group), Facts: f.testimony()}
	if who != "" {
		p.Kind, p.Said = events.ProofUnfenced, fmt.Sprintf("%s (not heard: %s)", r.Op.Unfenced, who)
	}
	r.Op.Proof = p
	return fmt.Sprintf("the record of %s is rebuilt at epoch %d, above every ledger's: %s is active", r.Group, r.Epoch, r.Active)
}

// appointRebuilt does so once every other member said passive at the record's epoch.
func appointRebuilt(f *Facts, o *Outcome) {
	o.Why = f.appoint(o.draft(f), "")
	f.tellAll(o)
	o.notice(f, events.NoticeAutomation)
}

// tellOthers tells every member but the active: what it runs, it goes on with until the others said passive.
func (f *Facts) tellOthers(o *Outcome) {
	f.tellAll(o)
	kept := o.Sets[:0]
	for _, s := range o.Sets {
		if s.Cluster != o.Record.Active {
			kept = append(kept, s)
		}
	}
	o.Sets = kept
}
