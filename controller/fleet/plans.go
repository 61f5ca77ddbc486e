package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/events"
)

// many takes an ask about many groups: a plan of them, or the run of one. A dry run is a plan.
func (f *Fleet) many(now Now, in AskSeen, ans *events.Answer, eff *Effects) {
	if s := f.ranAs(in.ID); s != nil {
		ans.Accepted, ans.Rollout, ans.Why = true, s.Head.ID, fmt.Sprintf("rollout %s is under way or done already", s.Head.ID)
		return
	}
	planned := in.Verb == events.AskPlan || in.DryRun
	s, why := f.planFor(now, in, eff)
	if why == "" && !planned {
		if why = rollout.Stale(&s.Head, now.Wall); why == "" && in.Plan != "" {
			why = f.drifted(now, s, eff)
		}
	}
	if why != "" {
		ans.Why = why
		if s != nil {
			ans.Items = leftOut(s)
		}
		return
	}
	f.rollouts[s.Head.Slot], f.rolloutAt = s, now.Boot // it is looked at, and stored with what it begins, in this very step
	h := &s.Head
	ans.Accepted, ans.Rollout, ans.Items = true, h.ID, leftOut(s)
	if planned {
		ans.Why = fmt.Sprintf("plan %s: %s of %s, %s", h.ID, h.Verb, h.About(), h.Tally)
		if h.Defunct != "" {
			ans.Why = fmt.Sprintf("plan %s can't be run: %s", h.ID, h.Defunct)
		}
		eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticePlan, Rollout: h.ID, Region: h.Region, Rule: "ask.plan", By: in.Actor, Why: ans.Why})
		return
	}
	ans.Why = fmt.Sprintf("rollout %s: %s of %s, %s", h.ID, h.Verb, h.About(), h.Tally)
	eff.Tell = append(eff.Tell, rollout.Run(s, in.Actor, in.ID, in.Reason, in.Until, now.Wall))
	f.supersede(now, s, in.Calls, eff)
}

// supersede notes which occurrence of a schedule a rollout answers, and ends those of earlier ones whose window is over: what they left is part of this one.
func (f *Fleet) supersede(now Now, s *rollout.State, calls string, eff *Effects) {
	if s.Head.Calls = calls; calls == "" {
		return
	}
	for _, old := range f.rollouts {
		if old == nil || old == s || old.Head.Calls == "" || old.Head.Verb != s.Head.Verb || old.Head.State != events.RolloutPaused || old.Head.Until.IsZero() || now.Wall.Before(old.Head.Until) {
			continue
		}
		_, _, tell := rollout.Steer(old, events.AskAbort, "", events.ActorSchedule, "its next occurrence has come: rollout "+s.Head.ID, now.Wall)
		eff.Tell = append(eff.Tell, tell...)
	}
}

// ranAs finds the rollout that an ask began before.
func (f *Fleet) ranAs(ask string) *rollout.State {
	for _, s := range f.rollouts {
		if s != nil && ask != "" && s.Head.Ask == ask && s.Head.State != events.RolloutPlanned {
			return s
		}
	}
	return nil
}

// leftOut lists what a plan leaves out, with the way to clear it.
func leftOut(s *rollout.State) []events.AnswerItem {
	var items []events.AnswerItem
	for i := range s.Len() {
		if m := s.Move(i); m.State == events.MoveLeft && len(items) < mostLeft {
			items = append(items, events.AnswerItem{Group: m.Group, Rule: "plan.left", Why: m.Why})
		}
	}
	return items
}

// mostLeft bounds what an answer lists; the plan itself has all.
const mostLeft = 100

// planFor is the plan an ask names, or the one it wants made; or why there is none.
func (f *Fleet) planFor(now Now, in AskSeen, eff *Effects) (*rollout.State, string) {
	if in.Plan != "" {
		s, why := f.rolloutNamed(in.Plan)
		if why == "" && s.Head.Verb != in.Verb {
			return nil, fmt.Sprintf("plan %s is of a %s: `switchback %s --plan %s` runs it", s.Head.ID, s.Head.Verb, s.Head.Verb, s.Head.ID)
		}
		return s, why
	}
	slot := f.freeSlot()
	if slot < 0 {
		return nil, fmt.Sprintf("%d rollouts are under way, which is as many as there may be: let one end, or `switchback rollout abort` one", events.RolloutSlots)
	}
	r := rollout.Request{Verb: in.Verb, Region: in.Region, Groups: in.Groups, Select: in.Select, By: in.Actor, Reason: in.Reason, Accept: in.AcceptLoss, Blind: in.WhileBlind, Limits: in.Limits, Fleet: f.cfg, Made: now.Wall, Slot: slot}
	if in.Verb == events.AskPlan {
		r.Verb = in.Do
	}
	if in.Group != "" {
		r.Groups = []string{in.Group}
	}
	return f.plan(now, r, eff)
}

// drifted says why a plan can't be run as it was shown; "" if it can.
func (f *Fleet) drifted(now Now, s *rollout.State, eff *Effects) string {
	h := &s.Head
	r := rollout.Request{Verb: h.Verb, Region: h.Region, Groups: h.Groups, Select: h.Select, By: h.By, Accept: h.Accept, Blind: h.Blind, Limits: &h.Limits, Fleet: f.cfg, Made: now.Wall, Slot: h.Slot}
	is, why := f.plan(now, r, eff)
	if why != "" {
		return why
	}
	if moved := rollout.Drift(s, is); len(moved) > 0 {
		return fmt.Sprintf("reality has moved since plan %s was made: %s: `switchback plan %s` makes a new one", h.ID, strings.Join(moved, "; "), h.Verb)
	}
	return ""
}

// freeSlot is the place of a new plan: an empty one, else that of the oldest that is over or not run; -1 if every one runs.
func (f *Fleet) freeSlot() int {
	best := -1
	for n, s := range f.rollouts {
		switch {
		case s == nil:
			return n
		case s.Open() || s.Lasts():
		case best < 0 || less(&s.Head, &f.rollouts[best].Head):
			best = n
		}
	}
	return best
}

// less orders what may be replaced: plans nobody ran before rollouts that are over, older ones first.
func less(a, b *events.Rollout) bool {
	if planned := a.State == events.RolloutPlanned; planned != (b.State == events.RolloutPlanned) {
		return planned
	}
	return a.Made.Before(b.Made)
}

// rolloutNamed finds a plan or rollout by its id or its hash.
func (f *Fleet) rolloutNamed(name string) (*rollout.State, string) {
	for _, s := range f.rollouts {
		if s != nil && (s.Head.ID == name || s.Head.Hash == name) {
			return s, ""
		}
	}
	return nil, fmt.Sprintf("no plan or rollout is called %q: `switchback rollout list` lists them", name)
}

// plan makes a plan of what is asked, or says why nothing can be planned.
func (f *Fleet) plan(now Now, r rollout.Request, eff *Effects) (*rollout.State, string) {
	gs, why := f.chosen(&r)
	if why != "" {
		return nil, why
	}
	f.judge(now.Boot, eff)
	var cs []rollout.Candidate
	for _, g := range gs {
		c, ok := f.candidate(now, g, &r)
		if !ok {
			r.Skipped = append(r.Skipped, c)
			continue
		}
		cs = append(cs, c)
	}
	return rollout.Make(r, cs, f.estimates()), ""
}

// chosen are the groups a request is about.
func (f *Fleet) chosen(r *rollout.Request) (gs []*group, why string) {
	if len(r.Groups) > 0 {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(r.Groups))) {
			g := f.groups.get(name)
			if g == nil || g.record == nil || g.record.Gone != "" {
				return nil, fmt.Sprintf("no group under care is called %q%s", name, near(name, f.groups.keys))
			}
			gs = append(gs, g)
		}
		return gs, ""
	}
	labels, err := events.ParseSelect(r.Select)
	if err != nil {
		return nil, err.Error()
	}
	if r.Region != "" && f.regions.get(r.Region) == nil {
		return nil, fmt.Sprintf("no region is called %q%s", r.Region, near(r.Region, f.regions.keys))
	}
	for _, k := range f.groups.keys {
		if g := f.groups.get(k); g.record != nil && g.record.Gone == "" && g.within(r) && g.labelled(labels) {
			gs = append(gs, g)
		}
	}
	if len(gs) > 0 {
		return gs, ""
	}
	switch {
	case r.Region != "" && r.Verb == events.AskFailback:
		return nil, fmt.Sprintf("no group whose home is %s is away from it: nothing to bring back", r.Region)
	case r.Region != "":
		return nil, fmt.Sprintf("no group is active in %s: nothing to move", r.Region)
	}
	return nil, fmt.Sprintf("no group has the labels %s: `switchback groups` lists them", r.Select)
}

// within reports whether a request for a region means the group: a failback those whose home it is, anything else those that are active there.
func (g *group) within(r *rollout.Request) bool {
	switch {
	case r.Region == "":
		return true
	case r.Verb == events.AskFailback:
		return g.config.Primary.Region == r.Region && g.record.Active != g.config.Primary
	}
	return g.record.Active.Region == r.Region
}

func (g *group) labelled(labels []events.Label) bool {
	for _, l := range labels {
		is := map[string]string{"project": g.config.Project, "kind": string(g.config.Kind), "region": g.record.Active.Region}[l.Key]
		if is != l.Value {
			return false
		}
	}
	return true
}

// candidate is what moving a group would mean now: the dry run of the very ask, and what it costs. Not ok: there is nothing to do for it.
func (f *Fleet) candidate(now Now, g *group, r *rollout.Request) (c rollout.Candidate, ok bool) {
	ask := events.Ask{Verb: r.Verb, Actor: r.By, Group: g.name, Reason: "plan", AcceptLoss: r.Accept, WhileBlind: r.Blind, DryRun: true}
	g.ask = &AskSeen{Ask: ask}
	fs := f.facts(now, g)
	g.ask = nil
	c = rollout.Candidate{
		Node: rollout.Node{Name: g.name, Priority: g.config.Priority, After: g.config.DependsOn}, From: g.record.Active, Epoch: g.record.Epoch,
	}
	o := decide.Step(fs)
	for _, a := range o.Answers {
		if !a.Accepted {
			c.Blocks = fmt.Sprintf("%s (rule %s)", a.Why, a.Rule)
		}
	}
	if ask.Verb == events.AskFailback && g.record.Active == g.config.Primary {
		return c, false
	}
	c.To = fs.Target()
	c.Restore = ask.Verb == events.AskFailback && fs.HomeFailed()
	if c.Restore {
		f.roomFor(g, &c)
	}
	if ask.Verb == events.AskFailover || !g.config.Kind.Logged() {
		c.Bytes, c.Behind = fs.MayLose(c.To)
	}
	c.Bare = !fs.Spare(c.To)
	return c, true
}

// roomFor notes how much a restore copies if the target can't be rewound. Where there is nothing to rewind and no room for it, that blocks the group.
func (f *Fleet) roomFor(g *group, c *rollout.Candidate) {
	from, to := f.clusters.get(c.From), f.clusters.get(c.To)
	if from == nil || to == nil || from.health.Size == 0 {
		return
	}
	c.Copies = from.health.Size
	if to.health.Free == 0 || to.health.Free >= c.Copies {
		return
	}
	lacks := fmt.Sprintf("a copy of %s takes %d MiB, and %d MiB are free where %s keeps its data: make room there", c.From, c.Copies>>20, to.health.Free>>20, c.To)
	if to.health.Empty && c.Blocks == "" {
		c.Blocks = lacks
		return
	}
	c.Note = fmt.Sprintf("%s: if its home can't be rewound it has to be copied, and %s", g.name, lacks)
}

// What moves take where this fleet has not shown it yet.
const (
	swapTakes    = 2 * time.Second
	restoreTakes = 30 * time.Second
)

// estimates are the means of what the groups' last moves took, or the defaults.
func (f *Fleet) estimates() rollout.Estimates {
	e := rollout.Estimates{Failover: f.d.Wait + time.Second, Swap: swapTakes, Restore: restoreTakes}
	var fails, swaps mean
	for _, k := range f.groups.keys {
		r := f.groups.get(k).record
		if r == nil || r.Op == nil || r.Op.Ended != "done" || r.Op.Serving == 0 {
			continue
		}
		if r.Op.Verb == events.AskFailover {
			fails.add(r.Op.Serving)
		} else {
			swaps.add(r.Op.Serving)
		}
	}
	e.Measured = fails.n+swaps.n > 0
	e.Failover, e.Swap = fails.or(e.Failover), swaps.or(e.Swap)
	return e
}

type mean struct {
	sum time.Duration
	n   int
}

func (m *mean) add(d time.Duration) { m.sum += d; m.n++ }

func (m *mean) or(def time.Duration) time.Duration {
	if m.n == 0 {
		return def
	}
	return (m.sum / time.Duration(m.n)).Round(time.Millisecond)
}
