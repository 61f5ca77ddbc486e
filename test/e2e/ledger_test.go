package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestLedgerLost takes an agent's ledger away, as a replaced disk does. Its lanes show a start that it never wrote, so it might be a clone: it takes no lease, its active
// stands still, and says what a person can do. What is said to be done brings everything back, and no acknowledged write is lost.
func TestLedgerLost(t *testing.T) {
	groups := stage.Groups(2)
	p := begin(t, groups)
	heard, fault := p.heard(), stage.Clock()
	p.do(p.KillProcess(stage.Agent, stage.West))
	found, err := filepath.Glob(filepath.Join(p.Dir(), stage.West, "state", "ledger*"))
	p.do(err)
	if len(found) == 0 {
		t.Fatal("there is no ledger to lose")
	}
	for _, f := range found {
		p.do(os.Remove(f))
	}
	p.do(p.StartProcess(stage.Agent, stage.West))

	p.wait("it is told what to do", func() error {
		out, err := p.Command(p.shortly(), "status")
		if !strings.Contains(out, "switchback rejoin "+stage.West+"/") {
			return fmt.Errorf("%s %w", out, err)
		}
		return nil
	})
	agent := p.view(groups[0].Name).Record.Member(groups[0].Primary()).Agent.String()
	if _, err := p.Command(p.shortly(), "rejoin", agent, "--yes"); exit(err) != 2 || !strings.Contains(err.Error(), "gives no reason") {
		t.Errorf("without a reason: %v", err)
	}
	p.wait("the rejoin is taken", func() error {
		out, err := p.Command(p.shortly(), "rejoin", agent, "--yes", "--reason", "its disk was replaced")
		if err != nil {
			return fmt.Errorf("%s %w", out, err)
		}
		return nil
	})
	_, err = p.Bus().Wait(t.Context(), heard, serveLimit, func(n events.Notice) bool { return n.Rule == "rejoin.free" })
	p.do(err)
	p.do(p.StopProcess(stage.Agent, stage.West))
	p.do(p.StartProcess(stage.Agent, stage.West))
	p.do(p.WaitWhole(serveLimit))
	for _, g := range groups {
		v, back := p.view(g.Name), stage.Clock()
		p.wait(g.Name+" takes writes", func() error {
			if n := len(p.acks(g.Name, v.Active(), back)); n < 10 {
				return fmt.Errorf("%d writes", n)
			}
			return nil
		})
	}
	log, err := p.writers.Stop()
	p.do(err)
	for _, g := range groups {
		rows, err := p.Server(p.view(g.Name).Active()).Rows(t.Context())
		p.do(err)
		lost := slices.DeleteFunc(slices.Clone(log), func(x stage.Write) bool {
			return x.Group != g.Name || x.Acked == 0 || rows[stage.Row{Writer: x.Writer, N: x.N}]
		})
		if len(lost) > 0 {
			t.Errorf("%s: %d acknowledged writes are gone", g.Name, len(lost))
		}
		t.Logf("%s is active at %s, epoch %d, back after %v", g.Name, p.view(g.Name).Active(), p.view(g.Name).Record.Epoch, stage.Clock().Sub(fault))
	}
}
