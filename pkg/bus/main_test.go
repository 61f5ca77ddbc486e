package bus_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/bus/bustest"
)

// shared is the hub of three real servers that the tests of this package share, started by whoever needs it first.
var shared struct {
	once sync.Once
	dir  string
	hub  *bustest.Hub
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.hub != nil {
		shared.hub.Close()
	}
	os.RemoveAll(shared.dir)
	os.Exit(code)
}

// realHub returns the shared hub with every stream of the catalogue and the first generation of the lanes.
func realHub(t *testing.T) *bustest.Hub {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "switchback-bus-"); shared.err != nil {
			return
		}
		if shared.hub, shared.err = bustest.Start(shared.dir); shared.err != nil {
			return
		}
		b := shared.hub.Connect(t)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		shared.err = b.Ensure(ctx, allStreams(), 3, false)
	})
	if shared.err != nil {
		t.Fatalf("start the shared hub: %v", shared.err)
	}
	return shared.hub
}

func place(lane int) events.LanePlace {
	return events.LanePlace{Generation: 1, Region: bustest.Regions[lane]}
}

func allStreams() []events.Stream {
	all := events.Streams()
	for n := range events.Lanes {
		all = append(all, events.Lane(n, place(n)))
	}
	return all
}

// party is one client of a hub, real or in memory, and what can go wrong on its way. Everything but lanes goes by the first region.
type party struct {
	bus.Bus
	bus.Door
	mute    func()      // answers no longer arrive
	hold    func()      // questions no longer arrive, nor answers
	release func()      // everything that was held arrives
	cut     func(i int) // the way to one region is gone
	mend    func(i int)
}

// rig is a hub, real or in memory.
type rig struct {
	name  string
	party func(t *testing.T) *party
	stop  func(i int)
	start func(t *testing.T, i int)
}

func memoryRig(t *testing.T) rig {
	store := bus.NewStore()
	for _, s := range allStreams() {
		if err := store.Create(s); err != nil {
			t.Fatal(err)
		}
	}
	m := bus.NewMemory(store, bustest.Regions...)
	fate := func(f bus.Fate) func(bus.Out) bus.Fate { return func(bus.Out) bus.Fate { return f } }
	return rig{
		name: "memory",
		party: func(*testing.T) *party {
			c := m.Client()
			return &party{
				Bus: c, Door: c,
				mute: func() { c.Fates(fate(bus.FateAckLost)) }, hold: func() { c.Fates(fate(bus.FateLate)) },
				release: func() { c.Fates(nil); c.Land() },
				cut:     func(i int) { c.Cut(bustest.Regions[i]) }, mend: func(i int) { c.Mend(bustest.Regions[i]) },
			}
		},
		stop:  func(i int) { m.Stop(bustest.Regions[i]) },
		start: func(_ *testing.T, i int) { m.Start(bustest.Regions[i]) },
	}
}

func natsRig(t *testing.T) rig {
	h := realHub(t)
	return rig{
		name: "nats",
		party: func(t *testing.T) *party {
			var proxies []*bustest.Proxy
			var servers []bus.Server
			for i := range bustest.Regions {
				p := h.Proxy(t, i)
				proxies, servers = append(proxies, p), append(servers, p.Server())
			}
			b := h.Connect(t, func(o *bus.Options) { o.Servers = servers })
			return &party{
				Bus: b, Door: b,
				mute: func() { proxies[0].Gates(true, false) }, hold: func() { proxies[0].Gates(false, false) },
				release: func() { proxies[0].Gates(true, true) },
				cut:     func(i int) { proxies[i].Gates(false, false) }, mend: func(i int) { proxies[i].Gates(true, true) },
			}
		},
		stop: h.Stop,
		start: func(t *testing.T, i int) {
			if err := h.Start(i); err != nil {
				t.Fatalf("start server %d again: %v", i, err)
			}
		},
	}
}

// soon is a context for one call that should work.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// brief is a context for one call that should not.
func brief(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a fact.
func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !fact() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// must is a publish that has to be stored.
func must(t *testing.T, b bus.Bus, ms ...bus.Out) events.Seq {
	t.Helper()
	seq, err := b.Batch(soon(t), ms)
	if err != nil {
		t.Fatalf("publish %s: %v", ms[0].Subject, err)
	}
	return seq
}

// inbox collects what a subscription hears.
type inbox struct {
	mu   sync.Mutex
	have []string
}

func (i *inbox) put(m bus.Message) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.have = append(i.have, fmt.Sprintf("%s#%d", m.Data, m.Seq))
}

func (i *inbox) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.have...)
}
