package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// conn is the connection to one hub server and to no other. Whether it is up is kept here, from its callbacks: to ask nats.go may block
// in its lock for the connect timeout while it dials a black hole (facts: lanes §6).
type conn struct {
	server  Server
	log     *slog.Logger
	metrics *Metrics
	moved   func()        // tells the owner that the connection came or went
	first   chan struct{} // closed when it was up for the first time

	mu      sync.Mutex
	nc      *nats.Conn
	js      jetstream.JetStream
	name    string // of the server, once known
	up      bool
	since   time.Time     // of its last coming up
	gone    chan struct{} // closed when it goes down
	refused error         // why the server refuses to let us in at all
	doubted time.Time     // others are preferred until then, for it gave no answer in time
	denied  map[string]string
	flights map[*flight]struct{}
	watched []chan struct{}
}

// flight is a call under way; denied is closed when the server says that one of its subjects is forbidden.
type flight struct {
	subjects []string
	denied   chan struct{}
	once     sync.Once
}

// dial starts the connection and reports whether the first attempt went through; if not, nats.go goes on trying. Only impossible options fail.
func (c *conn) dial(base []nats.Option) (connected bool, err error) {
	opts := append(slices.Clone(base),
		nats.ConnectHandler(c.came), nats.ReconnectHandler(c.came),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.went(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.refusal(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.trouble(err) }),
		nats.ClosedHandler(func(*nats.Conn) { c.went(nil) }))
	nc, err := nats.Connect(c.server.URL, opts...)
	if err != nil {
		return false, fmt.Errorf("connect to hub region %s at %s: %w", c.server.Region, c.server.URL, err)
	}
	c.mu.Lock()
	c.nc = nc
	c.mu.Unlock()
	return nc.IsConnected(), nil
}

func (c *conn) came(nc *nats.Conn) {
	js, err := jetstream.New(nc)
	if err != nil {
		c.log.Error("open JetStream", "region", c.server.Region, "err", err)
		return
	}
	name := nc.ConnectedServerName()
	c.mu.Lock()
	if c.up {
		c.mu.Unlock()
		return
	}
	c.nc, c.js, c.name, c.up, c.since, c.gone, c.refused = nc, js, name, true, time.Now(), make(chan struct{}), nil
	for s := range c.denied { // subscriptions are made anew with the connection, so the server will say it again
		if strings.HasPrefix(s, denySubscribe) {
			delete(c.denied, s)
		}
	}
	c.turned(1)
	c.mu.Unlock()
	c.log.Info("hub server connected", "region", c.server.Region, "server", name)
	c.moved()
}

func (c *conn) went(err error) {
	c.mu.Lock()
	if !c.up {
		c.mu.Unlock()
		return
	}
	c.up = false
	close(c.gone)
	c.turned(0)
	c.mu.Unlock()
	c.log.Warn("hub server lost", "region", c.server.Region, "err", err)
	c.moved()
}

// turned tells those who watch. Called with the lock.
func (c *conn) turned(up float64) {
	c.metrics.connected.WithLabelValues(c.server.Region).Set(up)
	if up == 1 {
		select {
		case <-c.first:
		default:
			close(c.first)
		}
	}
	for _, ch := range c.watched {
		signal(ch)
	}
}

// link is the usable connection, its loss and its flight for a call on these subjects.
func (c *conn) link(subjects ...string) (nc *nats.Conn, gone <-chan struct{}, f *flight, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused != nil && !c.up {
		return nil, nil, nil, fmt.Errorf("hub region %s: %w: %w", c.server.Region, ErrDenied, c.refused)
	}
	if !c.up {
		return nil, nil, nil, fmt.Errorf("hub region %s: %w", c.server.Region, ErrUnavailable)
	}
	f = &flight{subjects: subjects, denied: make(chan struct{})}
	c.flights[f] = struct{}{}
	return c.nc, c.gone, f, nil
}

// landed ends a flight. One that was answered proves that its subjects are not forbidden (any more).
func (c *conn) landed(f *flight, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, f)
	if answered {
		for _, s := range f.subjects {
			delete(c.denied, denyPublish+s)
		}
	}
}

// ask sends messages and last a request, and waits for its answer: ErrUnavailable if it never left, ErrUnknown if no answer came, ErrDenied.
// It returns at once when the connection drops or ctx ends, even while nats.go is blocked; what is left behind ends by itself.
func (c *conn) ask(ctx context.Context, first []*nats.Msg, last *nats.Msg) (*nats.Msg, error) {
	subjects := make([]string, 0, len(first)+1)
	for _, m := range first {
		subjects = append(subjects, m.Subject)
	}
	nc, gone, f, err := c.link(append(subjects, last.Subject)...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		m   *nats.Msg
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		for _, m := range first {
			if err := nc.PublishMsg(m); err != nil {
				answered <- answer{nil, fmt.Errorf("%w: %w", ErrUnavailable, err)}
				return
			}
		}
		m, err := nc.RequestMsgWithContext(ctx, last)
		answered <- answer{m, classify(err)}
	}()
	var a answer
	select {
	case a = <-answered:
	case <-f.denied:
		a.err = ErrDenied
	case <-gone:
		a.err = fmt.Errorf("%w: the connection dropped", ErrUnknown)
	case <-ctx.Done():
		a.err = fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
	c.landed(f, a.err == nil)
	c.doubt(errors.Is(a.err, context.DeadlineExceeded))
	if a.err != nil {
		return nil, fmt.Errorf("hub region %s: %w", c.server.Region, a.err)
	}
	return a.m, nil
}

// classify says of an error of nats.go whether the request left.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrConnectionReconnecting):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrInvalidMsg):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

// doubt notes whether a call was answered in time. The server may be cut off from the rest of the hub, which no ping shows.
func (c *conn) doubt(late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted = time.Time{}
	if late {
		c.doubted = time.Now().Add(doubtFor)
	}
}

// watch returns a channel that is signalled whenever the connection comes or goes.
func (c *conn) watch() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan struct{}, 1)
	c.watched = append(c.watched, ch)
	return ch
}

// serverName is the name of the server, as known from the last time it was up.
func (c *conn) serverName() (name string, up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name, c.up
}

func (c *conn) isUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up
}

// The connection's durations (4-bus, Rules). A black hole is noticed after two unanswered pings.
const (
	pingInterval   = 250 * time.Millisecond
	pingsOut       = 2
	connectTimeout = 500 * time.Millisecond
	reconnectWait  = 50 * time.Millisecond
	doubtFor       = 10 * time.Second // a stream leader without its followers steps down within this
)
