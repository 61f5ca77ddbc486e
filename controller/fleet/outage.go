package fleet

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/events"
)

// The verdict on a region begins a rollout. Its groups are moved by their own rows, in this very step; what it is for is to be seen, paused, and told of. It is stored
// after the groups, so that a plan of very many delays none: a leader that dies between the two leaves moves under way that the next one's plan finds again.

// outageOf is the outage of a region that lasts; nil if there is none.
func (f *Fleet) outageOf(region string) *rollout.State {
	for _, s := range f.rollouts {
		if s != nil && s.Lasts() && s.Head.Region == region {
			return s
		}
	}
	return nil
}

// outageID is what the automatic moves of an outage bear, so that they are found again: of the rollout, or of the one that is about to be made.
func (f *Fleet) outageID(r *region) string {
	if s := f.outageOf(r.name); s != nil {
		return s.Head.Ask
	}
	return fmt.Sprintf("outage/%s/%d/%d", r.name, f.term, r.outAt)
}

// outages begins the rollouts of regions that are out, and notes which were heard again.
func (f *Fleet) outages(now Now, eff *Effects) {
	for _, name := range f.regions.keys {
		r := f.regions.get(name)
		s := f.outageOf(name)
		switch {
		case s != nil && f.heard(now.Boot, r):
			rollout.Heal(s, now.Wall)
			f.rolloutAt = now.Boot
		case s == nil && r.judged.Verdict == events.VerdictOut && r.planned != r.outAt:
			r.planned = r.outAt
			f.beginOutage(now, r, eff)
		}
	}
}

// heard reports whether a region is not out any more, by the word of an agent that makes it up.
func (f *Fleet) heard(now events.Instant, r *region) bool {
	if r.judged.Verdict != events.VerdictHealthy && r.judged.Verdict != events.VerdictDegraded {
		return false
	}
	for _, a := range r.agents {
		if f.owns(a) && f.fresh(now, a) {
			return true
		}
	}
	return false
}

// beginOutage plans the outage of a region and runs that.
func (f *Fleet) beginOutage(now Now, r *region, eff *Effects) {
	slot := f.freeSlot()
	if slot < 0 {
		eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticeAlarm, Region: r.name, Rule: "outage.no-slot", By: decide.Automation,
			Why: fmt.Sprintf("%d rollouts are under way, so this outage is in none: its groups move all the same, and can't be paused together (`switchback disarm --region %s` stops them)", events.RolloutSlots, r.name)})
		return
	}
	id := f.outageID(r)
	var cs []rollout.Candidate
	for _, k := range f.groups.keys {
		if g := f.groups.get(k); g.record != nil && g.record.Gone == "" && (g.record.Active.Region == r.name || g.record.Op != nil && g.record.Op.Ask == id) {
			cs = append(cs, f.outageCandidate(now, g, id))
		}
	}
	if len(cs) == 0 {
		return
	}
	most := len(cs)
	s := rollout.Make(rollout.Request{
		Verb: events.AskFailover, Region: r.name, By: decide.Automation, Ask: id, Auto: true, Made: now.Wall, Slot: slot,
		Limits: &events.Limits{AtOnce: most, PerAgent: turnsPerAgent, PerRegion: most, Budget: 100},
	}, cs, f.estimates())
	s.Head.Facts = r.judged.Facts()
	f.rollouts[slot], f.rolloutAt = s, now.Boot
	eff.Tell = append(eff.Tell, rollout.Run(s, decide.Automation, id, r.name+" is "+string(r.judged.Verdict)+": "+r.judged.Why, time.Time{}, now.Wall))
}

// outageCandidate is a group as its outage's plan has it. Only what never moves by itself is left out; what waits, waits in it.
func (f *Fleet) outageCandidate(now Now, g *group, id string) rollout.Candidate {
	c := rollout.Candidate{
		Node: rollout.Node{Name: g.name, Priority: g.config.Priority, After: g.config.DependsOn}, From: g.record.Active, Epoch: g.record.Epoch,
	}
	if op := g.record.Op; op != nil && op.Ask == id { // begun in this very step
		c.From, c.To, c.Epoch = op.From, op.To, g.record.Epoch-1
		if op.Loss != nil {
			c.Bytes = op.Loss.Bytes
		}
		return c
	}
	fs := f.facts(now, g)
	if c.To = fs.Best(); c.To == (events.Ref{}) {
		c.Bytes = -1
	} else {
		c.Bytes, c.Behind = fs.MayLose(c.To)
	}
	c.Bare = !fs.Spare(c.To)
	switch {
	case g.config.Removed:
		c.Blocks = "it is not configured any more: automation leaves it alone"
	case g.config.Mode != events.ModeAuto:
		c.Blocks = fmt.Sprintf("%s (rule %s)", fs.Permit.Why, fs.Permit.Rule)
	}
	return c
}

// outageEvery is how often an outage is looked at: every group of it that changes would else have all of them looked at.
const outageEvery = 100 * time.Millisecond

// still reports whether nothing of a group has begun that an outage would have to show.
func (f *Fleet) still(m *events.Move) bool {
	g := f.groups.get(m.Group)
	return g != nil && g.record != nil && g.record.Gone == "" && g.record.Active == m.From && !g.record.Running()
}
