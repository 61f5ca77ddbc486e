package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// ErrDown says that the connection to the guard has ended.
var ErrDown = errors.New("guard is down")

// Held is what the guard holds for one cluster from before this connection (A8).
type Held struct {
	Cluster string
	Until   events.Instant // on this host's boot clock; counted from before the hello was sent, so never later than what the guard holds. Past: nothing
	Fence   lease.Fence
}

// State is a fence that changed.
type State struct {
	Cluster string
	Fence   lease.Fence // FenceNone: let go
	Why     string
}

// Client is an agent's connection to its guard. Safe for concurrent use.
type Client struct {
	// Held is what the guard held when it answered the hello.
	Held []Held

	conn    net.Conn
	guard   *os.Process // nil = not known, unknown says why
	unknown error
	d       events.Durations
	asks    chan uint64
	states  chan State
	gone    chan struct{}
	heard   atomic.Int64 // instant of the last ask
	outlet  atomic.Pointer[map[string]OutletState]
	write   sync.Mutex
	mu      sync.Mutex
	n       uint64
	doing   map[uint64]chan Done
	spare   map[string][]driver.Process
}

// stateQueue is how many unread states end the connection; the next hello tells all of them.
const stateQueue = 1024

// Dial connects, says hello with the nonce of this start, and waits for what the guard holds. Every cluster the agent cares for is named, or the guard can't fence it.
// A cluster the guard did not know and that is Held is frozen until an ask is answered with a right to run. Errors: a SilentError if ctx's deadline passes before the guard answers.
func Dial(ctx context.Context, socket string, d events.Durations, nonce string, clusters []Cluster) (*Client, error) {
	conn, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	c := &Client{
		conn: conn, d: d, asks: make(chan uint64, 1), states: make(chan State, stateQueue), gone: make(chan struct{}), doing: map[uint64]chan Done{}, spare: map[string][]driver.Process{},
	}
	hello := message{Kind: kindHello, Nonce: nonce}
	for _, k := range clusters {
		tree := k.Tree
		hello.Clusters = append(hello.Clusters, wireCluster{Cluster: k.Cluster, Tree: &tree, Held: k.Held, Exempt: k.Exempt})
	}
	c.guard, c.unknown = listener(conn)
	sent := boottime.Now()
	c.heard.Store(int64(sent))
	held := make(chan []wireCluster, 1)
	go c.read(held)
	if err := c.send(hello); err != nil {
		_ = c.Close()
		return nil, err
	}
	select {
	case ks := <-held:
		for _, k := range ks {
			c.Held = append(c.Held, Held{k.Cluster, sent.Add(k.Left.D()), k.Fence})
		}
		return c, nil
	case <-c.gone:
		return nil, fmt.Errorf("say hello: %w", ErrDown)
	case <-ctx.Done():
		return nil, c.unanswered(ctx)
	}
}

// unanswered ends a connection whose hello nobody answered.
func (c *Client) unanswered(ctx context.Context) error {
	_ = c.Close()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && c.guard != nil {
		return &SilentError{c.guard}
	}
	return fmt.Errorf("say hello: %w", context.Cause(ctx))
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("dial guard: %w", err)
	}
	return conn, nil
}

// Asks delivers the number of the newest ask not taken yet. Take it in the loop that holds the rights, never beside it: an agent whose loop hangs must
// not be spoken for (D1).
func (c *Client) Asks() <-chan uint64 { return c.asks }

// States delivers fences that changed.
func (c *Client) States() <-chan State { return c.states }

// Gone is closed when the connection has ended.
func (c *Client) Gone() <-chan struct{} { return c.gone }

// Away is how long a guard may be away before nobody holds the deadline but the agent, which then freezes (D1): one that is upgraded is back by then.
func Away(d events.Durations) time.Duration { return 3 * d.Beat }

// Down reports whether the guard is to be taken for dead: no ask came for longer than Away, whether or not the connection ended.
func (c *Client) Down(now events.Instant) bool {
	return now.Sub(events.Instant(c.heard.Load())) > Away(c.d)
}

// Outlet is what the guard's outlet does for a cluster, as of its last ask; false if it has none.
func (c *Client) Outlet(cluster string) (OutletState, bool) {
	all := c.outlet.Load()
	if all == nil {
		return OutletState{}, false
	}
	s, ok := (*all)[cluster]
	return s, ok
}

func (c *Client) toldOutlets(ks []wireCluster) {
	if len(ks) == 0 {
		return
	}
	all := make(map[string]OutletState, len(ks))
	for _, k := range ks {
		if k.Outlet != nil {
			all[k.Cluster] = *k.Outlet
		}
	}
	c.outlet.Store(&all)
}

// Spare names the server processes of a cluster whose connections an outlet never cuts; every answer from now on says so.
func (c *Client) Spare(cluster string, ps []driver.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare[cluster] = ps
}

func (c *Client) spared(cluster string) []driver.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spare[cluster]
}

// Answer answers an ask. Left counts from the moment it was computed, which must be after the ask was taken.
func (c *Client) Answer(ask uint64, left []lease.Left) error {
	m := message{Kind: kindLeft, N: ask, Clusters: make([]wireCluster, 0, len(left))}
	for _, l := range left {
		m.Clusters = append(m.Clusters, wireCluster{Cluster: l.Cluster, Left: events.Duration(l.Left), Held: l.Held, Exempt: l.Exempt, Override: l.Override, Spare: c.spared(l.Cluster)})
	}
	return c.send(m)
}

// Nudge has the guard ask at once: a right grew or shrank.
func (c *Client) Nudge() error { return c.send(message{Kind: kindNudge}) }

// Do has a cluster frozen, thawed or killed. Done says what became of it; an error says that nobody knows: probe. Call it beside the loop that
// answers asks: a kill may take seconds.
func (c *Client) Do(ctx context.Context, v Verb, cluster string) (Done, error) {
	reply := make(chan Done, 1)
	c.mu.Lock()
	c.n++
	n := c.n
	c.doing[n] = reply
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.doing, n)
		c.mu.Unlock()
	}()
	if err := c.send(message{Kind: kindDo, N: n, Verb: v, Cluster: cluster}); err != nil {
		return Done{}, err
	}
	select {
	case d := <-reply:
		return d, nil
	case <-c.gone:
		return Done{}, fmt.Errorf("%s %s: %w", v, cluster, ErrDown)
	case <-ctx.Done():
		return Done{}, fmt.Errorf("%s %s: %w", v, cluster, context.Cause(ctx))
	}
}

// Close ends the connection. Deadlines run on.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.gone
	return err
}

func (c *Client) send(m message) error {
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(3 * c.d.Beat)) // fails only on a closed one, as the write then does
	if err := writeLine(c.conn, m); err != nil {
		_ = c.conn.Close() // half a line may be out
		return fmt.Errorf("%w: %w", ErrDown, err)
	}
	return nil
}

// read takes messages until the connection ends. It never waits for the agent.
func (c *Client) read(held chan<- []wireCluster) {
	defer close(c.gone)
	defer c.conn.Close()
	_ = lines(c.conn, func(m message) { // however it ended, it is down
		switch m.Kind {
		case kindAsk:
			c.heard.Store(int64(boottime.Now()))
			c.toldOutlets(m.Clusters)
			select {
			case <-c.asks: // one ask stands for those before it
			default:
			}
			c.asks <- m.N // nobody else fills it
		case kindHeld:
			select {
			case held <- m.Clusters:
			default: // to a second hello, which this client never says
			}
		case kindState:
			select {
			case c.states <- State{m.Cluster, m.Fence, m.Why}:
			default:
				_ = c.conn.Close()
			}
		case kindDone:
			c.mu.Lock()
			reply := c.doing[m.N]
			c.mu.Unlock()
			if reply != nil && m.Done != nil {
				reply <- *m.Done
			}
		}
	})
}
