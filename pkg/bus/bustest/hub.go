// Package bustest runs a real hub of three NATS servers inside a test, and breaks it: servers stop and start, and a Proxy in front of one
// turns into a black hole or swallows answers. Raft timing is stock, so a cold start takes 4 to 8 s: share one hub per test package.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/pkg/bus"
)

// Regions are the hub regions, in the order of the servers.
var Regions = []string{"hub-a", "hub-b", "hub-c"}

// startTimeout bounds a cold start of all three, on a busy machine.
const startTimeout = 60 * time.Second

// Hub is a hub of three servers in this process.
type Hub struct {
	configs []bus.HubConfig
	servers []*bus.Hub // nil = stopped
}

// Cluster starts a hub for one test and ends it with the test. No users = everybody may do anything.
func Cluster(t testing.TB, users ...bus.HubUser) *Hub {
	t.Helper()
	h, err := Start(t.TempDir(), users...)
	if err != nil {
		t.Fatalf("start hub: %v", err)
	}
	t.Cleanup(h.Close)
	return h
}

// Start starts a hub that keeps its data in dir, for a TestMain that shares it, and waits until it can store. A port that somebody else took
// in the meantime costs another attempt.
func Start(dir string, users ...bus.HubUser) (h *Hub, err error) {
	for attempt := range 5 {
		if h, err = start(filepath.Join(dir, strconv.Itoa(attempt)), users); err == nil {
			return h, nil
		}
	}
	return nil, err
}

func start(dir string, users []bus.HubUser) (*Hub, error) {
	ports, err := freePorts(2 * len(Regions))
	if err != nil {
		return nil, err
	}
	h := &Hub{servers: make([]*bus.Hub, len(Regions))}
	var routes []string
	for i := range Regions {
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", ports[2*i+1]))
	}
	for i, r := range Regions {
		h.configs = append(h.configs, bus.HubConfig{
			Name: "server-" + r, Region: r, StoreDir: filepath.Join(dir, r), Cluster: "hub", Routes: routes, Users: users,
			Listen: bus.Listen{Host: "127.0.0.1", Port: ports[2*i]}, Routing: bus.Listen{Host: "127.0.0.1", Port: ports[2*i+1]},
		})
	}
	for i := range h.configs {
		if err := h.Start(i); err != nil {
			h.Close()
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := h.Ready(ctx); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Start starts a stopped server with what it had stored. It does not wait for the others.
func (h *Hub) Start(i int) (err error) {
	h.servers[i], err = bus.StartHub(h.configs[i])
	return err
}

// Stop stops a server, as an operator does: it hands its leaderships over.
func (h *Hub) Stop(i int) {
	if s := h.servers[i]; s != nil {
		h.servers[i] = nil
		s.Shutdown()
	}
}

// Ready waits until every running server sees a hub that can store.
func (h *Hub) Ready(ctx context.Context) error {
	var all []error
	for _, s := range h.servers {
		if s != nil {
			all = append(all, s.Ready(ctx))
		}
	}
	return errors.Join(all...)
}

// Close stops every server.
func (h *Hub) Close() {
	for i := range h.servers {
		h.Stop(i)
	}
}

// Servers are the addresses, as bus.Options takes them, in the order of Regions.
func (h *Hub) Servers() []bus.Server {
	var out []bus.Server
	for i, c := range h.configs {
		out = append(out, bus.Server{Region: Regions[i], URL: fmt.Sprintf("nats://127.0.0.1:%d", c.Listen.Port)})
	}
	return out
}

// Connect connects to the hub, waits until every running server is connected, and closes with the test. change, if given, adapts the options.
func (h *Hub) Connect(t testing.TB, change ...func(*bus.Options)) *bus.NATS {
	t.Helper()
	o := bus.Options{Servers: h.Servers(), Name: t.Name()}
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	b, err := bus.Connect(ctx, o)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(b.Close)
	for !h.connected(b) {
		select {
		case <-ctx.Done():
			t.Fatalf("connect: %v: after %v", b.Regions(), startTimeout)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return b
}

func (h *Hub) connected(b *bus.NATS) bool {
	up := b.Regions()
	for i, s := range h.servers {
		if s != nil && !up[Regions[i]] {
			return false
		}
	}
	return true
}

// freePorts finds ports nobody listens on, outside of the range from which outgoing connections take theirs.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range 1000 {
		p := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			continue
		}
		defer l.Close() // all at the end, so that none is found twice
		if ports = append(ports, p); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("find %d free ports between 10000 and 30000: found %d", n, len(ports))
}
