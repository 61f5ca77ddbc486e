package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/kernel"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestPausedHost pauses a whole host until its group was promoted elsewhere, and lets it go on, the servers first: with the kernel lease not one answer reaches any of
// its clients any more, and each is told that its session is over. The same without the kernel lease shows what would have come.
func TestPausedHost(t *testing.T) {
	if h := kernel.Check(); !h.Can() {
		t.Skipf("NOT TESTED: no kernel lease here: %v", h.Why())
	}
	t.Run("with", func(t *testing.T) {
		p, crowd, late := pausedHost(t, config.KernelRequire)
		if late != 0 {
			t.Errorf("%d answers came after another cluster was promoted", late)
		}
		p.wait("every client is told that its session is over", func() error {
			if n := crowd.Left(); n > 0 {
				return fmt.Errorf("%d sessions hang", n)
			}
			return nil
		})
	})
	t.Run("without", func(t *testing.T) {
		if _, _, late := pausedHost(t, config.KernelOff); late == 0 {
			t.Error("no late answer without the kernel lease: this test proves nothing")
		}
	})
}

// pausedHost plays it with fence.kernel set, and counts the answers that came after the host went on.
func pausedHost(t *testing.T, fence string) (p *play, crowd *stage.Crowd, late int) {
	g := stage.Groups(1)[0]
	p = beginWith(t, stage.Options{Groups: []stage.Group{g}, Every: stage.Every, Kernel: fence, Settings: "max_connections = 60\n"})
	old := p.Server(g.Primary())
	if fence != config.KernelOff {
		p.wait("the kernel lease is in force", func() error {
			log, err := os.ReadFile(p.Log(stage.Guard, g.Home))
			if err == nil && !strings.Contains(string(log), "kernel lease in force") {
				err = fmt.Errorf("the guard says: %s", log[max(0, len(log)-500):])
			}
			return err
		})
	}
	crowd, err := p.Crowd(old, 20)
	p.do(err)
	t.Cleanup(crowd.End)
	skip, fault := p.heard(), stage.Clock()
	halted, err := p.HaltHost(g.Home)
	p.do(err)
	p.serving(skip, fault, g, g.Recovery())
	resumed := stage.Clock()
	p.do(halted.Resume())
	p.restored(skip, g, g.Primary())
	late = crowd.Answers(resumed)
	t.Logf("fence.kernel %s: %d answers after the host went on, %d sessions left", fence, late, crowd.Left())
	return p, crowd, late
}
