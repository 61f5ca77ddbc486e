package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
)

// Server is one server of the hub: its region and where clients reach it, as in nats://host:4222 or tls://host:4222.
type Server struct{ Region, URL string }

// Options say how to reach the hub.
type Options struct {
	Servers    []Server              // every server of the hub, nearest first; regions are unique
	Name       string                // shown in the servers' connection lists
	TLS        *tls.Config           // nil = as the URLs say, with the system's roots
	NKey       string                // path of an nkey seed file; empty = none
	Inbox      string                // prefix of reply subjects, for permissions; empty = _INBOX
	Log        *slog.Logger          // nil = discard
	Registerer prometheus.Registerer // nil = unregistered
}

// NATS is the real Bus: one connection per hub server, so that no server, dead or black-holed, delays another's lane.
type NATS struct {
	conns   []*conn // nearest first
	log     *slog.Logger
	metrics *Metrics
	move    chan struct{} // wakes the goroutine that places subscriptions
	quit    context.CancelFunc
	running sync.WaitGroup
	turn    atomic.Uint32 // whose turn it is to be read

	mu   sync.Mutex
	subs []*subscription
}

var (
	_ Bus  = (*NATS)(nil)
	_ Door = (*NATS)(nil)
)

// Connect starts a connection to every server and returns when each was tried once, or when ctx ends. Servers that can't be reached are
// tried for ever; only impossible options are an error.
func Connect(ctx context.Context, o Options) (*NATS, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	base, err := o.natsOptions()
	if err != nil {
		return nil, err
	}
	run, quit := context.WithCancel(context.Background())
	n := &NATS{log: o.Log, metrics: NewMetrics(o.Registerer), move: make(chan struct{}, 1), quit: quit}
	seen := map[string]bool{}
	for _, s := range o.Servers {
		if err := events.CheckName("hub region", s.Region); err != nil {
			quit()
			return nil, err
		}
		if seen[s.Region] {
			quit()
			return nil, fmt.Errorf("hub region %s is listed twice: want one server per region", s.Region)
		}
		seen[s.Region] = true
		n.metrics.connected.WithLabelValues(s.Region).Set(0)
		n.conns = append(n.conns, &conn{
			server: s, log: o.Log, metrics: n.metrics, moved: func() { signal(n.move) }, first: make(chan struct{}),
			denied: map[string]string{}, flights: map[*flight]struct{}{},
		})
	}
	if len(n.conns) == 0 {
		quit()
		return nil, fmt.Errorf("no hub server is given: want at least one region and URL")
	}
	n.running.Go(func() { n.place(run) })
	return n, n.dial(ctx, base)
}

// dial tries every server at once.
func (n *NATS) dial(ctx context.Context, base []nats.Option) error {
	tried := make(chan error, len(n.conns))
	for _, c := range n.conns {
		go func() {
			connected, err := c.dial(base)
			if connected {
				select { // its callback is on its way
				case <-c.first:
				case <-ctx.Done():
				}
			}
			tried <- err
		}()
	}
	for range n.conns {
		select {
		case err := <-tried:
			if err != nil {
				n.Close()
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (o Options) natsOptions() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(o.Name), nats.IgnoreDiscoveredServers(), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(pingsOut),
		nats.Timeout(connectTimeout), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait/2, reconnectWait/2),
		nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(),
	}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	if o.Inbox != "" {
		opts = append(opts, nats.CustomInboxPrefix(o.Inbox))
	}
	if o.NKey != "" {
		key, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("read nkey seed file %s: %w", o.NKey, err)
		}
		opts = append(opts, key)
	}
	return opts, nil
}

// Close gives up every connection. Calls under way fail with ErrUnknown.
func (n *NATS) Close() {
	n.quit()
	var closing sync.WaitGroup
	for _, c := range n.conns {
		c.mu.Lock()
		nc := c.nc
		c.mu.Unlock()
		if nc != nil {
			closing.Go(nc.Close)
		}
	}
	closing.Wait()
	n.running.Wait()
}

// Regions tells which hub regions answer now.
func (n *NATS) Regions() map[string]bool {
	out := make(map[string]bool, len(n.conns))
	for _, c := range n.conns {
		out[c.server.Region] = c.isUp()
	}
	return out
}

// healthy are the connections that are up, nearest first, those in doubt last; the error says why there is none.
func (n *NATS) healthy() ([]*conn, error) {
	var up, doubted []*conn
	err := ErrUnavailable
	now := time.Now()
	for _, c := range n.conns {
		c.mu.Lock()
		switch {
		case c.up && c.doubted.After(now):
			doubted = append(doubted, c)
		case c.up:
			up = append(up, c)
		case c.refused != nil:
			err = fmt.Errorf("%w: %w", ErrDenied, c.refused)
		}
		c.mu.Unlock()
	}
	if up = append(up, doubted...); len(up) == 0 {
		return nil, fmt.Errorf("no hub server is connected: %w", err)
	}
	return up, nil
}

// first does a call on the first connection that has a way for it: it goes to the next only when it certainly never left.
func (n *NATS) first(call func(*conn) error) error {
	up, err := n.healthy()
	for _, c := range up {
		if err = call(c); !errors.Is(err, ErrUnavailable) {
			break
		}
	}
	return err
}

// region finds the connection to one region's server.
func (n *NATS) region(name string) (*conn, error) {
	for _, c := range n.conns {
		if c.server.Region == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("hub region %q has no server in the configuration: %w", name, ErrUnavailable)
}
