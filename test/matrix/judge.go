package matrix

import (
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// account finds what each group lost, while the writers' log still tells of one move, and holds it against what the reports say.
func (s *scene) account() error {
	for _, g := range s.Groups() {
		e := s.act.ends[g.Name]
		log := s.log()
		rows, err := s.Server(e.view.Active()).RowsSince(s.ctx, s.act.began)
		if err != nil {
			return err
		}
		now, err := s.timeline(e.view.Active())
		if err != nil {
			return err
		}
		e.left, e.moved = stage.Clock(), int(now-s.act.timelines[g.Name])
		e.lost, e.told = missing(log, g.Name, s.act.began, rows), "-"
		if len(e.lost) == 0 {
			continue
		}
		if e.bad, err = s.untold(g, e); err != nil {
			return err
		}
		if e.told = "yes"; len(e.bad) > 0 {
			e.told = "no"
		}
	}
	return nil
}

// judge makes the results, when all are home again.
func (s *scene) judge() (all []Result, err error) {
	for _, p := range s.act.Planes {
		g := p.Group
		e := s.act.ends[g.Name]
		log := s.log() // before the rows: writers go on
		rows, err := s.Server(g.Primary()).RowsSince(s.ctx, s.act.began)
		if err != nil {
			return nil, err
		}
		now, err := s.timeline(g.Primary())
		if err != nil {
			return nil, err
		}
		writes := acks(log, g.Name, s.act.began)
		home := int(now-s.act.timelines[g.Name]) - e.moved
		dual := e.overlap(writes, home)
		e.dual = dual
		probed := e.overlap(heard(s.probes.Log()[s.act.probed:], g.Name, s.act.began), home)
		r := Result{
			Fault: s.act.Name, Plane: p.Name, End: Stayed, Told: e.told, Person: e.person, Bad: e.bad, Terms: s.terms(),
			Dual: events.Duration(dual.long), Late: dual.late, LateTCP: dual.tcp, Probed: events.Duration(probed.long),
			Pause: events.Duration(pause(writes, s.act.fault, e.whole)), RTO: events.Duration(elsewhere(writes, g.Primary(), s.act.fault)),
			Rejoin: events.Duration(max(0, e.whole.Sub(s.act.mended))),
			Again:  max(0, e.asked-1),
			Home:   len(missing(log, g.Name, s.act.began, rows)) - len(e.lost),
		}
		r.Outside, r.Inside, r.After = split(e.lost, s.act.fault)
		if e.view.Active() != g.Primary() {
			r.End = Moved
		}
		if op := e.view.Record.Op; op != nil && op.Began.After(time.Now().Add(-stage.Clock().Sub(s.act.began))) {
			r.By, r.Ended = op.Rule, op.Ended
		}
		s.limits(&r, p, e, log)
		all = append(all, r)
	}
	return all, nil
}

// overlap looks at the time before a group was asked to go home and at that since, which have their own promotions: what a late answer is taken for depends on them.
func (e *end) overlap(all []answer, home int) twice {
	var before, since []answer
	for _, x := range all {
		if x.sent < e.left {
			before = append(before, x)
		}
		if x.came >= e.left {
			since = append(since, x)
		}
	}
	return overlap(before, e.moved).both(overlap(since, home))
}

// terms counts the changes of leader from the fault until shortly after its end: later the preferred controller takes over again.
func (s *scene) terms() (n int) {
	for _, x := range s.events() {
		if x.Notice.Type == events.NoticeLeader && x.At >= s.act.fault && x.At < s.act.mended+stage.Instant(thawLimit) {
			n++
		}
	}
	return n
}

// limits holds a result against what is expected.
func (s *scene) limits(r *Result, p *Plane, e *end, log []stage.Write) {
	f, w := &s.act.Fault, s.act.want(p)
	// Where a whole host stood still, what answers late is allowed if it does no harm (I1):
	// - The row is on the new active. Then the answer is true: the write was done before, by a server that had every right to, and everybody sees it. To its client it is one
	//   that was delayed on its way, as any network may; nothing done since is contradicted. So in sync, too, where I1 makes no exception: the passive had the row before it was
	//   cut. What is asked for after that waits for a passive that is gone, and is never answered: such an answer breaks I1 whether or not the row is there.
	// - The row is not there: in async it counts as lost, and the reports must list it. In sync nothing may be lost.
	switch e := e.dual; {
	case r.Dual > 0 && !(f.Paused && r.Told != "no"):
		r.bad("two servers acknowledged writes at once for %v", r.Dual)
	case e.late > 0 && p.sync() && e.sent > s.act.fault+stage.Instant(haltLimit):
		r.bad("in sync, a write that was sent %v after the fault was acknowledged by a server that another had replaced", e.sent.Sub(s.act.fault))
	}
	if p.Kernel && r.LateTCP > 0 {
		r.bad("%d answers left over TCP after another server took a write", r.LateTCP)
	}
	if w.Heard != "" && !slices.ContainsFunc(s.events(), func(x stage.Event) bool { return strings.Contains(x.Notice.Why, w.Heard) }) {
		r.bad("no event said %q", w.Heard)
	}
	if r.Probed > 0 && !f.Paused {
		r.bad("two servers said that they were writable at once for %v", r.Probed)
	}
	if op := e.view.Record.Op; len(e.lost) > 0 && lossless(op) {
		r.bad("%d acknowledged writes were lost in a planned move (%s)", len(e.lost), op.ID)
	}
	if e.view.Config.Replication == events.ReplicateSync && len(e.lost) > 0 {
		r.bad("%d acknowledged writes of a group in sync are gone", len(e.lost))
	}
	if r.Home != 0 {
		r.bad("%d acknowledged writes were lost on the way home", r.Home)
	}
	if w.End != Either && r.End != w.End {
		r.bad("it %s, want it to have %s (%s)", r.End, w.End, e.view.Why)
	}
	limit := w.Pause
	if limit == 0 {
		limit = f.Hold + thawLimit
	}
	if r.Pause.D() > limit {
		r.bad("nobody wrote for %v, want at most %v", r.Pause.D().Round(time.Millisecond), limit)
	}
	if r.Rejoin.D() > rejoinLimit {
		r.bad("whole again after %v, want at most %v", r.Rejoin.D().Round(time.Millisecond), rejoinLimit)
	}
	if r.Person != "" && r.Person != w.Hold {
		r.bad("a person had to ask for a %s, want %q", r.Person, w.Hold)
	}
	if f.Terms > 0 && r.Terms > f.Terms {
		r.bad("the leader changed %d times, want at most %d", r.Terms, f.Terms)
	}
	for _, x := range Writers {
		if n := written(log, p.Group.Name, x.Name); n == 0 && (x.At != Away || r.End == Moved) {
			r.bad("the writer %s was never heard", x.Name)
		}
	}
}

// lossless: the old active was stopped cleanly, and everything it had was promoted, says the operation.
func lossless(op *events.Operation) bool {
	return op != nil && op.Ended == "done" && op.Planned && op.Stopped != 0 && op.Proof != nil && op.Proof.Kind == events.ProofAck
}

// written counts what a writer got acknowledged.
func written(log []stage.Write, group, writer string) (n int) {
	for _, x := range log {
		if x.Group == group && x.Writer == writer && x.Acked != 0 {
			n++
		}
	}
	return n
}
