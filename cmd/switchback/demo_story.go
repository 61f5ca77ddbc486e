package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// demo is one fleet being shown.
type demo struct {
	out     io.Writer
	options stage.Options
	stage   *stage.Stage
	writers *stage.Writers
	struck  stage.Instant
	heard   int // events before the fault
}

// fault is what is done to the home region.
type fault struct {
	name   string
	says   string
	strike func(*stage.Stage) error
	heal   func(*stage.Stage) error
}

var (
	outage = fault{
		"outage", "went dark: every process in it was killed",
		func(s *stage.Stage) error { return s.KillRegion(stage.West) }, func(s *stage.Stage) error { return s.StartRegion(stage.West) },
	}
	isolate = fault{
		"isolate", "is cut off from everybody; its databases and the writers beside them live on",
		func(s *stage.Stage) error { return s.Isolate(stage.West) }, func(s *stage.Stage) error { return s.Heal(stage.West) },
	}
)

const (
	target     = 4 * time.Second  // what the fast profile aims at, from the fault to the first acknowledged write
	followFor  = 30 * time.Second // how long a move may take before the demo gives up
	afterwards = 2 * time.Second  // how long the writers go on once everything serves again
	warmth     = 200              // acknowledged writes per group before the fault
)

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// build makes the fleet and its writers.
func (d *demo) build(ctx context.Context) (err error) {
	if d.stage, err = stage.Build(ctx, d.options); err != nil {
		return err
	}
	if d.writers, err = d.stage.StartWriters(); err != nil {
		return errors.Join(err, d.stage.Close())
	}
	d.say("regions  %s (home)  %s (recovery)  %s (witness)", stage.West, stage.Central, stage.North)
	for _, g := range d.stage.Groups() {
		d.say("group    %-8s postgres   %s ACTIVE → %s passive", g.Name, g.Home, g.Recovery().Region)
	}
	d.say("writers  for each group one in each region and one outside, every %v", stage.Every)
	return nil
}

// warm waits until every group has some acknowledged writes.
func (d *demo) warm(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(followFor); ; {
		count := map[string]int{}
		for _, x := range d.writers.Log() {
			if x.Acked != 0 {
				count[x.Group]++
			}
		}
		least := warmth
		for _, g := range d.stage.Groups() {
			least = min(least, count[g.Name])
		}
		if least == warmth {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the writers get nothing acknowledged: %v", count)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (d *demo) strike(f fault) error {
	all, _ := d.stage.Bus().Events()
	d.heard, d.struck = len(all), stage.Clock()
	err := f.strike(d.stage)
	d.line(d.struck, "%s %s", stage.West, f.says)
	return err
}

// line prints one line of the story with the seconds since the fault.
func (d *demo) line(at stage.Instant, format string, args ...any) {
	d.say("%04.1f s  "+format, append([]any{at.Sub(d.struck).Seconds()}, args...)...)
}

// follow prints what the bus tells until every group of the region serves again, and a little longer.
func (d *demo) follow(ctx context.Context, f fault) error {
	wait := map[string]bool{}
	for _, g := range d.stage.Groups() {
		if g.Home == stage.West {
			wait[g.Name] = true
		}
	}
	deadline := time.After(followFor)
	for at := d.heard; len(wait) > 0; {
		all, more := d.stage.Bus().Events()
		for ; at < len(all); at++ {
			d.tell(ctx, all[at])
			if n := all[at].Notice; n.Type == events.NoticeServing {
				delete(wait, n.Group)
			}
		}
		if len(wait) == 0 {
			break
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("%d of the groups do not serve %v after the fault", len(wait), followFor)
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(afterwards):
		return nil
	}
}

// tell prints one notice, if it belongs to the story.
func (d *demo) tell(ctx context.Context, e stage.Event) {
	n := e.Notice
	switch n.Type {
	case events.NoticeVerdict:
		verdict, why, _ := strings.Cut(n.Why, ": ")
		d.line(e.At, "%-12s %-8s  %s", n.Region, strings.Replace(verdict, "out", "OUT", 1), why)
	case events.NoticeFenced, events.NoticePromoted, events.NoticeAborted, events.NoticeFailed, events.NoticeAlarm:
		d.line(e.At, "%-12s %-8s  %s", cmp.Or(n.Group, n.Region, n.Agent), n.Type, n.Why)
	case events.NoticeServing:
		j, err := d.stage.Judge(ctx, n.Group, 0, d.struck, d.writers.Log(), nil)
		if err != nil {
			d.line(e.At, "%-12s SERVING   %v", n.Group, err)
			return
		}
		d.line(e.At, "%-12s SERVING   %s", n.Group, outcome(j))
	}
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

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// judge stops the writers, looks into the old servers too and says what is true. Two writers, or more lost than reported, is an error.
func (d *demo) judge(ctx context.Context, f fault) error {
	log, err := d.writers.Stop()
	if err != nil {
		return err
	}
	var all []stage.Judged
	judged := func(old map[string]map[stage.Row]bool) error {
		all = nil
		for _, g := range d.stage.Groups() {
			if g.Home != stage.West {
				continue
			}
			j, err := d.stage.Judge(ctx, g.Name, 0, d.struck, log, old[g.Name])
			if err != nil {
				return err
			}
			all = append(all, j)
		}
		return nil
	}
	if err := d.stage.KillRegion(stage.West); err != nil {
		return err
	}
	old, err := d.stage.ReadOld(ctx, stage.West)
	if err == nil {
		err = judged(old)
	}
	if err != nil {
		return err
	}
	d.say("audit    (writes counted when ReadyForQuery came; the old servers were opened read-only afterwards)")
	var bad []string
	for _, j := range all {
		d.say("  %-10s %s", j.Group, outcome(j))
		d.say("             first write acknowledged %.2f s after the fault (target %v); %s", j.Serving.Seconds(), target, lossLine(j))
		if f.name == isolate.name {
			d.say("             inside the cut region: %s", lastLine(j))
		}
		bad = append(bad, j.Bad...)
	}
	if len(bad) > 0 {
		return fmt.Errorf("this must never be:\n  %s", strings.Join(bad, "\n  "))
	}
	return nil
}

// lossLine says what the operation's report says, and what else the old server has.
func lossLine(j stage.Judged) string {
	said := "report: nobody can say what was lost"
	if l := j.Op.Loss; l != nil && l.Known {
		said = fmt.Sprintf("report: at least %d B, from the last %v", l.Bytes, l.Window.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s; %d rows are only on the old server", said, j.OldOnly)
}

// lastLine sets the last write the isolated side acknowledged against its guard's deadline: F after the last beat that was acknowledged, so at most F after the cut.
func lastLine(j stage.Judged) string {
	d, err := events.Profile("fast")
	if err != nil {
		return err.Error()
	}
	when := fmt.Sprintf("sent %.2f s after the cut", j.LastOld.Seconds())
	if j.LastOld < 0 {
		when = fmt.Sprintf("sent %.2f s before the cut", -j.LastOld.Seconds())
	}
	return fmt.Sprintf("its last acknowledged write was %s; its guard's deadline is at most %.2f s after it, frozen within %.2f s more", when, d.Run.Seconds(), d.Freeze.Seconds())
}
