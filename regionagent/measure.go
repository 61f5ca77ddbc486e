package regionagent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

const (
	// unknownProcesses is what a server counts for whose settings nobody can read, such as one without data yet: PostgreSQL's defaults come to it.
	unknownProcesses = 131
	sizeLimit        = 5 * time.Second // for asking one server
	sizeEvery        = time.Minute     // how often the servers are asked whether they may have more by now
	// measureTries is how often a host that has a lease is measured before it is said to be too slow: it may only have been busy.
	measureTries = 3
)

// measured is what the self-test found (S). It is kept for the next agent of the same boot: an upgrade must not hold a running host up for it.
type measured struct {
	Boot  string         `json:"boot"`
	Loads []freezer.Load `json:"loads"` // in the order of the clusters
	Took  time.Duration  `json:"took"`  // the worst freeze of all of them at once
	How   freezer.How    `json:"how"`
}

// covers reports whether a host with these loads freezes no slower than what was measured.
func (m *measured) covers(loads []freezer.Load) bool {
	if len(loads) != len(m.Loads) {
		return false
	}
	for i, l := range loads {
		if l.Processes > m.Loads[i].Processes || l.How != m.Loads[i].How {
			return false
		}
	}
	return true
}

// tooSlow says why a host that was measured so takes no lease, empty = it may (2-safety, Time).
func (m *measured) tooSlow(d events.Durations) string {
	if m.Took <= d.Freeze {
		return ""
	}
	n := 0
	for _, l := range m.Loads {
		n += l.Processes
	}
	return fmt.Sprintf("freezing the %d processes that the %d servers of this host may have takes %v here by %s, profile %s allows %v: "+
		"want fewer connections, units whose cgroup the guard may freeze, a slower profile or a faster host", n, len(m.Loads), m.Took.Round(time.Millisecond), m.How, d.Profile, d.Freeze)
}

// tree is how a cluster of this host is held, as the agent's file wants it.
func (a *agent) tree(c *cluster) driver.Tree {
	t := c.driver.Tree()
	if a.cfg.Fence.Freeze == "sigstop" {
		t.Unit, t.Cgroup = "", ""
	}
	return t
}

// loads is how large the servers of this host may be, and how each will be held.
func (a *agent) loads(ctx context.Context) ([]freezer.Load, error) {
	loads, errs := make([]freezer.Load, len(a.clusters)), make([]error, len(a.clusters))
	var all sync.WaitGroup
	for i, c := range a.clusters {
		all.Go(func() { loads[i], errs[i] = a.load(ctx, c, a.known(i)) })
	}
	all.Wait()
	return loads, errors.Join(errs...)
}

// known is how many processes a server may have where it does not say: as many as when it was measured last. One that can't be asked, such as one in the middle of a restore, is
// no reason to measure a busy host anew.
func (a *agent) known(i int) int {
	if m := a.measured.Load(); m != nil && len(m.Loads) == len(a.clusters) {
		return m.Loads[i].Processes
	}
	return unknownProcesses
}

func (a *agent) load(ctx context.Context, c *cluster, known int) (freezer.Load, error) {
	l := freezer.Load{Processes: known}
	if s, can := c.driver.(driver.Sizer); can {
		short, cancel := context.WithTimeout(ctx, sizeLimit)
		defer cancel()
		n, err := s.Processes(short)
		if err == nil {
			l.Processes = n
		} else {
			a.log.Debug("size of a server", "cluster", c.ref.String(), telemetry.Err(err))
		}
	}
	var why string
	if l.How, why = freezer.Expect(a.tree(c)); l.How != freezer.ByCgroup && a.cfg.Fence.Freeze == "cgroup" {
		return l, fmt.Errorf("fence.freeze is cgroup, and %s can't be frozen so: %s", c.ref, why)
	}
	return l, nil
}

// measure plays the host's servers and freezes them, unless an agent of this boot did that before: whether that is enough for what they are now is looked at
// beside the work. It says why the host takes no lease, empty = it may.
func (a *agent) measure(ctx context.Context, anew bool) string {
	if a.lacks != "" {
		return a.lacks
	}
	boot, err := boottime.Boot()
	if err != nil {
		return err.Error()
	}
	m, _, err := ledger.Read[measured](a.cfg.Measured())
	if anew || err != nil || m.Boot != boot || len(m.Loads) != len(a.clusters) {
		m = measured{Boot: boot}
		if m.Loads, err = a.loads(ctx); err != nil {
			return err.Error()
		}
		if m.Took, m.How, err = freezer.SelfTest(ctx, m.Loads...); err != nil {
			return "the freezer's self-test failed: " + err.Error()
		}
		a.keep(m)
	}
	a.log.Info("measured", "freeze", m.Took.String(), "by", string(m.How), "servers", len(m.Loads))
	a.metrics.freeze.Set(m.Took.Seconds())
	a.measured.Store(&m)
	return m.tooSlow(a.d)
}

func (a *agent) keep(m measured) {
	f, err := ledger.Open[measured](a.cfg.Measured())
	if err == nil {
		err = errors.Join(f.Save(m), f.Close())
	}
	if err != nil {
		a.log.Warn("what was measured is not kept: the next agent measures again", telemetry.Err(err))
	}
}

// selfTest measures before the first lease.
func (a *agent) selfTest(ctx context.Context) { a.judge(a.measure(ctx, false)) }

func (a *agent) judge(why string) {
	if why == "" {
		a.slow.Store(nil)
		return
	}
	a.slow.Store(&why)
	a.log.Error("takes no lease", "why", why)
}

// remeasure tries again until the host can freeze in time, for it may only have been busy while everything on it started; then it watches for servers that may have more
// processes than were measured. A host that is too slow for those gives its lease up: its next agent takes none, and says so.
func (a *agent) remeasure(ctx context.Context) {
	for wait := a.d.ReRead; ; wait = sizeEvery {
		if a.slow.Load() != nil {
			wait = a.d.ReRead
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if a.slow.Load() != nil {
			a.judge(a.measure(ctx, true))
			continue
		}
		loads, err := a.loads(ctx)
		if m := a.measured.Load(); err == nil && m != nil && m.covers(loads) {
			continue
		}
		why := "?"
		for try := 0; why != "" && try < measureTries && ctx.Err() == nil; try++ {
			why = a.measure(ctx, true)
		}
		if why != "" && ctx.Err() == nil {
			a.post(ctx, func(now events.Instant) lease.Effects {
				a.fatal = fmt.Errorf("gives its lease up: %s", why)
				return lease.Effects{Wake: now}
			})
		}
	}
}
