package bus

import (
	"context"
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// Lane returns the port to one acceptor, on the connection to its own server and on no other.
func (n *NATS) Lane(lane int, p events.LanePlace) Lane {
	l := &natsLane{n: n, stream: events.LaneStream(lane, p.Generation)}
	l.conn, l.err = n.region(p.Region)
	if l.conn != nil {
		l.changed = l.conn.watch()
	}
	return l
}

type natsLane struct {
	n       *NATS
	stream  string
	conn    *conn
	err     error // no such region
	changed chan struct{}
}

// Publish stores data on subject if its last sequence there is last.
func (l *natsLane) Publish(ctx context.Context, subject string, data []byte, last events.Seq) (seq events.Seq, err error) {
	if err = l.err; err == nil {
		seq, err = l.n.store(ctx, l.conn, []Out{{Subject: subject, Data: data, Stream: l.stream, Last: &last}}, -1)
	}
	if err != nil {
		return 0, fmt.Errorf("publish %s: %w", subject, err)
	}
	return seq, nil
}

// Last reads the last message on subject.
func (l *natsLane) Last(ctx context.Context, subject string) (m *Message, err error) {
	if err = l.err; err == nil {
		m, err = l.conn.get(ctx, l.stream, getRequest{Last: subject})
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", subject, err)
	}
	return m, nil
}

// Changed is signalled when the lane's connection comes or goes; nil for a region that has no server.
func (l *natsLane) Changed() <-chan struct{} { return l.changed }
