// Package controller is the shell around the pure core: it elects one leader, feeds it what the bus carries, stores what it decides and does the rest. Everything
// that decides is in controller/{gate,decide,fleet}; this package has the loops and the wiring.
//
//	intake ─▶ fleet.Apply ─▶ journal (one fenced batch) ─▶ revocations, reads, looks ─▶ notices, answers
package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/controller/intake"
	"github.com/switchback-dr/switchback/controller/journal"
	"github.com/switchback-dr/switchback/controller/leader"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/site"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// Controller is one controller process.
type Controller struct {
	cfg     *config.Controller
	name    string // region/name
	d       events.Durations
	bus     *bus.NATS
	journal *journal.Journal
	intake  *intake.Metrics
	metrics *metrics
	tls     *tls.Config // to look at agents; nil = can't
	lanes   events.LaneSet
	core    *leader.Core
	began   time.Time
	onLoss  atomic.Pointer[func(bus.Message) []byte] // answers rebuild-record while the record is lost, nil = it is not
	door    bool                                     // the door is open: it hands rebuild-record to onLoss
	polled  events.Instant                           // when the record was read last, or looked for
	log     *slog.Logger
}

// Run runs a controller until ctx ends: with a hub server inside it if the configuration says so.
func Run(ctx context.Context, cfg *config.Controller, log *slog.Logger) error {
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
	if cfg.Embedded != nil {
		hub, err := site.StartHub(cfg.Embedded, log)
		if err != nil {
			return err
		}
		defer hub.Shutdown()
	}
	c, err := connect(ctx, cfg, d, scoped, log)
	if err != nil {
		return err
	}
	defer c.bus.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if cfg.Metrics != "" {
		l, err := net.Listen("tcp", cfg.Metrics)
		if err != nil {
			return fmt.Errorf("listen for metrics: %w", err)
		}
		go func() {
			if err := telemetry.Serve(ctx, l, telemetry.Mux(reg, c.healthy), log); err != nil {
				log.Error("metrics stopped", telemetry.Err(err))
			}
		}()
	}
	if err := c.setUp(ctx); err != nil {
		return err
	}
	undo, err := c.observe(ctx)
	if err != nil {
		return err
	}
	defer undo()
	closeDoor, err := c.openDoor()
	if err != nil {
		return err
	}
	c.door = true
	defer closeDoor()
	serveAPI, err := c.listenAPI(scoped)
	if err != nil {
		return err
	}
	apiDone := make(chan struct{})
	go func() {
		defer close(apiDone)
		serveAPI(ctx)
	}()
	defer func() { stop(); <-apiDone }() // requests that are open may end
	c.elect(ctx)
	return nil
}

func connect(ctx context.Context, cfg *config.Controller, d events.Durations, scoped prometheus.Registerer, log *slog.Logger) (*Controller, error) {
	opts, err := site.Hub(cfg.Servers, cfg.TLS, "controller "+cfg.Region+"/"+cfg.Name, cfg.Key)
	if err != nil {
		return nil, err
	}
	opts.Log, opts.Registerer = log, scoped
	conf, err := cfg.TLS.Client()
	if err != nil {
		return nil, err
	}
	c := &Controller{
		cfg: cfg, name: cfg.Region + "/" + cfg.Name, d: d, intake: intake.NewMetrics(scoped), metrics: newMetrics(scoped), tls: conf, began: time.Now(), log: log,
	}
	regions := cfg.Lanes
	for n := range regions {
		if regions[n] == "" {
			regions[n] = opts.Servers[n%len(opts.Servers)].Region
		}
		c.lanes.Lanes[n] = events.LanePlace{Generation: firstGeneration(c.began), Region: regions[n]}
	}
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	c.bus, err = bus.Connect(short, opts)
	if err != nil {
		return nil, fmt.Errorf("connect to the hub: %w", err)
	}
	c.journal = journal.New(c.bus, journal.NewMetrics(scoped))
	return c, nil
}

func (c *Controller) healthy(context.Context) error {
	for _, up := range c.bus.Regions() {
		if up {
			return nil
		}
	}
	return errors.New("no hub server is reachable")
}

// until tries something of the set-up again until it works or ctx ends: while the hub comes up, much is not there yet.
func (c *Controller) until(ctx context.Context, what string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		c.log.Debug(what, telemetry.Err(err))
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
