package e2e_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// told waits for a notice of a group after the first skip ones.
func (p *play) told(skip int, g stage.Group, kind string, more func(events.Notice) bool) events.Notice {
	p.t.Helper()
	e, err := p.Bus().Wait(p.t.Context(), skip, serveLimit, func(n events.Notice) bool { return n.Type == kind && n.Group == g.Name && (more == nil || more(n)) })
	if err != nil {
		p.t.Fatalf("%s of %s: %v", kind, g.Name, err)
	}
	return e.Notice
}

// first waits for the first notice of a group that is of one of these types.
func (p *play) first(skip int, g stage.Group, kinds ...string) events.Notice {
	p.t.Helper()
	e, err := p.Bus().Wait(p.t.Context(), skip, serveLimit, func(n events.Notice) bool { return n.Group == g.Name && slices.Contains(kinds, n.Type) })
	if err != nil {
		p.t.Fatalf("%v of %s: %v", kinds, g.Name, err)
	}
	return e.Notice
}

// restored waits until a cluster of a group follows again and returns the report of its restore.
func (p *play) restored(skip int, g stage.Group, c events.Ref) *events.Operation {
	p.t.Helper()
	n := p.told(skip, g, events.NoticeRestored, func(n events.Notice) bool { return n.Cluster == c.Cluster })
	if n.Report == nil {
		p.t.Fatalf("%s was restored without a report: %+v", c, n)
	}
	p.t.Logf("%s: %s %s, %d B fetched, lost %s", g.Name, c, n.Report.How, n.Report.Copied, lostText(n.Report.Lost))
	return n.Report
}

func lostText(l *events.LostLog) string {
	if l == nil {
		return "not counted"
	}
	return fmt.Sprintf("%d commits (%d of our own), %d B from %v, listed %d %s", l.Commits, l.Own, l.Bytes, l.From, len(l.List), l.Unread)
}

// protected waits until the last move of a group is over: its report has both clocks.
func (p *play) protected(skip int, g stage.Group) *events.Operation {
	p.t.Helper()
	n := p.told(skip, g, events.NoticeProtected, nil)
	if n.Report == nil || n.Operation != n.Report.ID || n.Report.Protected <= 0 || n.Report.Serving <= 0 {
		p.t.Fatalf("%s is protected without a report that says since when: %+v", g.Name, n)
	}
	return n.Report
}

// books compares what the writers miss after a failover, one by one, with what was counted before the old side was made to follow, and both with the report of the failover.
func (p *play) books(g stage.Group, story stage.Story, said, failover *events.Operation) []stage.Write {
	p.t.Helper()
	log := p.writers.Log()
	rows, err := p.Server(p.view(g.Name).Active()).Rows(p.t.Context())
	p.do(err)
	a := stage.CompareLost(story, log, rows, said.Lost)
	for _, b := range a.Bad {
		p.t.Error(b)
	}
	p.t.Logf("%s: the writers miss %d acknowledged writes, %d more are in doubt", g.Name, len(a.Lost), len(a.Doubt))
	if l := said.Lost; l != nil && failover != nil {
		if failover.Lost == nil || failover.Lost.Commits != l.Commits || failover.Loss == nil || !failover.Loss.Exact {
			p.t.Errorf("%s: the failover's report says of its loss: %+v, %+v; want the exact count, %d", g.Name, failover.Lost, failover.Loss, l.Commits)
		}
	}
	return a.Lost
}

// failback brings groups home and waits until each is.
func (p *play) failback(groups ...stage.Group) {
	p.t.Helper()
	for _, g := range groups {
		p.do(p.insist(events.AskFailback, g, "home-"+g.Name, ""))
	}
	p.atHome(groups...)
}

// bringHome does so where a failback may be given up because something died: then a person asks again. It returns how often.
func (p *play) bringHome(g stage.Group) (again int) {
	p.t.Helper()
	p.wait(g.Name+" is home", func() error {
		v, err := p.Bus().Group(p.t.Context(), g.Name)
		if err != nil {
			return err
		}
		why := v.Home()
		if why == "" {
			return nil
		}
		if !v.Record.Running() && v.Record.Next == nil && v.Cluster(g.Primary()).Op == "" { // nothing is under way
			verb := events.AskFailback
			if v.Active() == g.Primary() {
				verb = events.AskRestore // of what was its active meanwhile
			}
			a, err := p.Bus().Ask(p.t.Context(), "alice", verb, fmt.Sprintf(`{"group":"%s"}`, g.Name))
			if err == nil && a.Accepted {
				again++
				p.t.Logf("%s: %s asked again: %s", g.Name, verb, why)
			}
		}
		return errors.New(why)
	})
	return again
}

// atHome waits until groups are home; if they are not, it tells what was heard of them last.
func (p *play) atHome(groups ...stage.Group) {
	p.t.Helper()
	err := p.WaitHome(serveLimit, groups...)
	if err == nil {
		return
	}
	p.t.Error(err)
	all, _ := p.Bus().Events()
	for _, e := range all[max(0, len(all)-40):] {
		if slices.ContainsFunc(groups, func(g stage.Group) bool { return g.Name == e.Notice.Group }) {
			p.t.Logf("  %s %s %s %s: %s", e.Envelope.Time.Format("05.000"), e.Notice.Type, e.Notice.Operation, e.Notice.Rule, e.Notice.Why)
		}
	}
	p.t.FailNow()
}

// course audits everything since an instant: who acknowledged when, one after the other, and that all of it is on the active now.
func (p *play) course(g stage.Group, since stage.Instant, lost []stage.Write, want ...events.Ref) stage.Course {
	p.t.Helper()
	p.wait(g.Name+" is written to where it was moved last", func() error {
		for _, x := range p.acks(g.Name, want[len(want)-1], stage.Clock()-stage.Instant(time.Second)) {
			if x.Writer == stage.OutsideWriter {
				return nil
			}
		}
		return errNotYet
	})
	log := p.writers.Log()
	rows, err := p.Server(p.view(g.Name).Active()).Rows(p.t.Context())
	p.do(err)
	c := stage.FollowCourse(g.Name, log, since, rows)
	for _, b := range c.Check(lost, want...) {
		p.t.Error(b)
	}
	if len(c.Gaps) < 5 {
		for _, gap := range c.Gaps {
			p.t.Logf("%s: %s → %s, writes stood still for %v, seen from outside %v", g.Name, gap.From, gap.To, gap.All, gap.Outside)
		}
	}
	return c
}

// insist asks until it is accepted; ids are of this ask alone.
func (p *play) insist(verb string, g stage.Group, id, more string) error {
	id = fmt.Sprintf("%s/%d", id, p.asked.Add(1))
	return p.Bus().Insist(p.t.Context(), serveLimit, verb, g.Name, id, more, func(why string) { p.t.Logf("%s: %s refused, asking anew: %s", g.Name, verb, why) })
}

// refused asks for something that must be refused with a reason that names something, and that changes nothing.
func (p *play) refused(verb string, g stage.Group, names ...string) {
	p.t.Helper()
	before := p.view(g.Name).Record.Epoch
	a, err := p.Bus().Ask(p.shortly(), "alice", verb, fmt.Sprintf(`{"group":"%s"}`, g.Name))
	p.do(err)
	has := len(names) == 0
	for _, n := range names {
		has = has || strings.Contains(a.Why, n)
	}
	if a.Accepted || a.Why == "" || len(a.Items) != 1 || a.Items[0].Rule == "" || !has {
		p.t.Errorf("%s of %s: %+v; want a refusal that names one of %q", verb, g.Name, a, names)
	}
	p.t.Logf("%s of %s: %s", verb, g.Name, a.Why)
	if v := p.view(g.Name); v.Record.Epoch != before || v.Record.Running() {
		p.t.Errorf("%s of %s was refused and changed the record: %+v", verb, g.Name, v.Record)
	}
}

// readOnly says whether a server that was started around every gate can be written to: nil if it runs and can't.
func readOnly(p *play, v *stage.Server) error {
	rows, err := v.SQL(p.shortly(), "SELECT pg_is_in_recovery()")
	switch {
	case err == nil && rows[0][0] == "t":
		return nil
	case err == nil:
		p.t.Fatalf("%s is writable", v.Ref)
	case strings.Contains(err.Error(), "starting up") || strings.Contains(err.Error(), "not yet accepting") || strings.Contains(err.Error(), "not accepting"):
		return nil // it runs, in recovery
	}
	return err
}
