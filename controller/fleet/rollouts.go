package fleet

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/events"
)

// RolloutStored is a stored rollout: its head, and those of its parts that are its own.
type RolloutStored struct {
	Head  events.Rollout
	Parts []events.RolloutPart // sorted by number
}

// Assemble puts stored rollouts together. A part of another rollout than its place's head names is a leftover.
func Assemble(heads []events.Rollout, parts []events.RolloutPart) []RolloutStored {
	var all []RolloutStored
	for _, h := range heads {
		r := RolloutStored{Head: h, Parts: make([]events.RolloutPart, h.Parts)}
		for _, p := range parts {
			if p.Rollout == h.ID && p.No < h.Parts {
				r.Parts[p.No] = p
			}
		}
		all = append(all, r)
	}
	return all
}

// load takes the stored rollouts at the start of a term. One whose parts are not all there was never stored whole: it never began.
func (f *Fleet) load(stored []RolloutStored) {
	for _, r := range stored {
		var moves []events.Move
		for _, p := range r.Parts {
			moves = append(moves, p.Moves...)
		}
		if len(moves) == r.Head.Moves && r.Head.Slot >= 0 && r.Head.Slot < len(f.rollouts) {
			f.rollouts[r.Head.Slot] = rollout.New(r.Head, moves)
		}
	}
}

// keepRollout is what of a rollout must be stored: its parts, then its head, which makes them count. A plan of very many groups takes several batches; one
// that is run changes few parts at a time.
func (f *Fleet) keepRollout(s *rollout.State) []unit {
	parts, head := s.Save()
	if head == nil {
		return nil
	}
	var units []unit
	var u unit
	for _, p := range parts {
		u.writes = append(u.writes, Write{Subject: events.SubjectRolloutPart(head.Slot, p.No), Payload: p})
		if len(u.writes) == partsAtOnce {
			u.alone = true
			units, u = append(units, u), unit{}
		}
	}
	u.writes = append(u.writes, Write{Subject: events.SubjectRollout(head.Slot), Payload: *head})
	return append(units, u)
}

// partsAtOnce bounds how many parts of a rollout go into one batch, which is stored within a term's time.
const partsAtOnce = 16

// paceRollouts looks at the rollouts under way: when something of theirs has changed, or time may change what is true of them. What one begins is stored in one batch
// with what it says of itself, so that it is never begun twice and never forgotten.
func (f *Fleet) paceRollouts(now Now, eff *Effects) []unit {
	if now.Boot < f.rolloutAt {
		eff.Wake = min(eff.Wake, f.rolloutAt)
		return nil
	}
	f.rolloutAt = events.Never
	var units []unit
	for _, s := range f.rollouts {
		if s == nil {
			continue
		}
		if !s.Open() {
			units = append(units, f.keepRollout(s)...) // just made, or ended
			continue
		}
		if s.Head.Auto && now.Boot < s.Looked().Add(outageEvery) && !s.Changed() {
			f.rolloutAt = min(f.rolloutAt, s.Looked().Add(outageEvery))
			continue
		}
		u, wake := f.pace(now, s, eff)
		units = append(units, u...)
		f.rolloutAt = min(f.rolloutAt, wake)
	}
	eff.Wake = min(eff.Wake, f.rolloutAt)
	return units
}

func (f *Fleet) pace(now Now, s *rollout.State, eff *Effects) ([]unit, events.Instant) {
	facts := f.rolloutFacts(now, s)
	out := rollout.Step(s, facts)
	var whole unit
	for _, i := range out.Begin {
		u, ans := f.beginMove(now, s, i, eff)
		if len(u.writes) > 0 {
			whole.with = append(whole.with, u)
		}
		out.Tell = append(out.Tell, s.Answered(i, ans, facts)...)
	}
	eff.Tell = append(eff.Tell, out.Tell...)
	units := f.keepRollout(s)
	if len(whole.with) > 0 {
		for _, u := range units {
			whole.writes = append(whole.writes, u.writes...)
		}
		units = []unit{whole}
	}
	return units, out.Wake
}

// beginMove asks for one move of a rollout, as a person would. What is refused changes nothing.
func (f *Fleet) beginMove(now Now, s *rollout.State, i int, eff *Effects) (unit, events.AnswerItem) {
	m, h := s.Move(i), &s.Head
	g := f.groups.get(m.Group)
	if g.saving {
		return unit{}, events.AnswerItem{Group: g.name, Rule: "move.busy", Why: "its record is being stored"}
	}
	ask := events.Ask{
		ID: m.AskID(h.ID, i), Verb: m.Verb, Actor: h.By, Group: g.name, Reason: "rollout " + h.ID, AcceptLoss: h.Accept, WhileBlind: h.Blind,
	}
	switch m.Verb {
	case events.AskRestore:
		ask.Cluster = m.To.String()
	case events.AskFailover, events.AskSwitchover, events.AskDrill:
		ask.To = m.To.String()
	}
	if h.Reason != "" {
		ask.Reason += ": " + h.Reason
	}
	g.ask = &AskSeen{Ask: ask}
	defer func() { g.ask, g.answers = nil, nil }()
	o := decide.Step(f.facts(now, g))
	if len(o.Answers) == 0 || !o.Answers[0].Accepted {
		g.rememberAnswer(&o)
		return unit{}, g.answers[0]
	}
	told := len(eff.Tell)
	u, _ := f.decide(now, g, eff)
	for j := told; j < len(eff.Tell); j++ {
		eff.Tell[j].Rollout = h.ID
	}
	return u, g.answers[0]
}

// rolloutFacts is what a rollout is looked at with.
func (f *Fleet) rolloutFacts(now Now, s *rollout.State) *rollout.Facts {
	return &rollout.Facts{
		Now: now.Boot, Wall: now.Wall, Blind: f.blind, Patience: f.d.Prepare, Incident: f.incident(),
		Limit: func(verb string) time.Duration {
			switch verb {
			case events.AskRestore:
				return 0
			case events.AskFailover:
				return f.d.Attempt + f.d.Promote
			}
			return 2 * (f.d.Prepare + f.d.SwitchGap + f.d.Promote) // a drill swaps twice
		},
		Look: func(i int, m *events.Move) rollout.Fact { return f.moveFact(now.Boot, s, i, m) }, Still: f.still,
	}
}

// incident says which region is out or in doubt; "" if none.
func (f *Fleet) incident() string {
	for _, name := range f.regions.keys {
		if v := f.regions.get(name).judged.Verdict; v == events.VerdictOut || v == events.VerdictSuspect {
			return fmt.Sprintf("%s is %s", name, v)
		}
	}
	return ""
}

// moveFact is what is known of the group of a move.
func (f *Fleet) moveFact(now events.Instant, s *rollout.State, i int, m *events.Move) rollout.Fact {
	g := f.groups.get(m.Group)
	if g == nil || g.record == nil || g.record.Gone != "" {
		return rollout.Fact{}
	}
	r := g.record
	fact := rollout.Fact{Known: true, Active: r.Active, There: r.Active == m.To && !r.Running()}
	id := m.AskID(s.Head.ID, i)
	if s.Head.Auto {
		id, fact.There = s.Head.Ask, r.Active.Region != s.Head.Region && !r.Running()
	}
	for _, op := range r.Operations() {
		if op.Ask == id && fact.Op == nil {
			fact.Op = op
		} else if op.Ended == "" && fact.Busy == "" && (m.Verb != events.AskFailover || op == r.Op) {
			fact.Busy = op.ID
		}
	}
	fact.Early = fact.Op != nil && fact.Op.EndRule == decide.RuleNotReady
	if m.Verb == events.AskDrill {
		fact.There, fact.Early, fact.Op = false, false, drillOf(r.Drill, id)
	}
	to := r.Member(m.To)
	if m.Verb == events.AskRestore && to != nil {
		fact.There = to.Role == events.RolePassive && to.Work == nil
		fact.Ended = to.Hold
		if c := f.clusters.get(m.To); c != nil && c.known && c.health.Work != nil && c.health.Work.Idle >= f.d.Stalled {
			fact.Stalls = fmt.Sprintf("its restore stands still in %s for %s", c.health.Work.Phase, c.health.Work.Idle.Round(time.Second))
		}
	}
	from := r.Member(m.From)
	for _, x := range []*events.Member{to, from} {
		if x == nil {
			continue
		}
		a := f.agentOf(x.Agent)
		quiet := f.silent(now, a) > 0
		if x == from && m.Verb == events.AskFailover && quiet {
			continue // that is why it moves
		}
		fact.Hosts = append(fact.Hosts, a.ref)
		if quiet && fact.Silent == "" {
			fact.Silent = fmt.Sprintf("agent %s is silent", a.ref)
		}
	}
	fact.Unwell = f.unwell(now, g, m.Verb != events.AskFailover)
	return fact
}

// drillOf is the drill a move began, as an operation; nil if it is another one.
func drillOf(d *events.Drill, ask string) *events.Operation {
	if d == nil || d.Ask != ask {
		return nil
	}
	op := &events.Operation{ID: d.ID, Ask: d.Ask, Verb: events.AskDrill, Ended: d.Ended, EndWhy: d.End}
	if d.Ended == events.DrillPass {
		op.Ended = "done"
	}
	return op
}

// unwell says why a moved group is not well; "" if it serves, and is protected where that is wanted.
func (f *Fleet) unwell(now events.Instant, g *group, protected bool) string {
	r := g.record
	act := f.clusters.get(r.Active)
	switch {
	case r.Running():
		return r.Op.ID + " is under way"
	case act == nil || !act.reported || act.report.Serving < r.Epoch:
		return fmt.Sprintf("%s does not serve at epoch %d yet", r.Active, r.Epoch)
	case f.silent(now, f.agentOf(r.Member(r.Active).Agent)) > 0:
		return fmt.Sprintf("the agent of %s is silent", r.Active)
	case !protected:
		return ""
	}
	for i := range r.Members {
		m := &r.Members[i]
		if c := f.clusters.get(m.Cluster); m.Cluster != r.Active && m.Candidate() && c != nil && c.known && c.health.Streaming {
			return ""
		}
	}
	return "no passive of it streams yet"
}

// steer does what a person asks of a rollout, at once.
func (f *Fleet) steer(now Now, in AskSeen, ans *events.Answer, eff *Effects) {
	s, why := f.rolloutNamed(in.Rollout)
	if why != "" {
		ans.Why = why
		return
	}
	ans.Rollout = s.Head.ID
	if in.DryRun {
		ans.Accepted, ans.Why = true, fmt.Sprintf("would %s rollout %s if that can be done then: nothing was done", in.Verb, s.Head.ID)
		return
	}
	ok, why, tell := rollout.Steer(s, in.Verb, in.Group, in.Actor, in.Reason, now.Wall)
	ans.Accepted, ans.Why = ok, why
	eff.Tell = append(eff.Tell, tell...)
	f.rolloutAt = now.Boot // it is looked at, and stored, in this very step
	if s.Lasts() {
		f.touchRegion(s.Head.Region)
	}
}

// moved has the rollouts of a group looked at: its record has changed.
func (f *Fleet) movedGroup(now events.Instant, g *group) {
	for _, s := range f.rollouts {
		if s != nil && s.Open() && len(s.Of(g.name)) > 0 {
			f.rolloutAt = now
		}
	}
}
