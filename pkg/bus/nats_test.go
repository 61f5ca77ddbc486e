package bus_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/bus/bustest"
)

// alone is a hub of one server, which holds every lane.
func alone(t *testing.T, users ...bus.HubUser) *bus.Hub {
	t.Helper()
	h, err := bus.StartHub(bus.HubConfig{
		Name: "alone", Region: "hub-a", StoreDir: t.TempDir(), Listen: bus.Listen{Host: "127.0.0.1", Port: -1}, Users: users,
	})
	if err != nil {
		t.Fatalf("start hub: %v", err)
	}
	t.Cleanup(h.Shutdown)
	if err := h.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}
	return h
}

func connect(t *testing.T, o bus.Options) *bus.NATS {
	t.Helper()
	o.Name = t.Name()
	b, err := bus.Connect(soon(t), o)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(b.Close)
	return b
}

// key makes an nkey and its seed file.
func key(t *testing.T) (public, path string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(path, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return public, path
}

func TestPermissionErrorIsNoPartition(t *testing.T) {
	t.Parallel()
	admin, adminSeed := key(t)
	agent, agentSeed := key(t)
	_, strangerSeed := key(t)
	me := events.AgentRef{Region: "eu", Agent: "me"}
	other := events.AgentRef{Region: "eu", Agent: "other"}
	h := alone(t, bus.HubUser{NKey: admin}, bus.HubUser{
		NKey: agent, Subscribe: []string{"_INBOX_eu.>", events.SubjectDid(me)},
		Publish: []string{events.SubjectLane(0, 1, me), "$JS.API.DIRECT.GET." + events.LaneStream(0, 1) + "." + events.SubjectLane(0, 1, me)},
	})
	servers := []bus.Server{{Region: "hub-a", URL: h.URL()}}
	where := events.LanePlace{Generation: 1, Region: "hub-a"}
	a := connect(t, bus.Options{Servers: servers, NKey: adminSeed})
	if err := a.Ensure(soon(t), []events.Stream{events.Lane(0, where)}, 1, false); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	b := connect(t, bus.Options{Servers: servers, NKey: agentSeed, Inbox: "_INBOX_eu", Registerer: registry})
	lane := b.Lane(0, where)
	seq, err := lane.Publish(soon(t), events.SubjectLane(0, 1, me), []byte("beat"), 0)
	if err != nil {
		t.Fatalf("my own lane: %v", err)
	}
	began := time.Now()
	if _, err := lane.Publish(soon(t), events.SubjectLane(0, 1, other), nil, 0); !errors.Is(err, bus.ErrDenied) {
		t.Errorf("another agent's lane: %v", err)
	}
	if _, err := lane.Last(soon(t), events.SubjectLane(0, 1, other)); !errors.Is(err, bus.ErrDenied) {
		t.Errorf("read another agent's lane: %v", err)
	}
	if _, err := b.All(soon(t), events.LaneStream(0, 1), ">"); !errors.Is(err, bus.ErrDenied) {
		t.Errorf("read all lanes: %v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("three refusals took %v: they look like timeouts", d)
	}
	stop, err := b.Subscribe("switchback.did.>", func(bus.Message) {})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	want := []string{
		"publish $JS.API.DIRECT.GET." + events.LaneStream(0, 1),
		"publish $JS.API.DIRECT.GET." + events.LaneStream(0, 1) + "." + events.SubjectLane(0, 1, other),
		"publish " + events.SubjectLane(0, 1, other),
		"subscribe switchback.did.>",
	}
	eventually(t, "what is forbidden is latched", func() bool { return cmp.Equal(want, b.Denied()) })
	if _, err := lane.Publish(soon(t), events.SubjectLane(0, 1, me), []byte("beat"), seq); err != nil {
		t.Errorf("my own lane after the refusals: %v", err)
	}
	if d := cmp.Diff(want, b.Denied()); d != "" {
		t.Errorf("still latched: %s", d)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if d := cmp.Diff(map[string]float64{
		"switchback_bus_connected hub-a": 1, "switchback_bus_denied_total hub-a": 4,
		"switchback_bus_publishes_total denied SWITCHBACK_LEASE_0_1": 1, "switchback_bus_publishes_total stored SWITCHBACK_LEASE_0_1": 2,
	}, got); d != "" {
		t.Error(d)
	}

	s := connect(t, bus.Options{Servers: servers, NKey: strangerSeed})
	eventually(t, "a stranger hears that he is one", func() bool {
		_, err := s.Publish(brief(t), bus.Out{Subject: events.SubjectLane(0, 1, me)})
		_, lerr := s.Lane(0, where).Last(brief(t), events.SubjectLane(0, 1, me))
		return errors.Is(err, bus.ErrDenied) && errors.Is(lerr, bus.ErrDenied) && len(s.Denied()) == 1 && strings.HasPrefix(s.Denied()[0], "connect to hub region hub-a")
	})
}

func TestEnsure(t *testing.T) {
	t.Parallel()
	h := alone(t)
	b := connect(t, bus.Options{Servers: []bus.Server{{Region: "hub-a", URL: h.URL()}}})
	all := append(events.Streams(), events.Lane(0, events.LanePlace{Generation: 1, Region: "hub-a"}))
	if err := b.Ensure(soon(t), all, 1, true); !errors.Is(err, bus.ErrMissing) || strings.Count(err.Error(), "SWITCHBACK_") != len(all) {
		t.Errorf("missing, with a history: %v", err)
	}
	for range 2 {
		if err := b.Ensure(soon(t), all, 1, false); err != nil {
			t.Fatalf("create, and again: %v", err)
		}
	}
	if err := b.Ensure(soon(t), all, 1, true); err != nil {
		t.Errorf("all there, with a history: %v", err)
	}
	changed := all[1]
	changed.PerSubject, changed.Subjects = 5, []string{"switchback.cfg.>", "switchback.more"}
	err := b.Ensure(soon(t), []events.Stream{all[0], changed}, 1, false)
	if err == nil || !strings.Contains(err.Error(), "MaxMsgsPerSubject is 10, want 5") || !strings.Contains(err.Error(), "Subjects is") || strings.Contains(err.Error(), "STATE") {
		t.Errorf("a different stream: %v", err)
	}
	if err := b.Ensure(soon(t), all, 1, false); err != nil {
		t.Errorf("a difference was repaired silently: %v", err)
	}
}

// A hub of one server stores a batch whole or not at all by another path of the server than a cluster does.
func TestHubOfOneServer(t *testing.T) {
	t.Parallel()
	h := alone(t)
	b := connect(t, bus.Options{Servers: []bus.Server{{Region: "hub-a", URL: h.URL()}}})
	if err := b.Ensure(soon(t), events.Streams(), 1, false); err != nil {
		t.Fatal(err)
	}
	n := own()
	term := must(t, b, bus.Out{Subject: n.term, Last: bus.LastIs(0)})
	fence := &bus.Fence{Subject: n.term, Seq: term}
	last := must(t, b, bus.Out{Subject: n.rec, Data: text("one"), Last: bus.LastIs(0), Fence: fence}, bus.Out{Subject: n.cmd, Data: text("one")})
	if last != term+2 {
		t.Errorf("last sequence %d, want %d", last, term+2)
	}
	must(t, b, bus.Out{Subject: n.term, Last: &term})
	_, err := b.Batch(soon(t), []bus.Out{{Subject: n.rec, Last: bus.LastIs(term + 1), Fence: fence}, {Subject: n.cmd}})
	if !errors.Is(err, bus.ErrFenced) {
		t.Errorf("after the term moved on: %v", err)
	}
}

func TestConnectWithoutHub(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	hole, err := net.Listen("tcp", "127.0.0.1:0") // accepts and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	l.Close()
	began := time.Now()
	b := connect(t, bus.Options{Servers: []bus.Server{{"hub-a", "nats://" + addr.String()}, {"hub-b", "nats://" + hole.Addr().String()}}})
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v to find that nobody is there", d)
	}
	if _, err := b.Publish(soon(t), bus.Out{Subject: events.SubjectTerm}); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("publish: %v", err)
	}
	if err := b.Send(events.SubjectLook, nil); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("send: %v", err)
	}
	if _, err := b.Request(soon(t), events.SubjectLook, nil); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("request: %v", err)
	}
	var heard inbox
	stop, err := b.Subscribe(events.SubjectLook, heard.put)
	if err != nil {
		t.Fatalf("subscribe before there is a hub: %v", err)
	}
	defer stop()
	began = time.Now()
	if _, err := b.Lane(1, events.LanePlace{Generation: 1, Region: "hub-b"}).Publish(soon(t), "switchback.beat.1.1.eu.me", nil, 0); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("lane: %v", err)
	}
	if d := time.Since(began); d > 100*time.Millisecond {
		t.Errorf("the lane of a black hole kept its caller for %v", d)
	}
	h, err := bus.StartHub(bus.HubConfig{Name: "late", Region: "hub-a", StoreDir: t.TempDir(), Listen: bus.Listen{Host: "127.0.0.1", Port: addr.Port}})
	if err != nil {
		t.Fatalf("start the hub late: %v", err)
	}
	defer h.Shutdown()
	eventually(t, "the late hub is found, and the subscription is on it", func() bool {
		_ = b.Send(events.SubjectLook, []byte("look"))
		return len(heard.all()) > 0
	})
}

// A server that answers pings but is cut off from the rest of the hub, or just slow, must not be asked again and again.
func TestSilentServerIsNotPreferred(t *testing.T) {
	h := realHub(t)
	p := h.Proxy(t, 0)
	b := h.Connect(t, func(o *bus.Options) { o.Servers[0] = p.Server() })
	n := own()
	must(t, b, bus.Out{Subject: n.rec, Data: text("one")})
	p.Gates(true, false)
	if _, err := b.Publish(brief(t), bus.Out{Subject: n.rec, Data: text("two")}); !errors.Is(err, bus.ErrUnknown) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := b.Publish(brief(t), bus.Out{Subject: n.rec, Data: text("three")}); err != nil {
		t.Errorf("the next call: %v", err)
	}
	lastIs(t, b, n.rec, "three")
}

// A subscription that had to go to a far server comes home: a region that can't reach that far one would not be heard any more.
func TestSubscriptionsComeHome(t *testing.T) {
	h := realHub(t)
	p := h.Proxy(t, 0)
	b := h.Connect(t, func(o *bus.Options) { o.Servers[0] = p.Server() })
	p.Gates(false, false)
	eventually(t, "the nearest server is lost", func() bool { return !b.Regions()[bustest.Regions[0]] })
	var heard inbox
	stop, err := b.Subscribe(events.SubjectLook, heard.put)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if on := b.On(events.SubjectLook); on != bustest.Regions[1] {
		t.Fatalf("the subscription is on %q: want the nearest that is up, %s", on, bustest.Regions[1])
	}
	p.Gates(true, true)
	eventually(t, "it is on the nearest server", func() bool { return b.On(events.SubjectLook) == bustest.Regions[0] })
	far := h.Connect(t, func(o *bus.Options) { slices.Reverse(o.Servers) })
	eventually(t, "it hears what is said at another server", func() bool {
		_ = far.Send(events.SubjectLook, []byte("look"))
		return len(heard.all()) > 0
	})
}

// A door that is closed while one of its connections is down must not open again with that connection.
func TestClosedDoorStaysClosed(t *testing.T) {
	h := realHub(t)
	p := h.Proxy(t, 0)
	b, asker := h.Connect(t, func(o *bus.Options) { o.Servers[0] = p.Server() }), h.Connect(t)
	n := own()
	asked := events.SubjectDo("me", n.id)
	stop, err := b.Serve(bus.Service{Name: "switchback", Version: "1.0.0", Description: "door"}, asked, func(bus.Message) []byte { return text("open") })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the door is open", func() bool { _, err := asker.Request(soon(t), asked, nil); return err == nil })
	p.Gates(false, false)
	eventually(t, "the connection is down", func() bool { return !b.Regions()[bustest.Regions[0]] })
	stop()
	p.Gates(true, true)
	eventually(t, "the connection is up", func() bool { return b.Regions()[bustest.Regions[0]] })
	closed := 0
	eventually(t, "the door is closed for good", func() bool {
		if _, err := asker.Request(brief(t), asked, nil); errors.Is(err, bus.ErrUnavailable) {
			closed++
		} else {
			closed = 0
		}
		return closed == 100
	})
}

func TestPreferLeader(t *testing.T) {
	h := realHub(t)
	b := h.Connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		_ = b.Consume(ctx, events.StreamOps, "prefer", func(context.Context, bus.Message) error { return nil })
	}()
	defer func() { cancel(); <-reading }()
	for _, region := range []string{bustest.Regions[1], bustest.Regions[2]} {
		for _, stream := range []string{events.StreamState, events.StreamOps} {
			eventually(t, "the leader of "+stream+" is told to go to "+region, func() bool {
				return b.PreferLeader(soon(t), stream, region) == nil // else an election is under way
			})
			eventually(t, stream+" is led from "+region, func() bool {
				led, err := b.LedFrom(soon(t), stream)
				return err == nil && led == region
			})
		}
	}
	if err := b.PreferLeader(soon(t), events.StreamState, "nowhere"); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("an unknown region: %v", err)
	}
}

func TestHubRefusesToStart(t *testing.T) {
	t.Parallel()
	h := alone(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(h.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]bus.HubConfig{
		"no store":   {Name: "x", Region: "r"},
		"bad name":   {Name: "X", Region: "r", StoreDir: t.TempDir()},
		"bad route":  {Name: "x", Region: "r", StoreDir: t.TempDir(), Cluster: "c", Routes: []string{"host"}},
		"port taken": {Name: "x", Region: "r", StoreDir: t.TempDir(), Listen: bus.Listen{Host: "127.0.0.1", Port: p}},
	} {
		began := time.Now()
		if _, err := bus.StartHub(c); err == nil {
			t.Errorf("%s: it started", name)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("%s: it took %v to say so", name, d)
		}
	}
}
