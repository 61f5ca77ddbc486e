package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Client is one party's Bus on a Memory, with the faults of its own way to the hub.
type Client struct {
	memory *Memory
	ways   map[string]*way // by hub region; guarded by memory.mu
	fate   func(Out) Fate
	late   [][]Out
}

var (
	_ Bus  = (*Client)(nil)
	_ Door = (*Client)(nil)
)

// way is the connection of one client to one server.
type way struct {
	cut     bool
	up      bool
	slow    time.Duration
	gone    chan struct{} // closed when the way goes down
	watched []chan struct{}
}

// settle makes a way what its server and its cut say, and tells those who wait. Called with the memory's lock.
func (c *Client) settle(region string) {
	w := c.ways[region]
	if w == nil || w.up == (!w.cut && !c.memory.down[region]) {
		return
	}
	w.up = !w.up
	if w.up {
		w.gone = make(chan struct{})
	} else {
		close(w.gone)
	}
	for _, ch := range w.watched {
		signal(ch)
	}
}

// nearest is the first region that can be reached, "" for none. Called with the memory's lock.
func (c *Client) nearest() string {
	for _, r := range c.memory.regions {
		if c.ways[r].up {
			return r
		}
	}
	return ""
}

// reach finds the way to a region, or to the nearest for "".
func (c *Client) reach(region string) (w way, err error) {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	if region == "" {
		region = c.nearest()
	}
	if found := c.ways[region]; found != nil && found.up {
		return *found, nil
	}
	return way{}, fmt.Errorf("no way to hub region %q: %w", region, ErrUnavailable)
}

// Publish stores one message.
func (c *Client) Publish(ctx context.Context, m Out) (events.Seq, error) {
	return c.publish(ctx, "", []Out{m})
}

// Batch stores all or none.
func (c *Client) Batch(ctx context.Context, ms []Out) (events.Seq, error) {
	return c.publish(ctx, "", ms)
}

func (c *Client) publish(ctx context.Context, region string, ms []Out) (events.Seq, error) {
	if _, err := check(ms); err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("publish %s: %w: %w", ms[0].Subject, ErrUnavailable, ctx.Err())
	}
	w, err := c.reach(region)
	if err != nil {
		return 0, fmt.Errorf("publish %s: %w", ms[0].Subject, err)
	}
	fate := c.decide(ms)
	switch fate {
	case FateInFlight:
		return 0, fmt.Errorf("publish %s: %w", ms[0].Subject, ErrInFlight)
	case FateDenied:
		return 0, fmt.Errorf("publish %s: %w", ms[0].Subject, ErrDenied)
	case FateLost, FateLate:
		return 0, silence(ctx, w, ms[0].Subject)
	}
	type answer struct {
		seq events.Seq
		err error
	}
	answered := make(chan answer, 1)
	serve := func() {
		seq, err := c.memory.commit(ms)
		if fate == FateFair {
			answered <- answer{seq, err}
		}
	}
	if w.slow > 0 {
		time.AfterFunc(w.slow, serve)
	} else {
		serve()
	}
	select {
	case a := <-answered:
		return a.seq, a.err
	default:
	}
	select {
	case a := <-answered:
		return a.seq, a.err
	case <-w.gone:
	case <-ctx.Done():
	}
	return 0, fmt.Errorf("publish %s: %w", ms[0].Subject, ErrUnknown)
}

// silence waits as long as the caller does.
func silence(ctx context.Context, w way, subject string) error {
	select {
	case <-w.gone:
	case <-ctx.Done():
	}
	return fmt.Errorf("publish %s: %w", subject, ErrUnknown)
}

// Last reads the last message on a subject.
func (c *Client) Last(_ context.Context, stream, subject string) (*Message, error) {
	return c.last("", stream, subject)
}

func (c *Client) last(region, stream, subject string) (m *Message, err error) {
	if _, err := c.reach(region); err != nil {
		return nil, fmt.Errorf("read %s: %w", subject, err)
	}
	err = c.memory.read(stream, func(s *Store) (err error) { m, err = s.Last(stream, subject); return err })
	return m, err
}

// All reads the last message of every subject that matches.
func (c *Client) All(_ context.Context, stream, pattern string) (ms []Message, err error) {
	if _, err := c.reach(""); err != nil {
		return nil, fmt.Errorf("read %s: %w", pattern, err)
	}
	err = c.memory.read(stream, func(s *Store) (err error) { ms, err = s.All(stream, pattern); return err })
	return ms, err
}

// Regions tells which hub regions can be reached.
func (c *Client) Regions() map[string]bool {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	out := make(map[string]bool, len(c.ways))
	for r, w := range c.ways {
		out[r] = w.up
	}
	return out
}

// Lane returns the port to one acceptor.
func (c *Client) Lane(lane int, p events.LanePlace) Lane {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	l := &memoryLane{client: c, stream: events.LaneStream(lane, p.Generation), region: p.Region, changed: make(chan struct{}, 1)}
	if w := c.ways[p.Region]; w != nil {
		w.watched = append(w.watched, l.changed)
	}
	return l
}

type memoryLane struct {
	client         *Client
	stream, region string
	changed        chan struct{}
}

func (l *memoryLane) Publish(ctx context.Context, subject string, data []byte, last events.Seq) (events.Seq, error) {
	return l.client.publish(ctx, l.region, []Out{{Subject: subject, Data: data, Stream: l.stream, Last: &last}})
}

func (l *memoryLane) Last(_ context.Context, subject string) (*Message, error) {
	return l.client.last(l.region, l.stream, subject)
}

func (l *memoryLane) Changed() <-chan struct{} { return l.changed }

// signal wakes whoever waits on a channel of capacity one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
