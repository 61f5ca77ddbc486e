package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// Toys is the network that toy clusters reach each other by. Replication is immediate: a write is on every streaming follower before it is
// acknowledged to the writer; freeze a follower, or cut it, to make it lag.
type Toys struct {
	mu  sync.Mutex
	all []*Fake
}

// NewToys returns an empty network.
func NewToys() *Toys { return &Toys{} }

// fork is where one timeline ended and the next began.
type fork struct {
	timeline uint32
	at       events.LSN
}

// Fake is a toy cluster and its driver in one, safe for concurrent use. It keeps PostgreSQL's rules that matter to an agent: a signal file
// that decides how it comes up, timelines that fork, a standby that can't follow past a fork, a log that survives a kill.
type Fake struct {
	net    *Toys
	ref    events.Ref
	server events.Server // down, recovery or writable; frozen is kept apart
	frozen bool

	signal   bool // a start around the gate comes up read-only
	writer   bool // its log was last written by itself: only then may the gate open
	clean    bool // stopped cleanly
	timeline uint32
	control  uint32 // timeline the control file shows
	history  []fork
	lsn      events.LSN // end of its log: written, or received and replayed
	source   string
	cut      bool
	mark     string
	acks     int
	order    events.SyncOrder // whom its commits wait for
	writes   []events.LSN     // where each write in its log ends, its own and its upstreams'

	restored    map[string]events.Result // by step
	broken      bool                     // a restore was interrupted in the middle: only another makes it whole
	interrupted bool                     // the next restore will be
	released    bool                     // nothing of ours is in it
}

// The toy's log: where it begins, how long a write and a shutdown checkpoint are.
const (
	toyStart    events.LSN = 0x1000000
	toyWrite    events.LSN = 0x40
	toyShutdown events.LSN = 0x78
)

// Add makes a cluster that was never started, with an empty log that is nobody's.
func (n *Toys) Add(ref events.Ref) *Fake {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := &Fake{net: n, ref: ref, server: events.ServerDown, signal: true, timeline: 1, control: 1, lsn: toyStart}
	n.all = append(n.all, f)
	return f
}

// Pair makes a running active and a passive that streams from it.
func (n *Toys) Pair(active, passive events.Ref) (a, p *Fake) {
	a, p = n.Add(active), n.Add(passive)
	n.mu.Lock()
	defer n.mu.Unlock()
	a.server, a.writer = events.ServerWritable, true
	p.server, p.source = events.ServerRecovery, a.Address()
	return a, p
}

// Address is what Source names the cluster by.
func (f *Fake) Address() string { return f.ref.String() }

// Driver returns the cluster's driver: itself.
func (f *Fake) Driver() driver.Driver { return f }

// Tree has an address only: a toy has no processes.
func (f *Fake) Tree() driver.Tree { return driver.Tree{Address: f.Address()} }

// Close does nothing.
func (f *Fake) Close() error { return nil }

// Write is one client's write: nil means acknowledged.
func (f *Fake) Write(context.Context) error {
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	if f.frozen || f.server != events.ServerWritable {
		return errors.New("toy takes no write")
	}
	f.lsn += toyWrite
	f.writes = append(f.writes, f.lsn)
	f.push()
	if w := f.waits(); w != "" {
		return errors.New("toy waits for " + w)
	}
	f.acks++
	return nil
}

// Acks is how many writes it ever acknowledged.
func (f *Fake) Acks() int {
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	return f.acks
}

// Freeze holds every process of it.
func (f *Fake) Freeze() error { return f.set(func() { f.frozen = f.server != events.ServerDown }) }

// Thaw lets them go.
func (f *Fake) Thaw() error { return f.set(func() { f.frozen = false }) }

// Kill puts the signal file in place, then ends every process, as the guard does.
func (f *Fake) Kill() error { return f.set(func() { f.signal = true; f.crash() }) }

// Interrupt has the next restore end in the middle, as when its agent is killed.
func (f *Fake) Interrupt() error { return f.set(func() { f.interrupted = true }) }

// Crash ends every process and leaves the files as they are.
func (f *Fake) Crash() error { return f.set(f.crash) }

func (f *Fake) crash() {
	if f.server != events.ServerDown {
		f.server, f.frozen, f.clean = events.ServerDown, false, false
	}
}

// Boot starts it around the gate, as a service manager would.
func (f *Fake) Boot(context.Context) error {
	return f.set(func() {
		if f.server != events.ServerDown {
			return
		}
		f.server = events.ServerWritable
		if f.signal {
			f.server = events.ServerRecovery
		}
	})
}

func (f *Fake) set(change func()) error {
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	change()
	return nil
}

// Probe says what is true.
func (f *Fake) Probe(ctx context.Context) events.ClusterHealth {
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	h := events.ClusterHealth{Cluster: f.ref, Kind: events.KindPostgres, Server: f.server, Mark: f.mark, Address: f.Address(), SystemID: "toy"}
	switch {
	case ctx.Err() != nil:
		h.Server, h.Error = events.ServerUnknown, ctx.Err().Error()
	case f.frozen:
		h.Server = events.ServerFrozen
	case f.server == events.ServerWritable:
		f.push()
		h.Timeline, h.LSN, h.CanaryOK = f.timeline, f.lsn, f.waits() == ""
		f.lookSync(&h)
	case f.server == events.ServerRecovery:
		h.Streaming = f.pull()
		h.Timeline, h.LSN, h.Replayed, h.Upstream, h.LagKnown = f.timeline, f.lsn, f.lsn, f.source, h.Streaming
		h.End = f.lsn
	}
	return h
}

// push lets every follower take what it can.
func (f *Fake) push() {
	for _, o := range f.net.all {
		if o.source == f.Address() {
			o.pull()
		}
	}
}

// pull takes the upstream's log and says whether it streams.
func (f *Fake) pull() bool {
	if f.frozen || f.cut || f.server != events.ServerRecovery {
		return false
	}
	for _, up := range f.net.all {
		if up == f || up.Address() != f.source || up.server == events.ServerDown || up.frozen || !up.continues(f.timeline, f.lsn) {
			continue
		}
		if up.server == events.ServerRecovery {
			up.pull()
		}
		f.take(up)
		return true
	}
	return false
}

// take makes its log the other's.
func (f *Fake) take(up *Fake) {
	f.timeline, f.lsn, f.history = up.timeline, up.lsn, append([]fork(nil), up.history...)
	f.writes = up.writes[:len(up.writes):len(up.writes)] // whoever writes next gets a list of its own
}

// continues reports whether a log that ends at (timeline, at) is the beginning of this one.
func (f *Fake) continues(timeline uint32, at events.LSN) bool {
	if timeline == f.timeline {
		return at <= f.lsn
	}
	for _, x := range f.history {
		if x.timeline == timeline {
			return at <= x.at
		}
	}
	return false
}

// Do carries out one action.
func (f *Fake) Do(ctx context.Context, a driver.Action) events.Result {
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	r := f.act(ctx, a)
	r.Step = a.Step
	return r
}

func refused(format string, args ...any) events.Result {
	return events.Result{Outcome: events.Refused, Why: fmt.Sprintf(format, args...)}
}
