package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	struck  stage.Instant // what the times of the story count from
	at      int           // events told so far
	fault   *fault        // what is done to the region now; nil = nothing
	served  map[string]stage.Judged
	lost    map[string][]stage.Write // of each group, over all of the story
	bad     []string                 // what must never be
	run     string                   // of the workflow, that is under way when its region is struck
	runs    int                      // so far
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
	faults = map[string]*fault{outage.name: &outage, isolate.name: &isolate}
)

const (
	target     = 4 * time.Second  // what the fast profile aims at, from the fault to the first acknowledged write
	followFor  = 60 * time.Second // how long a move may take before the demo gives up
	afterwards = 2 * time.Second  // how long the writers go on once everything serves again
	warmth     = 200              // acknowledged writes per group before the fault
)

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// line prints one line of the story with the seconds since the fault.
func (d *demo) line(at stage.Instant, format string, args ...any) {
	d.say("%04.1f s  "+format, append([]any{at.Sub(d.struck).Seconds()}, args...)...)
}

// build makes the fleet and its writers.
func (d *demo) build(ctx context.Context) (err error) {
	if d.stage, err = stage.Build(ctx, d.options); err != nil {
		return err
	}
	if d.writers, err = d.stage.StartWriters(); err != nil {
		return errors.Join(err, d.stage.Close())
	}
	d.struck, d.fault, d.bad = stage.Clock(), nil, nil
	d.served, d.lost = map[string]stage.Judged{}, map[string][]stage.Write{}
	d.skip()
	d.say("regions  %s (home)  %s (recovery)  %s (witness)", stage.West, stage.Central, stage.North)
	for _, g := range d.stage.Groups() {
		d.say("group    %-8s %-10s %s ACTIVE → %s passive", g.Name, g.Kind(), g.Home, g.Recovery().Region)
	}
	d.say("writers  for each group one in each region and one outside, every %v", stage.Every)
	return nil
}

// mine are the groups at home in the region that is struck that the writers write to.
func (d *demo) mine() (out []stage.Group) {
	for _, g := range d.stage.Groups() {
		if g.Home == stage.West && g.Written() {
			out = append(out, g)
		}
	}
	return out
}

// warm waits until every group has some acknowledged writes.
func (d *demo) warm(ctx context.Context) error {
	return d.follow(ctx, "have enough acknowledged writes", func(context.Context) (missing []string, err error) {
		count := map[string]int{}
		for _, x := range d.writers.Log() {
			if x.Acked != 0 {
				count[x.Group]++
			}
		}
		for _, g := range d.stage.Groups() {
			if n := count[g.Name]; n < warmth && g.Written() {
				missing = append(missing, fmt.Sprintf("%s: %d", g.Name, n))
			}
		}
		return missing, nil
	})
}

// strike takes the region away and follows until every group of it serves elsewhere.
func (d *demo) strike(ctx context.Context, f *fault) error {
	if err := d.warm(ctx); err != nil {
		return err
	}
	if err := d.beginRun(ctx); err != nil {
		return err
	}
	d.skip()
	d.struck, d.fault = stage.Clock(), f
	clear(d.served)
	err := f.strike(d.stage)
	d.line(d.struck, "%s %s", stage.West, f.says)
	if err != nil {
		return err
	}
	err = d.follow(ctx, "serve again", func(ctx context.Context) (missing []string, err error) {
		for _, g := range d.mine() {
			if _, ok := d.served[g.Name]; !ok {
				missing = append(missing, d.why(ctx, g))
			}
		}
		return append(missing, d.unmoved(ctx)...), nil
	})
	if err == nil {
		err = d.linger(ctx)
	}
	if err == nil {
		err = d.endRun(ctx)
	}
	return err
}

// linger lets the writers go on for a little and judges once more: a late write of the old side would be seen by now.
func (d *demo) linger(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(afterwards):
	}
	for _, g := range d.mine() {
		was, ok := d.served[g.Name]
		if !ok {
			continue
		}
		j, err := d.judge(ctx, g)
		if err != nil {
			return err
		}
		if outcome(was) != outcome(j) {
			d.line(stage.Clock(), "%-12s           %s", g.Name, outcome(j))
		}
		d.served[g.Name] = j
		d.bad = append(d.bad, j.Bad...)
	}
	return nil
}

// why is what the leader says of a group that is waited for.
func (d *demo) why(ctx context.Context, g stage.Group) string {
	v, err := d.stage.Bus().Group(ctx, g.Name)
	if err != nil {
		return g.Name + ": " + err.Error()
	}
	return g.Name + ": " + v.Why
}

// skip leaves out what the bus told until now.
func (d *demo) skip() {
	all, _ := d.stage.Bus().Events()
	d.at = len(all)
}

// follow tells what the bus tells until nothing is missing any more.
func (d *demo) follow(ctx context.Context, what string, missing func(context.Context) ([]string, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(d.patience())
	for {
		all, more := d.stage.Bus().Events()
		for ; d.at < len(all); d.at++ {
			d.tell(ctx, all[d.at])
		}
		left, err := missing(ctx)
		if len(left) == 0 && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(err, fmt.Errorf("after %v not all groups %s: %s", d.patience(), what, strings.Join(left, "; ")))
		}
		select {
		case <-more:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// group finds one of the fleet.
func (d *demo) group(name string) (stage.Group, bool) {
	for _, g := range d.stage.Groups() {
		if g.Name == name {
			return g, true
		}
	}
	return stage.Group{}, false
}

// planned reports whether an operation loses nothing by intent.
func planned(op *events.Operation) bool {
	return op != nil && (op.Verb == events.AskSwitchover || op.Verb == events.AskFailback)
}
