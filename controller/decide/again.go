package decide

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Reports say what was lost, and nobody may lose an acknowledged write without being told. What is told leaves after the record is stored, so a leader that dies in
// between takes it along; therefore the record keeps what the report needs, and the next leader tells again whatever the bus has not.

// TellAgain is how long after its end a report is told again by a new leader, if the bus has not got it. Older ones are not looked for, so that a new term
// costs no look at what ended long ago.
const TellAgain = 24 * time.Hour

// Reports are the notices that told, or should have told, of the newest ends of a group that may have lost something: its last move, and the last restore of each member. At is
// the leader's wall clock. found are the results that a member's agent still has: a record keeps only the beginning of a long list. Their ids are the same
// whoever tells them.
func Reports(kind events.Kind, r *events.Record, at time.Time, found func(events.Ref) []events.Result) (ns []events.Notice) {
	fresh := func(ended time.Time) bool { return at.Sub(ended) < TellAgain }
	if op := r.Op; op != nil && op.Ended == "done" && op.To == r.Active && fresh(op.Began.Add(op.Serving)) {
		ns = append(ns, events.Notice{
			Type: events.NoticeServing, Group: r.Group, Region: r.Active.Region, Epoch: r.Epoch, Operation: op.ID, By: op.By, Rule: ruleServing, Report: op,
			Why: fmt.Sprintf("%s serves at epoch %d", r.Active, r.Epoch),
		})
	}
	for i := range r.Members {
		w := r.Members[i].Last
		if w == nil || !fresh(w.Began.Add(w.Protected)) {
			continue
		}
		if w.Lost != nil {
			all := *w
			for _, res := range found(r.Members[i].Cluster) {
				if l := res.Lost; l != nil && l.Timeline == w.Lost.Timeline && l.From == w.Lost.From && l.Commits == w.Lost.Commits {
					all.Lost = l
				}
			}
			w = &all
		}
		ns = append(ns, restored(r, r.Members[i].Cluster, w.From, kind, w))
	}
	return ns
}

// restored is the notice of a restore that is done: c follows active.
func restored(r *events.Record, c, active events.Ref, kind events.Kind, w *events.Operation) events.Notice {
	why := fmt.Sprintf("%s follows %s on timeline %d (%s%s)", c, active, w.Timeline, w.How, lostText(w.Lost))
	if !kind.Logged() {
		why = fmt.Sprintf("%s stands by for %s again; %s", c, active, noLog(kind))
	}
	return events.Notice{
		Type: events.NoticeRestored, Group: r.Group, Region: c.Region, Cluster: c.Cluster, Epoch: r.Epoch, Operation: w.ID, By: w.By, Rule: ruleRestored, Report: w, Why: why,
	}
}

// noted is what the record keeps of a restore that is done.
func noted(w *events.Operation) *events.Operation {
	c := *w
	if c.Lost != nil {
		c.Lost = shorter(c.Lost)
	}
	return &c
}
