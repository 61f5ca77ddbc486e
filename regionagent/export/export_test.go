package export

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// counting is a cluster that counts how often it was measured.
type counting struct {
	mu sync.Mutex
	n  int
}

func (c *counting) Measure(context.Context) ([]driver.Metric, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return []driver.Metric{
		{Name: "pg_up", Help: "1 if the server answers.", Value: 1},
		{Name: "pg_stat_database_xact_commit_total", Help: "Transactions committed.", Counter: true, Labels: []string{"datname", "postgres"}, Value: float64(c.n)},
	}, nil
}

func (c *counting) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// side is one agent's exporter, with one cluster whose role can change.
type side struct {
	*Exporter
	meter counting
	role  atomic.Value
	reg   *prometheus.Registry
}

func newSide(t *testing.T, region, role string, every time.Duration, w *Write) *side {
	t.Helper()
	return newSideIn(t, t.TempDir(), region, role, every, w)
}

func newSideIn(t *testing.T, dir, region, role string, every time.Duration, w *Write) *side {
	t.Helper()
	s := &side{reg: prometheus.NewRegistry()}
	s.role.Store(role)
	var err error
	s.Exporter, err = New(Config{
		Every: every, Write: w, Log: slog.New(slog.DiscardHandler), Reg: prometheus.WrapRegistererWith(prometheus.Labels{"cloud_region": region}, s.reg),
		Subjects: func(context.Context) ([]Subject, error) {
			return []Subject{{Ref: events.Ref{Region: region, Cluster: "orders-" + region}, Kind: events.KindPostgres, Group: "orders", Role: s.role.Load().(string), Epoch: 7, Up: true, Meter: &s.meter}}, nil
		},
	}, dir)
	if err != nil {
		t.Fatal(err)
	}
	s.reg.MustRegister(s.Exporter)
	return s
}

// run runs it until the test, or the returned function, ends it.
func (s *side) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { s.Run(ctx); close(over) }()
	stop = sync.OnceFunc(func() { cancel(); <-over })
	t.Cleanup(stop)
	return stop
}

// shown is what a metric of the exporter's own shows.
func shown(m prometheus.Metric) float64 {
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		panic(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

// until waits for a fact.
func until(t *testing.T, what string, is func() error) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 60 s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// taker is a receiver that answers as told, and keeps what it took.
type taker struct {
	*httptest.Server
	status  atomic.Int64
	tries   atomic.Int64
	mu      sync.Mutex
	headers http.Header
	took    []string
}

func newTaker(t *testing.T) *taker {
	t.Helper()
	k := &taker{}
	k.status.Store(http.StatusNoContent)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text, err := snappy.Decode(nil, body)
		k.mu.Lock()
		k.headers = r.Header.Clone()
		status := int(k.status.Load())
		if status/100 == 2 && err == nil && r.URL.Path == "/api/v1/write" {
			k.took = append(k.took, string(text))
		}
		k.mu.Unlock()
		k.tries.Add(1)
		w.WriteHeader(status)
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *taker) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.took)
}

// TestWhoWeAre: headers, labels and secrets go with every push; a secret is read anew, one that is missing or refused loses nothing.
func TestWhoWeAre(t *testing.T) {
	t.Parallel()
	k := newTaker(t)
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	w := &Write{URL: k.URL + "/api/v1/write", BearerFile: token, Headers: map[string]string{"X-Scope-OrgID": "shop"}, Labels: map[string]string{"env": "prod", "role": "hides"}, Buffer: 1 << 20,
		Least: time.Millisecond, Most: 10 * time.Millisecond}
	s := newSide(t, "eu-west-1", "active", time.Hour, w)
	s.run(t)
	until(t, "tried without a token", func() error {
		if shown(s.metrics.retries) < 2 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if k.tries.Load() != 0 {
		t.Error("it pushed without its token")
	}
	k.status.Store(http.StatusUnauthorized)
	if err := os.WriteFile(token, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "refused", func() error {
		if k.tries.Load() < 2 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if err := os.WriteFile(token, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.status.Store(http.StatusNoContent)
	until(t, "taken", func() error {
		if k.count() == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, want := range map[string]string{"Authorization": "Bearer new", "X-Scope-OrgID": "shop", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"} {
		if got := k.headers.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, want := range []string{"\n\x08__name__\x12\x05pg_up", "\n\x03env\x12\x04prod", "\n\x04role\x12\x06active", "\n\x0ccloud_region\x12\teu-west-1", "\n\x05group\x12\x06orders"} {
		if !strings.Contains(k.took[0], want) {
			t.Errorf("no %q in what was pushed", want)
		}
	}
	if n := shown(s.metrics.dropped.WithLabelValues("refused")); n != 0 {
		t.Errorf("%g samples were dropped", n)
	}
}

// TestBasic: the other way to say who we are.
func TestBasic(t *testing.T) {
	t.Parallel()
	k := newTaker(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	newSide(t, "eu-west-1", "active", time.Hour, &Write{URL: k.URL + "/api/v1/write", User: "ann", PasswordFile: file, Buffer: 1 << 20}).run(t)
	until(t, "taken", func() error {
		if k.count() == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if got := k.headers.Get("Authorization"); got != "Basic YW5uOnNlY3JldA==" {
		t.Errorf("Authorization %q", got)
	}
}

// TestBufferIsBounded: what does not fit goes, the oldest first, and is counted; what a refusal for good hits is dropped alone.
func TestBufferIsBounded(t *testing.T) {
	t.Parallel()
	k := newTaker(t)
	k.status.Store(http.StatusServiceUnavailable)
	dir := t.TempDir()
	w := &Write{URL: k.URL + "/api/v1/write", Buffer: 4000, Least: time.Millisecond, Most: 5 * time.Millisecond}
	s := newSideIn(t, dir, "eu-west-1", "active", time.Hour, w)
	for i := range 40 {
		s.collect(t.Context(), time.UnixMilli(1_800_000_000_000+int64(i)))
	}
	waiting := len(s.buffer.files)
	if waiting == 0 || waiting >= 40 || s.buffer.bytes > w.Buffer {
		t.Fatalf("%d collections, %d bytes are kept", waiting, s.buffer.bytes)
	}
	gone := shown(s.metrics.dropped.WithLabelValues("buffer full"))
	if want := float64((40 - waiting) * 4); gone != want {
		t.Errorf("%g samples dropped, want %g", gone, want)
	}

	// Another process takes over what is kept. The receiver refuses one for good; the others come, in order.
	if err := os.WriteFile(filepath.Join(dir, "export", ".half"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	next := newSideIn(t, dir, "eu-west-1", "active", time.Hour, w)
	if len(next.buffer.files) != waiting || next.buffer.bytes != s.buffer.bytes {
		t.Fatalf("taken over: %d collections, want %d", len(next.buffer.files), waiting)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go next.sender.run(ctx)
	until(t, "tried", func() error {
		if k.tries.Load() < 3 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if n := len(next.buffer.files); n != waiting {
		t.Errorf("%d are kept while the receiver is away, want %d", n, waiting)
	}
	k.status.Store(http.StatusBadRequest)
	until(t, "one is refused for good", func() error {
		if shown(next.metrics.dropped.WithLabelValues("refused")) == 0 {
			return fmt.Errorf("not yet")
		}
		k.status.Store(http.StatusNoContent)
		return nil
	})
	until(t, "sent", func() error {
		if n := shown(next.metrics.waiting); n > 0 {
			return fmt.Errorf("%g left", n)
		}
		return nil
	})
}
