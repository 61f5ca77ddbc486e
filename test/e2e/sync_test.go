package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestSyncRegionCut has three groups in sync under writers. Their home region is cut off: they serve again without a lease being waited for, and nothing acknowledged is
// missing. Home again, the other region is cut off: whoever may degrade writes on alone, whoever is strict waits. In the end every acknowledged write is there.
func TestSyncRegionCut(t *testing.T) {
	groups := stage.Groups(3)
	for i, alone := range []string{"strict", "degrade", "strict"} {
		groups[i].Policy = "replication: {mode: sync, when_alone: " + alone + "}"
	}
	p := begin(t, groups)
	if err := p.CanIsolate(); err != nil {
		t.Skipf("NOT TESTED: this host can't cut a region off: %v", err)
	}
	for _, g := range groups {
		p.inSet(g, g.Recovery())
	}

	skip, fault := p.heard(), stage.Clock()
	p.do(p.Isolate(stage.West))
	for _, g := range groups {
		p.serving(skip, fault, g, g.Recovery())
		op := p.view(g.Name).Record.Op
		// Whichever comes first: in this profile a lease is over by the time an outage is confirmed.
		if op.Proof == nil || op.Proof.Kind != events.ProofCut && op.Proof.Kind != events.ProofLease || op.Loss == nil || !op.Loss.Sync {
			t.Errorf("%s: proof %+v, loss %+v; want the sync cut or a lapsed lease, and nothing acknowledged lost", g.Name, op.Proof, op.Loss)
		}
		first := slices.MinFunc(p.acks(g.Name, g.Recovery(), fault), func(a, b stage.Write) int { return int(a.Acked - b.Acked) })
		t.Logf("%s: first acknowledgement %v after the cut, proof %s", g.Name, time.Duration(first.Acked-fault), op.Proof.Kind)
		for _, x := range p.acks(g.Name, g.Primary(), fault) {
			if x.Acked > first.Acked {
				t.Errorf("%s: its old active acknowledged a write %v after the new one's first", g.Name, time.Duration(x.Acked-first.Acked))
			}
		}
	}
	p.do(p.Heal(stage.West))
	for _, g := range groups {
		p.restored(skip, g, g.Primary())
		p.inSet(g, g.Primary())
	}
	p.failback(groups...)
	for _, g := range groups {
		p.inSet(g, g.Recovery())
		p.course(g, 0, nil, g.Primary(), g.Recovery(), g.Primary())
	}

	fault = stage.Clock()
	p.do(p.Isolate(stage.Central))
	p.wait(groups[1].Name+" writes on alone", func() error {
		if s := p.view(groups[1].Name).Record.Sync; len(s.Set) != 0 || s.Alone.IsZero() {
			return fmt.Errorf("%+v", s)
		}
		since := stage.Clock() - stage.Instant(time.Second)
		if n := len(p.acks(groups[1].Name, groups[1].Primary(), since)); n < 5 {
			return fmt.Errorf("%d writes in a second", n)
		}
		return nil
	})
	for _, g := range []stage.Group{groups[0], groups[2]} {
		if v := p.view(g.Name); !v.Record.Sync.Holds(g.Recovery()) || v.Cluster(g.Primary()).Sync == nil || v.Cluster(g.Primary()).Sync.Waiting == 0 {
			t.Errorf("%s is strict: %+v, %+v; want its commits to wait", g.Name, v.Record.Sync, v.Cluster(g.Primary()).Sync)
		}
		if n := len(p.acks(g.Name, g.Primary(), fault+stage.Instant(time.Second))); n != 0 {
			t.Errorf("%s is strict and alone, and acknowledged %d writes", g.Name, n)
		}
	}
	p.do(p.Heal(stage.Central))
	for _, g := range groups {
		p.inSet(g, g.Recovery())
		p.course(g, 0, nil, g.Primary(), g.Recovery(), g.Primary())
	}
}

// inSet waits until a cluster has every acknowledged write of its group, by the record, and commits are acknowledged.
func (p *play) inSet(g stage.Group, c events.Ref) {
	p.t.Helper()
	p.wait(c.String()+" is in the sync set", func() error {
		v, err := p.Bus().Group(p.t.Context(), g.Name)
		if err != nil {
			return err
		}
		if s := v.Record.Sync; !s.Holds(c) {
			return fmt.Errorf("%+v, health %+v", s, v.Cluster(v.Active()).Sync)
		}
		if s := v.Cluster(v.Active()).Sync; s == nil || s.Waiting != 0 {
			return fmt.Errorf("health %+v", s)
		}
		return nil
	})
}
