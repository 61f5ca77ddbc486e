package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// everyMinute is due as soon as it is applied: the occurrence of this minute may still be begun.
const everyMinute = `drill: {cron: "* * * * *", for: 1m}`

// TestDrill has a person drill a group, then a schedule that is due every minute. Each goes there and back and loses nothing; the one that is under way when the region it
// is in dies is pre-empted, and the group is failed over as any other.
func TestDrill(t *testing.T) {
	g := stage.Groups(1)[0]
	g.Second = true
	p := begin(t, []stage.Group{g})
	began := stage.Clock()
	p.dryUntil(g, true)
	out, err := p.Command(t.Context(), "drill", g.Name, "--yes", "--reason", "by hand")
	if err != nil || !strings.Contains(out, "PASS  write pause") {
		t.Fatalf("drill by hand: %v\n%s", err, out)
	}
	first := p.view(g.Name).Record.Drill
	t.Log(first.End)

	out, err = p.Command(t.Context(), "sim", "--fleet", "live", "--lose", stage.West)
	if err != nil || !strings.Contains(out, "1 of 1 groups move by themselves") {
		t.Fatalf("what if %s were lost: %v\n%s", stage.West, err, out)
	}

	skip := p.heard()
	_, err = p.Apply(stage.Fleet([]stage.Group{{Name: g.Name, Home: g.Home, Second: true, Policy: everyMinute}}))
	p.do(err)
	d := p.drillEnds(skip, g)
	if d.Ended != events.DrillPass || d.By != events.ActorSchedule || len(d.Legs) != 2 || d.Legs[0].Gap <= 0 || d.Legs[1].Gap <= 0 {
		t.Fatalf("the scheduled drill: %+v", d)
	}
	p.course(g, began, nil, g.Primary(), first.To, g.Primary(), d.To, g.Primary())
	if v := p.view(g.Name); v.Readiness != "ready" {
		t.Errorf("drilled a moment ago, and it is %s: %s", v.Readiness, v.ReadyWhy)
	}
	p.preempted(g)
}

// drillEnds waits for the end of a drill.
func (p *play) drillEnds(skip int, g stage.Group) *events.Drill {
	p.t.Helper()
	e, err := p.Bus().Wait(p.t.Context(), skip, 2*serveLimit+serveLimit/2, func(n events.Notice) bool { return n.Type == events.NoticeDrill && n.Group == g.Name })
	p.do(err)
	p.t.Log(e.Notice.Why)
	return e.Notice.Drill
}

// preempted kills the region of a drill's middle as soon as the leader has heard of the server there.
func (p *play) preempted(g stage.Group) {
	p.t.Helper()
	skip := p.heard()
	e, err := p.Bus().Wait(p.t.Context(), skip, 2*serveLimit, func(n events.Notice) bool { return n.Type == events.NoticePromoted && n.Group == g.Name })
	p.do(err)
	var there events.Ref
	p.wait("the leader has heard of the server that was promoted", func() error {
		v := p.view(g.Name)
		there = v.Active()
		if c := v.Cluster(there); c.Server != events.ServerWritable {
			return fmt.Errorf("it shows %s as %s", there, c.Server)
		}
		return nil
	})
	if there == g.Primary() {
		p.t.Fatalf("the drill (%s) was back before it could be struck", e.Notice.Operation)
	}
	skip, fault := p.heard(), stage.Clock()
	p.do(p.KillRegion(there.Region))
	d := p.drillEnds(skip, g)
	if d.Ended != events.DrillFail {
		p.t.Fatalf("its middle died, but the drill ended: %+v", d)
	}
	p.wait(g.Name+" serves elsewhere", func() error {
		v, err := p.Bus().Group(p.t.Context(), g.Name)
		if err != nil {
			return err
		}
		if v.Active() == there || len(p.acks(g.Name, v.Active(), fault+stage.Instant(time.Second))) < 10 {
			return fmt.Errorf("active is %s: rule %s: %s", v.Active(), v.Rule, v.Why)
		}
		return nil
	})
}
