// Package journal stores what the leader decides: batches fenced on its term, each all or nothing, and reads back what a new term starts from.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// ErrStale says that no server consulted has applied the term's own write yet: what it would read may be older than what an earlier leader stored.
var ErrStale = errors.New("the servers reached are behind this term")

// Journal is one controller's way to the record.
type Journal struct {
	bus     bus.Bus
	metrics *Metrics
}

// Metrics count what is stored.
type Metrics struct {
	batches *prometheus.CounterVec
	took    prometheus.Histogram
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_journal_batches_total", Help: "Batches of records and commands, by what became of them."}, []string{"result"}),
		took:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "switchback_journal_batch_seconds", Help: "How long a batch took to be stored.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
	}
	r.MustRegister(m.batches, m.took)
	return m
}

// New returns a journal over a bus.
func New(b bus.Bus, m *Metrics) *Journal { return &Journal{b, m} }

// Store stores one batch in a term: a message that carries the fence (a message has one condition, and a record needs it for its own revision), then the
// writes. It returns the sequence of the last. An error of bus.ErrUnknown means: end the term, nobody knows what is stored. Refusals that can pass
// (ErrInFlight, ErrUnavailable: nothing was stored) are tried again until ctx ends.
func (j *Journal) Store(ctx context.Context, term events.Seq, ws []fleet.Write) (events.Seq, error) {
	out := []bus.Out{fenced(term)}
	for _, w := range ws {
		data, err := json.Marshal(w.Payload)
		if err != nil {
			return 0, fmt.Errorf("encode %s: %w", w.Subject, err)
		}
		out = append(out, bus.Out{Subject: w.Subject, Data: data, Last: w.Last})
	}
	began := time.Now()
	seq, err := j.publish(ctx, out)
	j.metrics.took.Observe(time.Since(began).Seconds())
	result := "stored"
	switch {
	case errors.Is(err, bus.ErrFenced):
		result = "fenced"
	case errors.Is(err, bus.ErrWrongSequence):
		result = "conflict"
	case err != nil:
		result = "unknown"
	}
	j.metrics.batches.WithLabelValues(result).Inc()
	return seq, err
}

func (j *Journal) publish(ctx context.Context, out []bus.Out) (events.Seq, error) {
	for {
		seq, err := j.bus.Batch(ctx, out)
		if !errors.Is(err, bus.ErrInFlight) && !errors.Is(err, bus.ErrUnavailable) {
			return seq, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func fenced(term events.Seq) bus.Out {
	return bus.Out{Subject: events.SubjectLease, Fence: &bus.Fence{Subject: events.SubjectTerm, Seq: term}}
}

// renewTries is how many answers a renewal may miss before the term is given up. A renewal changes nothing but its own message, so repeating one whose answer
// is missing is harmless.
const renewTries = 3

// Renew prolongs a term, within limit.
func (j *Journal) Renew(ctx context.Context, term events.Seq, limit time.Duration) (err error) {
	for range renewTries {
		short, cancel := context.WithTimeout(ctx, limit/renewTries)
		_, err = j.publish(short, []bus.Out{fenced(term)})
		cancel()
		if err == nil || errors.Is(err, bus.ErrFenced) {
			return err
		}
	}
	return err
}

// Claim tries to begin a term, expecting the last one to be epoch. The sequence it returns is the term.
func (j *Journal) Claim(ctx context.Context, holder string, epoch events.Seq) (events.Seq, error) {
	data, err := json.Marshal(events.Term{Holder: holder})
	if err != nil {
		return 0, fmt.Errorf("encode term: %w", err)
	}
	return j.bus.Publish(ctx, bus.Out{Subject: events.SubjectTerm, Data: data, Last: bus.LastIs(epoch)})
}

// Poll reads who leads: last sequences of term and lease, and the holder. A hint: only a claim is sure.
func (j *Journal) Poll(ctx context.Context) (epoch, lease events.Seq, holder string, err error) {
	m, err := j.bus.Last(ctx, events.StreamState, events.SubjectTerm)
	if err != nil {
		return 0, 0, "", err
	}
	if m != nil {
		var t events.Term
		if err := json.Unmarshal(m.Data, &t); err != nil {
			return 0, 0, "", fmt.Errorf("read %s: %w", events.SubjectTerm, err)
		}
		epoch, holder = m.Seq, t.Holder
	}
	if m, err = j.bus.Last(ctx, events.StreamState, events.SubjectLease); err != nil {
		return 0, 0, "", err
	}
	if m != nil {
		lease = m.Seq
	}
	return epoch, lease, holder, nil
}
