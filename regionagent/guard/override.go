package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// Override is one as it stands on disk. It stays there, and is told, until a person ends it.
type Override struct {
	By     string     `json:"by"`
	Reason string     `json:"reason"`
	At     time.Time  `json:"at"` // by the host's wall clock, to be shown
	Seq    events.Seq `json:"seq"`
	Over   bool       `json:"over"` // the lease rules again
	Heard  bool       `json:"heard"`
}

// Told is an override as the agent's core takes it; of none, nothing.
func (o Override) Told() lease.Override {
	if o.By == "" {
		return lease.Override{}
	}
	return lease.Override{Text: fmt.Sprintf("%s, %s: %s", o.By, o.At.UTC().Format(time.RFC3339), o.Reason), Seq: o.Seq, Over: o.Over}
}

// Overrides are those of a host, by cluster.
type Overrides map[string]Override

// ReadOverrides reads them. A file that can't be read holds none, and the error says why.
func ReadOverrides(path string) (Overrides, error) {
	all, _, err := ledger.Read[Overrides](path)
	return all, err
}

// ChangeOverrides changes them on disk: agent and people write them, one at a time.
func ChangeOverrides(ctx context.Context, path string, change func(Overrides)) error {
	for {
		f, err := ledger.Open[Overrides](path)
		if errors.Is(err, ledger.ErrLocked) {
			if nap(ctx, 10*time.Millisecond); ctx.Err() == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("change overrides: %w", err)
		}
		all, _, err := f.Load()
		if all == nil {
			all = Overrides{}
		}
		if err == nil {
			change(all)
			err = f.Save(all)
		}
		return errors.Join(err, f.Close())
	}
}

// InForce reports whether a cluster's override holds, as ledger and overrides stand on disk.
func InForce(overrides, ledgerFile, cluster string) bool {
	all, err := ReadOverrides(overrides)
	o := all[cluster].Told()
	if err != nil || o.Text == "" {
		return false
	}
	l, _, err := ledger.Read[lease.Ledger](ledgerFile)
	if err != nil {
		return o.InForce(0)
	}
	if e := entry(&l, cluster); e != nil {
		return o.InForce(e.SeenSeq)
	}
	return o.InForce(0)
}

// override is a person's word, from another process of the host than the agent: the cluster is let go, and no deadline holds it until the agent says that this is over.
func (g *guard) override(ctx context.Context, in inbound) {
	m := in.message
	c := g.clusters[m.Cluster]
	j := &job{verb: Thaw, why: "overridden: " + m.Why, from: in.from, n: m.N}
	if c == nil {
		g.refuse(j, fmt.Sprintf("cluster %q: no hello named it", m.Cluster))
		return
	}
	g.Log.Error("OVERRIDDEN: nothing freezes it until the record names it anew or it has the right again", "cluster", m.Cluster, "why", m.Why)
	g.core.Override(m.Cluster)
	switch g.core.Fence(m.Cluster) {
	case lease.FenceFreezing, lease.FenceFrozen:
		g.order(ctx, c, j)
	default:
		in.from.send(message{Kind: kindDone, N: m.N, Done: &Done{OK: true}})
	}
}

// AskOverride tells the guard of an override that stands on disk, and returns once the cluster is let go. ErrDown: nobody guards.
func AskOverride(ctx context.Context, socket, cluster, why string) (Done, error) {
	conn, err := dial(ctx, socket)
	if err != nil {
		return Done{}, fmt.Errorf("%w: %w", ErrDown, err)
	}
	defer conn.Close()
	if err := writeLine(conn, message{Kind: kindOverride, N: 1, Cluster: cluster, Why: why}); err != nil {
		return Done{}, fmt.Errorf("%w: %w", ErrDown, err)
	}
	done := make(chan Done, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- lines(conn, func(m message) {
			if m.Kind == kindDone && m.Done != nil {
				select {
				case done <- *m.Done:
				default: // one question, one answer
				}
			}
		})
	}()
	select {
	case d := <-done:
		return d, nil
	case err := <-ended:
		return Done{}, fmt.Errorf("%w: %w", ErrDown, err)
	case <-ctx.Done():
		return Done{}, fmt.Errorf("override %s: %w", cluster, context.Cause(ctx))
	}
}
