package fleet

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// Standing is what an ask is about as it stands now, for the audit: taken before and after it is decided. rollout is the one that its answer names, if it is known yet.
func (f *Fleet) Standing(in *events.Ask, rollout string) (what, state string) {
	name := in.Group
	if ref, err := events.ParseRef(in.Cluster); in.Cluster != "" && err == nil {
		if c := f.clusters.get(ref); c != nil && c.group != nil {
			name = c.group.name
		}
	}
	if in.Rollout != "" {
		rollout = in.Rollout
	}
	switch {
	case in.Rollout != "" || in.Many():
		return "rollout " + rollout, f.rolloutStanding(rollout)
	case name != "":
		return "group " + name, f.groupStanding(name)
	case in.Verb == events.AskArm || in.Verb == events.AskDisarm || in.Verb == events.AskApprove:
		return "automation", f.automationStanding()
	case in.Region != "":
		return "region " + in.Region, ""
	}
	return "fleet", ""
}

func (f *Fleet) rolloutStanding(id string) string {
	if s, why := f.rolloutNamed(id); id != "" && why == "" {
		return fmt.Sprintf("%s, %s", s.Head.State, s.Shown().Tally)
	}
	return "none"
}

func (f *Fleet) groupStanding(name string) string {
	g := f.groups.get(name)
	if g == nil || g.record == nil {
		return "not under care"
	}
	r := g.record
	words := []string{fmt.Sprintf("active %s", r.Active), fmt.Sprintf("epoch %d", r.Epoch), "phase " + string(r.Phase)}
	for i := range r.Members {
		m := &r.Members[i]
		word := fmt.Sprintf("%s %s", m.Cluster, m.Role)
		if m.Work != nil && m.Work.Ended == "" {
			word += " with " + m.Work.ID
		}
		if m.Quiet != nil {
			word += " in maintenance"
		}
		words = append(words, word)
	}
	if r.Op != nil && r.Op.Ended == "" {
		words = append(words, "moves by "+r.Op.ID)
	}
	for _, x := range []struct{ what, value string }{{"disarmed", r.Disarm}, {"approved", r.Approve}, {"released", r.Gone}} {
		if x.value != "" {
			words = append(words, x.what+" "+x.value)
		}
	}
	return strings.Join(append(words, "tag "+events.GroupTag(r.Epoch, g.revision)), ", ")
}

func (f *Fleet) automationStanding() string {
	words := []string{"armed"}
	if f.automation.Disarmed != "" {
		words[0] = "disarmed " + f.automation.Disarmed
	}
	for _, name := range f.regions.keys {
		if a := f.automation.Regions[name]; a.Disarmed != "" {
			words = append(words, name+" disarmed "+a.Disarmed)
		}
		if a := f.automation.Regions[name]; a.Approved != "" {
			words = append(words, name+" approved "+a.Approved)
		}
	}
	for _, k := range events.Kinds() {
		if why, ok := f.automation.Kinds[k]; ok {
			words = append(words, string(k)+" disarmed "+why)
		}
	}
	return strings.Join(words, ", ")
}
