package sim

import (
	"fmt"
	"io"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Random is the shape of every random schedule: several groups on each agent, two candidates for each, two controllers.
func Random() Shape {
	rs := []string{"r1", "r2", "r3"}
	s := Shape{Regions: rs, Controllers: []string{"r3", "r2"}, Profile: "fast"}
	for i, name := range []string{"g1", "g2", "g3"} {
		g := events.GroupConfig{
			Group: name, Project: "default", Kind: events.KindPostgres, Mode: events.ModeAuto, Isolation: events.IsolationFreeze,
			Primary: events.Ref{Region: rs[i%2], Cluster: name + "-a"}, MaxLoss: events.LossBudget{Bytes: 1 << 20, Seconds: 3600},
		}
		for j := 1; j <= 2; j++ {
			g.Recovery = append(g.Recovery, events.Ref{Region: rs[(i%2+j)%3], Cluster: fmt.Sprintf("%s-%c", name, 'a'+j)})
		}
		s.Groups = append(s.Groups, g)
	}
	return s
}

// Result is one run's.
type Result struct {
	Schedule  Schedule
	Violation *Violation
	Steps     int
	Hash      uint64
	Rows      map[string]int
}

// Seed draws a schedule and runs it. log may be nil.
func Seed(seed uint64, log io.Writer) (Result, error) { return Draw(seed).Run(log) }

// Run runs a schedule: birth, faults, healing, and what must be well in the end. log may be nil.
func (s Schedule) Run(log io.Writer) (Result, error) {
	w, err := New(s.Setting.Shape(), s.Setting.Seed, log)
	if err != nil {
		return Result{}, err
	}
	w.follow(s)
	return Result{s, w.bad, w.steps, w.hash, w.reached()}, nil
}

// follow does what a schedule says, then ends every fault and waits for everything to be well.
func (w *World) follow(s Schedule) {
	for _, e := range s.Entries {
		w.in(e.At-w.now, func() { w.Do(e) })
	}
	w.Run(s.Until)
	if w.bad == nil {
		w.Heal()
		w.settle(repair)
	}
}

// settle runs until everything is well, which must come within d.
func (w *World) settle(d time.Duration) {
	end := w.now + d
	why := "not looked yet"
	for w.now < end && why != "" && w.bad == nil {
		w.Run(w.now + time.Second)
		why = w.Settled()
	}
	if why != "" {
		w.fail("I9", "%v after all faults ended: %s", d, why)
	}
}

// ask publishes an ask, again until somebody leads: the leader takes it when it arrives, once or twice.
func (w *World) ask(a events.Ask, tries int) {
	for _, c := range w.ctls {
		if c.up && c.fleet != nil && c.core.Leads(c.clock()) {
			for range w.net.times(c.dice) {
				c.alive(c.life, func() { c.input(fleet.AskSeen{Ask: a, Hash: a.ID}) })
			}
			return
		}
	}
	if tries > 0 {
		w.in(500*time.Millisecond, func() { w.ask(a, tries-1) })
	}
}
