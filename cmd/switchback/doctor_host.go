package main

import (
	"context"
	"log/slog"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent"
	"github.com/switchback-dr/switchback/regionagent/kernel"
)

// hostUnchecked is what a look at a host does not tell.
var hostUnchecked = []string{
	"whether the agent, which may have been refused a lease, has measured the same: its metric switchback_freeze_worst_seconds says",
	"whether each server was started in the cgroup that is watched: the agent's metric switchback_kernel_lease_in_force says",
}

// doctorHost looks at this host instead of the hub: what an agent's file needs of it, and whether the kernel lease can run.
func (a *app) doctorHost(ctx context.Context, path string) error {
	d := &diagnosis{Durations: []duration{}, Unchecked: hostUnchecked}
	if cfg, err := config.LoadAgent(path); err != nil {
		d.found("fail", "agent's file", "%v; name another with --config", err)
	} else {
		for _, f := range regionagent.CheckHost(ctx, cfg, telemetry.NewLogger(a.err, slog.LevelError)) {
			d.found(f.Result, f.What, "%s", f.Text)
		}
	}
	d.kernelLease(kernel.Check())
	if err := a.showValue(d, func(p *page) { p.findings(d) }); err != nil {
		return err
	}
	return d.verdict()
}

// kernelLease says whether the kernel lease can run here and, if not, why. A host without is warned of, not failed: fence.kernel auto goes on without.
func (d *diagnosis) kernelLease(h kernel.Host) {
	for _, r := range h {
		word := "ok"
		if !r.OK {
			word = "warn"
		}
		d.found(word, "kernel lease, "+r.What, "%s", r.Text)
	}
	switch {
	case h.Whole():
		d.found("ok", "kernel lease", "can run here, and does unless agent.yaml says fence: {kernel: off}; it cuts what goes to clients over TCP: whoever uses a local socket waits for the freeze alone")
	case h.Can():
		d.found("warn", "kernel lease", "can run here, with the limit named above; fence: {kernel: require} takes no lease on this host")
	default:
		d.found("warn", "kernel lease", "can't run here: a host that is paused whole may answer for an instant when it goes on (%s)", h.Why())
	}
}
