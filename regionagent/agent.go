// Package regionagent is the agent of one host: it beats, probes, carries out and reports. What it decides is the pure lease.Agent; this package has the one
// loop that drives it, and the ways to the bus, the peers, the guard and the drivers.
//
//	lanes ─┐                     ┌─▶ ledger (fsync) ─▶ beats, reads, asks, reports
//	peers ─┤                     │
//	probes ┼─▶ one loop ─▶ lease.Agent ─▶ guard: freeze, thaw, kill
//	guard ─┤                     │
//	cmds  ─┘                     └─▶ drivers: start, promote, stop, cut … one queue per cluster
package regionagent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/site"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/account"
	"github.com/switchback-dr/switchback/regionagent/driver/exec"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/guard"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// agent is one agent process. Its loop alone touches core.
type agent struct {
	cfg        *config.Agent
	ref        events.AgentRef
	d          events.Durations
	log        *slog.Logger
	bus        *bus.NATS
	core       *lease.Agent
	file       *ledger.File[lease.Ledger]
	nonce      string
	clusters   []*cluster // sorted by name
	lanes      [events.Lanes]*laneWorker
	dialConf   *tls.Config
	cert       string
	peerClient *http.Client
	client     *guard.Client  // nil: no guard yet
	began      events.Instant // when the loop did
	silent     int            // beats in a row for which the guard was down
	clients    chan *guard.Client
	inbox      chan func(now events.Instant) lease.Effects
	reports    *reporter
	health     *healthTeller
	metrics    *metrics
	after      []func()                 // what waits for the effects of the input in hand
	slow       atomic.Pointer[string]   // why it takes no lease, nil = it does
	measured   atomic.Pointer[measured] // nil = not yet
	over       overriding
	kernel     bool   // the kernel lease is used here
	lacks      string // what this host lacks that was required, empty = nothing
	fatal      error
	restoring  chan struct{} // a token per restore under way
}

// cluster is one cluster of this host.
type cluster struct {
	ref    events.Ref
	kind   events.Kind
	driver driver.Driver
	work   chan lease.Action                  // one queue: the driver's verbs come one at a time
	look   chan struct{}                      // probe now
	ended  atomic.Uint64                      // actions that ended
	cancel atomic.Pointer[context.CancelFunc] // ends the restore under way, nil = none
	peers  atomic.Pointer[[]string]           // names of the clusters that may follow it, nil = it is not to be tended now
	tasks  *accounts                          // nil: it runs none
	last   events.ClusterHealth
	sick   events.Instant // since when it does not serve although it is active and has the right, 0 = it serves
	starts int            // local restarts since it was last well
	rising events.Instant // how long it may take on its way up by its first start or promotion since it served last; 0 = none was begun
	waited bool           // what it depends on was not there when it was looked at last
}

// inboxSize is how many inputs may wait for the loop.
const inboxSize = 4096

// Run runs an agent until ctx ends. Ending it touches no database: the guard's deadline runs on, and a new agent of the same ledger takes over.
func Run(ctx context.Context, cfg *config.Agent, log *slog.Logger) error {
	d, err := events.Profile(cfg.Profile)
	if err != nil {
		return err
	}
	if bad := d.Check(); len(bad) > 0 {
		return fmt.Errorf("durations of profile %s: %v", d.Profile, bad)
	}
	reg, scoped, err := telemetry.NewRegistry(cfg.Region)
	if err != nil {
		return err
	}
	a := &agent{
		cfg: cfg, ref: events.AgentRef{Region: cfg.Region, Agent: cfg.Name}, d: d, log: log, nonce: rand.Text(), metrics: newMetrics(scoped),
		inbox: make(chan func(events.Instant) lease.Effects, inboxSize), clients: make(chan *guard.Client), restoring: make(chan struct{}, events.HostRestores),
	}
	scoped.MustRegister(newGateCollector(cfg.GateLog()))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	led, err := a.open()
	if err != nil {
		return err
	}
	defer a.file.Close()
	a.chooseKernel()
	dm := postgres.NewMetrics(scoped)
	for _, c := range cfg.Clusters {
		if err := a.addCluster(c, dm); err != nil {
			return err
		}
	}
	defer a.closeDrivers()
	tm := account.NewMetrics(scoped)
	for _, c := range a.clusters {
		c.tasks = a.newAccounts(c, tm)
	}
	a.selfTest(ctx)
	listener, err := a.security()
	if err != nil {
		return err
	}
	opts, err := site.Hub(cfg.Hub, cfg.TLS, "agent "+a.ref.String(), cfg.Key)
	if err != nil {
		return err
	}
	opts.Log, opts.Registerer = log, scoped
	short, cancel := context.WithTimeout(ctx, time.Second)
	a.bus, err = bus.Connect(short, opts)
	cancel()
	if err != nil {
		return fmt.Errorf("connect to the hub: %w", err)
	}
	defer a.bus.Close()
	if cfg.Metrics != "" {
		l, err := net.Listen("tcp", cfg.Metrics)
		if err != nil {
			return fmt.Errorf("listen for metrics: %w", err)
		}
		go func() {
			if err := telemetry.Serve(ctx, l, telemetry.Mux(reg, a.healthy), log); err != nil {
				log.Error("metrics stopped", telemetry.Err(err))
			}
		}()
	}
	refs := make([]events.Ref, 0, len(a.clusters))
	for _, c := range a.clusters {
		refs = append(refs, c.ref)
	}
	a.core = lease.New(a.ref, d, led, a.nonce, refs, boottime.Now())
	x, err := a.exporter(cfg.Export, scoped, reg, log)
	if err != nil { // the clusters are cared for all the same
		log.Error("metrics are not exported", telemetry.Err(err))
	}
	if err := a.start(ctx, listener); err != nil {
		return err
	}
	if x != nil {
		go x.Run(ctx)
	}
	return a.loop(ctx)
}

// open takes the ledger. A new one gets its id now; a corrupt one is an error, never taken for empty.
func (a *agent) open() (lease.Ledger, error) {
	if err := os.MkdirAll(a.cfg.State, 0o700); err != nil {
		return lease.Ledger{}, fmt.Errorf("make state directory: %w", err)
	}
	f, err := ledger.Open[lease.Ledger](a.cfg.Ledger())
	if err != nil {
		return lease.Ledger{}, fmt.Errorf("open ledger: %w", err)
	}
	a.file = f
	led, known, err := f.Load()
	if err != nil {
		_ = f.Close()
		return lease.Ledger{}, err
	}
	switch {
	case !known:
		led.ID = rand.Text()
	case led.Agent != (events.AgentRef{}) && led.Agent != a.ref:
		_ = f.Close()
		return lease.Ledger{}, fmt.Errorf("ledger %s is of agent %s, this is %s: want that name and region back, or another state directory", a.cfg.Ledger(), led.Agent, a.ref)
	}
	return led, nil
}

func (a *agent) addCluster(c config.Cluster, m *postgres.Metrics) error {
	ref := events.Ref{Region: a.cfg.Region, Cluster: c.Name}
	drv, err := a.newDriver(ref, c, m)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", ref, err)
	}
	a.clusters = append(a.clusters, &cluster{ref: ref, kind: c.Kind(), driver: drv, work: make(chan lease.Action, 64), look: make(chan struct{}, 1)})
	return nil
}

func (a *agent) newDriver(ref events.Ref, c config.Cluster, m *postgres.Metrics) (driver.Driver, error) {
	log := a.log.With("cluster", ref.String())
	if x := c.Exec; x != nil {
		return exec.New(exec.Config{
			Cluster: ref, Commands: x.Commands, Limits: x.Limits, User: x.User, Dir: x.Dir, PIDFile: x.PIDFile, Match: x.Match, Unit: x.Unit, Cgroup: x.Cgroup, Listen: x.Listen,
			Advertise: x.Advertise, Processes: x.Processes,
		}, log)
	}
	if x := c.Airflow; x != nil {
		return a.newAirflow(ref, c.Name, x, log)
	}
	p := c.Postgres
	if p == nil {
		return nil, errors.New("want a postgres, an airflow or an exec section")
	}
	group, err := a.cgroup(p)
	if err != nil {
		return nil, err
	}
	return postgres.New(postgres.Config{
		Cluster: ref, Unit: p.Unit, Data: p.Data, Bin: p.Bin, User: p.User, DSNFile: string(p.DSN), Advertise: p.Advertise, RebuildRate: p.RebuildRate, Cgroup: group, Metrics: m,
		Replication: postgres.Replication{User: p.Replication.User, PasswordFile: string(p.Replication.Password), Slot: p.Replication.Slot, Options: p.Replication.Options},
	}, log)
}

func (a *agent) closeDrivers() {
	for _, c := range a.clusters {
		if c.tasks != nil {
			c.tasks.keeper.Close()
		}
		if err := c.driver.Close(); err != nil {
			a.log.Warn("close driver", "cluster", c.ref.String(), telemetry.Err(err))
		}
	}
}

// security reads the certificates and listens for peers. Promises are only given and taken over TLS with both sides' certificates.
func (a *agent) security() (net.Listener, error) {
	if a.cfg.Peers == "" {
		a.log.Warn("no peer listener: nobody elsewhere can see this agent, and its clusters can't be recovery clusters")
		return nil, nil
	}
	server, err := a.cfg.TLS.Server()
	if err != nil {
		return nil, err
	}
	if server == nil {
		return nil, errors.New("listen.peers is set but identity has no certificate: promises between agents travel over TLS only; want identity {cert, cert_key, ca}")
	}
	if a.dialConf, err = a.cfg.TLS.Client(); err != nil {
		return nil, err
	}
	if a.cert, err = a.cfg.TLS.Fingerprint(); err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", a.cfg.Peers, server)
	if err != nil {
		return nil, fmt.Errorf("listen for peers: %w", err)
	}
	return l, nil
}

func (a *agent) healthy(context.Context) error {
	if why := a.slow.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

// start begins everything around the loop.
func (a *agent) start(ctx context.Context, peers net.Listener) error {
	for n := range a.lanes {
		a.lanes[n] = newLaneWorker(a, n)
		go a.lanes[n].run(ctx)
	}
	for _, c := range a.clusters {
		go a.execute(ctx, c)
		go a.tend(ctx, c)
		go a.undrain(ctx, c)
		go a.spareLinks(ctx, c)
		go a.probe(ctx, c)
		if c.tasks != nil {
			go c.tasks.keeper.Run(ctx)
			go a.locals(ctx, c)
		}
	}
	a.reports = newReporter(a)
	go a.reports.run(ctx)
	a.health = newHealthTeller(ctx, a)
	a.peerClient = a.newPeerClient()
	if peers != nil {
		go a.servePeers(ctx, peers)
	}
	go a.dialGuard(ctx)
	if err := a.listen(ctx); err != nil {
		return err
	}
	go a.reread(ctx)
	go a.remeasure(ctx)
	return nil
}

// post hands an input to the loop.
func (a *agent) post(ctx context.Context, f func(now events.Instant) lease.Effects) {
	select {
	case a.inbox <- f:
	case <-ctx.Done():
	}
}

func (a *agent) find(r events.Ref) *cluster {
	for _, c := range a.clusters {
		if c.ref == r {
			return c
		}
	}
	return nil
}
