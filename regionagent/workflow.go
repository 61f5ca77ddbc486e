package regionagent

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/rest"
	"github.com/switchback-dr/switchback/regionagent/kernel"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// HoldVerb is the hidden verb of this program that holds the processes of a workflow cluster.
const HoldVerb = "hold"

// newAirflow makes the driver of a workflow cluster.
func (a *agent) newAirflow(ref events.Ref, name string, x *config.Airflow, log *slog.Logger) (driver.Driver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	dir, group := a.cfg.AirflowDir(name), ""
	if a.kernel && len(x.Run) > 0 { // so that its cgroup is frozen as one
		if group, err = kernel.Home(dir + "/processes"); err != nil {
			return nil, err
		}
	}
	return airflow.New(airflow.Config{
		Cluster: ref, Units: x.Units, Slice: x.Slice, Bin: x.Bin, Home: x.Home, EnvFile: string(x.EnvFile), User: x.User, Run: x.Run, Warm: x.Warm,
		API:     rest.Config{URL: x.API, TokenFile: string(x.Token), User: x.APIUser, PasswordFile: string(x.Password)},
		DSNFile: string(x.DSN), Drain: x.Drain, Stale: x.Stale, Dir: dir, Processes: x.Processes, Advertise: x.Advertise, Self: []string{self, HoldVerb}, Cgroup: group,
	}, log)
}

// undrain has what a planned move held back go on once no such move is prepared any more, wherever the cluster is active then. The step is asked for first: a move that begins in between
// holds back for another.
func (a *agent) undrain(ctx context.Context, c *cluster) {
	d, can := c.driver.(driver.Drainer)
	if !can {
		return
	}
	a.everyReRead(ctx, func(short context.Context) {
		step, err := d.Drained(short)
		if err == nil && step != "" && a.goesOn(short, c, step) {
			err = d.Undrain(short, step)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Debug("what was held back", "cluster", c.ref.String(), telemetry.Err(err))
		}
	})
}

// goesOn reports whether a cluster is active and serves here, and the step it was held back for is wanted no more.
func (a *agent) goesOn(ctx context.Context, c *cluster, step string) bool {
	on := make(chan bool, 1)
	a.post(ctx, func(now events.Instant) lease.Effects {
		v, known := a.core.View(now, c.ref)
		on <- known && v.Role == events.RoleActive && v.Right > now && c.last.CanaryOK && (v.Step == nil || v.Step.ID != step)
		return a.core.Tick(now)
	})
	select {
	case is := <-on:
		return is
	case <-ctx.Done():
		return false
	}
}

// workflow says what of a workflow cluster's settings a move depends on, and whether its units are gated.
func (h *hostFacts) workflow(c *cluster, name string, x *config.Airflow) {
	for _, unit := range x.Units {
		h.gate(name, unit, unitDirs, "Slice="+x.Slice)
	}
	if c == nil {
		return // it was said why
	}
	for _, f := range c.driver.(*airflow.Driver).Findings() {
		result := "warn"
		if f.OK {
			result = "ok"
		}
		h.say(result, f.What+" of "+name, "%s", f.Text)
	}
}
