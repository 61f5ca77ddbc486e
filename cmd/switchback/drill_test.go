package main

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

func drillOf(ask, ended, end string) *events.Drill {
	return &events.Drill{
		ID: "orders-drill-3", Ask: ask, By: "alice", From: ordersB, To: ordersA, Began: noon.Add(-time.Minute), At: noon, Ended: ended, End: end,
		Legs: []events.DrillLeg{{Operation: "orders-9", Gap: 160 * time.Millisecond}, {Operation: "orders-11", Gap: 140 * time.Millisecond}},
	}
}

// A drill is followed through both halves to its verdict, by what is told of it or, where that was missed, by what the group shows.
func TestDrillIsFollowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		told       bool
		ended, end string
		exit       int
		want       string
	}{
		{true, events.DrillPass, "write pause 160 ms there, 140 ms back, lost 0", 0, "PASS  write pause 160 ms there, 140 ms back, lost 0"},
		{false, events.DrillPass, "write pause 160 ms there, 140 ms back, lost 0", 0, "PASS  write pause"},
		{true, events.DrillFail, "pre-empted by orders-10 of automation (failover)", exitFailed, "FAIL  pre-empted by orders-10"},
	} {
		s := newSite(t)
		var d *events.Drill
		s.query("group", func(map[string]any) any {
			g := ordersView()
			g.Record.Drill = d
			return g
		})
		s.door(func(a events.Ask) events.Answer {
			d = drillOf(a.ID, c.ended, c.end)
			if c.told {
				s.tell("back", events.Notice{Type: events.NoticeDecision, Group: "orders", Operation: "orders-11", Why: "it goes back"})
				s.tell("end", events.Notice{Type: events.NoticeDrill, Group: "orders", Operation: d.ID, Why: "drill of orders ended", Drill: d})
			}
			return accepts("orders", "orders-9")
		})
		r := s.run("drill", "orders", "--yes", "--reason", "quarterly")
		r.want(t, c.exit, c.want)
		if c.told {
			r.want(t, c.exit, "decision  it goes back")
		}
	}
}

func TestDrillIsRefusedOrConfirmed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.query("group", func(map[string]any) any { return ordersView() })
	s.door(func(events.Ask) events.Answer {
		return events.Answer{Hash: "h", Why: "no drill", Items: []events.AnswerItem{{Group: "orders", Rule: "refuse.drill", Why: "no drill: eu-west-1 is degraded"}}}
	})
	s.run("drill", "orders").want(t, exitUsage, "want --yes")
	s.run("drill", "orders", "--yes").want(t, exitRefused, "REFUSED", "eu-west-1 is degraded")
	s.run("drill", "orders", "--dry-run").want(t, exitRefused, "REFUSED")
	s.run("drill").want(t, exitUsage, "want a GROUP or --region REGION")
}
