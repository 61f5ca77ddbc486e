package regionagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/guard"
)

// ErrNotHere says that no cluster of the agent's file is meant.
var ErrNotHere = errors.New("no cluster of this host")

// hosted is one cluster of this host, for what a unit or a person runs beside the agent and the guard, whether or not they run.
type hosted struct {
	*cluster
	agent *agent
	plain bool // kinds exec and airflow: a clean stop is its unit's own
}

// openHosted finds a cluster by its name (orders-a or eu-west-1/orders-a) or by the unit that runs it. Errors: ErrNotHere.
func openHosted(cfg *config.Agent, name, unit string, log *slog.Logger) (*hosted, error) {
	name, unit = strings.TrimPrefix(name, cfg.Region+"/"), strings.TrimSuffix(unit, ".service")
	for _, c := range cfg.Clusters {
		if (name == "" || c.Name != name) && (unit == "" || !c.Runs(unit)) {
			continue
		}
		a := &agent{cfg: cfg, ref: events.AgentRef{Region: cfg.Region, Agent: cfg.Name}, log: log}
		a.chooseKernel() // a server without a unit has a cgroup of its own then
		if err := a.addCluster(c, nil); err != nil {
			return nil, err
		}
		return &hosted{a.clusters[0], a, c.Exec != nil || c.Airflow != nil}, nil
	}
	if unit != "" {
		return nil, fmt.Errorf("%w: none has unit %q", ErrNotHere, unit)
	}
	return nil, fmt.Errorf("%w: none is called %q", ErrNotHere, name)
}

func (h *hosted) guarded() guard.Cluster {
	return guard.Cluster{Cluster: h.ref.String(), Tree: h.agent.tree(h.cluster)}
}

// UnitGate is what a unit runs before it starts a server (ExecStartPre): see guard.Gate. What no cluster of the file is, it leaves alone.
func UnitGate(cfg *config.Agent, name, unit string, log *slog.Logger) (guard.Passage, error) {
	h, err := openHosted(cfg, name, unit, log)
	if errors.Is(err, ErrNotHere) && unit != "" {
		return guard.Passage{Row: "gate.not-here", Alone: true, Why: err.Error()}, nil
	} else if err != nil {
		return guard.Passage{}, err
	}
	defer h.agent.closeDrivers()
	p, err := guard.Gate(cfg.Ledger(), cfg.Permit(h.ref.Cluster), h.guarded())
	if err == nil && p.Closed && h.kind == events.KindAirflow { // it can't come up read-only, and does not look for a file: it does not come up
		err = fmt.Errorf("%s: %s: its units are started by its agent alone", h.ref, p.Why)
	}
	if err == nil && p.Closed {
		if err := guard.CountRefusal(cfg.GateLog(), h.ref.String(), p); err != nil {
			log.Warn("the gate", telemetry.Err(err))
		}
	}
	return p, err
}

// heldEvery is how often a server that is being stopped is looked at: one that is frozen meanwhile must be killed.
const heldEvery = 20 * time.Millisecond

// UnitStop is what a unit runs to stop a server (ExecStop). One that runs is stopped cleanly. One that is held still, or is while it stops, is killed where it stands: it must
// not be let go to end by itself, since it would answer what waits in it first (2-safety, kill). It says what it did; once it is nil no process is left, or the cluster is not
// under care and the unit's own way to stop it is next.
func UnitStop(ctx context.Context, cfg *config.Agent, name, unit string, log *slog.Logger) (string, error) {
	h, err := openHosted(cfg, name, unit, log)
	if errors.Is(err, ErrNotHere) && unit != "" {
		return err.Error() + ": left to its unit", nil
	} else if err != nil {
		return "", err
	}
	defer h.agent.closeDrivers()
	if why, alone := guard.LeftAlone(cfg.Ledger(), h.guarded()); alone {
		return why + ": left to its unit", nil
	}
	return h.stop(ctx)
}

// stopLimit is how long a clean stop may take before the service manager loses patience: it has a limit of its own.
const stopLimit = 24 * time.Hour

func (h *hosted) stop(ctx context.Context) (string, error) {
	tree := h.agent.tree(h.cluster)
	clean, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan error, 1)
	if held, err := freezer.Held(tree); held || err != nil {
		return h.kill(ctx, tree, "it was held still")
	}
	if h.plain { // its stop command may well ask the service manager that waits for us now
		return "not held still: left to its unit", nil
	}
	go func() { stopped <- h.stopCleanly(clean, tree) }()
	tick := time.NewTicker(heldEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-stopped:
			if err != nil {
				return h.kill(ctx, tree, err.Error())
			}
			return "stopped cleanly", nil
		case <-tick.C:
			if held, err := freezer.Held(tree); held || err != nil {
				cancel()
				<-stopped // nobody but us touches it any more
				return h.kill(ctx, tree, "it was frozen while it stopped")
			}
		}
	}
}

// stopCleanly returns once no process is left, or says why it was not stopped.
func (h *hosted) stopCleanly(ctx context.Context, tree driver.Tree) error {
	if r := h.driver.Do(ctx, driver.Action{Verb: driver.Stop, Limit: stopLimit}); !r.Outcome.OK() {
		p, err := freezer.Find(tree)
		if err == nil && len(p.All) == 0 {
			return nil // it was down before
		}
		return fmt.Errorf("its clean stop: %s", r.Why)
	}
	for {
		p, err := freezer.Find(tree)
		if err != nil || len(p.All) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(heldEvery):
		}
	}
}

func (h *hosted) kill(ctx context.Context, tree driver.Tree, why string) (string, error) {
	o, err := freezer.Kill(ctx, tree)
	if err != nil {
		return "", fmt.Errorf("%s, and its kill is not proved: %w", why, err)
	}
	return fmt.Sprintf("%s: killed, %d processes in %v, port closed", why, o.Processes, o.Took.Round(time.Millisecond)), nil
}
