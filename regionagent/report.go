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
	last map[events.Ref]events.Seq // of the last report known to be stored; absent = to be read
	wake chan struct{}
}

func newReporter(a *agent) *reporter {
	return &reporter{a: a, next: map[events.Ref]events.Report{}, last: map[events.Ref]events.Seq{}, wake: make(chan struct{}, 1)}
}

func (r *reporter) put(x events.Report) {
	r.mu.Lock()
	r.next[x.Cluster] = x
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reporter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
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
