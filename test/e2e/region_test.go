package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestRegionKilled loses everything in the home region at once, with clients beside its servers that never stop knocking. Every group of it moves; the one at home elsewhere is
// not disturbed. Its dead servers are started by hand, by their unit and by a reboot, before, while and after they are restored: none is ever writable (I8) before it is
// brought home. What was lost is what was counted; coming home loses nothing.
func TestRegionKilled(t *testing.T) {
	groups := stage.Groups(4)
	p := begin(t, groups)
	west := at(groups, stage.West)
	knocking := p.knock(west)
	skip := p.heard()
	fault := p.darken(stage.West, west)
	for _, g := range west {
		p.serving(skip, fault, g, g.Recovery())
		p.judge(g, fault, nil)
	}
	for _, g := range at(groups, stage.Central) {
		if v := p.view(g.Name); v.Active() != g.Primary() || v.Record.Op != nil {
			t.Errorf("%s was moved although its region lives: %+v", g.Name, v.Record)
		}
		if gap, d := gap(p.acks(g.Name, g.Primary(), fault)), fast(t); gap > d.Run {
			t.Errorf("%s stood still for %v when another region was lost: its lanes are two of three", g.Name, gap)
		}
	}

	byHand, byUnit, byBoot := p.Server(west[0].Primary()), p.Server(west[1].Primary()), p.Server(west[2].Primary())
	p.do(byHand.Launch())
	p.wait(byHand.Ref.String()+" was started by hand", func() error { return readOnly(p, byHand) })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	unit := make(chan error, 1)
	go func() { unit <- byUnit.Unit(ctx) }()
	p.do(byBoot.Launch())
	p.light(stage.West)
	meddled := make(chan error, 1)
	go func() { meddled <- meddle(ctx, byHand) }()

	lost := map[string][]stage.Write{}
	for _, g := range west {
		r := p.restored(skip, g, g.Primary())
		lost[g.Name] = p.books(g, stage.Story{Group: g.Name, Old: g.Primary(), New: g.Recovery(), Fault: fault}, r, p.protected(skip, g))
	}
	stop()
	p.do(<-unit)
	p.do(<-meddled)

	p.do(byHand.Kill())
	p.do(byHand.Launch())
	p.wait(byHand.Ref.String()+" was started by hand once more", func() error { return readOnly(p, byHand) })
	p.failback(west...)
	knocking()
	for _, g := range west {
		p.course(g, 0, lost[g.Name], g.Primary(), g.Recovery(), g.Primary())
	}
}

// meddle starts a server while it is being rewound, or says nothing if it was not.
func meddle(ctx context.Context, v *stage.Server) error {
	if _, err := v.WaitTool(ctx, stage.Rewind, serveLimit); err != nil {
		return nil // it could be kept as it was, or was done before anybody could meddle
	}
	_ = v.Launch() // refused is as good
	return nil
}

// knock has a client hammer the home server of each group until the returned function is called.
func (p *play) knock(groups []stage.Group) (stop func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	var all sync.WaitGroup
	for _, g := range groups {
		all.Go(func() { p.Server(g.Primary()).Hammer(ctx) })
	}
	return func() { cancel(); all.Wait() }
}

// darken loses a region. Where the machine can, it is cut off a moment before it is killed, so that it has acknowledged writes that nobody else has. It stays cut off until it
// is lit again: the kernel of a region that is only killed goes on sending what its servers had written to their sockets.
func (p *play) darken(region string, groups []stage.Group) stage.Instant {
	p.t.Helper()
	fault := stage.Clock()
	if p.CanIsolate() == nil {
		p.do(p.Isolate(region))
		for _, g := range groups {
			p.wait(g.Name+" has written what nobody else has", func() error {
				if n := len(p.acks(g.Name, g.Primary(), fault+stage.Instant(50*time.Millisecond))); n < 3 {
					return fmt.Errorf("%d writes", n)
				}
				return nil
			})
		}
	}
	p.do(p.KillRegion(region))
	return fault
}

// light brings a darkened region back.
func (p *play) light(region string) {
	p.t.Helper()
	if p.CanIsolate() == nil {
		p.do(p.Heal(region))
	}
	p.do(p.StartRegion(region))
}

// gap is the longest time between two answers.
func gap(log []stage.Write) (longest time.Duration) {
	for i := 1; i < len(log); i++ {
		longest = max(longest, log[i].Acked.Sub(log[i-1].Acked))
	}
	return longest
}

// TestIsolation cuts the home region off from everybody while its databases and the writers beside them live on. Its guard freezes them in time, so that nobody
// acknowledges there any more when the other side is promoted; when the cut heals, what was frozen is killed and never thawed, what it had written alone is counted and
// listed, and it is made to follow. Coming home loses nothing.
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
		j := p.judge(g, fault, nil)
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
	p.do(p.Heal(stage.West))
	lost := map[string][]stage.Write{}
	for _, g := range groups {
		r := p.restored(skip, g, g.Primary())
		lost[g.Name] = p.books(g, stage.Story{Group: g.Name, Old: g.Primary(), New: g.Recovery(), Fault: fault}, r, p.protected(skip, g))
		if len(lost[g.Name]) == 0 || r.How != "rewound" {
			t.Errorf("%s: %d writes lost, %s; want some, and a rewind", g.Name, len(lost[g.Name]), r.How)
		}
	}
	p.failback(groups...)
	for _, g := range groups {
		p.course(g, 0, lost[g.Name], g.Primary(), g.Recovery(), g.Primary())
	}
}

// TestAgentDead kills the agent alone: the guard holds the deadline and fences, and the groups move. Nobody restores them, so their old servers can be looked into.
func TestAgentDead(t *testing.T) {
	groups := stage.Groups(2)
	for i := range groups {
		groups[i].Restore = events.RestoreManual
	}
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
