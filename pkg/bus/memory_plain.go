package bus

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Send publishes a plain message.
func (c *Client) Send(subject string, data []byte) error {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	if c.nearest() == "" {
		return fmt.Errorf("send %s: %w", subject, ErrUnavailable)
	}
	c.memory.tell(Message{Subject: subject, Data: slices.Clone(data)})
	return nil
}

// Subscribe hands every plain message on pattern to f until stop is called.
func (c *Client) Subscribe(pattern string, f func(Message)) (stop func(), err error) {
	m := c.memory
	s := &memorySub{client: c, pattern: pattern, queue: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	m.mu.Lock()
	m.subs = append(m.subs, s)
	m.mu.Unlock()
	go func() {
		for {
			m.mu.Lock()
			waiting := s.waiting
			s.waiting = nil
			m.mu.Unlock()
			for _, msg := range waiting {
				if ctx.Err() != nil {
					return
				}
				f(msg)
			}
			select {
			case <-s.queue:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.subs = slices.DeleteFunc(m.subs, func(x *memorySub) bool { return x == s })
	}, nil
}

// Request sends a plain request and waits for one answer.
func (c *Client) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	w, err := c.reach("")
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", subject, err)
	}
	reply, answer, err := c.memory.ask(subject, slices.Clone(data))
	if err != nil {
		return nil, err
	}
	select {
	case data := <-answer:
		return data, nil
	case <-w.gone:
	case <-ctx.Done():
	}
	c.memory.mu.Lock()
	delete(c.memory.asked, reply)
	c.memory.mu.Unlock()
	return nil, fmt.Errorf("request %s: %w", subject, ErrUnknown)
}

// Serve answers requests on pattern until stop is called.
func (c *Client) Serve(_ Service, pattern string, f func(Message) []byte) (stop func(), err error) {
	m, d := c.memory, &memoryDoor{client: c, pattern: pattern, f: f}
	m.mu.Lock()
	m.doors = append(m.doors, d)
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.doors = slices.DeleteFunc(m.doors, func(x *memoryDoor) bool { return x == d })
	}, nil
}

// Consume hands every message of a stream to f, in order, and remembers under the durable's name how far it came.
func (c *Client) Consume(ctx context.Context, stream, name string, f func(context.Context, Message) error) error {
	d := c.memory.durable(stream, name)
	for ctx.Err() == nil {
		c.memory.mu.Lock()
		stored := c.memory.stored
		c.memory.mu.Unlock()
		select {
		case d.busy <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		found, err := c.step(ctx, stream, d, f)
		<-d.busy
		switch {
		case err != nil:
			select {
			case <-time.After(retryWait):
			case <-ctx.Done():
			}
		case !found:
			select {
			case <-stored:
			case <-ctx.Done():
			}
		}
	}
	return ctx.Err()
}

// step hands over one message, if there is one within reach.
func (c *Client) step(ctx context.Context, stream string, d *durable, f func(context.Context, Message) error) (found bool, err error) {
	if _, err := c.reach(""); err != nil {
		return false, nil // wait until something changes
	}
	var msg *Message
	err = c.memory.read(stream, func(s *Store) (err error) { msg, err = s.Next(stream, d.done); return err })
	if err != nil || msg == nil {
		return false, err
	}
	if err := f(ctx, *msg); err != nil {
		return false, err
	}
	d.done = msg.Seq
	return true, nil
}
