package fleet

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// decideDirty looks at every group that was touched or is due, each once, the most urgent first.
func (f *Fleet) decideDirty(now Now, eff *Effects) []unit {
	for f.due.Len() > 0 && f.due.h[0].wake <= now.Boot {
		g := f.due.h[0]
		f.due.set(g, events.Never)
		f.touch(g)
	}
	var units []unit
	for _, g := range f.sortedDirty() {
		g.dirty = false
		if g.saving {
			continue // it is looked at again once its record is stored
		}
		if u, ok := f.decide(now, g, eff); ok {
			units = append(units, u)
		}
	}
	return units
}

func (f *Fleet) sortedDirty() []*group {
	gs := f.dirty
	f.dirty = nil
	slices.SortFunc(gs, byUrgency)
	return gs
}

func (f *Fleet) decide(now Now, g *group, eff *Effects) (unit, bool) {
	if g.config.Group == "" && g.record == nil && len(g.found) == 0 {
		return unit{}, false
	}
	g.config.Group = g.name // revision 0: recorded or remembered, but its configuration is gone; nothing moves it
	g.stability(now.Boot, f)
	fs := f.facts(now, g)
	o := decide.Step(fs)
	f.queueRestore(g, fs)
	g.rememberAnswer(&o)
	g.halt = o.Halt
	if o.Rule != g.rule {
		g.say(&o, eff)
	}
	if o.Rule != g.rule || g.ask != nil {
		eff.Rows = append(eff.Rows, o.Rule)
	}
	eff.Rows = append(eff.Rows, o.Upkeep...)
	g.rule, g.why = o.Rule, o.Why
	if o.Rule == decide.RuleTurn {
		f.queue(g)
	}
	eff.Tell = append(eff.Tell, o.Notices...)
	f.attempting(now.Boot, g, &o)
	u := f.unitOf(now, g, &o)
	f.due.set(g, o.Wake)
	return u, len(u.writes) > 0
}

// say tells everybody that a group waits, when the reason changes: a non-decision is an event too.
func (g *group) say(o *decide.Outcome, eff *Effects) {
	kind := events.NoticeWait
	switch {
	case decide.Halts(o.Rule):
		kind = events.NoticeAlarm
	case len(o.Notices) > 0 || len(o.Rule) < 5 || (o.Rule[:5] != "wait." && o.Rule[:5] != "birth") || o.Rule == "birth":
		return
	}
	n := events.Notice{Type: kind, Group: g.name, Rule: o.Rule, Why: o.Why, By: decide.Automation}
	if g.record != nil {
		n.Region, n.Epoch = g.record.Active.Region, g.record.Epoch
	}
	eff.Tell = append(eff.Tell, n)
}

// attempting begins, keeps or drops the attempt on the active's agent as the outcome wants it.
func (f *Fleet) attempting(now events.Instant, g *group, o *decide.Outcome) {
	g.revoke = o.Revoke
	if o.Revoke != (events.AgentRef{}) {
		f.begin(now, f.agentOf(o.Revoke))
	}
	r := o.Record
	if r == nil {
		r = g.record
	}
	if r == nil {
		return
	}
	act := f.agentOf(r.Member(r.Active).Agent)
	if o.Drop { // C7: whatever was accepted is void, for every group that shared it
		act.attempt = nil
	}
	g.attempt = r.Phase == events.PhaseFencing && (g.attempt || o.Attempt)
	if g.attempt {
		f.begin(now, act)
	}
}

// unitOf turns an outcome into what must be stored together: the record first, then the commands.
func (f *Fleet) unitOf(now Now, g *group, o *decide.Outcome) unit {
	var u unit
	if o.Record != nil {
		last := g.revision
		u.group, g.saving = g, true
		f.movedGroup(now.Boot, g)
		u.writes = append(u.writes, Write{events.SubjectRecord(g.name), *o.Record, &last})
		f.recorded(now, g, o.Record)
	}
	for _, s := range o.Sets {
		if s.Agent == "" {
			continue // a member of a rebuilt record whose agent nobody knows yet
		}
		agent := events.AgentRef{Region: s.Cluster.Region, Agent: s.Agent} // of one that left the group too
		u.writes = append(u.writes, Write{Subject: events.SubjectCommand(agent, s.Cluster.Cluster), Payload: s})
		if t := g.tell(s.Cluster); t != nil {
			*t = told{s, now.Boot}
		} else {
			g.told = append(g.told, told{s, now.Boot})
		}
	}
	return u
}

// recorded makes the outcome's record the group's, and notes when its phases began.
func (f *Fleet) recorded(now Now, g *group, r *events.Record) {
	old := g.record
	g.record = r
	f.turned(g, old, r)
	f.worked(g, old, r)
	f.related(g)
	if old == nil || old.Epoch != r.Epoch || old.Phase != r.Phase {
		g.since = now.Boot
	}
	if s := r.Sync; s != nil && (old == nil || old.Sync == nil || old.Sync.Version != s.Version) {
		g.ordered = now.Boot
	}
	if r.Phase == events.PhaseFencing && (old == nil || old.Epoch != r.Epoch) {
		g.gap = now.Boot
	}
	if r.Op != nil && (old == nil || old.Op == nil || old.Op.ID != r.Op.ID) {
		g.opSince = now.Boot
		if r.Op.By == decide.Automation {
			f.moved = append(f.moved, now.Boot)
		}
	}
	moved := old == nil || old.Active != r.Active
	if moved {
		g.words = nil
	}
	for i := range r.Members {
		if moved { // what it had of the last active says nothing of how far it is behind this one
			f.clusterOf(r.Members[i].Cluster).goodAt = 0
		}
		if a := r.Members[i].Agent; a != (events.AgentRef{}) {
			f.hold(f.agentOf(a), r.Members[i].Cluster)
		}
	}
}

// stability notes since when the active serves and a passive streams, without a break: what flapping is judged by.
func (g *group) stability(now events.Instant, f *Fleet) {
	ok := g.record != nil && g.record.Phase == events.PhaseActive
	protected := false
	if ok {
		for i := range g.record.Members {
			c := f.clusters.get(g.record.Members[i].Cluster)
			if g.record.Members[i].Cluster == g.record.Active {
				ok = ok && c.reported && c.report.Serving == g.record.Epoch
			} else {
				protected = protected || (g.record.Members[i].Candidate() && c.known && c.health.Streaming)
			}
		}
	}
	switch {
	case !ok || !protected:
		g.stable = 0
	case g.stable == 0:
		g.stable = now
	}
}

// resumed is the last RESUME composed for an agent.
type resumed struct {
	at   events.Instant
	what events.Resume
}

// resumes composes a RESUME for every agent whose lanes rejoin (C8). It names exactly the rejoins seen, settles every group of the agent, and drops
// every acceptance of it: operations on it go on by ack, or revoke anew.
func (f *Fleet) resumes(now events.Instant) []unit {
	var units []unit
	for _, a := range f.hot {
		if !f.rejoins(now, a) {
			continue
		}
		r := events.Resume{Agent: a.ref, Term: f.term}
		for n := range a.lanes {
			if k := &a.lanes[n]; k.known && k.body.Kind == events.LanePending {
				r.Lanes[n] = &events.ResumeLane{Generation: f.lanes.Lanes[n].Generation, Rejoin: k.body.RejoinSeq(k.seq)}
			}
		}
		r.Groups = f.settled(a)
		if now.Sub(a.resume.at) < f.d.Silent()+f.d.Beat && reflect.DeepEqual(r, a.resume.what) {
			continue
		}
		a.resume = resumed{now, r}
		a.attempt, a.rejoin, a.foreign = nil, false, ""
		units = append(units, unit{writes: []Write{{Subject: events.SubjectCommand(a.ref, events.ResumeCluster), Payload: r}}})
	}
	return units
}

// rejoins reports whether an agent's RESUME is due: a lane shows PENDING, the others had a beat's time to show it too, and it is not held for an attempt.
func (f *Fleet) rejoins(now events.Instant, a *agent) bool {
	pending, oldest := a.pending(), events.Never
	for n := range a.lanes {
		if k := &a.lanes[n]; k.known && k.body.Kind == events.LanePending {
			oldest = min(oldest, k.pendAt)
			if k.body.Nonce != a.whole {
				return false // what it holds is not known yet: a group that is left out would be frozen (A6)
			}
		}
	}
	if pending == 0 || (pending < events.Lanes && now.Sub(oldest) < f.d.Beat) || f.contradicted(a) {
		return false
	}
	if t := a.attempt; t != nil && f.wanted(a) && now < t.started.Add(f.d.Wait+f.d.HoldResume) {
		return false
	}
	return true
}

// settled lists every group of an agent as its record says it now: a group in FENCING or PROVED passive at its operation's epoch, never active. The step that
// is due rides along, so that a resume never turns a clean stop into a kill.
func (f *Fleet) settled(a *agent) []events.Set {
	sets := []events.Set{}
	for _, c := range a.holds {
		g := f.clusters.get(c).group
		if g == nil || g.record == nil || g.record.Member(c) == nil || g.record.Member(c).Agent != a.ref {
			continue
		}
		sets = append(sets, decide.SetFor(&g.config.GroupConfig, g.record, f.term, f.d, c))
	}
	return sets
}

func (g *group) rememberAnswer(o *decide.Outcome) {
	if g.ask != nil && len(o.Answers) == 0 {
		o.Answers = []events.AnswerItem{{Group: g.name, Rule: o.Rule, Why: fmt.Sprintf("%s: no row answers %s", o.Rule, g.ask.Verb)}}
	}
	if g.ask != nil {
		g.answers = o.Answers
	}
}
