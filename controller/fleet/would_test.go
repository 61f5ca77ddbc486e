package fleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/events"
)

// What would be answered is what is answered, and looking changes nothing.
func TestWould(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 3, 1)
	for range 40 {
		c.beats(true)
		c.now.Boot = c.now.Boot.Add(c.d.Beat)
		c.now.Wall = c.now.Wall.Add(c.d.Beat)
	}
	name := crowdName(1)
	asks := []events.Ask{
		{Verb: events.AskFailover, Actor: "alice", Group: name, Reason: "r", DryRun: true}, {Verb: events.AskFailback, Actor: "alice", Group: name, Reason: "r", DryRun: true},
		{Verb: events.AskSwitchover, Actor: "alice", Group: name, Reason: "r", DryRun: true}, {Verb: events.AskAbort, Actor: "alice", Group: name, Reason: "r"},
	}
	before, stored := c.f.View(c.now), c.seq
	would := c.f.Would(c.now, asks)
	if len(would) != len(asks) || c.seq != stored {
		t.Fatalf("%d answers to %d asks, %d messages stored", len(would), len(asks), c.seq-stored)
	}
	if d := cmp.Diff(before.Groups, c.f.View(c.now).Groups); d != "" {
		t.Errorf("looking changed the fleet (-before +after):\n%s", d)
	}
	for i, a := range asks {
		a.ID = a.Verb
		ans := c.apply(AskSeen{Ask: a, Hash: "h"})
		if len(ans) != 1 || len(ans[0].Items) != 1 {
			t.Fatalf("%s: answered %+v", a.Verb, ans)
		}
		if d := cmp.Diff(ans[0].Items[0], would[i]); d != "" {
			t.Errorf("%s (-answered +foretold):\n%s", a.Verb, d)
		}
	}
	if !would[0].Accepted || would[1].Accepted || would[1].Rule != "refuse.at-home" {
		t.Errorf("a failover at home %+v, a failback %+v", would[0], would[1])
	}
	got := c.f.Would(c.now, []events.Ask{{Verb: events.AskFailover, Actor: "alice", Group: "nobody"}, {Verb: events.AskPause, Actor: "alice", Rollout: "deadbeef"}})
	if len(got) != 2 || got[0].Accepted || got[0].Rule != "" || got[1].Accepted || got[1].Why == "" {
		t.Errorf("of what is not known: %+v", got)
	}
}
