package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestRegionKilled loses everything in the home region at once. Every group of it moves; the one at home elsewhere is not disturbed. When the region is back its old
// servers come up read-only or not at all (I8).
func TestRegionKilled(t *testing.T) {
	groups := stage.Groups(4)
	p := begin(t, groups)
	skip, fault := p.heard(), stage.Clock()
	p.do(p.KillRegion(stage.West))
	for _, g := range at(groups, stage.West) {
		p.serving(skip, fault, g, g.Recovery())
	}
	for _, g := range at(groups, stage.Central) {
		if v := p.view(g.Name); v.Active() != g.Primary() || v.Record.Op != nil {
			t.Errorf("%s was moved although its region lives: %+v", g.Name, v.Record)
		}
		if gap, d := gap(p.acks(g.Name, g.Primary(), fault)), fast(t); gap > d.Run {
			t.Errorf("%s stood still for %v when another region was lost: its lanes are two of three", g.Name, gap)
		}
	}

	p.do(p.StartRegion(stage.West))
	for _, g := range at(groups, stage.West) {
		p.wait("the old active of "+g.Name+" is known as failed", func() error {
			for _, c := range p.view(g.Name).Clusters {
				if c.Cluster == g.Primary() && (c.Role != events.RoleFailed || !c.Server.Stopped() || c.Silent != 0) {
					return fmt.Errorf("%s is %s, %s, silent %v", c.Cluster, c.Role, c.Server, c.Silent)
				}
			}
			return nil
		})
	}
	p.closeBooks(stage.West, fault, at(groups, stage.West))
}

// gap is the longest time between two answers.
func gap(log []stage.Write) (longest time.Duration) {
	for i := 1; i < len(log); i++ {
		longest = max(longest, log[i].Acked.Sub(log[i-1].Acked))
	}
	return longest
}

// TestIsolation cuts the home region off from everybody while its databases and the writers beside them live on. Its guard freezes them in time, so that nobody
// acknowledges there any more when the other side is promoted; when the cut heals, what was frozen is killed and never thawed.
func TestIsolation(t *testing.T) {
	groups := stage.Groups(3)
	p := begin(t, groups)
	if err := p.CanIsolate(); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	d := fast(t)
	skip, fault := p.heard(), stage.Clock()
	p.do(p.Isolate(stage.West))
	for _, g := range groups {
		p.serving(skip, fault, g, g.Recovery())
	}
	p.do(p.Heal(stage.West))
	for _, g := range groups {
		p.wait("the frozen server of "+g.Name+" is stopped", func() error {
			for _, c := range p.view(g.Name).Clusters {
				if c.Cluster == g.Primary() && (!c.Server.Stopped() || c.Silent != 0 || c.Epoch != p.view(g.Name).Record.Epoch) {
					return fmt.Errorf("%s is %s at epoch %d", c.Cluster, c.Server, c.Epoch)
				}
			}
			return nil
		})
	}
	for _, j := range p.closeBooks(stage.West, fault, groups) {
		if j.LastOld > d.Run+d.Freeze {
			t.Errorf("%s: the isolated side acknowledged a write sent %v after the cut: its guard's deadline is %v, and freezing takes at most %v", j.Group, j.LastOld, d.Run, d.Freeze)
		}
		if j.LastOld < d.Run/2 {
			t.Errorf("%s: the isolated side stopped %v after the cut, long before its right was over", j.Group, j.LastOld)
		}
		if j.Op.Proof.Kind != events.ProofLease {
			t.Errorf("%s: proof %s, want %s: nobody there could say anything", j.Group, j.Op.Proof.Kind, events.ProofLease)
		}
	}
}

// TestAgentDead kills the agent alone: the guard holds the deadline and fences, and the groups move.
func TestAgentDead(t *testing.T) {
	groups := stage.Groups(2)
	p := begin(t, groups)
	d := fast(t)
	skip, fault := p.heard(), stage.Clock()
	p.do(p.KillProcess(stage.Agent, stage.West))
	for _, g := range groups {
		p.serving(skip, fault, g, g.Recovery())
	}
	for _, j := range p.closeBooks(stage.West, fault, groups) {
		if j.LastOld > d.Run+d.Freeze {
			t.Errorf("%s: a server without an agent acknowledged a write sent %v after it died", j.Group, j.LastOld)
		}
	}
}
