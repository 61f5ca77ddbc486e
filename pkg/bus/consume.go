package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchback-dr/switchback/events"
)

// A consumer's durations and sizes.
const (
	pullHeartbeat = 500 * time.Millisecond // two missed = the pull is set up anew (facts: nats §5)
	pullExpiry    = 5 * time.Second
	prefetch      = 64
	ackWait       = 5 * time.Second // a message given to a reader that died is given to another one after this
	ackProgress   = time.Second     // how often we say that we are still at it
	setupTimeout  = 2 * time.Second
)

var errLostPlace = errors.New("deliveries were lost or went to another reader")

// Consume hands every message of a stream to f, in order, by a durable pull consumer, and acknowledges it when f returns nil. It lives on one
// connection and is set up anew, from the first message not acknowledged, whenever that one drops, falls silent or a delivery is missing.
// There should be one reader per durable; two share its messages and lose their order.
func (n *NATS) Consume(ctx context.Context, stream, name string, f func(context.Context, Message) error) error {
	for ctx.Err() == nil {
		up, err := n.healthy()
		if err == nil {
			err = n.consumeOn(ctx, up[0], stream, name, f)
		}
		if ctx.Err() != nil {
			break
		}
		n.log.Warn("consumer is set up anew", "stream", stream, "consumer", name, "err", err)
		select {
		case <-time.After(retryWait):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// consumeOn reads on one connection until something is wrong with it.
func (n *NATS) consumeOn(ctx context.Context, c *conn, stream, name string, f func(context.Context, Message) error) error {
	it, err := c.open(ctx, stream, name)
	if err != nil {
		return err
	}
	defer func() { go it.Stop() }() // may block in the lock of a dead connection
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	next := make(chan delivery)
	reading, done := context.WithCancel(ctx)
	defer done()
	go read(reading, it, next)
	var place uint64    // the consumer's count of the last delivery
	var last events.Seq // of the last message f was done with
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-gone:
			return fmt.Errorf("hub region %s: the connection dropped", c.server.Region)
		case d := <-next:
			if d.err != nil {
				return fmt.Errorf("read the next message: %w", d.err)
			}
			meta, err := d.msg.Metadata()
			if err != nil {
				return fmt.Errorf("read where a message stands: %w", err)
			}
			if place != 0 && meta.Sequence.Consumer != place+1 {
				return errLostPlace
			}
			place = meta.Sequence.Consumer
			if seq := events.Seq(meta.Sequence.Stream); seq > last { // else a copy of one we took long over
				if err := handle(ctx, gone, d.msg, seq, f); err != nil {
					return err
				}
				last = seq
			}
			if err := d.msg.Ack(); err != nil {
				return fmt.Errorf("acknowledge: %w", err)
			}
		}
	}
}

type delivery struct {
	msg jetstream.Msg
	err error
}

// read carries messages from the iterator, which knows no context, to a channel.
func read(ctx context.Context, it jetstream.MessagesContext, next chan<- delivery) {
	for {
		msg, err := it.Next(jetstream.NextContext(ctx))
		select {
		case next <- delivery{msg, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// open makes sure of the durable, puts it back to the first message not acknowledged (what another reader was given and never acknowledged comes
// first, at once and in order), and begins to pull.
func (c *conn) open(ctx context.Context, stream, name string) (jetstream.MessagesContext, error) {
	c.mu.Lock()
	js := c.js
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	consumer, err := js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: 4 * prefetch,
		DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return nil, fmt.Errorf("create consumer: %w", err)
	}
	if _, err := js.ResetConsumer(ctx, stream, name); err != nil {
		return nil, fmt.Errorf("put consumer back to its first open message: %w", err)
	}
	it, err := consumer.Messages(jetstream.PullMaxMessages(prefetch), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return nil, fmt.Errorf("pull: %w", err)
	}
	return it, nil
}

// handle calls f until it returns nil, and keeps the server from giving the message to anybody else meanwhile.
func handle(ctx context.Context, gone <-chan struct{}, m jetstream.Msg, seq events.Seq, f func(context.Context, Message) error) error {
	working, done := context.WithCancel(ctx)
	defer done()
	go func() {
		tick := time.NewTicker(ackProgress)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = m.InProgress()
			case <-gone:
				return
			case <-working.Done():
				return
			}
		}
	}()
	for {
		err := f(ctx, Message{Subject: m.Subject(), Seq: seq, Data: m.Data()})
		if err == nil {
			return nil
		}
		select {
		case <-time.After(retryWait):
		case <-gone:
			return fmt.Errorf("the connection dropped while message %d was refused: %w", seq, err)
		case <-ctx.Done():
			_ = m.Nak() // the next reader, which may be there already, gets it at once instead of after ackWait
			return ctx.Err()
		}
	}
}
