package model

import (
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// hostDo makes a step of what happens to a host, its first argument.
func hostDo(name string, do func(s *hostStep, args []any)) *step {
	return &step{name: name, do: func(c *call) []any {
		s := &hostStep{m: c.m, h: c.args[0].(*host)}
		do(s, c.args[1:])
		return append([]any{s.h}, s.out...)
	}}
}

// ctlDo makes a step of what happens to the leader, its first argument.
func ctlDo(name string, do func(s *ctlStep, args []any)) *step {
	return &step{name: name, do: func(c *call) []any {
		s := &ctlStep{call: c, c: c.args[0].(*ctl)}
		do(s, c.args[1:])
		return append([]any{s.c}, s.out...)
	}}
}

func shifted(s *step) *step {
	s.shift = true
	return s
}

var (
	hostTick = shifted(hostDo("tick", func(s *hostStep, _ []any) {
		s.idle()
		for i := range s.h.Servers {
			s.h.Servers[i].wait()
		}
		s.guard()
		s.observe()
		s.input(func(a *lease.Agent) lease.Effects { return a.Tick(now) })
	}))
	hostAcked = hostDo("acked", func(s *hostStep, args []any) {
		r, p := args[0].(*register), args[1].(*publish)
		s.input(func(a *lease.Agent) lease.Effects {
			return a.Acked(now, p.Beat.Lane, p.Beat.Generation, p.Beat.Body.No, r.Seq)
		})
	})
	hostLost = hostDo("lost", func(s *hostStep, args []any) {
		p := args[0].(*publish)
		s.input(func(a *lease.Agent) lease.Effects { return a.Lost(now, p.Beat.Lane, p.Beat.Generation, p.Beat.Body.No) })
	})
	hostRead = hostDo("read", func(s *hostStep, args []any) {
		r := args[0].(*register)
		s.input(func(a *lease.Agent) lease.Effects { return a.Read(now, r.Lane, r.Generation, r.Seq, r.Body) })
	})
	hostMail = hostDo("mail", func(s *hostStep, args []any) {
		m := args[0].(*mail)
		if m.Set != nil {
			s.input(func(a *lease.Agent) lease.Effects { return a.Set(now, *m.Set, m.Seq) })
		} else {
			s.input(func(a *lease.Agent) lease.Effects { return a.Resume(now, *m.Resume, m.Seq) })
		}
	})
	hostAsked = hostDo("asked", func(s *hostStep, args []any) {
		q := args[0].(*grantAsk)
		if s.h.Agent == nil {
			return
		}
		g, eff := s.h.Agent.Asked(now, q.Ask.To.Cluster, q.Ask.Group, q.Ask.Epoch)
		s.carryOut(eff)
		s.follow()
		s.out = append(s.out, &granted{g.Yes, g.Seen})
	})
	hostGranted = hostDo("granted", func(s *hostStep, args []any) {
		q, g := args[0].(*grantAsk), args[1].(*granted)
		s.input(func(a *lease.Agent) lease.Effects {
			return a.Granted(now, q.Ask, lease.Grant{Yes: g.Yes, Seen: g.Seen})
		})
	})
	hostCrash = hostDo("crash", func(s *hostStep, _ []any) {
		s.h.Agent = nil
		s.h.Orphan = len(s.h.Todo) > 0
	})
	hostForget = hostDo("forget", func(s *hostStep, _ []any) {
		s.h.Agent, s.h.Disk = nil, lease.Ledger{}
		s.h.Orphan = len(s.h.Todo) > 0
	})
	hostStart = hostDo("start", func(s *hostStep, _ []any) { s.startAgent() })
	hostOff   = hostDo("off", func(s *hostStep, _ []any) {
		s.h.Agent, s.h.Guard, s.h.Todo = nil, nil, nil
		for i := range s.h.Servers {
			s.h.Servers[i].down()
		}
	})
	hostGuard = hostDo("guard", func(s *hostStep, _ []any) { s.startGuard() })
	hostAsks  = hostDo("guard asks", func(s *hostStep, _ []any) {
		s.ask()
		s.guard()
		s.observe()
	})
	hostPerform = hostDo("perform", func(s *hostStep, _ []any) {
		a := s.h.Todo[0]
		s.h.Todo = s.h.Todo[1:]
		if len(s.h.Todo) == 0 {
			s.h.Todo = nil
		}
		if s.h.Orphan {
			s.do(s.h.server(a.Cluster), a)
			s.h.Orphan = len(s.h.Todo) > 0
			s.follow()
			return
		}
		s.perform(a)
	})
	hostDrop = hostDo("drop", func(s *hostStep, _ []any) { s.h.Todo, s.h.Orphan = nil, false })
	hostView = &step{name: "view", do: func(c *call) []any {
		h := c.args[0].(*host)
		v := &view{Host: h.No, Nonce: h.nonce(), Alive: h.Agent != nil}
		if h.Agent != nil {
			v.Foreign = h.Agent.Foreign()
		}
		for i := range h.Servers {
			v.Servers = append(v.Servers, h.Servers[i].health())
		}
		return []any{v}
	}}

	ctlTick   = shifted(ctlDo("ctl tick", func(s *ctlStep, _ []any) { s.input(fleet.Tick{}) }))
	ctlSeen   = ctlDo("seen", func(s *ctlStep, args []any) { s.input(args[0].(*register).seen()) })
	ctlRead   = ctlDo("ctl read", func(s *ctlStep, args []any) { s.input(fleet.LaneRead{LaneSeen: args[0].(*register).seen()}) })
	ctlHealth = ctlDo("health", func(s *ctlStep, args []any) { s.input(fleet.HealthSeen{Health: args[0].(*view).health()}) })
	ctlStored = ctlDo("stored", func(s *ctlStep, args []any) {
		s.input(fleet.RevokeResult{Revocation: args[0].(*revocation).Revocation, Stored: true, Seq: args[1].(*register).Seq})
	})
	ctlRefused = ctlDo("refused", func(s *ctlStep, args []any) {
		s.input(fleet.RevokeResult{Revocation: args[0].(*revocation).Revocation, Refused: true})
	})
	ctlUnknown = ctlDo("unknown", func(s *ctlStep, args []any) {
		s.input(fleet.RevokeResult{Revocation: args[0].(*revocation).Revocation})
	})
	ctlWord = ctlDo("word", func(s *ctlStep, args []any) {
		w := args[0].(*word)
		s.input(fleet.ReportSeen{Report: w.Report})
		w.Waiting = false
		s.out = append(s.out, w)
	})
	ctlLead = ctlDo("lead", func(s *ctlStep, args []any) {
		var ws []*word
		var ms []*mail
		for _, a := range args {
			switch x := a.(type) {
			case *word:
				if x.Report.Seen != 0 {
					ws = append(ws, x)
				}
			case *mail:
				if x.Seq != 0 {
					ms = append(ms, x)
				}
			}
		}
		s.lead(ws, ms)
	})
	ctlAsk = ctlDo("ask", func(s *ctlStep, args []any) { s.ask(args[0].(*order)) })

	// store is a publish that reaches its acceptor: nothing comes back if it is refused.
	store = &step{name: "store", do: func(c *call) []any {
		r, p := c.args[0].(*register), c.args[1].(*publish)
		if p.Beat.Expected != r.Seq || p.Beat.Generation != r.Generation {
			return nil
		}
		r.Seq, r.Body = c.next(laneSpace(spaceLane, r.Host, r.Lane)), p.Beat.Body
		return []any{r}
	}}
	// revoke is the same of a revocation.
	revoke = &step{name: "revoke", do: func(c *call) []any {
		r, x := c.args[0].(*register), c.args[1].(*revocation)
		if x.Expected != r.Seq || x.Generation != r.Generation {
			return nil
		}
		r.Seq, r.Body = c.next(laneSpace(spaceLane, r.Host, r.Lane)), events.LaneBody{Kind: events.LaneRevoke, Attempt: x.Attempt}
		return []any{r}
	}}
	// wipe is an acceptor that loses its disk.
	wipe = &step{name: "wipe", do: func(c *call) []any {
		r := c.args[0].(*register)
		r.Seq, r.Body = 0, events.LaneBody{}
		return []any{r}
	}}
	// emptied is a subject whose newest command was delivered: read again it would be dropped.
	emptied = &step{name: "emptied", do: func(c *call) []any {
		m := c.args[0].(*mail)
		return []any{&mail{Host: m.Host, Cluster: m.Cluster, Seq: m.Seq}}
	}}
	abandon = &step{name: "abandon", do: func(c *call) []any {
		switch x := c.args[0].(type) {
		case *publish:
			x.Orphan = true
		case *revocation:
			x.Orphan = true
		}
		return c.args
	}}
	// heard is a report that the new leader has read with the record.
	heard = &step{name: "heard", do: func(c *call) []any {
		w := c.args[0].(*word)
		w.Waiting = false
		return []any{w}
	}}
)
