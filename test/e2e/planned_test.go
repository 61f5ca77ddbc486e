package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestPlannedMoves is everything a person may want of a fleet that is well: moves that are refused because they could not be lossless, moves that are given up half way, and
// fifty that are not.
func TestPlannedMoves(t *testing.T) {
	groups := stage.Groups(2)
	p := beginAt(t, groups, 10*time.Millisecond)
	many, few := groups[0], groups[1]
	p.part("there and back", func(p *play) { p.fifty(many) })
	p.part("refused", func(p *play) { p.refusals(few) })
	p.part("aborted by a person", func(p *play) { p.abortAsked(few) })
	p.part("target lost", func(p *play) { p.targetDies(few) })
}

// part is a test of its own on the same fleet, on another group or after everything is as it was: what goes wrong in one hides nothing of the others.
func (p *play) part(name string, f func(*play)) {
	p.t.Run(name, func(t *testing.T) {
		q := *p
		q.t = t
		f(&q)
	})
}

// refusals asks for a switchover whose target is not what it must be. It says so and begins nothing; once that is mended, it is done.
func (p *play) refusals(g stage.Group) {
	p.t.Helper()
	began := stage.Clock()
	passive := p.Server(g.Recovery())
	_, err := passive.SQL(p.shortly(), "SELECT pg_wal_replay_pause()")
	p.do(err)
	p.dryUntil(g, false)
	p.refused(events.AskSwitchover, g, "replay", "paused")
	_, err = passive.SQL(p.shortly(), "SELECT pg_wal_replay_resume()")
	p.do(err)
	p.dryUntil(g, true)

	resume, err := passive.Stall()
	p.do(err)
	p.t.Cleanup(func() { _ = resume() })
	p.dryUntil(g, false)
	p.refused(events.AskSwitchover, g, g.Recovery().String(), g.Recovery().Cluster)
	p.do(resume())
	p.dryUntil(g, true)

	p.do(p.Pause(stage.Agent, stage.Central))
	p.dryUntil(g, false)
	p.refused(events.AskSwitchover, g, "agent")
	p.do(p.Resume(stage.Agent, stage.Central))
	p.atHome(g)

	p.refused(events.AskFailback, g, "home")
	p.refused(events.AskRestore, g)
	if bad := p.course(g, began, nil, g.Primary()); len(bad.Gaps) > 0 {
		p.t.Errorf("%s: what was refused moved it: %v", g.Name, bad.Gaps)
	}
}

// dryUntil waits until a dry run says that a switchover would be done, or would not.
func (p *play) dryUntil(g stage.Group, ok bool) {
	p.t.Helper()
	p.wait(fmt.Sprintf("a dry run of a switchover of %s says %v", g.Name, ok), func() error {
		a, err := p.Bus().Ask(p.shortly(), "alice", events.AskSwitchover, `{"group":"`+g.Name+`","dry_run":true}`)
		if err == nil && a.Accepted != ok {
			err = fmt.Errorf("it says: %s", a.Why)
		}
		return err
	})
}

// abortAsked has a person stop switchovers: as soon as one is decided, where it may be too late or not; and one that waits for a target which gets nothing any more, where it
// never is. Given up, the group goes on where it was.
func (p *play) abortAsked(g stage.Group) {
	p.t.Helper()
	for _, at := range []string{events.NoticeDecision, events.NoticeFenced} {
		p.switchAnd(g, at, "abort-"+at, func() { p.abort(g) })
	}
	skip := p.heard()
	var resume func() error
	if ended := p.switchAfter(g, events.NoticeDecision, "abort-stalled", func() {
		var err error
		resume, err = p.Server(g.Recovery()).Stall() // just before it is asked: that nothing arrives is not noticed yet
		p.do(err)
		p.t.Cleanup(func() { _ = resume() })
	}, func() {
		p.first(skip, g, events.NoticeFenced, events.NoticeAborted) // stopped by now, or given up by itself
		p.abort(g)
		p.do(resume())
	}); ended != events.NoticeAborted {
		p.t.Errorf("%s: a switchover whose target got nothing any more ended: %s", g.Name, ended)
	}
}

func (p *play) abort(g stage.Group) {
	p.t.Helper()
	a, err := p.Bus().Ask(p.shortly(), "bob", events.AskAbort, `{"group":"`+g.Name+`","reason":"a test"}`)
	p.do(err)
	p.t.Logf("%s: abort: %v, %s", g.Name, a.Accepted, a.Why)
}

// targetDies kills the target's agent at each step of a switchover before its promotion. Nothing is promoted without it: the old active goes on, within the time a
// switchover's gap may last.
func (p *play) targetDies(g stage.Group) {
	p.t.Helper()
	for _, at := range []string{events.NoticeDecision, events.NoticeFenced} {
		p.switchAnd(g, at, "target-"+at, func() {
			p.do(p.KillProcess(stage.Agent, g.Recovery().Region))
			p.t.Cleanup(func() { _ = p.StartProcess(stage.Agent, g.Recovery().Region) })
		})
	}
}

// switchAnd asks for a switchover, does something as soon as an event of it comes, and sees to it that the group is whole again: moved, or given back within the gap that is
// allowed. It returns how it ended, and the group home.
func (p *play) switchAnd(g stage.Group, at, id string, do func()) (ended string) {
	p.t.Helper()
	return p.switchAfter(g, at, id, func() {}, do)
}

// switchAfter is switchAnd with something done just before it is asked.
func (p *play) switchAfter(g stage.Group, at, id string, before, do func()) (ended string) {
	p.t.Helper()
	p.dryUntil(g, true)
	before()
	skip, began := p.heard(), stage.Clock()
	p.do(p.insist(events.AskSwitchover, g, id, ""))
	p.told(skip, g, at, nil)
	do()
	end := p.first(skip, g, events.NoticeAborted, events.NoticeFailed, events.NoticePromoted)
	ended = end.Type
	want := []events.Ref{g.Primary()}
	p.do(p.StartProcess(stage.Agent, g.Recovery().Region))
	if ended == events.NoticePromoted {
		want = append(want, g.Recovery(), g.Primary())
		p.told(skip, g, events.NoticeServing, nil)
		p.bringHome(g)
	} else {
		p.wait(g.Name+" is given back", func() error {
			if len(p.acks(g.Name, g.Primary(), stage.Clock()-stage.Instant(time.Second))) == 0 || p.view(g.Name).Home() != "" {
				return errNotYet
			}
			return nil
		})
	}
	c := p.course(g, began, nil, want...)
	stood := gap(p.acks(g.Name, g.Primary(), began))
	p.t.Logf("%s: struck at %s it was %s; %d writes, it stood still for at most %v (%s)", g.Name, at, ended, c.Acked, stood, end.Why)
	if limit := fast(p.t).SwitchGap + 5*time.Second; ended != events.NoticePromoted && stood > limit {
		p.t.Errorf("%s stood still for %v although it was given back: want at most %v", g.Name, stood, limit)
	}
	return ended
}

// swap switches a group over to a cluster and waits until it may go back. One that is given up although nobody struck it is a failure, and asked for again.
func (p *play) swap(g stage.Group, to events.Ref, round int) {
	p.t.Helper()
	for try := 0; ; try++ {
		skip := p.heard()
		p.do(p.insist(events.AskSwitchover, g, fmt.Sprintf("round-%d-%d", round, try), `,"to":"`+to.String()+`"`))
		end := p.first(skip, g, events.NoticePromoted, events.NoticeAborted, events.NoticeFailed)
		if end.Type == events.NoticePromoted {
			break
		}
		p.t.Errorf("round %d of %s was %s although nothing struck it: %s: %s", round, g.Name, end.Type, end.Rule, end.Why)
		if try == 3 {
			p.t.FailNow()
		}
	}
	p.wait(fmt.Sprintf("round %d of %s is over", round, g.Name), func() error {
		v, err := p.Bus().Group(p.t.Context(), g.Name)
		switch {
		case err != nil:
			return err
		case v.Active() != to || v.Whole() != "":
			return fmt.Errorf("active %s: %s", v.Active(), v.Whole())
		case len(p.acks(g.Name, to, stage.Clock()-stage.Instant(time.Second))) < 10:
			return fmt.Errorf("%s is hardly written to", to)
		}
		return nil
	})
}

const rounds = 50

// What the pause of a planned move is held against, from outside: PostgreSQL by itself on a machine like this, and other managers of failovers.
const (
	floorIdle, floorBusy  = 43 * time.Millisecond, 121 * time.Millisecond
	peersBest, peersWorst = 430 * time.Millisecond, 2400 * time.Millisecond
)

// fifty switches a group there and back under load.
func (p *play) fifty(g stage.Group) {
	p.t.Helper()
	began := stage.Clock()
	want := []events.Ref{g.Primary()}
	for i := range rounds {
		to := g.Recovery()
		if i%2 == 1 {
			to = g.Primary()
		}
		want = append(want, to)
		p.swap(g, to, i)
	}
	c := p.course(g, began, nil, want...)
	for _, x := range []struct {
		who string
		gap func(stage.Gap) time.Duration
	}{{"all writers", func(g stage.Gap) time.Duration { return g.All }}, {"outside", func(g stage.Gap) time.Duration { return g.Outside }}} {
		q := func(part float64) time.Duration { return stage.Quantile(c.Gaps, part, x.gap).Round(time.Millisecond) }
		p.t.Logf("%d switchovers, %d writes, 0 lost: writes stood still, seen by %s: median %v, 90 %% within %v, at most %v (floor of PostgreSQL alone %v idle, %v busy; peers %v to %v)",
			len(c.Gaps), c.Acked, x.who, q(0.5), q(0.9), q(1), floorIdle, floorBusy, peersBest, peersWorst)
	}
}
