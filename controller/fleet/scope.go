package fleet

import (
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/events"
)

// Whoever asks for some projects only is shown nothing of the others and touches nothing of theirs. What belongs to no project (regions, kinds, the fleet) can be seen, without its
// evidence, and not be touched. What is hidden is refused in the words for what is not there.

// outside says why an ask of some projects is about more than they are; "" if it is not.
func (f *Fleet) outside(in *AskSeen) string {
	if len(in.Projects) == 0 {
		return ""
	}
	for _, name := range append(slices.Clone(in.Groups), in.Group) {
		if g := f.groups.get(name); name != "" && (g == nil || !slices.Contains(in.Projects, g.config.Project)) {
			return fmt.Sprintf("no group is called %q", name)
		}
	}
	if ref, err := events.ParseRef(in.Cluster); in.Cluster != "" && err == nil {
		if c := f.clusters.get(ref); c == nil || c.group == nil || !slices.Contains(in.Projects, c.group.config.Project) {
			return fmt.Sprintf("no cluster of a group is called %s", ref)
		}
	}
	for _, id := range []string{in.Rollout, in.Plan} {
		if s, why := f.rolloutNamed(id); id != "" && (why != "" || !f.within(s, in.Projects)) {
			return fmt.Sprintf("no plan or rollout is called %q", id)
		}
	}
	return outsideWhole(in)
}

// outsideWhole says why an ask that names no group, cluster or rollout is about more than some projects.
func outsideWhole(in *AskSeen) string {
	labels, err := events.ParseSelect(in.Select)
	narrow := func(l events.Label) bool { return l.Key == "project" && slices.Contains(in.Projects, l.Value) }
	switch {
	case in.Select != "" && (err != nil || !slices.ContainsFunc(labels, narrow)):
		return fmt.Sprintf("%s of %s is about more than the projects %v: select project=NAME with one of them", in.Verb, in.Select, in.Projects)
	case in.Group != "" || in.Cluster != "" || in.Rollout != "" || in.Plan != "" || in.Select != "" || len(in.Groups) > 0:
		return ""
	}
	return fmt.Sprintf("%s here is about more than the projects %v: name a group of them", in.Verb, in.Projects)
}

// within reports whether every group of a rollout is of some projects.
func (f *Fleet) within(s *rollout.State, projects []string) bool {
	for i := range s.Len() {
		if g := f.groups.get(s.Move(i).Group); g == nil || !slices.Contains(projects, g.config.Project) {
			return false
		}
	}
	return true
}

// Of is the picture as some projects see it: their groups, the regions with counts of those alone and without evidence, and the rollouts of nobody else's groups.
// No projects: all of it.
func (v View) Of(projects []string) View {
	if len(projects) == 0 {
		return v
	}
	rows := map[string]*RegionView{}
	regions := v.Regions
	v.Regions = nil
	for _, r := range regions {
		rows[r.Region] = &RegionView{Region: r.Region, Verdict: r.Verdict, Rule: r.Rule, Why: r.Why, Since: r.Since, Agents: r.Agents, Fresh: r.Fresh, Disarmed: r.Disarmed}
	}
	groups, ours := v.Groups, map[string]bool{}
	v.Groups = nil
	for i := range groups {
		if g := &groups[i]; slices.Contains(projects, g.Config.Project) {
			ours[g.Group] = true
			v.Groups = append(v.Groups, *g)
			tally(rows, g)
		}
	}
	for _, r := range regions {
		v.Regions = append(v.Regions, *rows[r.Region])
	}
	v.Rollouts = slices.DeleteFunc(slices.Clone(v.Rollouts), func(r RolloutView) bool {
		for _, part := range r.parts {
			if slices.ContainsFunc(part, func(m events.Move) bool { return !ours[m.Group] }) {
				return true
			}
		}
		return false
	})
	return v
}

// changed says that a group's record is not the one that an ask is about, "" if it is. An ask that was taken already has changed it itself.
func (g *group) changed(in *AskSeen) string {
	if in.If == "" || g.record == nil || g.asked(in.ID) {
		return ""
	}
	if tag := events.GroupTag(g.record.Epoch, g.revision); tag != in.If {
		return fmt.Sprintf("%s has changed since it was looked at: its tag was %s then and is %s now, so look again before you ask", g.name, in.If, tag)
	}
	return ""
}

// asked reports whether something of the record was begun by the ask of that id.
func (g *group) asked(id string) bool {
	r := g.record
	for _, o := range []*events.Operation{r.Op, r.Next, r.Restart} {
		if o != nil && o.Ask == id {
			return true
		}
	}
	return slices.ContainsFunc(r.Members, func(m events.Member) bool { return m.Work != nil && m.Work.Ask == id })
}
