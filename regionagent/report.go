package regionagent

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// reporter publishes the newest report of each cluster until it is stored. Reports are cumulative: an older one that did not get through is not missed. Each
// publish expects the one before it, so that one whose answer was lost can't land late and stand over a newer one.
type reporter struct {
	a    *agent
	mu   sync.Mutex
	next map[events.Ref]events.Report
	told map[events.Ref]events.Report // the newest of each, to be told again where the stream lost it
	last map[events.Ref]events.Seq    // of the last report known to be stored; absent = to be read
	wake chan struct{}
	look chan struct{}
}

func newReporter(a *agent) *reporter {
	return &reporter{a: a, next: map[events.Ref]events.Report{}, told: map[events.Ref]events.Report{}, last: map[events.Ref]events.Seq{}, wake: make(chan struct{}, 1), look: make(chan struct{}, 1)}
}

func (r *reporter) put(x events.Report) {
	r.mu.Lock()
	r.next[x.Cluster], r.told[x.Cluster] = x, x
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// again has the reporter look at once whether what it told is still there.
func (r *reporter) again() {
	select {
	case r.look <- struct{}{}:
	default:
	}
}

// check puts back what the stream does not hold any more: it lost its disk, or was put back from a backup. A rebuilt record rests on these words.
func (r *reporter) check(ctx context.Context) {
	for _, c := range r.a.clusters {
		last, stored := r.last[c.ref]
		if !stored {
			continue
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		m, err := r.a.bus.Last(short, events.StreamReport, events.SubjectReport(r.a.ref, c.ref.Cluster))
		cancel()
		if err != nil || m != nil && m.Seq == last {
			continue // not known now, or there
		}
		r.a.log.Warn("a report is not on the bus any more: told again", "cluster", c.ref.String())
		delete(r.last, c.ref)
		r.mu.Lock()
		r.next[c.ref] = r.told[c.ref]
		r.mu.Unlock()
	}
}

func (r *reporter) run(ctx context.Context) {
	tick := time.NewTicker(r.a.d.ReRead)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-r.look:
			r.check(ctx)
		case <-tick.C:
			r.check(ctx)
		}
		for _, c := range r.a.clusters {
			for r.send(ctx, c.ref) != nil && ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		}
	}
}

// send publishes what is newest of one cluster, if anything is.
func (r *reporter) send(ctx context.Context, ref events.Ref) error {
	r.mu.Lock()
	x, ok := r.next[ref]
	r.mu.Unlock()
	if !ok {
		return nil
	}
	data, err := json.Marshal(x)
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	subject := events.SubjectReport(r.a.ref, ref.Cluster)
	last, known := r.last[ref]
	if !known {
		m, err := r.a.bus.Last(short, events.StreamReport, subject)
		if err != nil {
			return err
		}
		if m != nil {
			last = m.Seq
		}
	}
	seq, err := r.a.bus.Publish(short, bus.Out{Subject: subject, Data: data, Last: bus.LastIs(last)})
	if err != nil {
		delete(r.last, ref)
		r.a.log.Debug("report not stored yet", "cluster", ref.String(), telemetry.Err(err))
		return err
	}
	r.last[ref] = seq
	r.mu.Lock()
	if r.next[ref].No == x.No {
		delete(r.next, ref)
	}
	r.mu.Unlock()
	return nil
}
