package regionagent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/guard"
	"github.com/switchback-dr/switchback/regionagent/kernel"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// RunGuard runs the guard of an agent's host, from the same configuration file, until ctx ends. It never touches the ledger but reads it: what is held must be
// frozen first when nobody hands a deadline over (D1).
func RunGuard(ctx context.Context, cfg *config.Agent, log *slog.Logger) error {
	d, err := events.Profile(cfg.Profile)
	if err != nil {
		return err
	}
	reg, scoped, err := telemetry.NewRegistry(cfg.Region)
	if err != nil {
		return err
	}
	if cfg.Guarding != "" {
		go serveMetrics(ctx, cfg.Guarding, telemetry.Mux(reg, nil), log)
	}
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	a := &agent{cfg: cfg, ref: events.AgentRef{Region: cfg.Region, Agent: cfg.Name}, d: d, log: log}
	a.chooseKernel()
	dm := postgres.NewMetrics(scoped)
	var cs []guard.Cluster
	for _, c := range cfg.Clusters {
		if err := a.addCluster(c, dm); err != nil { // the others must be guarded all the same; this one's agent refuses to start
			log.Error("cluster can't be guarded", "cluster", c.Name, telemetry.Err(err))
		}
	}
	for _, c := range a.clusters {
		cs = append(cs, guard.Cluster{Cluster: c.ref.String(), Tree: a.tree(c)})
	}
	a.closeDrivers() // only where to find the processes was wanted
	var out guard.Outlet
	if a.kernel {
		l := kernel.New(log)
		go l.Run(ctx)
		out = outlet{l}
	}
	return guard.Run(ctx, guard.Config{
		Outlet: out,
		Socket: cfg.GuardSocket(), Handover: cfg.GuardHandover(), Durations: d, Clusters: cs, Log: log, Metrics: guard.NewMetrics(scoped),
		Held: func() ([]lease.Guarded, error) { return guard.ReadHeld(cfg.Ledger(), cfg.Overrides(), cs) },
	})
}

// serveMetrics serves a guard's metrics. A port that is taken costs them alone: whoever guards never waits for it.
func serveMetrics(ctx context.Context, address string, pages http.Handler, log *slog.Logger) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		err = telemetry.Serve(ctx, l, pages, log)
	}
	if err != nil {
		log.Error("no metrics of the guard", telemetry.Err(err))
	}
}
