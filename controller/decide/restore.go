package decide

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// A restore makes a failed or broken member follow the active again. It is the member's own operation, beside the group's: it takes as long as it takes, and a
// failover may happen meanwhile. The member is passive by role from its beginning, but no candidate before it is found to stream on the right timeline. Only
// a host that has itself reported in is ever told to (I5).

// listedHere is how many lost commits the record of a failover keeps; the report of the restore has more, the agent's host all.
const listedHere = 32

// restorable says why a member can't be restored now; "" if it can.
func (f *Facts) restorable(c *Cluster) string {
	if why := f.notServing(); why != "" {
		return "nothing to restore from: " + why
	}
	switch {
	case f.active().Address == "" && f.logged():
		return fmt.Sprintf("nothing to restore from: the address of %s is not known", f.Record.Active)
	case !c.Fresh || !c.Known:
		return fmt.Sprintf("the agent of %s is silent: nothing is done to a host that has not reported in", c.Cluster)
	case !c.passiveAt(f.Record.Epoch):
		return fmt.Sprintf("%s has not reported passive at epoch %d yet", c.Cluster, f.Record.Epoch)
	}
	return ""
}

// wants reports whether a member needs a restore, or may be given one when a person asks: it is failed, or passive and rebuilt on demand.
func (f *Facts) wants(verb string, c *Cluster) bool {
	switch {
	case c.Cluster == f.Record.Active || c.Member.Work != nil:
		return false
	case f.Ask.Cluster != "":
		return f.Ask.Cluster == c.Cluster.String()
	case verb == events.AskRestore, verb == events.AskFailback:
		return c.Role == events.RoleFailed && !c.Health.Empty
	case verb == events.AskProtect:
		return c.Role == events.RoleFailed && c.Health.Empty
	}
	return c.Role == events.RolePassive && !c.Health.Streaming
}

// askedFor lists the members an ask is about.
func (f *Facts) askedFor(verb string) []*Cluster {
	var cs []*Cluster
	for i := range f.Members {
		if c := &f.Members[i]; f.wants(verb, c) {
			cs = append(cs, c)
		}
	}
	return cs
}

// notAskedFor says why an ask for a restore is about nobody, or about one that can't be restored; "" if it can begin.
func (f *Facts) notAskedFor() string {
	verb := f.Ask.Verb
	cs := f.askedFor(verb)
	if f.Ask.Cluster != "" {
		ref, _ := events.ParseRef(f.Ask.Cluster) // checked at the door
		switch m := f.Record.Member(ref); {
		case m == nil:
			return fmt.Sprintf("%s is no cluster of %s", ref, f.Config.Group)
		case ref == f.Record.Active:
			return fmt.Sprintf("%s is the active: it has nobody to be restored from", ref)
		case m.Work != nil:
			return fmt.Sprintf("%s is being restored already (%s)", ref, m.Work.ID)
		case verb == events.AskRestore && m.Role != events.RoleFailed:
			return fmt.Sprintf("%s is %s, not failed: `switchback rebuild` builds a passive anew", ref, m.Role)
		}
	}
	if len(cs) == 0 {
		return map[string]string{
			events.AskRestore: "no cluster of it is failed", events.AskProtect: "no cluster of it waits for its first copy",
			events.AskRebuild: "every passive of it streams: name the one to rebuild all the same with --cluster",
		}[verb]
	}
	var why []string
	for _, c := range cs {
		if w := f.restorable(c); w != "" {
			why = append(why, w)
		}
	}
	if len(why) < len(cs) {
		return "" // the others are begun, each says for itself
	}
	return strings.Join(why, "; ")
}

// restoreAsked begins the restore of every member asked about that can be.
func restoreAsked(f *Facts, o *Outcome) {
	for _, c := range f.askedFor(f.Ask.Verb) {
		if why := f.restorable(c); why != "" {
			o.Answers = append(o.Answers, events.AnswerItem{Group: f.Config.Group, Why: why})
			continue
		}
		w := f.begin(o, c, events.Operation{Verb: f.Ask.Verb, Ask: f.Ask.ID, By: f.Ask.Actor, Copy: f.Ask.Copy, Why: f.say(o.sentence, o)})
		o.answer(f, true, w.ID)
	}
}

// failbackRestore begins the restore of a failed home, to be followed by the swap.
func failbackRestore(f *Facts, o *Outcome) {
	home := f.member(f.primary())
	w := o.draft(f).Member(home.Cluster).Work
	if w == nil {
		w = f.begin(o, home, events.Operation{Verb: events.AskRestore, By: f.Ask.Actor, Why: f.say(o.sentence, o)})
	}
	w.Ask, w.Then, w.By = f.Ask.ID, events.AskFailback, f.Ask.Actor // whoever began its restore, this person brings it home
	o.answer(f, true, w.ID)
}

// homeHeld says why the home can't be restored for a failback; "" if it can, or is being restored.
func (f *Facts) homeHeld() string {
	home := f.member(f.primary())
	if home.Member.Work != nil {
		return ""
	}
	return f.restorable(home)
}

// homeFailed reports whether a failback has to restore the home first.
func (f *Facts) homeFailed() bool {
	home := f.member(f.primary())
	return home.Role == events.RoleFailed || home.Member.Work != nil
}

// begin begins a restore of one member, as op says who wants it and how.
func (f *Facts) begin(o *Outcome, c *Cluster, op events.Operation) *events.Operation {
	r := o.draft(f)
	m := r.Member(c.Cluster)
	f.part(o, c.Cluster, f.strict(), "it is made anew by a "+op.Verb)
	op.ID, op.From, op.To, op.Began, op.Rule = workID(r, op.Verb), r.Active, c.Cluster, f.Wall, o.Rule
	m.Work = &op
	m.Role, m.Hold = events.RolePassive, ""
	if m.SystemID == "" {
		m.SystemID = f.active().Health.SystemID
	}
	o.Sets = append(o.Sets, f.set(r, c.Cluster))
	n := o.notice(f, events.NoticeRestoring)
	n.Operation, n.Cluster, n.Region, n.By = m.Work.ID, c.Cluster.Cluster, c.Cluster.Region, m.Work.By
	n.Why = fmt.Sprintf("%s is made to follow %s", c.Cluster, r.Active)
	return m.Work
}

// due lists the members automation restores now: failed ones nobody holds, and passives that hold what the active's timeline never got, or may. One that was
// restored and then killed by its guard before anybody saw it follow is restored anew.
func (f *Facts) due() []*Cluster {
	var cs []*Cluster
	if !f.Restore.OK || f.Config.Removed {
		return nil
	}
	for i := range f.Members {
		c := &f.Members[i]
		if c.Cluster == f.Record.Active {
			continue
		}
		undone := false
		if c.Member.Work != nil {
			r, ok := f.answered(c)
			undone = ok && r.Outcome.OK() && c.Report.Primary
			if !undone {
				continue
			}
		}
		needs := undone || c.Role == events.RoleFailed && c.Hold == "" && c.Turn == "" || f.ahead(c) || c.Role == events.RolePassive && c.Report.Primary
		if needs && f.restorable(c) == "" {
			cs = append(cs, c)
		}
	}
	return cs
}

// ahead reports whether a passive replayed more of its timeline than a later one kept of it: it can't follow any more (facts, timelines).
func (f *Facts) ahead(c *Cluster) bool {
	if c.Role != events.RolePassive || c.Health.Server != events.ServerRecovery || c.Health.Streaming || f.timeline() == 0 || c.Health.Timeline == f.timeline() {
		return false
	}
	if c.Health.Timeline > f.timeline() {
		return true // somebody else's
	}
	for _, x := range f.Record.Forks {
		if x.Timeline == c.Health.Timeline && c.Health.Replayed > x.At {
			return true
		}
	}
	return false
}

func beginDue(f *Facts, o *Outcome) {
	for _, c := range f.due() {
		op := events.Operation{Verb: events.AskRestore, By: Automation, Why: "its agent has reported in"}
		old := o.draft(f).Member(c.Cluster).Work
		switch {
		case old != nil: // taken up again, for whoever asked
			op = events.Operation{Verb: old.Verb, Ask: old.Ask, By: old.By, Then: old.Then, Copy: old.Copy, Why: "restored, and killed before it was found to follow: once more"}
		case c.Role == events.RolePassive:
			op.Verb, op.Why = events.AskRebuild, fmt.Sprintf("it holds what timeline %d never got, or may", f.timeline())
		}
		w := f.begin(o, c, op)
		if old != nil {
			old.Ended, old.EndWhy = "failed", "killed before it was found to follow: taken up again as "+w.ID
			n := o.notice(f, events.NoticeFailed)
			n.Operation, n.Cluster, n.Region, n.Report, n.Why = old.ID, c.Cluster.Cluster, c.Cluster.Region, old, old.EndWhy
		}
	}
}

// answered is the result of a member's restore, at the record's epoch.
func (f *Facts) answered(c *Cluster) (events.Result, bool) {
	if c.Member.Work == nil {
		return events.Result{}, false
	}
	return f.result(c, workName(c.Member.Work))
}

// whole reports whether a restored member is found to stream from the active on its timeline.
func (f *Facts) whole(c *Cluster) bool {
	h := &c.Health
	return c.Known && c.Fresh && c.Reported && !c.Report.Primary && h.Server == events.ServerRecovery && h.Streaming && h.Timeline == f.timeline() && (h.Timeline != 0 || !f.logged())
}

// finished lists the members whose restore is done and found true.
func (f *Facts) finished() []*Cluster {
	var cs []*Cluster
	for i := range f.Members {
		c := &f.Members[i]
		if r, ok := f.answered(c); ok && r.Outcome.OK() && f.whole(c) {
			cs = append(cs, c)
		}
	}
	return cs
}

// finish makes them passives that may be promoted, and counts what their old side lost where that is known now.
func finish(f *Facts, o *Outcome) {
	for _, c := range f.finished() {
		res, _ := f.answered(c)
		r := o.draft(f)
		m := r.Member(c.Cluster)
		w := m.Work
		m.Work, m.Role, m.Hold = nil, events.RolePassive, ""
		w.Ended, w.How, w.Copied, w.Lost, w.Timeline, w.Protected = "done", res.How, res.Copied, res.Lost, res.Timeline, max(0, f.Wall.Sub(w.Began))
		w.Phases = append(w.Phases, events.PhaseTime{Phase: "restore", Took: res.Took})
		if op := r.Op; op != nil && op.From == c.Cluster && op.Ended == "done" && res.Lost != nil && !swaps(op) {
			op.Lost = shorter(res.Lost)
			op.Loss = exact(op.Loss, res.Lost)
		}
		if w.Then == events.AskFailback && r.Next == nil {
			next := *w // with what the restore found: if the swap does not begin, its report stands for both
			next.Verb, next.Ended, next.Then, next.From, next.Began, next.Protected = events.AskFailback, "", "", r.Active, f.Wall, 0
			r.Next = &next
		}
		m.Last = noted(w)
		*o.notice(f, events.NoticeRestored) = restored(r, c.Cluster, r.Active, f.Config.Kind, w)
	}
}

// exact is the loss of a failover once the old side's log was counted.
func exact(was *events.Loss, l *events.LostLog) *events.Loss {
	if l.Unread != "" {
		return was
	}
	return &events.Loss{Known: true, Exact: true, Bytes: l.Bytes, Sync: was != nil && was.Sync}
}

func shorter(l *events.LostLog) *events.LostLog {
	c := *l
	if len(c.List) > listedHere {
		c.List = append([]events.LostCommit(nil), c.List[:listedHere]...)
	}
	return &c
}

func lostText(l *events.LostLog) string {
	switch {
	case l == nil:
		return ""
	case l.Unread != "":
		return fmt.Sprintf("; at least %d commits of it were lost, its log could not be read to its end", l.Commits)
	case l.Commits == 0:
		return "; no commit was lost"
	}
	return fmt.Sprintf("; %d commits of it were lost, %d B from %v", l.Commits, l.Bytes, l.From)
}

// refusedRestore lists the members whose restore was refused for good.
func (f *Facts) refusedRestore() []*Cluster {
	var cs []*Cluster
	for i := range f.Members {
		if r, ok := f.answered(&f.Members[i]); ok && r.Outcome == events.Refused {
			cs = append(cs, &f.Members[i])
		}
	}
	return cs
}

// fail ends them: failed, and held until a person asks again.
func fail(f *Facts, o *Outcome) {
	for _, c := range f.refusedRestore() {
		res, _ := f.answered(c)
		f.endWork(o, c.Cluster, "failed", res.Why)
	}
}

// endWork ends a member's restore without success.
func (f *Facts) endWork(o *Outcome, c events.Ref, ended, why string) *events.Operation {
	m := o.draft(f).Member(c)
	w := m.Work
	m.Work, m.Role, m.Hold = nil, events.RoleFailed, w.ID+" "+ended+": "+why
	w.Ended, w.EndWhy = ended, why
	n := o.notice(f, events.NoticeFailed)
	if ended == "aborted" {
		n.Type = events.NoticeAborted
	}
	n.Operation, n.Cluster, n.Region, n.By, n.Report = w.ID, c.Cluster, c.Region, w.By, w
	n.Why = fmt.Sprintf("%s of %s %s: %s", w.Verb, c, ended, why)
	o.Sets = append(o.Sets, f.set(o.Record, c))
	return w
}

// stalled lists the members whose restore stands still and has not been told as such.
func (f *Facts) stalled() []*Cluster {
	var cs []*Cluster
	for i := range f.Members {
		c := &f.Members[i]
		if w := c.Member.Work; w != nil && w.Stage != stageStalled && c.Fresh && c.Health.Work != nil && c.Health.Work.Idle >= f.D.Stalled {
			cs = append(cs, c)
		}
	}
	return cs
}

// stageStalled marks a restore that was told to stand still, so that it is told once.
const stageStalled events.Stage = "stalled"

func stall(f *Facts, o *Outcome) {
	for _, c := range f.stalled() {
		w := o.draft(f).Member(c.Cluster).Work
		w.Stage = stageStalled
		n := o.notice(f, events.NoticeAlarm)
		n.Operation, n.Cluster, n.Region = w.ID, c.Cluster.Cluster, c.Cluster.Region
		n.Why = fmt.Sprintf("%s of %s stands still in %s for %s: %d of %d B", w.Verb, c.Cluster, c.Health.Work.Phase, round(c.Health.Work.Idle), c.Health.Work.Done, c.Health.Work.Total)
	}
}

// abortable lists the restores an abort ends where no move runs. The other half of a swap is none: who aborts means the swap, and comes too late.
func (f *Facts) abortable() []events.Ref {
	var cs []events.Ref
	for i := range f.Record.Members {
		if w := f.Record.Members[i].Work; w != nil && w.Rule != rulePromote {
			cs = append(cs, f.Record.Members[i].Cluster)
		}
	}
	return cs
}

func abortRestores(f *Facts, o *Outcome) {
	for _, c := range f.abortable() {
		w := f.endWork(o, c, "aborted", "by "+f.Ask.Actor)
		o.answer(f, true, w.ID)
	}
}

// protectedAgain reports whether a healthy passive exists again since the last move.
func protectedAgain(f *Facts) bool {
	op := f.Record.Op
	if op == nil || op.Ended != "done" || op.To != f.Record.Active || op.Protected != 0 {
		return false
	}
	for i := range f.Members {
		if c := &f.Members[i]; c.Role == events.RolePassive && c.Member.Work == nil && c.Cluster != f.Record.Active && f.whole(c) {
			return true
		}
	}
	return false
}

// protect notes the second clock of the last move.
func protect(f *Facts, o *Outcome) {
	op := o.draft(f).Op
	op.Protected = f.since(op)
	n := o.notice(f, events.NoticeProtected)
	n.Why, n.Report = f.Config.Group+" is protected again: a passive streams on the new timeline", op
	if !f.logged() {
		n.Why = f.Config.Group + " is protected again: a passive says that it can take over"
	}
}
