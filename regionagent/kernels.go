package regionagent

import (
	"context"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/guard"
	"github.com/switchback-dr/switchback/regionagent/kernel"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// chooseKernel settles whether the kernel lease is used here, once, by trying it. With require a host that can't have it takes no lease, and says why.
func (a *agent) chooseKernel() {
	if a.cfg.Fence.Kernel == config.KernelOff {
		return
	}
	host := kernel.Check()
	a.kernel = host.Can()
	switch why := host.Why(); {
	case a.cfg.Fence.Kernel == config.KernelRequire && !host.Whole():
		a.lacks = "fence.kernel is require: " + why
	case !a.kernel:
		a.log.Warn("no kernel lease here: a host that is paused whole may answer for an instant when it goes on", "why", why)
	case why != "":
		a.log.Warn("the kernel lease does not cover everything", "why", why)
	}
}

// cgroup is where a server that has no unit is started, so that it has one of its own; empty: wherever its starter is.
func (a *agent) cgroup(p *config.Postgres) (string, error) {
	if !a.kernel || p.Unit != "" {
		return "", nil
	}
	return kernel.Home(p.Data)
}

// outlet is the kernel lease as the guard knows it.
type outlet struct{ *kernel.Lease }

// State implements guard.Outlet.
func (o outlet) State(cluster string) guard.OutletState {
	s := o.Lease.State(cluster)
	return guard.OutletState{InForce: s.InForce, Why: s.Why, Left: events.Duration(s.Left), Late: s.Late, Former: s.Former}
}

// spareLinks tells the guard every few seconds which of a server's connections the kernel lease must not cut.
func (a *agent) spareLinks(ctx context.Context, c *cluster) {
	l, can := c.driver.(driver.Linker)
	if !a.kernel || !can {
		return
	}
	tick := time.NewTicker(a.d.ReRead)
	defer tick.Stop()
	for {
		short, cancel := context.WithTimeout(ctx, probeLimit)
		ps, err := l.Links(short)
		cancel()
		if err == nil { // a server that is down has none to spare
			a.post(ctx, func(now events.Instant) lease.Effects {
				if a.client != nil {
					a.client.Spare(c.ref.String(), ps)
				}
				return a.core.Tick(now)
			})
		} else {
			a.log.Debug("links not read", "cluster", c.ref.String(), telemetry.Err(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// kernelAlarms lists the clusters that the kernel lease was required for and does not hold.
func (a *agent) kernelAlarms() (as []string) {
	if a.cfg.Fence.Kernel != config.KernelRequire || a.client == nil {
		return nil
	}
	for _, l := range a.core.Lefts(boottime.Now()) {
		if s, told := a.client.Outlet(l.Cluster); told && l.Held && !l.Exempt && !s.InForce {
			as = append(as, fmt.Sprintf("%s: the kernel lease is required and not in force: %s", l.Cluster, s.Why))
		}
	}
	return as
}

// kernelWord is what the guard last told of a cluster's kernel lease; empty: nothing is to be told.
func (a *agent) kernelWord(c *cluster) string {
	if !a.kernel || a.client == nil {
		return ""
	}
	switch s, told := a.client.Outlet(c.ref.String()); {
	case !told:
		return ""
	case s.InForce:
		return events.KernelInForce
	default:
		return s.Why
	}
}

// exportKernel copies what the guard told of each cluster's kernel lease into the metrics.
func (a *agent) exportKernel() {
	if a.client == nil {
		return
	}
	for _, c := range a.clusters {
		if s, told := a.client.Outlet(c.ref.String()); told {
			name := c.ref.Cluster
			a.metrics.kernelOn.WithLabelValues(name).Set(bit(s.InForce))
			a.metrics.kernelLeft.WithLabelValues(name).Set(s.Left.D().Seconds())
			a.metrics.kernelDropped.WithLabelValues(name, "late").Set(float64(s.Late))
			a.metrics.kernelDropped.WithLabelValues(name, "former").Set(float64(s.Former))
		}
	}
}
