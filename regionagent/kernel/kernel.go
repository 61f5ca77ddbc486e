// Package kernel is the kernel lease: a program in the kernel that drops what a cluster's server sends once the right to run is over. The check is made when a packet
// leaves, so that nobody's pause opens a gap: not the agent's, not the guard's, not the whole host's. A freeze comes milliseconds late after such a pause; until
// then each session may answer once, and this is what stops those answers.
//
// It covers what leaves by the server's own TCP port. Unix sockets, what the server itself connects to (its upstream, an archive) and the physical replication links
// that it serves are not cut. It is an addition to the freeze, never instead of it, and no fence proof.
//
//	guard's loop ──Until, Free──▶ one store into memory shared with the kernel ──▶ program on the server's cgroup
//	guard's kill ──End──────────▶ the life is over: its connections never speak again
//	Run, every 50 ms ───────────▶ attach or take over, notice a new server, mark its listeners and the links to spare
package kernel

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// lookEvery is how often each cluster's server is looked at. A server that was started around everybody speaks no TCP until it was seen.
const lookEvery = 50 * time.Millisecond

// Lease holds the kernel leases of a host's clusters. Safe for concurrent use.
type Lease struct {
	log    *slog.Logger
	mu     sync.Mutex
	fences map[string]*fence
}

// New returns one that cares for no cluster yet. What a guard before it left in the kernel stays in force until its cluster is named.
func New(log *slog.Logger) *Lease { return &Lease{log: log, fences: map[string]*fence{}} }

// State is what the kernel lease does for a cluster.
type State struct {
	InForce bool          `json:"in_force"`
	Why     string        `json:"why,omitempty"`    // why it is not in force, and what would put it there
	Left    time.Duration `json:"left,omitempty"`   // until the deadline, negative after it; 0 = there is none (a passive)
	Late    uint64        `json:"late,omitempty"`   // packets dropped since it was attached: the deadline was over
	Former  uint64        `json:"former,omitempty"` // packets dropped since then: of connections of a server that has ended
}

// Until says that a cluster's server may send until an instant of the boot clock; events.Never = without end, as a passive. It waits for nothing.
func (l *Lease) Until(cluster string, t driver.Tree, deadline events.Instant) {
	l.want(cluster, t, deadline, false)
}

// Free says that a cluster is not fenced (mode observe, keep-running, released): at the next look the program is taken off its cgroup. It waits for nothing.
func (l *Lease) Free(cluster string, t driver.Tree) { l.want(cluster, t, events.Never, true) }

func (l *Lease) want(cluster string, t driver.Tree, deadline events.Instant, free bool) {
	f := l.fence(cluster)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tree, f.until, f.free = t, deadline, free
	if f.at != nil {
		f.at.store(wordDeadline, uint64(deadline))
	}
}

// End says that a cluster's server is about to be killed. Nothing that it ever said leaves from now on, whatever deadline comes; its clients are told that the
// connection is gone, which takes milliseconds, at most resetLimit. Call it before the first process is killed: many kernels can't end a connection that nobody owns any more.
func (l *Lease) End(cluster string) { l.fence(cluster).end("a kill is ordered") }

// Spare names the server processes of a cluster whose connections are not cut while their server lives: links of physical replication, and the agent's own.
func (l *Lease) Spare(cluster string, ps []driver.Process) {
	f := l.fence(cluster)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spare = ps
}

// State tells of a cluster. It waits for nothing.
func (l *Lease) State(cluster string) State {
	f := l.fence(cluster)
	f.mu.Lock()
	defer f.mu.Unlock()
	s := State{InForce: f.why == "" && f.at != nil, Why: f.why}
	if f.at != nil {
		s.Late, s.Former = f.at.load(wordLate), f.at.load(wordFormer)
		if f.until != events.Never {
			s.Left = f.until.Sub(now())
		}
	}
	return s
}

func (l *Lease) fence(cluster string) *fence {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fences[cluster]
	if f == nil {
		f = &fence{log: l.log.With("cluster", cluster), free: true, why: "nobody asked for it yet"}
		l.fences[cluster] = f
	}
	return f
}

// Run looks at every cluster until ctx ends. What is attached then stays: a deadline that nobody extends passes by itself.
func (l *Lease) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.look()
		}
	}
}

func (l *Lease) look() {
	l.mu.Lock()
	all := maps.Clone(l.fences)
	l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		f.look.Lock()
		why := ""
		if err := f.see(); err != nil {
			why = err.Error()
		}
		f.not(why)
		f.look.Unlock()
	}
}

// not notes why it is not in force; empty: it is.
func (f *fence) not(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if why == f.why {
		return
	}
	f.why = why
	if why == "" {
		f.log.Info("kernel lease in force", "cgroup", f.at.path, "life", f.at.load(wordLife), "port", f.at.load(wordPort))
	} else {
		f.log.Warn("kernel lease not in force", "why", why)
	}
}

// Home is the cgroup that a server which has no unit is started in, by its data directory: below the mount point of version 2.
func Home(data string) (string, error) {
	root, err := mount()
	if err != nil {
		return "", err
	}
	return home(root, data), nil
}

// Why it is not in force, and what would put it there.
var (
	errNoGroup = errors.New("its server has no cgroup of its own: want a unit, or a start by switchback")
	errFree    = errors.New("the cluster is not fenced (observed, kept running or released)")
	errNoPort  = errors.New("its server listens on no TCP port yet")
	errOutside = errors.New("its server was started outside the cgroup that is watched: switchback restart puts it there")
)
