package fleet

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// RefuseChanged is the rule of a refusal because the group's record is not the one that was looked at.
const RefuseChanged = "refuse.changed"

// ask takes what an operator asks. A region's failover is asked of each of its groups; every answer leaves after the batches are stored.
func (f *Fleet) ask(now Now, in AskSeen, eff *Effects) []unit {
	ans := events.Answer{ID: in.ID, Hash: in.Hash, Why: f.outside(&in)}
	if ans.Why == "" {
		ans.Why = f.named(&in)
	}
	var units []unit
	switch {
	case ans.Why != "":
	case in.Rollout != "":
		f.steer(now, in, &ans, eff)
	case in.Many():
		f.many(now, in, &ans, eff)
	case in.Group != "":
		g := f.groups.get(in.Group)
		if g == nil || g.config.Group == "" && g.record == nil {
			ans.Why = fmt.Sprintf("no group is called %q%s", in.Group, near(in.Group, f.groups.keys))
			break
		}
		if why := g.changed(&in); why != "" {
			ans.Items = []events.AnswerItem{{Group: g.name, Rule: RefuseChanged, Why: why}}
			eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticeRefused, Group: g.name, By: in.Actor, Rule: RefuseChanged, Why: why})
			break
		}
		units = f.askGroups(now, in, []*group{g}, &ans, eff)
	case in.Verb == events.AskRebuildRecord:
		units = f.askHalted(now, in, &ans, eff)
	case in.Verb == events.AskRejoin:
		f.askRejoin(now, in, &ans, eff)
	case in.Verb == events.AskAcknowledge:
		units = f.askRegion(now, in, &ans, eff)
	default:
		units = f.throw(in, &ans, eff)
	}
	if ans.Why == "" {
		ok := 0
		for _, x := range ans.Items {
			if x.Accepted {
				ok++
			}
		}
		ans.Accepted = ok > 0
		what := map[string]string{events.AskAcknowledge: "are acknowledged", events.AskRebuildRecord: "can be rebuilt from what agents claim"}[in.Verb]
		if what == "" {
			what = "move"
		}
		ans.Why = fmt.Sprintf("%d of %d groups %s", ok, len(ans.Items), what)
		if len(ans.Items) == 1 {
			ans.Why = ans.Items[0].Why
		}
	}
	if !ans.Accepted && len(ans.Items) == 0 {
		eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticeRefused, Group: in.Group, Region: in.Region, By: in.Actor, Rule: "refuse.ask", Why: ans.Why})
	}
	eff.Answers = append(eff.Answers, ans)
	return units
}

// named finds the group of an ask that names a cluster, and says what is wrong with the name; "" if nothing.
func (f *Fleet) named(in *AskSeen) string {
	if in.Cluster == "" {
		return ""
	}
	ref, err := events.ParseRef(in.Cluster)
	if err != nil {
		return err.Error()
	}
	c := f.clusters.get(ref)
	if c == nil || c.group == nil {
		return fmt.Sprintf("no cluster of a group is called %s%s", ref, near(ref.Cluster, f.clusterNames()))
	}
	if in.Group != "" && in.Group != c.group.name {
		return fmt.Sprintf("%s is a cluster of %s, not of %s", ref, c.group.name, in.Group)
	}
	in.Group = c.group.name
	return ""
}

func (f *Fleet) clusterNames() []string {
	names := make([]string, 0, len(f.clusters.keys))
	for _, r := range f.clusters.keys {
		names = append(names, r.String())
	}
	return names
}

func (f *Fleet) askRegion(now Now, in AskSeen, ans *events.Answer, eff *Effects) []unit {
	if f.regions.get(in.Region) == nil {
		ans.Why = fmt.Sprintf("no region is called %q%s", in.Region, near(in.Region, f.regions.keys))
		return nil
	}
	var gs []*group
	for _, k := range f.groups.keys {
		if g := f.groups.get(k); g.record != nil && concerns(g.record, &in) {
			gs = append(gs, g)
		}
	}
	if len(gs) == 0 {
		ans.Why = fmt.Sprintf("no group is active in %s: nothing to move", in.Region)
		if in.Verb == events.AskAcknowledge {
			ans.Why = fmt.Sprintf("no group of %s was moved by automation and is not stable yet: nothing to acknowledge", in.Region)
		}
		return nil
	}
	return f.askGroups(now, in, gs, ans, eff)
}

// concerns reports whether an ask about a region is about a group: it is active there, or moved by this ask already; to acknowledge are the moves into
// and out of it.
func concerns(r *events.Record, in *AskSeen) bool {
	if in.Verb == events.AskAcknowledge {
		return !r.Settled && (r.Active.Region == in.Region || (r.Op != nil && r.Op.From.Region == in.Region))
	}
	return r.Active.Region == in.Region || (r.Op != nil && r.Op.Ask == in.ID)
}

func (f *Fleet) askGroups(now Now, in AskSeen, gs []*group, ans *events.Answer, eff *Effects) []unit {
	var units []unit
	f.judge(now.Boot, eff)
	for _, g := range gs {
		one := in
		one.Group, one.Region = g.name, ""
		g.ask = &one
		if u, ok := f.decide(now, g, eff); ok {
			units = append(units, u)
		}
		ans.Items = append(ans.Items, g.answers...)
		g.ask, g.answers = nil, nil
	}
	return units
}

// throw takes what switches automation for the fleet or a region.
func (f *Fleet) throw(in AskSeen, ans *events.Answer, eff *Effects) []unit {
	if in.Region != "" && f.regions.get(in.Region) == nil {
		ans.Why = fmt.Sprintf("no region is called %q%s", in.Region, near(in.Region, f.regions.keys))
		return nil
	}
	reason := "by " + in.Actor
	if in.Reason != "" {
		reason += ": " + in.Reason
	}
	next := f.automationCopy()
	what := "the fleet"
	switch {
	case in.Region != "":
		what = in.Region
	case in.Kind != "":
		what = "kind " + string(in.Kind)
	}
	r := next.Regions[in.Region]
	disarmed := ""
	switch in.Verb {
	case events.AskDisarm:
		ans.Why = "automation is disarmed for " + what
		disarmed = reason
	case events.AskArm:
		ans.Why = "automation is armed for " + what
	case events.AskApprove:
		ans.Why = what + " may move although more regions are out than allowed"
		r.Approved = reason
	default:
		ans.Why = in.Verb + " names no group: want one"
		return nil
	}
	switch {
	case in.Verb == events.AskApprove:
	case in.Region != "":
		r.Disarmed = disarmed
	case in.Kind != "":
		next.Kinds[in.Kind] = disarmed
		if disarmed == "" {
			delete(next.Kinds, in.Kind)
		}
	default:
		next.Disarmed = disarmed
	}
	if in.Region != "" {
		next.Regions[in.Region] = r
	}
	ans.Accepted = true
	if in.DryRun {
		ans.Why += " (dry run: nothing was done)"
		return nil
	}
	f.automation = next
	for _, k := range f.groups.keys {
		f.touch(f.groups.get(k))
	}
	eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticeAutomation, Region: in.Region, By: in.Actor, Rule: "ask." + in.Verb, Why: ans.Why + ", " + reason})
	last := f.autoSeq
	return []unit{{writes: []Write{{events.SubjectAutomation, next, &last}}, auto: true}}
}

// automationCopy is what is switched, to be changed and stored: what stands in f.automation never changes.
func (f *Fleet) automationCopy() events.Automation {
	next := events.Automation{Disarmed: f.automation.Disarmed, Regions: map[string]events.RegionAutomation{}, Kinds: map[events.Kind]string{}}
	for _, name := range f.regions.keys {
		if r, ok := f.automation.Regions[name]; ok {
			next.Regions[name] = r
		}
	}
	for _, k := range events.Kinds() {
		if why, ok := f.automation.Kinds[k]; ok {
			next.Kinds[k] = why
		}
	}
	return next
}

// expire takes an approval back once its region is well again: it was for one outage. A leader that has not heard its agents in this term knows nothing
// of that.
func (f *Fleet) expire(now events.Instant, eff *Effects) []unit {
	var expired []string
	for _, name := range f.regions.keys {
		if f.automation.Regions[name].Approved != "" && f.well(now, f.regions.get(name)) {
			expired = append(expired, name)
		}
	}
	if len(expired) == 0 {
		return nil
	}
	next := f.automationCopy()
	for _, name := range expired {
		a := next.Regions[name]
		a.Approved = ""
		next.Regions[name] = a
	}
	f.automation = next
	for _, name := range expired {
		eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticeAutomation, Region: name, By: "automation", Rule: "approval.expired", Why: name + " is well again: its approval has ended"})
	}
	last := f.autoSeq
	return []unit{{writes: []Write{{events.SubjectAutomation, next, &last}}, auto: true}}
}

// near suggests what may have been meant.
func near(s string, known []string) string {
	var like []string
	for _, k := range known {
		if strings.HasPrefix(k, s[:min(3, len(s))]) || strings.Contains(k, s) || strings.Contains(s, k) {
			like = append(like, k)
		}
	}
	switch {
	case len(known) == 0:
		return ": none is configured yet, see `switchback apply`"
	case len(like) == 0 || len(like) > 5:
		return fmt.Sprintf(": %d are known, see `switchback status`", len(known))
	}
	return ": do you mean " + strings.Join(like, " or ") + "?"
}
