package regionagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/guard"
)

// HostFact is one thing that holds on a host, or does not, and what to do about it.
type HostFact struct {
	Result string // ok, warn or fail
	What   string
	Text   string
}

// hostFacts gathers them.
type hostFacts []HostFact

func (h *hostFacts) say(result, what, format string, args ...any) {
	*h = append(*h, HostFact{result, what, fmt.Sprintf(format, args...)})
}

// CheckHost says what of fencing holds on this host for the clusters of an agent's file: how each is frozen and how fast, its gate, the guard, the clock. It plays servers and
// freezes those; it touches nobody's.
func CheckHost(ctx context.Context, cfg *config.Agent, log *slog.Logger) []HostFact {
	var h hostFacts
	a := &agent{cfg: cfg, ref: events.AgentRef{Region: cfg.Region, Agent: cfg.Name}, log: log}
	a.chooseKernel()
	defer func() { a.closeDrivers() }()
	for _, c := range cfg.Clusters {
		if err := a.addCluster(c, nil); err != nil {
			h.say("fail", "cluster "+c.Name, "can't be cared for: %v", err)
		}
	}
	h.freezing(ctx, a)
	h.guard(cfg)
	for _, c := range cfg.Clusters {
		switch {
		case c.Postgres != nil:
			h.gate(c.Name, c.Postgres.Unit, unitDirs, "KillSignal=SIGKILL")
		case c.Exec != nil && c.Exec.Unit != "":
			h.gate(c.Name, c.Exec.Unit, unitDirs)
		}
		if c.Airflow != nil {
			h.workflow(a.find(events.Ref{Region: cfg.Region, Cluster: c.Name}), c.Name, c.Airflow)
		}
		if c.Exec != nil {
			if c.Exec.Unit == "" {
				h.say("warn", "gate of "+c.Name, "it has no unit: whatever else than its commands starts it has to look for %s, and not work where that is", filepath.Join(c.Exec.Dir, "standby"))
			}
			h.commands(ctx, a.find(events.Ref{Region: cfg.Region, Cluster: c.Name}), c.Name, c.Exec)
		}
	}
	h.clock("/sys/devices/system/clocksource/clocksource0/current_clocksource", "/proc/cpuinfo")
	overrides, err := guard.ReadOverrides(cfg.Overrides())
	if err != nil {
		h.say("fail", "overrides", "%v", err)
	}
	for _, c := range a.clusters {
		if o := overrides[c.ref.String()].Told(); o.Text != "" {
			h.say("fail", "override of "+c.ref.Cluster, "its fence was overridden by %s; once that is settled: switchback guard override %s --end", o.Text, c.ref.Cluster)
		}
	}
	return h
}

// freezing says how each cluster is held still, and how long that takes for all of them.
func (h *hostFacts) freezing(ctx context.Context, a *agent) {
	for _, c := range a.clusters {
		if how, why := freezer.Expect(a.tree(c)); how == freezer.ByCgroup {
			h.say("ok", "freezer of "+c.ref.Cluster, "its cgroup: nobody's SIGCONT undoes it")
		} else {
			h.say("warn", "freezer of "+c.ref.Cluster, "by signals, verified every 100 ms, since %s; run it under its own systemd unit and name that in agent.yaml to have its cgroup frozen", why)
		}
	}
	loads, err := a.loads(ctx)
	if err != nil {
		h.say("fail", "freeze (S)", "%v", err)
		return
	}
	d, err := events.Profile(a.cfg.Profile)
	if err != nil {
		h.say("fail", "profile", "%v", err)
		return
	}
	m := measured{Loads: loads}
	if m.Took, m.How, err = freezer.SelfTest(ctx, loads...); err != nil {
		h.say("fail", "freeze (S)", "%v", err)
	} else if why := m.tooSlow(d); why != "" {
		h.say("fail", "freeze (S)", "this agent takes no lease: %s", why)
	} else {
		h.say("ok", "freeze (S)", "%v for all servers at their largest, by %s; profile %s allows %v", m.Took.Round(time.Millisecond), m.How, d.Profile, d.Freeze)
	}
}

// guard looks at the guard's process: whoever listens on its socket.
func (h *hostFacts) guard(cfg *config.Agent) {
	pid, err := listener(cfg.GuardSocket())
	if err != nil {
		h.say("fail", "guard", "none listens on %s (%v): start switchback-guard, a host without one has no lease for long", cfg.GuardSocket(), err)
		return
	}
	h.say("ok", "guard", "runs as pid %d", pid)
	locked := "0"
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmLck:"); ok {
			locked = strings.TrimSpace(v)
		}
	}
	if err != nil || strings.HasPrefix(locked, "0") {
		h.say("warn", "guard's memory", "is not locked: it may be late on a host that swaps; want LimitMEMLOCK=infinity in its unit, or CAP_IPC_LOCK")
	} else {
		h.say("ok", "guard's memory", "%s locked", locked)
	}
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	if s := strings.TrimSpace(string(score)); err != nil || s != "-1000" {
		h.say("warn", "guard and OOM", "the OOM killer may take it (score %s): want OOMScoreAdjust=-1000 in its unit", s)
	} else {
		h.say("ok", "guard and OOM", "the OOM killer never takes it")
	}
}

// listener is the process that made a socket listen.
func listener(socket string) (int, error) {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close() // nothing was said
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// unitDirs are where systemd reads drop-ins.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// gate looks for what a unit runs before a start and to stop.
func (h *hostFacts) gate(cluster, unit string, dirs []string, more ...string) {
	what := "gate of " + cluster
	if unit == "" {
		h.say("warn", what, "it has no unit: what is started by hand comes up read-only by its signal file alone, and whoever stops it while it is frozen must use: switchback guard stop %s", cluster)
		return
	}
	unit = strings.TrimSuffix(unit, ".service") + ".service"
	names := []string{unit}
	if before, _, ok := strings.Cut(unit, "@"); ok {
		names = append(names, before+"@.service")
	}
	var text strings.Builder
	for _, dir := range dirs {
		for _, name := range names {
			files, _ := filepath.Glob(filepath.Join(dir, name+".d", "*.conf")) // the only error is a bad pattern
			for _, f := range append(files, filepath.Join(dir, name)) {
				b, _ := os.ReadFile(f) // not there: nothing
				text.Write(b)
			}
		}
	}
	var lacks []string
	for _, line := range append([]string{"ExecStartPre=+/usr/bin/switchback guard gate", "ExecStop=+/usr/bin/switchback guard stop"}, more...) {
		if !strings.Contains("\n"+text.String(), "\n"+line) {
			lacks = append(lacks, line)
		}
	}
	if len(lacks) > 0 {
		h.say("fail", what, "%s lacks %s: install the drop-in deploy/systemd/postgresql@.service.d/switchback.conf, then systemctl daemon-reload", unit, strings.Join(lacks, ", "))
		return
	}
	h.say("ok", what, "%s has the gate, the fence-aware stop and its signal", unit)
}

// clock names the hole of a clock that stands still while the whole machine is paused.
func (h *hostFacts) clock(source, cpuinfo string) {
	b, err := os.ReadFile(source)
	name := strings.TrimSpace(string(b))
	cpu, _ := os.ReadFile(cpuinfo) // not there: not known to be virtual
	switch {
	case err != nil:
		h.say("warn", "clock", "its source is not known: %v", err)
	case name == "kvm-clock" || name == "xen" || strings.HasPrefix(name, "hyperv"):
		h.say("warn", "clock", "%s: it may not count a pause of the whole machine, so nothing here can tell one from no time passed; have the hypervisor fence the machine it pauses, or use tsc where it is stable", name)
	case strings.Contains(string(cpu), "hypervisor"):
		h.say("ok", "clock", "%s; this is a virtual machine: that a pause of it is counted can't be seen from inside", name)
	default:
		h.say("ok", "clock", "%s", name)
	}
}
