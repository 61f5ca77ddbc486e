package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// What is shown of a workflow: a DAG of twenty tasks between a first and a last one, killed while eight of them run.
const (
	demoDAG   = "nightly"
	demoTask  = 8 * time.Second
	demoAtOne = 8
	// workflowFor is how long a move may take with a workflow in the fleet: Airflow takes its time to begin, and its tasks theirs to end.
	workflowFor = 4 * time.Minute
)

// patience is how long a move may take before the demo gives up.
func (d *demo) patience() time.Duration {
	if d.options.Airflow != "" {
		return workflowFor
	}
	return followFor
}

// flows is the workflow group, if there is one.
func (d *demo) flows() (stage.Group, bool) {
	for _, g := range d.stage.Groups() {
		if g.Kind() == events.KindAirflow {
			return g, true
		}
	}
	return stage.Group{}, false
}

// atWest is how many groups are at home in the region that is struck.
func (d *demo) atWest() (n int) {
	for _, g := range d.stage.Groups() {
		if g.Home == stage.West {
			n++
		}
	}
	return n
}

// beginRun begins a run of the workflow and returns once it is in the middle.
func (d *demo) beginRun(ctx context.Context) error {
	g, there := d.flows()
	if !there {
		return nil
	}
	d.runs++
	d.run = fmt.Sprint("demo-", d.runs)
	w := d.stage.Workflow(g.Primary())
	err := d.follow(ctx, "have begun their run", func(ctx context.Context) ([]string, error) {
		if err := d.stage.Trigger(ctx, w, demoDAG, d.run, demoTask); err != nil {
			return []string{g.Name + ": " + err.Error()}, nil
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	err = d.follow(ctx, "are in the middle of their run", func(context.Context) ([]string, error) {
		open, done, err := d.stage.OpenTries(g.Name, d.run)
		if err == nil && len(open) < demoAtOne {
			return []string{fmt.Sprintf("%s: %d tasks run, %d are done", g.Name, len(open), done)}, nil
		}
		return nil, err
	})
	if err == nil {
		d.say("%s %s  run %s of DAG %s: %d tasks run at once", strings.Repeat(" ", 6), g.Name, d.run, demoDAG, demoAtOne)
	}
	return err
}

// unmoved are the groups at home in the region that was struck that nobody writes to and that are not served from elsewhere yet.
func (d *demo) unmoved(ctx context.Context) (missing []string) {
	all, _ := d.stage.Bus().Events()
	serves := map[string]bool{}
	for _, e := range all {
		if e.Notice.Type == events.NoticeServing && e.At > d.struck {
			serves[e.Notice.Group] = true
		}
	}
	for _, g := range d.stage.Groups() {
		if g.Home == stage.West && !g.Written() && !serves[g.Name] {
			missing = append(missing, d.why(ctx, g))
		}
	}
	return missing
}

// endRun follows the run of the workflow that was struck to its end and shows what became of each task.
func (d *demo) endRun(ctx context.Context) error {
	g, there := d.flows()
	if !there || d.run == "" {
		return nil
	}
	state := ""
	err := d.follow(ctx, "have ended their run", func(ctx context.Context) ([]string, error) {
		v, err := d.stage.Bus().Group(ctx, g.Database)
		if err != nil {
			return []string{g.Name + ": " + err.Error()}, nil
		}
		rows, err := d.stage.Server(v.Active()).SQLOf(ctx, "airflow", fmt.Sprintf("SELECT state FROM dag_run WHERE dag_id = '%s' AND run_id = '%s'", demoDAG, d.run))
		if err == nil && len(rows) == 1 {
			state = rows[0][0]
		}
		if state != "success" && state != "failed" {
			return []string{g.Name + ": its run is " + state}, nil
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	d.line(stage.Clock(), "%-12s run %s of DAG %s ended: %s", g.Name, d.run, demoDAG, state)
	d.run = ""
	if state != "success" {
		d.bad = append(d.bad, "a run of "+demoDAG+" ended "+state)
	}
	text, err := d.stage.Command(ctx, "tasks", "list", g.Name)
	d.say("> tasks list %s\n%s", g.Name, text)
	return err
}
