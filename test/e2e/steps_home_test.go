package e2e_test

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// Whose agent a blow hits; what they are in the story of a group's way home.
const (
	there = "the active's"
	home  = "its home's"
)

// homeBlows has the leader, a hub server and both agents die at every step of a restore and of the switchover that follows it.
var homeBlows = []blow{
	{"", 0, stage.Controller, ""},
	{events.NoticeRestoring, 0, stage.Controller, ""},
	{events.NoticeRestoring, 0, stage.Agent, home},
	{events.NoticeRestoring, 0, stage.Hub, ""},
	{events.NoticeRestored, 0, stage.Controller, ""},
	{events.NoticeDecision, 0, stage.Agent, there},
	{events.NoticeDecision, 0, stage.Agent, home},
	{events.NoticeFenced, 0, stage.Controller, ""},
	{events.NoticeFenced, 0, stage.Hub, stage.Central},
	{events.NoticePromoted, 0, stage.Agent, home},
	{events.NoticePromoted, 0, stage.Controller, ""},
	{events.NoticeServing, 0, stage.Agent, there},
}

// strikeHome asks for one group after the other to be brought home, restore and switchover in one, and strikes each at another step. All of them come home, and nothing that was
// acknowledged on the way is lost.
func (p *play) strikeHome(groups []stage.Group, from int) {
	p.t.Helper()
	at := from
	for _, g := range groups {
		if p.view(g.Name).Active() == g.Primary() {
			continue // its failover was given up
		}
		p.strikeOnWay(g, homeBlows[at%len(homeBlows)], fmt.Sprintf("home-%d", at))
		at++
	}
	p.atHome(groups...)
	for _, g := range groups {
		p.allThere(g, g.Primary())
		p.allOf(g, g.Recovery(), g.Primary())
	}
}

// strikeOnWay brings one group home under a blow.
func (p *play) strikeOnWay(g stage.Group, b blow, id string) {
	p.t.Helper()
	where := p.target(g, b)
	skip, asked := p.heard(), stage.Clock()
	done := make(chan error, 1)
	go func() { done <- p.insist(events.AskFailback, g, id, "") }()
	if b.event != "" {
		p.told(skip, g, b.event, nil)
	}
	p.do(p.KillProcess(b.kind, where))
	struck := stage.Clock()
	if b.kind == stage.Agent {
		p.do(p.StartProcess(b.kind, where)) // as its unit does at once
	}
	p.do(<-done)
	if b.kind != stage.Agent {
		p.wait(g.Name+" is written to after the blow", func() error {
			for _, by := range g.Clusters() {
				if len(p.acks(g.Name, by, struck)) > 10 {
					return nil
				}
			}
			return errNotYet
		})
		p.do(p.StartProcess(b.kind, where))
		p.do(p.WaitWhole(serveLimit))
	}
	again := p.bringHome(g)
	p.t.Logf("%s: %s of %s killed at %q, %v after the ask; home %v after it, asked %d times again", g.Name, b.kind, where, b.event, struck.Sub(asked).Round(time.Millisecond),
		stage.Clock().Sub(asked).Round(time.Millisecond), again)
}

// allOf checks that every write one server acknowledged is on another one now.
func (p *play) allOf(g stage.Group, by, on events.Ref) {
	p.t.Helper()
	log := p.acks(g.Name, by, 0)
	rows, err := p.Server(on).Rows(p.t.Context())
	p.do(err)
	for _, x := range log {
		if !rows[stage.Row{Writer: x.Writer, N: x.N}] {
			p.t.Errorf("%s: %s acknowledged %s %d, and %s does not have it", g.Name, by, x.Writer, x.N, on)
		}
	}
}
