package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/pkg/telemetry/telemetrytest"
)

func TestLogIsJSONWhenNobodyReadsIt(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewLogger(&b, slog.LevelInfo)
	log.Debug("not this")
	log.Info("this", telemetry.KeyGroup, "orders", telemetry.Err(errors.New("broken")))
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", b.String(), err)
	}
	if got["msg"] != "this" || got["group"] != "orders" || got["err"] != "broken" {
		t.Errorf("got %v", got)
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if telemetry.Terminal(null) || telemetry.Terminal(io.Discard) {
		t.Error("a device or buffer that is no terminal was taken for one")
	}
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	if !telemetry.Terminal(pty) {
		t.Error("a terminal was not taken for one")
	}
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	if l, err := telemetry.ParseLevel("warn"); l != slog.LevelWarn || err != nil {
		t.Errorf("got %v, %v", l, err)
	}
	if _, err := telemetry.ParseLevel("loud"); err == nil || !strings.Contains(err.Error(), `"loud"`) {
		t.Errorf("got %v, want an error that names the value", err)
	}
}

func TestRegional(t *testing.T) {
	t.Parallel()
	reg, own, err := telemetry.NewRegistry("r1")
	if err != nil {
		t.Fatal(err)
	}
	mine := prometheus.NewCounter(prometheus.CounterOpts{Name: "switchback_a_total", Help: "a"})
	theirs := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "switchback_b_state", Help: "b"}, []string{telemetry.LabelRegion})
	own.MustRegister(mine, theirs)
	theirs.WithLabelValues("r2").Set(1)
	text := scrape(t, telemetry.Mux(reg, nil))
	for _, want := range []string{
		`switchback_a_total{cloud_region="r1"} 0`, `switchback_b_state{cloud_region="r2",observer_region="r1"} 1`,
		`switchback_build_info{cloud_region="r1",go="go`, `go_goroutines{cloud_region="r1"}`, `process_open_fds{cloud_region="r1"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("want %s in\n%s", want, text)
		}
	}
	if bad := telemetry.Lint(reg); len(bad) != 0 {
		t.Error(bad)
	}
	if err := own.Register(mine); !errors.As(err, &prometheus.AlreadyRegisteredError{}) {
		t.Errorf("registered twice: got %v", err)
	}
	if !own.Unregister(mine) || !own.Unregister(theirs) {
		t.Error("not unregistered")
	}
	for line := range strings.Lines(scrape(t, telemetry.Mux(reg, nil))) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "cloud_region=") {
			t.Errorf("no cloud_region in %s", line)
		}
	}
}

func TestRegionalRefusesWhatIsInvalid(t *testing.T) {
	t.Parallel()
	bad := prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_a_info", Help: "a", ConstLabels: prometheus.Labels{"__reserved": "x"}})
	if err := telemetry.Regional(prometheus.NewRegistry(), "r1").Register(bad); err == nil {
		t.Error("an invalid label was registered")
	}
}

func TestLintFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	if bad := telemetry.Lint(reg); len(bad) != 1 {
		t.Errorf("an empty registry: got %q", bad)
	}
	reg.MustRegister(
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_without_region_total", Help: "a"}),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_without_help_total", ConstLabels: prometheus.Labels{telemetry.LabelRegion: "r"}}),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "other_without_region", Help: "a"}),
	)
	bad := strings.Join(telemetry.Lint(reg), "\n")
	if n := strings.Count(bad, "\n") + 1; n != 2 {
		t.Errorf("got %d findings, want 2:\n%s", n, bad)
	}
	for _, want := range []string{"without_region_total", "without_help_total has no help"} {
		if !strings.Contains(bad, want) {
			t.Errorf("want %q in\n%s", want, bad)
		}
	}
}

func TestCheckPasses(t *testing.T) {
	t.Parallel()
	telemetrytest.Check(t, func(reg prometheus.Registerer) {
		reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "switchback_a_total", Help: "a"}))
	})
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	status, body := get(t, serve(t, h)+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	return body
}

// serve answers with h until the test ends, and returns its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- telemetry.Serve(ctx, l, h, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestHealthz(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	var sick atomic.Bool
	url := serve(t, telemetry.Mux(reg, func(context.Context) error {
		if sick.Load() {
			return errors.New("bus not reachable")
		}
		return nil
	})) + "/healthz"
	if status, body := get(t, url); status != http.StatusOK || body != "ok\n" {
		t.Errorf("got %d %q", status, body)
	}
	sick.Store(true)
	if status, body := get(t, url); status != http.StatusServiceUnavailable || body != "bus not reachable\n" {
		t.Errorf("got %d %q", status, body)
	}
}

// TestServeLetsRequestsEnd: a stop waits for the answer that is under way, and takes no new connection.
func TestServeLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inside, goOn := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inside)
		<-goOn
		io.WriteString(w, "late")
	})
	ctx, cancel := context.WithCancel(context.Background())
	served, body := make(chan error, 1), make(chan string, 1)
	go func() { served <- telemetry.Serve(ctx, l, h, slog.New(slog.DiscardHandler)) }()
	go func() {
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			body <- err.Error()
			return
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		body <- string(b)
	}()
	<-inside
	cancel()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("still takes connections 10 s after the stop")
		}
	}
	close(goOn)
	if got := <-body; got != "late" {
		t.Errorf("the open request got %q", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServeSaysWhyItStopped(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := telemetry.Serve(t.Context(), l, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a closed listener was served")
	}
}
