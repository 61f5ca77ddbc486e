package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchback-dr/switchback/events"
)

// subscription is one plain subscription. It lives on one connection at a time and moves on when that one drops; what is said meanwhile is
// missed, as at most once allows.
type subscription struct {
	pattern string
	f       func(Message)

	turn sync.Mutex // one message at a time, also while it moves

	mu      sync.Mutex
	on      *conn
	sub     *nats.Subscription
	stopped bool
}

// Send publishes a plain message by the nearest connection that is up.
func (n *NATS) Send(subject string, data []byte) error {
	err := n.first(func(c *conn) error {
		nc, _, f, err := c.link(subject)
		if err != nil {
			return err
		}
		c.landed(f, false)
		return classify(nc.Publish(subject, data))
	})
	if err != nil {
		return fmt.Errorf("send %s: %w", subject, err)
	}
	return nil
}

// Subscribe hands every plain message on pattern to f, one at a time in order, until stop is called. Without any connection it begins when
// one comes up.
func (n *NATS) Subscribe(pattern string, f func(Message)) (stop func(), err error) {
	s := &subscription{pattern: pattern, f: f}
	if err := n.first(s.settle); err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrDenied) {
		return nil, fmt.Errorf("subscribe %s: %w", pattern, err)
	}
	n.mu.Lock()
	n.subs = append(n.subs, s)
	n.mu.Unlock()
	signal(n.move) // for a connection that came or went meanwhile
	return func() {
		n.mu.Lock()
		n.subs = slices.DeleteFunc(n.subs, func(x *subscription) bool { return x == s })
		n.mu.Unlock()
		s.stop()
	}, nil
}

// settleFor is how long a nearer server must have been up before subscriptions go back to it: one that has just started has no routes to the others yet.
const settleFor = 3 * time.Second

// place moves subscriptions off connections that dropped, and back to the nearest server once that has been up for a while, until the bus is closed. One that stayed
// where it once had to go would hear nothing of a region that can't reach that server, though both reach the nearest one: routes have one hop.
func (n *NATS) place(ctx context.Context) {
	for {
		select {
		case <-n.move:
		case <-ctx.Done():
			return
		}
		n.mu.Lock()
		subs := slices.Clone(n.subs)
		n.mu.Unlock()
		up, err := n.healthy()
		if err != nil {
			continue // whatever comes up signals again
		}
		away := false
		for _, s := range subs {
			on := s.where()
			away = away || on != n.conns[0]
			if on != nil && slices.Contains(up, on) && !(n.nearer(up[0], on) && up[0].settled()) {
				continue
			}
			if err := s.settle(up[0]); err != nil {
				n.log.Warn("move subscription", "subject", s.pattern, "region", up[0].server.Region, "err", err)
				signal(n.move)
			}
		}
		if away {
			time.AfterFunc(settleFor, func() { signal(n.move) })
		}
	}
}

// settled reports whether a connection has been up for long enough.
func (c *conn) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up && time.Since(c.since) >= settleFor
}

// nearer reports whether a stands before b in the order of preference.
func (n *NATS) nearer(a, b *conn) bool { return slices.Index(n.conns, a) < slices.Index(n.conns, b) }

func (s *subscription) where() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// settle subscribes on a connection and gives the old one up.
func (s *subscription) settle(c *conn) error {
	nc, _, f, err := c.link()
	if err != nil {
		return err
	}
	c.landed(f, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.on == c {
		return nil
	}
	var own *nats.Subscription
	sub, err := nc.Subscribe(s.pattern, func(m *nats.Msg) {
		s.turn.Lock()
		defer s.turn.Unlock()
		s.mu.Lock()
		current := s.sub == own && !s.stopped
		s.mu.Unlock()
		if current {
			s.f(plain(m))
		}
	})
	if err != nil {
		return classify(err)
	}
	own = sub
	old := s.sub
	s.on, s.sub = c, sub
	go drop(old)
	_ = nc.FlushTimeout(connectTimeout) // so that what is published from here on by this server is heard
	return nil
}

func (s *subscription) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	go drop(s.sub)
}

// drop unsubscribes; it may block in the lock of a dead connection.
func drop(sub *nats.Subscription) {
	if sub != nil {
		_ = sub.Unsubscribe()
	}
}

// plain reads a message as a plain subscriber gets it. A republished one carries its sequence, in a header.
func plain(m *nats.Msg) Message {
	seq, _ := strconv.ParseUint(m.Header.Get(headerSeq), 10, 64)
	return Message{Subject: m.Subject, Seq: events.Seq(seq), Data: m.Data, Reply: m.Reply}
}

// Request sends a plain request by the nearest connection that has a way to somebody who serves it, and waits for one answer.
func (n *NATS) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	var answer *nats.Msg
	err := n.first(func(c *conn) (err error) {
		answer, err = c.ask(ctx, nil, &nats.Msg{Subject: subject, Data: data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", subject, err)
	}
	return answer.Data, nil
}
