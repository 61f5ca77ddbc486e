package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestRecordLost loses everything that the hub had on its disks, under load. The actives go on by promises (I6), nothing is made anew by itself, and a person's word brings
// the very same actives back under care, above every epoch that any ledger has seen.
func TestRecordLost(t *testing.T) {
	groups := stage.Groups(2)
	p := begin(t, groups)
	d := fast(t)
	before := map[string]events.Epoch{}
	for _, g := range groups {
		before[g.Name] = p.view(g.Name).Record.Epoch
	}
	fault := stage.Clock()
	p.do(p.StopHub())
	p.do(p.WipeHub())
	p.do(p.StartHub())

	// Without --apply nothing is made, and what the agents remember is shown.
	p.wait("somebody says that the record is lost", func() error {
		out, err := p.Command(p.shortly(), "rebuild-record")
		if !strings.Contains(out, "remembers") {
			return fmt.Errorf("%s %w", out, err)
		}
		return nil
	})
	p.goesOn(groups, fault, 4*d.Honoured())
	if _, err := p.Bus().Status(p.shortly()); err == nil {
		t.Error("somebody leads although nobody said that the record may be made anew")
	}
	p.wait("the record is made anew, empty", func() error {
		out, err := p.Command(p.shortly(), "rebuild-record", "--apply", "--yes", "--reason", "all disks of the hub were lost")
		if err != nil {
			return fmt.Errorf("%s %w", out, err)
		}
		return nil
	})
	p.wait("somebody leads", func() error {
		_, err := p.Bus().Status(p.shortly())
		return err
	})
	p.wait("the fleet file is applied", func() error {
		out, err := p.Apply(stage.Fleet(groups))
		if err != nil {
			return fmt.Errorf("%s %w", out, err)
		}
		return nil
	})
	p.wait("every group is halted, with the way out", func() error {
		for _, g := range groups {
			if v := p.view(g.Name); v.Rule != "halt.record-lost" || !strings.Contains(v.Why, "rebuild-record") {
				return fmt.Errorf("%s: %s, %s", g.Name, v.Rule, v.Why)
			}
		}
		return nil
	})
	halted := stage.Clock()
	p.goesOn(groups, halted, 2*d.Honoured())
	p.wait("the groups are rebuilt", func() error {
		out, err := p.Command(p.shortly(), "rebuild-record", "--apply", "--yes", "--reason", "all disks of the hub were lost")
		if err != nil {
			return fmt.Errorf("%s %w", out, err)
		}
		return nil
	})
	p.do(p.WaitProtected(serveLimit))
	back := stage.Clock()
	p.goesOn(groups, back, 2*d.Honoured())
	_, err := p.writers.Stop()
	p.do(err)
	for _, g := range groups {
		v := p.view(g.Name)
		if v.Active() != g.Primary() || v.Record.Epoch <= before[g.Name] {
			t.Errorf("%s: active %s at epoch %d: want %s, above %d", g.Name, v.Active(), v.Record.Epoch, g.Primary(), before[g.Name])
		}
		if n := len(p.acks(g.Name, g.Recovery(), 0)); n != 0 {
			t.Errorf("%s: its passive acknowledged %d writes", g.Name, n)
		}
		p.allThere(g, g.Primary())
		stood := gap(p.acks(g.Name, g.Primary(), fault-stage.Instant(time.Second)))
		t.Logf("%s stood still for at most %v from the loss to its rebuilt record, epoch %d → %d", g.Name, stood, before[g.Name], v.Record.Epoch)
		if stood > d.Run {
			t.Errorf("%s stood still for %v: promises must carry it until the record is rebuilt", g.Name, stood)
		}
	}
}
