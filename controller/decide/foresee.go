package decide

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// What a plan shows of a move before anybody asks for it.

// Target is where the ask in hand would move the group; zero if nothing is fit.
func (f *Facts) Target() events.Ref {
	switch f.Ask.Verb {
	case events.AskFailback, events.AskSwitchover, events.AskDrill:
		return f.swapTarget()
	}
	if t, _ := f.best(f.asked(), events.Ref{}); t != nil {
		return t.Cluster
	}
	return events.Ref{}
}

// Best is the cluster automation would promote; zero if nothing is fit.
func (f *Facts) Best() events.Ref {
	if t, _ := f.best(events.Ref{}, events.Ref{}); t != nil {
		return t.Cluster
	}
	return events.Ref{}
}

// HomeFailed reports whether a failback has to restore the home first, or to wait for its restore.
func (f *Facts) HomeFailed() bool { return f.homeFailed() }

// MayLose is what a failover to a cluster would lose now: nothing if the active can be stopped cleanly, else what it is known to lack; -1 = nobody can say, as of a kind
// without a log.
func (f *Facts) MayLose(to events.Ref) (bytes int64, behindBy time.Duration) {
	t := f.member(to)
	switch {
	case !f.logged():
		return -1, 0
	case f.active().Silent == 0 && f.active().Fresh:
		return 0, 0
	case f.Sent == 0 || t.Health.LSN == 0:
		return -1, 0
	}
	return behind(f.Sent, t.Health.LSN), t.Behind
}

// Spare reports whether a healthy passive is there once the group has moved to a cluster: another one, or after a swap the old active, which follows.
func (f *Facts) Spare(to events.Ref) bool {
	if f.Ask != nil && f.Ask.Verb != events.AskFailover {
		return true
	}
	for i := range f.Members {
		if c := &f.Members[i]; c.Cluster != to && c.Cluster != f.Record.Active && f.unfit(c) == "" {
			return true
		}
	}
	return false
}
