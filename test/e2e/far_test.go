package e2e_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestTwoRecoveries has a group with a recovery cluster in the witness region too. Its home region is lost, then the server that took over: each time one takes over and the
// other follows it. Both lost ones are restored, one of them without anything left to keep, and the group goes home.
func TestTwoRecoveries(t *testing.T) {
	groups := stage.Groups(1)
	groups[0].Second = true
	p := begin(t, groups)
	g := groups[0]
	p.streams(g, g.Primary(), g.Recovery(), g.Far())

	skip, fault := p.heard(), p.darken(stage.West, groups)
	p.told(skip, g, events.NoticeServing, nil)
	first := p.view(g.Name).Active()
	other := g.Recovery()
	if first == other {
		other = g.Far()
	}
	p.serving(skip, fault, g, first)
	p.judge(g, fault, nil)
	p.streams(g, first, other)
	failover := p.protected(skip, g)

	second := stage.Clock()
	p.do(p.Server(first).Spoil())
	p.do(p.Server(first).Kill())
	p.wait(first.String()+" is known to be down", func() error {
		if !p.view(g.Name).Cluster(first).Server.Stopped() {
			return errNotYet
		}
		return nil
	})
	skip = p.heard()
	p.do(p.insist(events.AskFailover, g, "second", `,"accept_loss":true`))
	p.serving(skip, second, g, other)

	p.light(stage.West)
	p.do(p.insist(events.AskRestore, g, "both", "")) // the home is restored by itself, the other was given up by a person
	home, spoilt := p.restored(skip, g, g.Primary()), p.restored(skip, g, first)
	if spoilt.How != "copied" {
		t.Errorf("%s, whose control file is gone, was %s; want a copy", first, spoilt.How)
	}
	p.streams(g, other, g.Primary(), first)
	if failover.From != g.Primary() || failover.To != first {
		t.Errorf("the report of the first failover: %+v", failover)
	}
	lost := p.books(g, stage.Story{Group: g.Name, Old: g.Primary(), New: first, Fault: fault, End: second}, home, nil)
	p.failback(g)
	p.course(g, 0, append(lost, p.lostOf(g, first)...), g.Primary(), first, other, g.Primary())
}

// streams waits until these clusters stream from the active.
func (p *play) streams(g stage.Group, active events.Ref, from ...events.Ref) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%v stream from %s", from, active), func() error {
		rows, err := p.Server(active).SQL(p.shortly(), "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' AND application_name <> 'pg_basebackup'")
		if err == nil && len(rows) != len(from) {
			err = fmt.Errorf("%d do: %v", len(rows), rows)
		}
		v := p.view(g.Name)
		for _, c := range from {
			if cv := v.Cluster(c); cv.Role != events.RolePassive || cv.Fit != "" {
				err = errors.Join(err, fmt.Errorf("%s is %s: %s", c, cv.Role, cv.Fit))
			}
		}
		return err
	})
}

// lostOf are the acknowledged writes of a server that was lost with its data, as far as the active does not have them: nobody can count them otherwise.
func (p *play) lostOf(g stage.Group, by events.Ref) (lost []stage.Write) {
	p.t.Helper()
	log := p.acks(g.Name, by, 0)
	rows, err := p.Server(p.view(g.Name).Active()).Rows(p.t.Context())
	p.do(err)
	for _, x := range log {
		if !rows[stage.Row{Writer: x.Writer, N: x.N}] {
			lost = append(lost, x)
		}
	}
	if len(lost) > 5 {
		p.t.Errorf("%s: %d writes of %s were lost although another one streamed from it", g.Name, len(lost), by)
	}
	return lost
}
