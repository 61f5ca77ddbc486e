package regionagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/guard"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// ErrRefused is a rule's word to a person on the host; it says what would make it possible.
var ErrRefused = errors.New("refused")

const (
	heardWithin   = 3 * time.Second // how long an agent may take to hear of an override; one that is dead never does
	overrideLimit = 2 * time.Minute // for a server to come up
)

// UnitOverride starts or lets go a cluster of this host now, whatever its right (break glass): what its log is must be its own. It is on disk, for agent and guard to obey,
// before anything is done. Errors: ErrNotHere, ErrRefused.
func UnitOverride(ctx context.Context, cfg *config.Agent, name, by, reason string, log *slog.Logger) (string, error) {
	h, err := openHosted(cfg, name, "", log)
	if err != nil {
		return "", err
	}
	defer h.agent.closeDrivers()
	if why, alone := guard.LeftAlone(cfg.Ledger(), h.guarded()); alone {
		return "", fmt.Errorf("%w: %s is %s: nothing fences it here, start it as usual", ErrRefused, h.ref, why)
	}
	o := guard.Override{By: by, Reason: reason, At: time.Now()}
	if l, _, err := ledger.Read[lease.Ledger](cfg.Ledger()); err == nil {
		if e := l.Find(h.ref); e != nil {
			o.Seq = e.SeenSeq
		}
	}
	if err := guard.ChangeOverrides(ctx, cfg.Overrides(), func(all guard.Overrides) { all[h.ref.String()] = o }); err != nil {
		return "", err
	}
	h.heard(ctx)
	short, cancel := context.WithTimeout(ctx, overrideLimit)
	defer cancel()
	return h.letRun(short, o.Told().Text)
}

// heard waits until the agent has heard of the override, so that it does not undo what comes next; not for ever, since it may be dead.
func (h *hosted) heard(ctx context.Context) {
	for end := time.Now().Add(heardWithin); time.Now().Before(end) && ctx.Err() == nil; {
		if all, err := guard.ReadOverrides(h.agent.cfg.Overrides()); err == nil && all[h.ref.String()].Heard {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(heldEvery):
		}
	}
}

// letRun has the guard let it go, or does so itself where none guards, then starts it if it is not writable.
func (h *hosted) letRun(ctx context.Context, why string) (string, error) {
	tree := h.agent.tree(h.cluster)
	done, err := guard.AskOverride(ctx, h.agent.cfg.GuardSocket(), h.ref.String(), why)
	switch {
	case errors.Is(err, guard.ErrDown):
		if held, e := freezer.Held(tree); held || e != nil {
			if _, err := freezer.Thaw(ctx, tree); err != nil {
				return "", err
			}
		}
	case err != nil:
		return "", err
	case !done.OK:
		return "", fmt.Errorf("the guard: %s", done.Why)
	}
	if s := h.driver.Probe(ctx).Server; s == events.ServerWritable {
		return "it runs, whatever its right", nil
	}
	defer h.agent.withdraw(h.cluster)
	r := h.driver.Do(ctx, driver.Action{Verb: driver.Start, Limit: overrideLimit, Permit: func(context.Context) error {
		return guard.GivePermit(h.agent.cfg.Permit(h.ref.Cluster), h.ref.String(), boottime.Now().Add(overrideLimit))
	}})
	switch {
	case r.Outcome == events.Refused:
		return "", fmt.Errorf("%w: it stays overridden, but was not started: %s", ErrRefused, r.Why)
	case !r.Outcome.OK():
		return "", fmt.Errorf("start: %s: %s", r.Outcome, r.Why)
	}
	return "started, whatever its right", nil
}

// EndOverride ends an override and what is told of it: the lease rules again at once.
func EndOverride(ctx context.Context, cfg *config.Agent, name string, log *slog.Logger) (string, error) {
	h, err := openHosted(cfg, name, "", log)
	if err != nil {
		return "", err
	}
	defer h.agent.closeDrivers()
	was := ""
	err = guard.ChangeOverrides(ctx, cfg.Overrides(), func(all guard.Overrides) {
		was = all[h.ref.String()].Told().Text
		delete(all, h.ref.String())
	})
	if err == nil && was == "" {
		return "", fmt.Errorf("%w: nobody overrode %s", ErrRefused, h.ref)
	}
	return was, err
}

// overriding is what the agent knows of the host's overrides.
type overriding struct {
	read  os.FileInfo // when the file was last read
	known guard.Overrides
	news  bool // the core has not judged it yet
}

// overrides hears what people wrote, and writes what became of it. The loop calls it once a beat, and has the core judge what is new.
func (a *agent) overrides(ctx context.Context) {
	path := a.cfg.Overrides()
	info, err := os.Stat(path)
	if err != nil && a.over.read == nil {
		return // nobody ever did
	}
	if err == nil && (a.over.read == nil || !os.SameFile(info, a.over.read) || info.ModTime() != a.over.read.ModTime()) {
		known, err := guard.ReadOverrides(path)
		if err != nil {
			a.log.Error("overrides", telemetry.Err(err))
			return
		}
		a.over.read, a.over.known = info, known
	}
	for _, c := range a.clusters {
		name := c.ref.String()
		o := a.over.known[name]
		a.over.news = a.core.Overridden(boottime.Now(), c.ref, o.Told()) || a.over.news
		ends := a.core.OverrideEnds(boottime.Now(), c.ref)
		if o.By == "" || o.Heard && !ends {
			continue
		}
		a.log.Error("OVERRIDDEN by a person on this host", "cluster", name, "override", o.Told().Text, "over", ends)
		err := guard.ChangeOverrides(ctx, path, func(all guard.Overrides) {
			if now := all[name]; now.By == o.By && now.At.Equal(o.At) {
				now.Heard, now.Over = true, now.Over || ends
				all[name] = now
			}
		})
		if err != nil {
			a.log.Error("overrides", telemetry.Err(err))
		}
	}
}
