package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// testSite is a hub of one real server with every stream, and a leader that answers what the test says.
type testSite struct {
	t   *testing.T
	bus *bus.NATS
	url string

	mu     sync.Mutex
	asks   []events.Ask
	answer func(events.Ask) events.Answer
}

func newSite(t *testing.T) *testSite {
	t.Helper()
	h, err := bus.StartHub(bus.HubConfig{Name: "alone", Region: "eu-north-1", StoreDir: t.TempDir(), Listen: bus.Listen{Host: "127.0.0.1", Port: -1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Shutdown)
	s := &testSite{t: t, url: h.URL()}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if s.bus, err = bus.Connect(ctx, bus.Options{Servers: []bus.Server{{Region: "eu-north-1", URL: s.url}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.bus.Close)
	if err := s.bus.Ensure(ctx, events.Streams(), 1, false); err != nil {
		t.Fatal(err)
	}
	return s
}

// query answers `switchback.q.<what>` with f's value.
func (s *testSite) query(what string, f func(q map[string]any) any) {
	s.t.Helper()
	s.serve(events.Prefix+"q."+what, func(m bus.Message) []byte {
		var q map[string]any
		if err := json.Unmarshal(m.Data, &q); err != nil {
			s.t.Errorf("query %s is not JSON: %v", what, err)
		}
		return mustJSON(s.t, f(q))
	})
}

// door answers every ask, and keeps it.
func (s *testSite) door(answer func(events.Ask) events.Answer) {
	s.t.Helper()
	s.answer = answer
	s.serve(events.SubjectDo("*", "*"), func(m bus.Message) []byte {
		actor, verb, err := events.ParseOpSubject(m.Subject)
		if err != nil {
			s.t.Error(err)
		}
		ask, err := events.DecodeAsk(actor, verb, m.Data)
		if err != nil {
			s.t.Error(err)
		}
		s.mu.Lock()
		s.asks = append(s.asks, ask)
		s.mu.Unlock()
		a := s.answer(ask)
		a.ID = ask.ID
		return mustJSON(s.t, a)
	})
}

func (s *testSite) serve(pattern string, f func(bus.Message) []byte) {
	s.t.Helper()
	stop, err := s.bus.Serve(bus.Service{Name: "test", Version: "1.0.0"}, pattern, f)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(stop)
}

func (s *testSite) asked() []events.Ask {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asks)
}

// tell publishes a notice as the leader does.
func (s *testSite) tell(id string, n events.Notice) {
	env := mustWrap(s.t, n)
	env.ID = id
	if _, err := s.bus.Publish(s.t.Context(), bus.Out{Subject: events.SubjectEvent(n), Data: mustJSON(s.t, env)}); err != nil {
		s.t.Error(err)
	}
}

func (s *testSite) store(stream, subject string, v any) events.Seq {
	s.t.Helper()
	seq, err := s.bus.Publish(s.t.Context(), bus.Out{Stream: stream, Subject: subject, Data: mustJSON(s.t, v)})
	if err != nil {
		s.t.Fatal(err)
	}
	return seq
}

// result is what one command line did.
type result struct {
	code     int
	out, err string
}

// person is who sits before the program.
type person struct {
	types    string // on a terminal; empty = there is none
	terminal bool   // sees colours
	env      map[string]string
}

// noon is now, in tests.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func (p person) run(ctx context.Context, args ...string) result {
	var out, errs lockedBuffer
	a := &app{
		in: strings.NewReader(p.types), out: &out, err: &errs, env: func(k string) string { return p.env[k] }, now: noonNow,
		asks: p.types != "", terminal: p.terminal,
	}
	code := a.run(ctx, args)
	return result{code, out.String(), errs.String()}
}

// run runs a command against the site, as alice, without a terminal.
func (s *testSite) run(args ...string) result { return s.as(person{}, args...) }

func (s *testSite) as(p person, args ...string) result {
	s.t.Helper()
	return p.run(s.t.Context(), append([]string{"--hub", "eu-north-1=" + s.url, "--as", "alice"}, args...)...)
}

// want fails the test unless the command ended with this code and said these words.
func (r result) want(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, w := range words {
		if !strings.Contains(r.out+r.err, w) {
			t.Errorf("said nothing of %q", w)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", r.out, r.err)
	}
}

// lockedBuffer may be written to by a follower while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func mustJSON(t *testing.T, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return b
}

func mustWrap(t *testing.T, n events.Notice) events.Envelope {
	e, err := events.Wrap(n, "1", "switchback/controller/eu-north-1/c1", noon)
	if err != nil {
		t.Error(err)
	}
	return e
}

// eventually polls until f is true; what says what it waits for.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: ", what)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("ended: ", what)
		}
	}
}

func noonNow() time.Time { return noon }
