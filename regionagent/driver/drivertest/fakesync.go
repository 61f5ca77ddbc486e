package drivertest

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// sync has its commits wait. A toy's are seen at once.
func (f *Fake) sync(o *events.SyncOrder) events.Result {
	if f.server != events.ServerWritable {
		return events.Result{Outcome: events.Retry, Why: string(f.server) + ": only an active waits"}
	}
	for _, n := range o.Names {
		if !f.followed(n) && !f.waitsFor(n) {
			return events.Result{Outcome: events.Retry, Why: "nobody streams under the name " + n}
		}
	}
	r := done(f.order.Version == o.Version && len(o.Names) == 0)
	f.order = *o
	if len(o.Names) > 0 {
		r.LSN = f.lsn
	}
	return r
}

func (f *Fake) waitsFor(name string) bool {
	for _, n := range f.order.Names {
		if n == name {
			return true
		}
	}
	return false
}

// followed reports whether a cluster of that name has all it has.
func (f *Fake) followed(name string) bool {
	for _, o := range f.net.all {
		if o.ref.Cluster == name && o.source == f.Address() && o.pull() && o.lsn == f.lsn {
			return true
		}
	}
	return false
}

// waits names whom its commits wait for, "" = they are acknowledged.
func (f *Fake) waits() string {
	for _, n := range f.order.Names {
		if !f.followed(n) {
			return n
		}
	}
	return ""
}

func (f *Fake) lookSync(h *events.ClusterHealth) {
	if f.order.Version == 0 {
		return
	}
	h.Sync = &events.SyncHealth{Version: f.order.Version}
	if !h.CanaryOK {
		h.Sync.Waiting, h.Sync.At = time.Second, f.lsn
	}
	for _, n := range f.order.Names {
		s := events.SyncStandby{Name: n, Streaming: f.followed(n)}
		if s.Streaming {
			s.Flushed = f.lsn
		}
		h.Sync.Standbys = append(h.Sync.Standbys, s)
	}
}
