package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/freezer/freezertest"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// The tests run guards and agents as processes of their own: this binary, told its part by its arguments.
const partFlag = "play-a-part-in-the-guard-tests"

// part is what such a process is told.
type part struct {
	Socket, Handover, Ledger string
	Durations                events.Durations
	Clusters                 []Cluster
}

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == partFlag {
		var p part
		if err := json.Unmarshal([]byte(os.Args[3]), &p); err != nil {
			panic(err)
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		var err error
		if os.Args[2] == "guard" {
			err = playGuard(ctx, p)
		} else {
			err = playAgent(ctx, p)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func playGuard(ctx context.Context, p part) error {
	return Run(ctx, Config{
		Socket: p.Socket, Handover: p.Handover, Durations: p.Durations, Clusters: p.Clusters,
		Held: func() ([]lease.Guarded, error) {
			if p.Ledger != "" {
				return ReadHeld(p.Ledger, p.Ledger+".overrides", p.Clusters)
			}
			var out []lease.Guarded
			for _, c := range p.Clusters {
				out = append(out, lease.Guarded{Cluster: c.Cluster, Held: c.Held, Exempt: c.Exempt})
			}
			return out, nil
		},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
}

// playAgent is an agent whose lease never ends while it lives: it has F left at every ask, and thaws what it finds frozen.
func playAgent(ctx context.Context, p part) error {
	c, err := Dial(ctx, p.Socket, p.Durations, fmt.Sprint(os.Getpid()), p.Clusters)
	if err != nil {
		return err
	}
	frozen := map[string]bool{}
	for _, h := range c.Held {
		frozen[h.Cluster] = h.Fence == lease.FenceFrozen
	}
	for {
		select {
		case <-ctx.Done():
			return c.Close()
		case <-c.Gone():
			return ErrDown
		case s := <-c.States():
			frozen[s.Cluster] = s.Fence == lease.FenceFrozen
		case n := <-c.Asks():
			var left []lease.Left
			for _, k := range p.Clusters {
				left = append(left, lease.Left{Cluster: k.Cluster, Left: p.Durations.Run, Held: k.Held, Exempt: k.Exempt})
			}
			if err := c.Answer(n, left); err != nil {
				return err
			}
			for name, is := range frozen {
				if is {
					go func() { _, _ = c.Do(ctx, Thaw, name) }() // the states tell what came of it
				}
			}
		}
	}
}

// process is one of them.
type process struct {
	*exec.Cmd
	log  *output
	done chan struct{}
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// host is one host under test: a directory, a guard's part, its clusters.
type host struct {
	t   *testing.T
	dir string
	part
}

// newHost is a host of held clusters that never stand still, and with no guard yet. S is large since the host that tests is busy; the deadline is F.
func newHost(t *testing.T, names ...string) *host {
	t.Helper()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	d.Beat, d.Freeze, d.KillAfter = 200*time.Millisecond, 5*time.Second, time.Minute
	dir := freezertest.Home(t)
	h := &host{t: t, dir: dir, part: part{Socket: filepath.Join(dir, "guard.sock"), Handover: filepath.Join(dir, "handover"), Durations: d}}
	for _, n := range names {
		h.Clusters = append(h.Clusters, Cluster{Cluster: n, Tree: freezertest.Churn(t), Held: true})
	}
	return h
}

func (h *host) start(what string) *process {
	h.t.Helper()
	arg, err := json.Marshal(h.part)
	if err != nil {
		h.t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(os.Args[0], partFlag, what, string(arg)), log: &output{}, done: make(chan struct{})}
	p.Dir = h.dir // whose processes never outlive the test
	p.Stdout, p.Stderr = p.log, p.log
	if err := p.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() { _ = p.Wait(); close(p.done) }() // the tests look at what it did, not at how it ended
	h.t.Cleanup(func() {
		p.end(h.t, syscall.SIGKILL)
		if h.t.Failed() {
			h.t.Logf("%s %d said:\n%s", what, p.Process.Pid, p.log)
		}
	})
	return p
}

// end signals the process and waits until it is gone.
func (p *process) end(t *testing.T, s syscall.Signal) {
	t.Helper()
	_ = p.Process.Signal(s) // it may be gone already
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Errorf("pid %d is still there 20 s after %v", p.Process.Pid, s)
	}
}

// agent is an agent in this process, that answers what the test says.
type agent struct {
	*Client
	t    *testing.T
	mu   sync.Mutex
	left map[string]lease.Left
	last map[string]lease.Fence
}

func (h *host) agent() *agent {
	h.t.Helper()
	a := &agent{t: h.t, left: map[string]lease.Left{}, last: map[string]lease.Fence{}}
	freezertest.Eventually(h.t, "the agent is connected", func() bool {
		ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
		defer cancel()
		var err error
		a.Client, err = Dial(ctx, h.Socket, h.Durations, h.t.Name(), h.Clusters)
		return err == nil
	})
	for _, k := range a.Held {
		a.last[k.Cluster] = k.Fence
	}
	var loop sync.WaitGroup
	h.t.Cleanup(func() { _ = a.Close(); loop.Wait() })
	loop.Go(a.loop)
	return a
}

func (a *agent) loop() {
	for {
		select {
		case <-a.Gone():
			return
		case s := <-a.States():
			a.mu.Lock()
			a.last[s.Cluster] = s.Fence
			a.mu.Unlock()
		case n := <-a.Asks():
			a.mu.Lock()
			var left []lease.Left
			for _, l := range a.left {
				left = append(left, l)
			}
			a.mu.Unlock()
			_ = a.Answer(n, left) // an end shows in Gone
		}
	}
}

// says sets what the agent answers about a cluster from now on, and has the guard ask.
func (a *agent) says(cluster string, left time.Duration) {
	a.t.Helper()
	a.mu.Lock()
	a.left[cluster] = lease.Left{Cluster: cluster, Left: left, Held: true}
	a.mu.Unlock()
	if err := a.Nudge(); err != nil {
		a.t.Fatal(err)
	}
}

// falls silent about a cluster.
func (a *agent) falls(cluster string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.left, cluster)
}

func (a *agent) fence(cluster string) lease.Fence {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last[cluster]
}

func (a *agent) wait(cluster string, want lease.Fence) {
	a.t.Helper()
	freezertest.Eventually(a.t, fmt.Sprintf("%s is %q", cluster, want), func() bool { return a.fence(cluster) == want })
}

func (a *agent) do(v Verb, cluster string) Done {
	a.t.Helper()
	d, err := a.Do(freezertest.Limit(a.t), v, cluster)
	if err != nil {
		a.t.Fatalf("%s %s: %v", v, cluster, err)
	}
	return d
}

// thaws lets a cluster go once the guard has heard of a right.
func (a *agent) thaws(cluster string) {
	a.t.Helper()
	var d Done
	freezertest.Eventually(a.t, cluster+" is thawed", func() bool {
		d = a.do(Thaw, cluster)
		return d.OK
	})
}

// stopped waits until nothing of a cluster runs or writes any more, without asking the guard.
func stopped(t *testing.T, c Cluster) {
	t.Helper()
	last, since := int64(-1), time.Now()
	freezertest.Eventually(t, c.Cluster+" stands still", func() bool {
		if now := freezertest.Lines(t, c.Tree); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < 300*time.Millisecond {
			return false
		}
		running, err := freezer.Verify(c.Tree)
		return err == nil && len(running) == 0
	})
}

func says(p *process, what string) func() bool {
	return func() bool { return strings.Contains(p.log.String(), what) }
}
