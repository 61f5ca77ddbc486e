package drivertest

import (
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// restore makes it a follower of the source, as a real driver would: what only it has is counted before it goes.
func (f *Fake) restore(a driver.Action) events.Result {
	if f.server == events.ServerWritable {
		return refused("writable: a restore begins with a cluster that is fenced")
	}
	up := f.find(a.Source)
	if up == nil || up == f || up.frozen || up.server != events.ServerWritable {
		return events.Result{Outcome: events.Retry, Why: "source " + a.Source + " is not writable"}
	}
	before, known := f.restored[a.Step]
	if f.source == a.Source && f.pull() && !f.broken && (!a.Copy || known && before.How == "copied") {
		before.Outcome, before.Timeline, before.LSN = events.AlreadyDone, f.timeline, f.lsn
		return before
	}
	r := events.Result{Outcome: events.Done, How: "followed", Lost: before.Lost}
	if l := f.loss(up); !f.broken && l != nil {
		r.Lost = l
	}
	switch {
	case a.Copy || f.broken:
		r.How, r.Copied = "copied", int64(up.lsn-toyStart)
	case !up.continues(f.timeline, f.lsn):
		r.How, r.Copied = "rewound", int64(up.lsn-f.parting(up))
	}
	if f.restored == nil {
		f.restored = map[string]events.Result{}
	}
	f.restored[a.Step] = r
	if f.interrupted {
		f.interrupted, f.server, f.broken, f.writer = false, events.ServerDown, r.How != "followed", false
		return events.Result{Outcome: events.Unknown, Why: "the agent was killed"}
	}
	f.server, f.signal, f.source, f.cut, f.writer, f.broken = events.ServerRecovery, true, a.Source, false, false, false
	f.take(up)
	r.Timeline, r.LSN = f.timeline, f.lsn
	return r
}

func (f *Fake) find(address string) *Fake {
	for _, o := range f.net.all {
		if o.Address() == address {
			return o
		}
	}
	return nil
}

// parting is where its log leaves the other's.
func (f *Fake) parting(up *Fake) events.LSN {
	theirs := map[uint32]events.LSN{up.timeline: up.lsn}
	for _, x := range up.history {
		theirs[x.timeline] = x.at
	}
	mine := append(append([]fork(nil), f.history...), fork{f.timeline, f.lsn})
	for i := len(mine) - 1; i >= 0; i-- {
		if at, shared := theirs[mine[i].timeline]; shared {
			return min(at, mine[i].at)
		}
	}
	return toyStart
}

// loss is what only this cluster has, nil for a plain follower that has nothing of its own.
func (f *Fake) loss(up *Fake) *events.LostLog {
	at := f.parting(up)
	l := &events.LostLog{Timeline: f.timeline, From: at, To: at}
	if up.continues(f.timeline, f.lsn) {
		if !f.writer {
			return nil
		}
		return l
	}
	l.To = f.lsn
	l.Bytes = int64(l.To - l.From)
	for _, w := range f.writes {
		if w <= at {
			continue
		}
		l.Commits++
		if len(l.List) < events.LostListed {
			l.List = append(l.List, events.LostCommit{XID: uint64(w), LSN: w})
		}
	}
	return l
}

// release leaves it running without anything of ours.
func (f *Fake) release() events.Result {
	switch {
	case f.server == events.ServerDown:
		return refused("down: only a running cluster is released")
	case f.cut:
		return refused("cut: it would follow nobody")
	}
	r := done(f.released)
	f.released, f.mark, f.writer = true, "", f.server == events.ServerWritable
	f.signal = f.server == events.ServerRecovery
	f.order = events.SyncOrder{}
	return r
}
