package lease

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// syncLimit bounds one try to see a sync order hold: whatever else is asked of the cluster waits for it.
const syncLimit = 2 * time.Second

// retrySync is how long an order that was not seen to hold is not tried again.
const retrySync = time.Second

// syncDue reports whether the order in force was not seen to hold yet. One that held and was found changed is not tried again: nobody knows what was acknowledged
// meanwhile, so only a new order, of which the record knows, mends it.
func (f *facts) syncDue() bool {
	if !f.active() || f.e.Sync == nil || f.c.server != events.ServerWritable || f.c.busy != None || !f.run || f.now < f.c.syncAt {
		return false
	}
	return f.e.SyncSeen.Version != f.e.Sync.Version
}

// synced takes the end of a try. Only the order in force counts: an older one may have been seen to hold just before it was replaced.
func (a *Agent) synced(now events.Instant, c *cluster, e *Entry, act Action, r events.Result) {
	if e == nil || e.Sync == nil || act.Sync == nil || e.Sync.Version != act.Sync.Version {
		return
	}
	c.syncAt = now.Add(retrySync)
	switch {
	case r.Outcome.OK():
		e.SyncSeen, a.dirty = events.SyncSeen{Version: act.Sync.Version, At: r.LSN}, true
	case r.Outcome == events.Refused:
		a.void(e)
	}
}

// syncing takes what a probe found in place: what held and does not any more is void, durably, before anything is done about it.
func (a *Agent) syncing(c *cluster, h events.ClusterHealth) {
	e := a.led.Find(c.ref)
	if e == nil || e.Sync == nil || h.Server != events.ServerWritable || h.Sync == nil || c.busy != None || e.SyncSeen.Version == 0 || e.SyncSeen.Void {
		return
	}
	if h.Sync.Foreign != "" || e.SyncSeen.Version == e.Sync.Version && h.Sync.Version != e.Sync.Version {
		a.void(e)
	}
}

// void says of the order in force that it does not hold, and of whatever held before.
func (a *Agent) void(e *Entry) {
	e.SyncSeen, a.dirty = events.SyncSeen{Version: e.Sync.Version, Void: true}, true
}
