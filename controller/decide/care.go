package decide

import (
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// askedMember is the member an ask names.
func (f *Facts) askedMember() *events.Member {
	ref, err := events.ParseRef(f.Ask.Cluster)
	if err != nil {
		return nil
	}
	return f.Record.Member(ref)
}

// quiet reports whether a member is in maintenance.
func (f *Facts) quiet() bool {
	for i := range f.Record.Members {
		if f.Record.Members[i].Quiet != nil {
			return true
		}
	}
	return false
}

// maintain begins, prolongs or ends a maintenance.
func maintain(f *Facts, o *Outcome) {
	m := o.draft(f).Member(f.askedMember().Cluster)
	if f.Ask.For == 0 {
		m.Quiet = nil
		o.Why = fmt.Sprintf("%s ended the maintenance of %s", f.Ask.Actor, m.Cluster)
	} else {
		m.Quiet = &events.Maintenance{Until: f.Wall.Add(f.Ask.For.D()), By: f.Ask.Actor, Why: f.Ask.Reason}
		o.Why = fmt.Sprintf("%s is in maintenance for %v, by %s: its absence is not counted, and automation leaves %s alone", m.Cluster, f.Ask.For.D(), f.Ask.Actor, f.Config.Group)
	}
	o.answer(f, true, "")
	n := o.notice(f, events.NoticeAutomation)
	n.By, n.Cluster, n.Region = f.Ask.Actor, m.Cluster.Cluster, m.Cluster.Region
}

// quietOver lists the members whose maintenance is over.
func (f *Facts) quietOver() []events.Ref {
	var cs []events.Ref
	for i := range f.Record.Members {
		if q := f.Record.Members[i].Quiet; q != nil && !f.Wall.Before(q.Until) {
			cs = append(cs, f.Record.Members[i].Cluster)
		}
	}
	return cs
}

func endQuiet(f *Facts, o *Outcome) {
	for _, c := range f.quietOver() {
		o.draft(f).Member(c).Quiet = nil
		n := o.notice(f, events.NoticeAutomation)
		n.Cluster, n.Region, n.Why = c.Cluster, c.Region, fmt.Sprintf("the maintenance of %s is over", c)
	}
}

// overridden lists the members of which their agents say something else about an override than the record does.
func (f *Facts) overridden() []*Cluster {
	var cs []*Cluster
	for i := range f.Members {
		if c := &f.Members[i]; c.Reported && f.Record.Member(c.Cluster) != nil && c.Report.Override != c.Member.Override {
			cs = append(cs, c)
		}
	}
	return cs
}

func tellOverrides(f *Facts, o *Outcome) {
	for _, c := range f.overridden() {
		o.draft(f).Member(c.Cluster).Override = c.Report.Override
		n := o.notice(f, events.NoticeAlarm)
		n.Cluster, n.Region, n.Why = c.Cluster.Cluster, c.Cluster.Region, fmt.Sprintf("the fence of %s was overridden on its host by %s", c.Cluster, c.Report.Override)
		if c.Report.Override == "" {
			n.Type, n.Why = events.NoticeAutomation, fmt.Sprintf("the override of %s was ended on its host (it was by %s)", c.Cluster, c.Member.Override)
		}
	}
}

// notRestartable says why a cluster can't be restarted now; "" if it can.
func (f *Facts) notRestartable() string {
	m := f.askedMember()
	if m == nil {
		return fmt.Sprintf("%s is no cluster of %s", f.Ask.Cluster, f.Config.Group)
	}
	c := f.member(m.Cluster)
	switch {
	case f.Record.Restart != nil:
		return fmt.Sprintf("%s is being restarted (%s)", f.Record.Restart.To, f.Record.Restart.ID)
	case m.Role == events.RoleFailed || m.Work != nil:
		return fmt.Sprintf("%s is failed or being restored: it is started when that is done", m.Cluster)
	case !c.Fresh || !c.Known:
		return fmt.Sprintf("the agent of %s is silent", m.Cluster)
	case c.Health.Server != events.ServerWritable && c.Health.Server != events.ServerRecovery:
		return fmt.Sprintf("%s is %s", m.Cluster, c.Health.Server)
	}
	return ""
}

// restart has a cluster stopped cleanly and started in its role. Its gate lets it through, and it does not count as down meanwhile.
func restart(f *Facts, o *Outcome) {
	r := o.draft(f)
	c := f.askedMember().Cluster
	r.Restart = &events.Operation{
		ID: workID(r, events.AskRestart), Verb: events.AskRestart, Ask: f.Ask.ID, By: f.Ask.Actor, Rule: o.Rule, Why: f.say(o.sentence, o), From: c, To: c, Began: f.Wall,
	}
	o.Sets = []events.Set{f.set(r, c)}
	o.answer(f, true, r.Restart.ID)
	n := o.notice(f, events.NoticeDecision)
	n.Operation, n.By, n.Cluster = r.Restart.ID, f.Ask.Actor, c.Cluster
}

// restartOver says how the planned restart ended: its outcome and why, "" while it runs.
func (f *Facts) restartOver() (ended, why string) {
	op := f.Record.Restart
	if op == nil {
		return "", ""
	}
	switch r, ok := f.result(f.member(op.To), workName(op)); {
	case ok && r.Outcome.OK():
		return "done", ""
	case ok && r.Outcome == events.Refused:
		return "failed", r.Why
	case f.Wall.Sub(op.Began) >= f.D.Restart:
		return "failed", "it did not come back within " + round(f.D.Restart)
	}
	return "", ""
}

// endRestart ends a planned restart in the outcome's record, if one runs: why = "" by its result.
func (f *Facts) endRestart(o *Outcome, why string) {
	if f.Record.Restart == nil {
		return
	}
	r := o.draft(f)
	op := r.Restart
	r.Restart = nil
	op.Ended, op.EndWhy = "failed", why
	if why == "" {
		op.Ended, op.EndWhy = f.restartOver()
	}
	kind := events.NoticeFailed
	if op.Ended == "done" {
		kind, op.Serving = events.NoticeServing, max(1, f.Wall.Sub(op.Began))
	}
	n := o.notice(f, kind)
	n.Operation, n.By, n.Cluster, n.Region, n.Report = op.ID, op.By, op.To.Cluster, op.To.Region, op
	n.Why = fmt.Sprintf("restart of %s %s", op.To, op.Ended)
	if op.EndWhy != "" {
		n.Why += ": " + op.EndWhy
	}
}

// release lets a group go: its servers stay running as a plain pair, and nothing of them is fenced or started any more.
func release(f *Facts, o *Outcome) {
	r := o.draft(f)
	by := Automation + ": it was removed from the configuration"
	if f.Ask != nil {
		by = f.Ask.Actor
		if f.Ask.Reason != "" {
			by += ": " + f.Ask.Reason
		}
	}
	r.Epoch++
	r.Gone, r.Config = by, f.Revision
	if r.Drill.Running() {
		failDrill("its group was released", f, o)
	}
	appoint(f, r, "nobody: it was released")
	for i := range r.Members {
		r.Members[i].Work = nil
	}
	f.endRestart(o, "its group is released")
	f.tellAll(o)
	o.answer(f, true, "")
	n := o.notice(f, events.NoticeAutomation)
	if f.Ask != nil {
		n.By = f.Ask.Actor
	}
}

// notReleasable says why a group can't be released now; "" if it can.
func (f *Facts) notReleasable() string {
	if why := f.notServing(); why != "" {
		return why
	}
	for i := range f.Record.Members {
		if w := f.Record.Members[i].Work; w != nil {
			return w.ID + " is under way"
		}
	}
	return ""
}

// joins lists the configured clusters that can become members: reported by one agent.
func (f *Facts) joins() []*Cluster {
	var cs []*Cluster
	for i := range f.Joining {
		if c := &f.Joining[i]; c.Known && c.Fresh && len(c.Claims) == 1 {
			cs = append(cs, c)
		}
	}
	return cs
}

func join(f *Facts, o *Outcome) {
	r := o.draft(f)
	for _, c := range f.joins() {
		m := c.Member
		m.Role, m.Hold = events.RoleFailed, fmt.Sprintf("it joined the group: `switchback restore %s --cluster %s` makes it follow", r.Group, m.Cluster)
		if c.Health.Empty {
			m.Hold = "there is no data yet: `switchback protect " + r.Group + "` copies it"
		}
		r.Members = append(r.Members, m)
		o.Sets = append(o.Sets, f.set(r, m.Cluster))
	}
}

// leaves lists the members that are not configured any more, the active never.
func (f *Facts) leaves() []events.Ref {
	var cs []events.Ref
	for i := range f.Record.Members {
		c := f.Record.Members[i].Cluster
		if c != f.Config.Primary && !slices.Contains(f.Config.Recovery, c) && c != f.Record.Active {
			cs = append(cs, c)
		}
	}
	return cs
}

func leave(f *Facts, o *Outcome) {
	r := o.draft(f)
	for _, c := range f.leaves() {
		f.part(o, c, false, "it was taken out of the configuration")
		s := f.set(r, c)
		s.Step = &events.Step{ID: events.StepID(r.Group, r.Epoch, stepRelease), Verb: events.VerbRelease}
		o.Sets = append(o.Sets, s)
		for i := range r.Members {
			if r.Members[i].Cluster == c {
				r.Members = append(r.Members[:i:i], r.Members[i+1:]...)
				break
			}
		}
		n := o.notice(f, events.NoticeAutomation)
		n.Cluster, n.Region, n.Why = c.Cluster, c.Region, fmt.Sprintf("%s was taken out of %s: it is let go", c, r.Group)
	}
}
