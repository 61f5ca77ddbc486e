package drivertest

import (
	"context"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// act is one action under the network's lock.
func (f *Fake) act(ctx context.Context, a driver.Action) events.Result {
	if ctx.Err() != nil {
		return events.Result{Outcome: events.Unknown, Why: ctx.Err().Error()}
	}
	if f.frozen && a.Verb != driver.Mark {
		return refused("frozen: thaw or kill it first")
	}
	switch a.Verb {
	case driver.Start:
		return f.start(ctx, a.Permit)
	case driver.StartStandby:
		return f.startStandby(a.Source)
	case driver.Promote:
		return f.promote()
	case driver.Stop:
		return f.stop()
	case driver.Cut:
		return f.cutOff()
	case driver.Restore:
		return f.restore(a)
	case driver.Release:
		return f.release()
	case driver.Follow:
		return f.follow(a.Source)
	case driver.Checkpoint:
		return f.checkpoint()
	case driver.Sync:
		return f.sync(a.Sync)
	case driver.Mark:
		was := f.mark
		f.mark, f.released = a.Group, false
		return done(was == a.Group)
	}
	return refused("verb %q: a toy knows none such", a.Verb)
}

func done(already bool) events.Result {
	if already {
		return events.Result{Outcome: events.AlreadyDone}
	}
	return events.Result{Outcome: events.Done}
}

func (f *Fake) start(ctx context.Context, permit func(context.Context) error) events.Result {
	already := f.server == events.ServerWritable
	if f.broken {
		return refused("a restore was interrupted: its data is no server's")
	}
	if !already && !f.writer {
		return refused("its log was last written by somebody else (timeline %d)", f.timeline)
	}
	if !already && permit != nil {
		if err := permit(ctx); err != nil {
			return events.Result{Outcome: events.Retry, Why: err.Error()}
		}
	}
	f.server, f.writer, f.signal, f.source, f.cut = events.ServerWritable, true, true, "", false
	r := done(already)
	r.Timeline = f.timeline
	return r
}

func (f *Fake) startStandby(source string) events.Result {
	if f.server == events.ServerWritable {
		return refused("writable: stop it first")
	}
	if f.broken {
		return refused("a restore was interrupted: its data is no server's")
	}
	already := f.server == events.ServerRecovery && (source == "" || source == f.source && !f.cut)
	f.server, f.signal = events.ServerRecovery, true
	if source != "" {
		f.source, f.cut, f.writer = source, false, false
	}
	f.pull()
	return done(already)
}

func (f *Fake) promote() events.Result {
	switch f.server {
	case events.ServerDown:
		return refused("down: only a running standby is promoted")
	case events.ServerWritable:
		r := done(true)
		r.Timeline = f.timeline
		if n := len(f.history); n > 0 {
			r.LSN = f.history[n-1].at
		}
		return r
	}
	f.history = append(f.history, fork{f.timeline, f.lsn})
	r := events.Result{Outcome: events.Done, LSN: f.lsn, Timeline: f.timeline + 1}
	f.timeline++
	f.server, f.writer, f.signal, f.source, f.cut = events.ServerWritable, true, true, "", false
	f.order = events.SyncOrder{} // whoever it waited for before is nobody to it now
	return r
}

func (f *Fake) stop() events.Result {
	r := done(f.server == events.ServerDown)
	if f.server == events.ServerDown && !f.clean {
		return refused("down, but it was not stopped cleanly: nobody knows where its log ends")
	}
	if f.server == events.ServerWritable {
		f.lsn += toyShutdown
		f.push()
	}
	f.server, f.clean, f.signal = events.ServerDown, true, true
	r.LSN, r.Timeline = f.lsn, f.timeline
	return r
}

func (f *Fake) cutOff() events.Result {
	if f.server != events.ServerRecovery {
		return refused("%s: only a standby has a receiver to cut", f.server)
	}
	r := done(f.cut)
	f.pull() // what still arrives
	f.cut = true
	r.LSN, r.Replayed = f.lsn, f.lsn
	return r
}

func (f *Fake) follow(source string) events.Result {
	if f.server != events.ServerRecovery {
		return refused("%s: only a standby follows", f.server)
	}
	if source == "" {
		source = f.source
	}
	if source == "" {
		return refused("no source given, and it never followed one")
	}
	already := source == f.source && !f.cut
	f.source, f.cut, f.writer = source, false, false
	f.pull()
	return done(already)
}

func (f *Fake) checkpoint() events.Result {
	if f.server == events.ServerDown {
		return refused("down")
	}
	r := done(f.control == f.timeline)
	f.control, r.Timeline = f.timeline, f.timeline
	return r
}
