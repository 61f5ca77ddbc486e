package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// Events is the stream of what was told. *bus.NATS has it.
type Events interface {
	Since(ctx context.Context, stream, pattern string, from events.Seq, most int) ([]bus.Message, error)
	Newest(ctx context.Context, stream, pattern string) (events.Seq, error)
	All(ctx context.Context, stream, pattern string) ([]bus.Message, error)
	Subscribe(pattern string, f func(bus.Message)) (stop func(), err error)
}

const (
	eventPattern = events.Prefix + "event.>"
	ringSize     = 4096            // events kept for who follows; older ones are read from the stream
	pageSize     = 500             // messages read at once
	tailEvery    = time.Second     // how often the stream is read although nothing was heard
	readLimit    = 3 * time.Second // of one reading
)

// told is one event of the stream, whose sequence is its id to who follows: by it he goes on where he was, on any controller.
type told struct {
	seq events.Seq
	events.Envelope
	notice events.Notice
}

// tail follows the stream once for all who follow here. What is heard on the bus only wakes it: what it hands on it has read from the stream, in order and with sequences.
type tail struct {
	s *Server

	mu    sync.Mutex
	ring  []told // newest last
	next  events.Seq
	grown chan struct{} // closed when ring grows
}

func (t *tail) run(ctx context.Context) {
	wake := make(chan struct{}, 1)
	stop, err := t.s.o.Events.Subscribe(eventPattern, func(bus.Message) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.s.o.Log.Error("events are not heard at once", telemetry.Err(err)) // they are read every second all the same
	} else {
		defer stop()
	}
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		if err := t.read(ctx); err != nil && ctx.Err() == nil {
			t.s.o.Log.Debug("read events", telemetry.Err(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-tick.C:
		}
	}
}

// read takes in what the stream has more.
func (t *tail) read(parent context.Context) error {
	for {
		ctx, cancel := context.WithTimeout(parent, readLimit)
		next, err := t.begins(ctx)
		var ms []bus.Message
		if err == nil {
			ms, err = t.s.o.Events.Since(ctx, events.StreamEvents, eventPattern, next, pageSize)
		}
		cancel()
		if err != nil || len(ms) == 0 {
			return err
		}
		t.mu.Lock()
		for _, m := range ms {
			if e, ok := readTold(m); ok {
				t.ring = append(t.ring, e)
			}
			t.next = m.Seq + 1
		}
		if over := len(t.ring) - ringSize; over > 0 {
			t.ring = slices.Clone(t.ring[over:])
		}
		close(t.grown)
		t.grown = make(chan struct{})
		t.mu.Unlock()
	}
}

// begins is where to read on: at first after what there is now.
func (t *tail) begins(ctx context.Context) (events.Seq, error) {
	t.mu.Lock()
	next := t.next
	t.mu.Unlock()
	if next > 0 {
		return next, nil
	}
	newest, err := t.s.o.Events.Newest(ctx, events.StreamEvents, eventPattern)
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = newest + 1
	return t.next, nil
}

// after are the events after a sequence that are kept here, and what is closed when there are more. ok is false if some may be older than what is kept.
func (t *tail) after(seq events.Seq) (es []told, grown <-chan struct{}, next events.Seq, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seq+1 < t.next && (len(t.ring) == 0 || seq+1 < t.ring[0].seq) {
		return nil, t.grown, t.next, false
	}
	i, _ := slices.BinarySearchFunc(t.ring, seq+1, func(e told, s events.Seq) int { return int(e.seq) - int(s) })
	return t.ring[i:], t.grown, t.next, true
}

// readTold leaves out what is kept for other readers on the same stream: answers, which are no envelopes, and the copies that keep reports.
func readTold(m bus.Message) (e told, ok bool) {
	if strings.HasPrefix(m.Subject, events.SubjectOperation("")) {
		return e, false
	}
	if json.Unmarshal(m.Data, &e.Envelope) != nil || e.SpecVersion == "" {
		return e, false
	}
	e.seq = m.Seq
	return e, json.Unmarshal(e.Data, &e.notice) == nil
}
