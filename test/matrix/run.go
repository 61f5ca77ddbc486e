package matrix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/kernel"
	"github.com/switchback-dr/switchback/test/stage"
)

// Options say what to run.
type Options struct {
	Binary string
	Faults []Fault        // usually all of Faults
	Only   *regexp.Regexp // cells to play, by "fault / plane"; nil = all
	Say    func(string)   // is given every line as it comes
}

// settings let the archiver be slowed down without a restart.
const settings = "archive_mode = on\narchive_command = '/bin/true'\n"

// perStage is how many faults are played on one stage: the logs of the writers are read again and again.
const perStage = 25

// errNoKernel says that this machine can have no kernel lease.
var errNoKernel = errors.New("no kernel lease here")

// none says that the machine has not what a stage needs.
func none(err error) bool { return errors.Is(err, stage.ErrNoDisks) || errors.Is(err, errNoKernel) }

// runner plays on a stage until that is of no use any more.
type runner struct {
	Options
	scene  *scene
	need   Need
	keep   string
	played int
	report Report
}

// Run plays every cell and tells each as it is done. A fault that can't be played to its end is told and counted; the next one has a fresh stage.
func Run(ctx context.Context, o Options) Report {
	r := &runner{Options: o, report: Report{Began: time.Now()}}
	plays, skipped := Plan(o.Faults, o.Only)
	r.report.Skipped = skipped
	o.Say(Header())
	for _, p := range plays {
		if ctx.Err() != nil {
			break
		}
		r.play(ctx, p)
	}
	r.strike(false)
	r.report.Took = time.Since(r.report.Began).Round(time.Second).String()
	return r.report
}

func (r *runner) play(ctx context.Context, p Play) {
	if r.scene != nil && (r.need != p.Need || r.played >= perStage) {
		r.strike(false)
	}
	if r.scene == nil {
		err := r.raise(ctx, p.Need)
		if err != nil && !none(err) { // a machine that is busy for a minute may be so no more
			r.Say("  once more: " + err.Error())
			r.strike(false)
			err = r.raise(ctx, p.Need)
		}
		if err != nil {
			if none(err) {
				r.skip(p, err.Error())
				return
			}
			r.broken(fmt.Errorf("%s: %w", p.Name, err))
			return
		}
	}
	if why := cannot(&p.Fault, r.scene.CanIsolate()); why != "" {
		r.skip(p, why)
		return
	}
	results, err := r.scene.play(p)
	r.played++
	if err != nil {
		r.broken(err)
		return
	}
	for i := range results {
		r.Say(results[i].String())
	}
	r.report.Results = append(r.report.Results, results...)
}

func (r *runner) skip(p Play, why string) {
	for _, x := range p.Planes {
		r.report.Skipped = append(r.report.Skipped, Skip{Cell{p.Name, x.Name}, why})
	}
}

// broken tells of a fault that was not played to its end, and clears the stage.
func (r *runner) broken(err error) {
	r.report.Broken = append(r.report.Broken, err.Error())
	r.Say("BROKEN: " + err.Error())
	r.strike(true)
}

// raise builds a stage with writers and probes on it.
func (r *runner) raise(ctx context.Context, n Need) (err error) {
	if r.keep, err = os.MkdirTemp("", "sbmatrix-logs-"); err != nil {
		return err
	}
	s := &scene{ctx: ctx, planes: planesOn(n), say: func(format string, args ...any) { r.Say(fmt.Sprintf(format, args...)) }}
	lease := config.KernelOff
	if n.Kernel {
		if h := kernel.Check(); !h.Can() {
			return fmt.Errorf("%w: %v", errNoKernel, h.Why())
		}
		lease = config.KernelRequire
	}
	var groups []stage.Group
	for _, p := range s.planes {
		groups = append(groups, p.Group)
	}
	s.Stage, err = stage.Build(ctx, stage.Options{Binary: r.Binary, Groups: groups, Keep: r.keep, Settings: settings, Disks: n.Disks, Local: true, Kernel: lease})
	if err != nil {
		return err
	}
	r.scene, r.need, r.played = s, n, 0
	s.probes = s.StartProbes()
	s.writers, err = s.StartWriters()
	return err
}

// strike takes the stage down. Its logs are kept where something went wrong.
func (r *runner) strike(keep bool) {
	if r.scene != nil {
		if err := r.scene.Close(); err != nil {
			r.Say(err.Error())
		}
		r.scene = nil
	}
	if r.keep == "" {
		return
	}
	for i := range r.report.Results {
		keep = keep || len(r.report.Results[i].Bad) > 0
	}
	if keep {
		r.Say("logs of every process: " + r.keep)
	} else {
		os.RemoveAll(r.keep)
	}
	r.keep = ""
}
