package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
)

// Event is one notice and when it came here.
type Event struct {
	At Instant
	events.Envelope
	Notice events.Notice
}

// Bus is a plain NATS client outside every region. It has a connection to each hub server, so that it hears what happens whichever dies; what comes
// more than once counts once.
type Bus struct {
	conns []*nats.Conn

	mu    sync.Mutex
	log   []Event
	seen  map[string]bool
	grown chan struct{} // closed when log grows
}

type dialer func(context.Context, string, string) (net.Conn, error)

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return d(ctx, network, address)
}

func (s *Stage) connect() (*Bus, error) {
	b := &Bus{seen: map[string]bool{}, grown: make(chan struct{})}
	for _, h := range s.hubs() {
		_, url, _ := strings.Cut(h, "=")
		c, err := nats.Connect(url, nats.SetCustomDialer(dialer(s.net.dial(Outside))), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
			nats.ReconnectWait(100*time.Millisecond), nats.PingInterval(500*time.Millisecond), nats.IgnoreDiscoveredServers())
		if err == nil {
			b.conns = append(b.conns, c)
			_, err = c.Subscribe(events.Prefix+"event.>", b.heard)
		}
		if err != nil {
			b.close()
			return nil, fmt.Errorf("connect to hub: %w", err)
		}
	}
	return b, nil
}

func (b *Bus) close() {
	for _, c := range b.conns {
		c.Close()
	}
}

func (b *Bus) heard(m *nats.Msg) {
	e := Event{At: Clock()}
	if json.Unmarshal(m.Data, &e.Envelope) != nil || json.Unmarshal(e.Data, &e.Notice) != nil || e.Notice.Type == "" {
		return // an answer that is kept
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[e.ID] {
		return
	}
	b.seen[e.ID] = true
	b.log = append(b.log, e)
	close(b.grown)
	b.grown = make(chan struct{})
}

// Events are the notices heard so far, and a channel that is closed when there are more.
func (b *Bus) Events() ([]Event, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log[:len(b.log):len(b.log)], b.grown
}

// Wait returns the first notice after the first skip ones that matches, waiting for it up to the limit.
func (b *Bus) Wait(ctx context.Context, skip int, limit time.Duration, match func(events.Notice) bool) (Event, error) {
	deadline := time.After(limit)
	for at := skip; ; {
		all, more := b.Events()
		for ; at < len(all); at++ {
			if match(all[at].Notice) {
				return all[at], nil
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-deadline:
			return Event{}, fmt.Errorf("no such event within %v; the last ones: %s", limit, tail(all))
		}
	}
}

func tail(all []Event) string {
	var b strings.Builder
	for _, e := range all[max(0, len(all)-8):] {
		fmt.Fprintf(&b, "\n  %s %s%s: %s", e.Notice.Type, e.Notice.Group, e.Notice.Region, e.Notice.Why)
	}
	return b.String()
}

// errNobody says that no hub server gave an answer.
var errNobody = errors.New("no answer over any hub server")

// patience is how long Request waits for an answer over one hub server: one in three goes to a region that was just lost.
const patience = 500 * time.Millisecond

// Request sends a plain request over one hub server after the other until an answer comes. Ask with an id, or it may be done twice.
func (b *Bus) Request(ctx context.Context, subject string, body []byte) ([]byte, error) {
	last := errNobody
	for i := range 2 * len(b.conns) {
		c := b.conns[i%len(b.conns)]
		if !c.IsConnected() {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, patience*time.Duration(1+i/len(b.conns)*4))
		m, err := c.RequestWithContext(limited, subject, body)
		cancel()
		if err == nil {
			return m.Data, nil
		}
		last = fmt.Errorf("%w: %w", errNobody, err)
	}
	return nil, fmt.Errorf("request %s: %w", subject, last)
}

// query asks the leader; its refusal is an error.
func (b *Bus) query(ctx context.Context, what string, body, into any) error {
	q, err := json.Marshal(body)
	if err != nil {
		return err
	}
	data, err := b.Request(ctx, events.Prefix+"q."+what, q)
	if err != nil {
		return err
	}
	var refusal struct{ Error string }
	if err := json.Unmarshal(data, &refusal); err == nil && refusal.Error != "" {
		return fmt.Errorf("query %s: %s", what, refusal.Error)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("query %s: %w: %.200s", what, err, data)
	}
	return nil
}

// Status is the leader's answer to q.status.
func (b *Bus) Status(ctx context.Context) (answers.Status, error) {
	var st answers.Status
	err := b.query(ctx, "status", struct{}{}, &st)
	return st, err
}

// StreamLeader names the region whose hub server leads a stream. It is an error if a server of it is away or behind.
func (b *Bus) StreamLeader(ctx context.Context, stream string) (string, error) {
	data, err := b.Request(ctx, "$JS.API.STREAM.INFO."+stream, nil)
	if err != nil {
		return "", err
	}
	var info struct {
		Cluster struct {
			Leader   string
			Replicas []struct {
				Name             string
				Current, Offline bool
			}
		}
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return "", fmt.Errorf("look at stream %s: %w", stream, err)
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current || r.Offline {
			return "", fmt.Errorf("stream %s: %s is away or behind", stream, r.Name)
		}
	}
	region, ok := strings.CutPrefix(info.Cluster.Leader, "hub-")
	if !ok {
		return "", fmt.Errorf("stream %s has no leader", stream)
	}
	return region, nil
}

// Groups are all groups as the leader shows them.
func (b *Bus) Groups(ctx context.Context) ([]GroupView, error) {
	var answer struct{ Groups []GroupView }
	err := b.query(ctx, "groups", map[string]any{"limit": 500}, &answer)
	return answer.Groups, err
}

// Group is one group as the leader shows it.
func (b *Bus) Group(ctx context.Context, name string) (GroupView, error) {
	var v GroupView
	err := b.query(ctx, "group", map[string]string{"group": name}, &v)
	return v, err
}

// Ask publishes an operator's ask through the request door and returns the answer.
func (b *Bus) Ask(ctx context.Context, actor, verb, body string) (events.Answer, error) {
	var a events.Answer
	data, err := b.Request(ctx, events.SubjectDo(actor, verb), []byte(body))
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		return a, fmt.Errorf("ask %s: %w", verb, err)
	}
	return a, nil
}

// Send publishes a plain message over the first hub server that is connected: fire and forget.
func (b *Bus) Send(subject string, body []byte) error {
	last := errNobody
	for _, c := range b.conns {
		if !c.IsConnected() {
			continue
		}
		if last = c.Publish(subject, body); last == nil {
			return c.Flush()
		}
	}
	return fmt.Errorf("send %s: %w", subject, last)
}
