package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// blow is what hits a failover, and when: at an event of its operation, or some time after it was asked for.
type blow struct {
	event string
	after time.Duration
	kind  stage.Kind
	where string // region; empty = that of the leading controller, or of the hub server that leads the records
}

// blows has the leader and each hub server die at every step, and between steps.
var blows = []blow{
	{"", 0, stage.Controller, ""},
	{events.NoticeDecision, 0, stage.Hub, ""},
	{events.NoticeDecision, 0, stage.Controller, ""},
	{"", 20 * time.Millisecond, stage.Hub, stage.West},
	{events.NoticeFenced, 0, stage.Controller, ""},
	{events.NoticeFenced, 0, stage.Hub, stage.Central},
	{"", 100 * time.Millisecond, stage.Controller, ""},
	{events.NoticePromoted, 0, stage.Hub, ""},
	{events.NoticePromoted, 0, stage.Controller, ""},
	{"", 150 * time.Millisecond, stage.Hub, ""},
}

// perHost is how many servers two cores freeze within the S of the fast profile, all their sessions counted: an agent with more takes no lease.
const perHost = 5

// TestStruckAtEveryStep asks for ten failovers, one after the other, and kills the leading controller or a hub server in each at another step. Every one ends: the group serves
// on one side, its record says which, nothing acknowledged is lost. Then it has all of them brought home, and strikes again.
func TestStruckAtEveryStep(t *testing.T) {
	for from := 0; from < len(blows); from += perHost {
		part := blows[from:min(from+perHost, len(blows))]
		t.Run(fmt.Sprintf("from blow %d", from+1), func(t *testing.T) { struckBy(t, part, from*len(homeBlows)/len(blows)) })
	}
}

// struckBy is one fleet's part of it; homeFrom is the first blow on the way home.
func struckBy(t *testing.T, blows []blow, homeFrom int) {
	groups := stage.Groups(len(blows))
	p := begin(t, groups)
	for i, b := range blows {
		p.strike(groups[i], b, fmt.Sprintf("struck-%d", i))
	}
	moved := 0
	for _, g := range groups {
		v := p.view(g.Name)
		p.allThere(g, v.Active())
		if v.Active() == g.Recovery() {
			moved++
		}
	}
	if moved < len(groups)/2 {
		t.Errorf("only %d of %d asks ended in a move", moved, len(groups))
	}
	p.strikeHome(groups, homeFrom)
}

// target is the region a blow falls on: the one it names, or where what it kills leads now.
func (p *play) target(g stage.Group, b blow) string {
	p.t.Helper()
	where, err := b.where, error(nil)
	switch {
	case where == home:
		where = g.Home
	case where == there:
		where = g.Recovery().Region
	case where == "" && b.kind == stage.Hub:
		where, err = p.Bus().StreamLeader(p.shortly(), events.StreamState)
	case where == "":
		where, err = p.leader()
	}
	p.do(err)
	return where
}

// strike asks for one failover, delivers the blow, sees it through and mends what was killed.
func (p *play) strike(g stage.Group, b blow, id string) {
	p.t.Helper()
	where := p.target(g, b)
	skip, asked := p.heard(), stage.Clock()
	done := make(chan error, 1)
	go func() { done <- p.insist(events.AskFailover, g, id, "") }()
	if b.event != "" {
		_, err := p.Bus().Wait(p.t.Context(), skip, serveLimit, func(n events.Notice) bool { return n.Type == b.event && n.Group == g.Name })
		p.do(err)
	} else {
		time.Sleep(b.after) // the blow falls wherever the move is by then
	}
	p.do(p.KillProcess(b.kind, where))
	struck := stage.Clock()
	p.do(<-done)
	p.wait(g.Name+" is settled and written to after the blow", func() error {
		v, err := p.Bus().Group(p.t.Context(), g.Name)
		if err != nil {
			return err
		}
		if v.Record.Phase != events.PhaseActive || v.Record.Running() {
			return fmt.Errorf("%s: %s", v.Record.Phase, v.Why)
		}
		if n := len(p.acks(g.Name, v.Active(), struck)); n < 10 {
			return fmt.Errorf("%s acknowledged %d writes", v.Active(), n)
		}
		return nil
	})
	p.t.Logf("%s: %s of %s killed %v after the ask; written to again within %v", g.Name, b.kind, where, struck.Sub(asked).Round(time.Millisecond), stage.Clock().Sub(asked).Round(time.Millisecond))
	if v := p.view(g.Name); v.Active() == g.Recovery() {
		p.lossless(g, asked)
	}
	p.do(p.StartProcess(b.kind, where))
	p.do(p.WaitWhole(serveLimit))
}

// lossless judges a planned move: both agents live, so whatever was killed beside them, nothing is lost.
func (p *play) lossless(g stage.Group, asked stage.Instant) {
	p.t.Helper()
	if j := p.judge(g, asked, nil); len(j.Lost) != 0 && j.Op.Proof.Kind == events.ProofAck && j.Op.Stopped != 0 {
		p.t.Errorf("%s lost %d acknowledged writes although its old active stopped cleanly at %v", g.Name, len(j.Lost), j.Op.Stopped)
	}
}

// leader is the region of the leading controller.
func (p *play) leader() (string, error) {
	st, err := p.Bus().Status(p.shortly())
	region, _, _ := strings.Cut(st.Leader, "/")
	return region, err
}
