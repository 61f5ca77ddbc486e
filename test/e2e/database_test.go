package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestDatabaseDead breaks databases under a living agent: one is killed again and again, one can't start any more. Both are moved on their own evidence, after their
// agent tried to restart them; a third, killed once, is restarted and stays.
func TestDatabaseDead(t *testing.T) {
	groups := stage.Groups(3)
	p := begin(t, groups)
	again, spoilt, once := groups[0], groups[1], groups[2]
	skip, fault := p.heard(), stage.Clock()
	p.do(p.Server(spoilt.Primary()).Spoil())
	p.do(p.Server(spoilt.Primary()).Kill())
	p.do(p.Server(once.Primary()).Kill())
	ctx, stop := context.WithCancel(t.Context())
	killed := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := p.Server(again.Primary()).Kill(); err != nil {
				killed <- err
				return
			}
			time.Sleep(50 * time.Millisecond) // how often the murderer comes by
		}
		killed <- nil
	}()
	defer stop()
	p.wait(once.Name+" is restarted where it was", func() error {
		if len(p.acks(once.Name, once.Primary(), fault)) < 10 {
			return errNotYet
		}
		return nil
	})
	p.serving(skip, fault, spoilt, spoilt.Recovery())
	p.serving(skip, fault, again, again.Recovery())
	stop()
	p.do(<-killed)
	if v := p.view(once.Name); v.Active() != once.Primary() || v.Record.Op != nil {
		t.Errorf("%s was moved although a restart helped: %+v", once.Name, v.Record.Op)
	}
	for _, g := range []stage.Group{spoilt, again} {
		j := p.judge(g, fault, nil)
		if j.Op.Proof.Kind != events.ProofAck {
			t.Errorf("%s: proof %s, want the word of its agent, which lives", g.Name, j.Op.Proof.Kind)
		}
		if confirm := fast(t).ClusterConfirm; j.Serving < confirm {
			t.Errorf("%s was moved %v after its server died: it must be proved down for %v first", g.Name, j.Serving, confirm)
		}
	}
}
