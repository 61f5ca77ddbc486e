package e2e_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

var errNotYet = errors.New("not yet")

// TestBusLost kills every hub server. Healthy pairs go on by promises (I6), long beyond their lanes' right and also when both agents are restarted meanwhile; when the
// bus is back nothing has moved.
func TestBusLost(t *testing.T) {
	groups := stage.Groups(4)
	p := begin(t, groups)
	d := fast(t)
	fault := stage.Clock()
	p.do(p.StopHub())
	p.goesOn(groups, fault, 4*d.Honoured())
	for _, g := range groups {
		log := p.acks(g.Name, g.Primary(), fault-stage.Instant(time.Second))
		t.Logf("%s stood still for at most %v when the bus went", g.Name, gap(log))
		if gap(log) > d.Run {
			t.Errorf("%s stood still for %v when the bus went: promises must be there before the lanes lapse", g.Name, gap(log))
		}
	}

	restarted := stage.Clock()
	for _, r := range []string{stage.West, stage.Central} {
		p.do(p.KillProcess(stage.Agent, r))
		p.do(p.StartProcess(stage.Agent, r))
	}
	p.goesOn(groups, restarted, 4*d.Honoured())
	for _, g := range groups {
		t.Logf("%s stood still for at most %v when both agents were restarted", g.Name, gap(p.acks(g.Name, g.Primary(), restarted-stage.Instant(time.Second))))
	}

	back := stage.Clock()
	p.do(p.StartHub())
	p.do(p.WaitProtected(serveLimit))
	p.goesOn(groups, back, 2*d.Honoured())
	_, err := p.writers.Stop()
	p.do(err)
	for _, g := range groups {
		if v := p.view(g.Name); v.Active() != g.Primary() || v.Record.Op != nil {
			t.Errorf("%s was moved: %+v", g.Name, v.Record.Op)
		}
		if n := len(p.acks(g.Name, g.Recovery(), 0)); n != 0 {
			t.Errorf("%s: its passive acknowledged %d writes", g.Name, n)
		}
		p.allThere(g, g.Primary())
	}
}

// goesOn waits until the actives at home have acknowledged writes over a span that begins at an instant.
func (p *play) goesOn(groups []stage.Group, since stage.Instant, span time.Duration) {
	p.t.Helper()
	for _, g := range groups {
		p.wait(fmt.Sprintf("%s is written to %v on", g.Name, span), func() error {
			log := p.acks(g.Name, g.Primary(), since)
			if len(log) == 0 || log[len(log)-1].Sent.Sub(since) < span {
				return fmt.Errorf("%d writes since", len(log))
			}
			return nil
		})
	}
}

// allThere checks that every write a server acknowledged is on it.
func (p *play) allThere(g stage.Group, ref events.Ref) {
	p.t.Helper()
	log := p.acks(g.Name, ref, 0) // before the rows: writers go on
	rows, err := p.Server(ref).Rows(p.t.Context())
	p.do(err)
	for _, x := range log {
		if !rows[stage.Row{Writer: x.Writer, N: x.N}] {
			p.t.Errorf("%s: %s acknowledged %s %d and does not have it", g.Name, ref, x.Writer, x.N)
		}
	}
}
