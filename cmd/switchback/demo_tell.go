package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// tell prints one notice, if it belongs to the story.
func (d *demo) tell(ctx context.Context, e stage.Event) {
	n := e.Notice
	switch n.Type {
	case events.NoticeVerdict:
		verdict, why, _ := strings.Cut(n.Why, ": ")
		d.line(e.At, "%-12s %-9s %s", n.Region, strings.Replace(verdict, "out", "OUT", 1), why)
	case events.NoticeFenced, events.NoticePromoted, events.NoticeAborted, events.NoticeFailed, events.NoticeAlarm, events.NoticeRestoring:
		d.line(e.At, "%-12s %-9s %s", cmp.Or(n.Group, n.Region, n.Agent), n.Type, n.Why)
	case events.NoticeServing:
		d.line(e.At, "%-12s SERVING   %s", n.Group, d.serves(ctx, n))
	case events.NoticeRestored:
		d.line(e.At, "%-12s RESTORED  %s", n.Group, d.restored(ctx, n))
	case events.NoticeProtected:
		d.line(e.At, "%-12s %s", n.Group, d.protected(ctx, n))
	}
}

// serves says what a move cost, once somebody serves again.
func (d *demo) serves(ctx context.Context, n events.Notice) string {
	g, ok := d.group(n.Group)
	if !ok || planned(n.Report) || !g.Written() {
		return n.Region
	}
	j, err := d.judge(ctx, g)
	if err != nil {
		return err.Error()
	}
	d.served[g.Name] = j
	return outcome(j)
}

// judge audits the failover of a group.
func (d *demo) judge(ctx context.Context, g stage.Group) (stage.Judged, error) {
	return d.stage.Judge(ctx, g.Name, d.stage.Era(g, g.Primary()), d.struck, d.writers.Log(), nil)
}

// outcome is what became of the writes.
func outcome(j stage.Judged) string {
	two := "never"
	if j.Both > 0 {
		two = fmt.Sprintf("FOR %v, from %.2f s on", j.Both, j.BothAt.Seconds())
	}
	cut := 0
	for _, x := range j.Lost {
		if x.Sent >= j.Fault && x.Writer == stage.West {
			cut++
		}
	}
	where := ""
	if cut > 0 {
		where = fmt.Sprintf(" (%s of them written inside %s after it was cut off)", thousands(cut), stage.West)
	}
	return fmt.Sprintf("lost %s of %s acknowledged writes%s; two writers at once: %s", thousands(len(j.Lost)), thousands(j.Acked), where, two)
}

// restored holds what a restore counted against what the writers miss, transaction by transaction.
func (d *demo) restored(ctx context.Context, n events.Notice) string {
	g, ok := d.group(n.Group)
	if !ok || n.Report == nil {
		return n.Why
	}
	done := fmt.Sprintf("%s %s, %s fetched in %.1f s", n.Report.To, n.Report.How, megabytes(n.Report.Copied), n.Report.Protected.Seconds())
	if !g.Written() || n.Report.Lost == nil && n.Report.How == "followed" {
		return done // it had nothing alone: what the writers miss, if anything, is told at the end
	}
	a, err := d.stage.Books(ctx, g, d.writers.Log(), n.Report)
	if err != nil {
		return done + "; " + err.Error()
	}
	d.bad = append(d.bad, a.Bad...)
	d.lost[g.Name] = append(d.lost[g.Name], a.Lost...)
	switch {
	case !a.Equal():
		return done + "; THE LIST OF WHAT WAS LOST IS WRONG: " + strings.Join(a.Bad, "; ")
	case a.Said.Commits == 0:
		return done + "; lost 0"
	}
	return done + "; " + losses(&a)
}

// losses lists what was lost, beside what the writers miss.
func losses(a *stage.LostAudit) string {
	var ids []string
	for i, c := range a.Said.List {
		if i == 4 && len(a.Said.List) > 5 {
			ids = append(ids, "…", fmt.Sprint(a.Said.List[len(a.Said.List)-1].XID))
			break
		}
		ids = append(ids, fmt.Sprint(c.XID))
	}
	unanswered := ""
	if n := a.Said.Commits - len(a.Lost); n > 0 {
		unanswered = fmt.Sprintf(" and %d more that got no answer", n)
	}
	return fmt.Sprintf("%s commits lost, listed: xid %s = the %s acknowledged writes that the writers miss%s",
		thousands(a.Said.Commits), strings.Join(ids, " "), thousands(len(a.Lost)), unanswered)
}

// protected ends a move: HOME if the group is where it belongs.
func (d *demo) protected(ctx context.Context, n events.Notice) string {
	g, ok := d.group(n.Group)
	if !ok || n.Report == nil || !planned(n.Report) {
		return "PROTECTED " + n.Why
	}
	word := "MOVED"
	if n.Report.To == g.Primary() {
		word = "HOME"
	}
	if !g.Written() {
		return fmt.Sprintf("%-9s %s ACTIVE, %s passive", word, n.Report.To.Region, n.Report.From.Region)
	}
	c, bad, err := d.stage.Course(ctx, g, d.writers.Log(), d.lost[g.Name])
	if err != nil {
		return err.Error()
	}
	pause := "unknown"
	if len(c.Gaps) > 0 {
		pause = seconds(c.Gaps[len(c.Gaps)-1].Outside)
	}
	return fmt.Sprintf("%-9s %s ACTIVE, %s passive, lost %d, write pause %s", word, n.Report.To.Region, n.Report.From.Region, len(c.Unexcused(d.lost[g.Name])), pause) + exclaim(bad)
}

func exclaim(bad []string) string {
	if len(bad) == 0 {
		return ""
	}
	return "; THIS MUST NEVER BE: " + strings.Join(bad, "; ")
}

func seconds(t time.Duration) string {
	if t < 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.2f s", t.Seconds())
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
