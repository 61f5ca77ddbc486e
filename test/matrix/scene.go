package matrix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// scene is one stage on which one fault after the other is played. Whatever it learns of the present fault stands in act.
type scene struct {
	*stage.Stage
	ctx     context.Context
	writers *stage.Writers
	probes  *stage.Probes
	planes  []*Plane // on this stage
	say     func(format string, args ...any)
	asked   int
	act     act
}

// act is the fault being played, and what is remembered of it.
type act struct {
	Play
	began     stage.Instant // all is well
	fault     stage.Instant // it strikes
	mended    stage.Instant // it has ended
	wrote     int           // lengths of the logs when it began
	probed    int
	heard     int
	leader    string // region of the leading controller when it began
	timelines map[string]int64
	undos     []undo
	brief     []brief // what ends before the fault does
	answers   func()  // waits for those to what was asked for
	ends      map[string]*end
}

// brief is the end of an act that ends by itself, and when.
type brief struct {
	at  stage.Instant
	end undo
}

// poll is how often anything is looked at again.
const poll = 20 * time.Millisecond

// until polls f until it holds.
func (s *scene) until(limit time.Duration, what string, f func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || s.ctx.Err() != nil {
			return fmt.Errorf("waited %v in vain until %s: %w", limit, what, errors.Join(err, s.ctx.Err()))
		}
		time.Sleep(poll)
	}
}

// id makes one for an ask.
func (s *scene) id(what string) string {
	s.asked++
	return fmt.Sprintf("%s/%d", what, s.asked)
}

// log is what the writers did since the fault's play began.
func (s *scene) log() []stage.Write { return s.writers.Log()[s.act.wrote:] }

// events are those since it began.
func (s *scene) events() []stage.Event {
	all, _ := s.Bus().Events()
	return all[s.act.heard:]
}

// play strikes and returns one result per plane. After an error the stage is of no use any more.
func (s *scene) play(p Play) ([]Result, error) {
	s.act = act{Play: p, timelines: map[string]int64{}, ends: map[string]*end{}}
	if err := s.calm(); err != nil {
		return nil, fmt.Errorf("%s: all is not well before it: %w", p.Name, err)
	}
	err := s.strike()
	if err == nil {
		err = s.last()
	}
	err = errors.Join(err, s.mend())
	if err == nil {
		s.act.answers()
		err = s.settle()
	}
	if err == nil {
		err = s.account()
	}
	if err == nil {
		err = s.goHome()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return s.judge()
}

// calm waits until every group is home and whole and all of the fleet is where it stays while everybody is well, then begins the play.
func (s *scene) calm() error {
	err := s.WaitHome(rejoinLimit, s.Groups()...)
	if err == nil && s.act.strikesLeader() {
		err = s.WaitWhole(rejoinLimit)
	} else if err == nil {
		err = s.WaitLeader(Witness, rejoinLimit)
	}
	if err != nil {
		return err
	}
	all, _ := s.Bus().Events()
	s.act.began, s.act.wrote, s.act.probed, s.act.heard = stage.Clock(), len(s.writers.Log()), len(s.probes.Log()), len(all)
	if s.act.leader = Witness; s.act.strikesLeader() {
		if s.act.leader, err = s.leads(); err != nil {
			return err
		}
	} // else one that led until a moment ago may still answer that it does
	for _, g := range s.Groups() {
		if s.act.timelines[g.Name], err = s.timeline(g.Primary()); err != nil {
			return err
		}
	}
	return s.until(rejoinLimit, "every writer has acknowledged writes", func() error {
		for _, g := range s.Groups() {
			for _, w := range []string{stage.OutsideWriter, g.Home} {
				if n := s.count(g.Name, w, g.Primary(), s.act.began); n < 5 {
					return fmt.Errorf("%s: %d writes of %s", g.Name, n, w)
				}
			}
		}
		return nil
	})
}

// strikesLeader: where the leader is makes no difference to a fault that is about it, and about no region.
func (f *Fault) strikesLeader() bool {
	return slices.ContainsFunc(f.Do, func(a Act) bool { return a.Where == Leader || a.Verb == AskAbort }) &&
		!slices.ContainsFunc(f.Do, func(a Act) bool { return a.Verb == KillRegion }) && (f.Move == nil || len(f.Move.Cause) == 0)
}

// leads is the region of the leading controller.
func (s *scene) leads() (region string, err error) {
	err = s.until(rejoinLimit, "somebody leads", func() error {
		st, err := s.Bus().Status(s.ctx)
		if err != nil {
			return err
		}
		for _, r := range Places {
			if st.Leader == r+"/c1" {
				region = r
				return nil
			}
		}
		return fmt.Errorf("%q leads", st.Leader)
	})
	return region, err
}

// timeline is the one a server writes.
func (s *scene) timeline(ref events.Ref) (t int64, err error) {
	err = s.until(rejoinLimit, ref.String()+" tells its timeline", func() error {
		rows, err := s.Server(ref).SQL(s.ctx, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
		if err == nil {
			_, err = fmt.Sscanf(rows[0][0], "%X", &t)
		}
		return err
	})
	return t, err
}

// count counts the writes of a writer that a server acknowledged.
func (s *scene) count(group, writer string, by events.Ref, since stage.Instant) (n int) {
	for _, x := range s.log() {
		if x.Group == group && x.Writer == writer && x.Server == by && x.Acked != 0 && x.Sent >= since {
			n++
		}
	}
	return n
}

// strike begins whatever move is to be under way, waits for its step, and strikes.
func (s *scene) strike() error {
	asks := make(chan error, len(s.planes))
	n := 0
	ask := func(verb string, g stage.Group) {
		n++
		id := s.id(verb)
		go func() {
			asks <- s.Bus().Insist(s.ctx, planLimit, verb, g.Name, id, "", func(why string) { s.say("  %s: %s refused, asked anew: %s", g.Name, verb, why) })
		}()
	}
	if s.act.Early {
		s.act.fault = stage.Clock()
		if err := s.do(s.act.Do); err != nil {
			return err
		}
	}
	at, m := s.act.At, s.act.Move
	lead := s.Groups()[0]
	switch {
	case m != nil && m.Verb != "":
		for _, g := range s.Groups() {
			ask(m.Verb, g)
		}
	case m != nil:
		if err := s.do(m.Cause); err != nil {
			return err
		}
	default:
		at = Step{Row: "swap.intent"}
		for _, p := range s.planes {
			if p.Moving {
				lead = p.Group
				ask(events.AskSwitchover, lead)
			}
		}
		if n == 0 || s.act.Early { // it may be refused, or given up: that is what is looked at
			at = Step{}
		}
	}
	s.act.answers = func() {
		for ; n > 0; n-- {
			if err := <-asks; err != nil {
				s.say("  no answer: %v", err) // what became of the group tells more
			}
		}
	}
	var err error
	if at.Row != "" {
		err = s.waitStep(lead, at)
	}
	if s.act.Early {
		return err
	}
	s.act.fault = stage.Clock()
	if err == nil {
		err = s.do(s.act.Do)
	}
	return err
}

// waitStep waits until a move is at a step, or further: steps follow each other within milliseconds.
func (s *scene) waitStep(g stage.Group, at Step) error {
	rows := []string{at.Row}
	if m := s.act.Move; m != nil {
		i := slices.IndexFunc(m.Steps, func(x Step) bool { return x.Row == at.Row })
		for _, x := range m.Steps[i:] {
			rows = append(rows, x.Row)
		}
	}
	if at.Heard != "" {
		rows = append(rows, at.Heard)
	}
	_, err := s.Bus().Wait(s.ctx, s.act.heard, planLimit, func(n events.Notice) bool { return n.Group == g.Name && slices.Contains(rows, n.Rule) })
	if err == nil && at.After > 0 {
		time.Sleep(at.After) // no event tells when
	}
	if err != nil {
		return fmt.Errorf("%s comes to no %s: %w", g.Name, at.Row, err)
	}
	return nil
}

// do does acts one after the other; what ends them is remembered.
func (s *scene) do(acts []Act) error {
	for _, a := range acts {
		if a.Where == Leader {
			a.Where = s.act.leader
		}
		u, err := verbs[a.Verb](s, a)
		switch {
		case u != nil && a.For > 0:
			s.act.brief = append(s.act.brief, brief{stage.Clock() + stage.Instant(a.For), u})
		case u != nil:
			s.act.undos = append(s.act.undos, u)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", a.Verb, a.Where, err)
		}
	}
	return nil
}

// mend ends every act, the last one first.
func (s *scene) mend() error {
	all := []error{s.endBrief(true)}
	for i := len(s.act.undos) - 1; i >= 0; i-- {
		all = append(all, s.act.undos[i]())
	}
	s.act.undos = nil
	s.act.mended = stage.Clock()
	return errors.Join(all...)
}

// endBrief ends the acts whose time is over, or all of them.
func (s *scene) endBrief(all bool) error {
	var bad []error
	s.act.brief = slices.DeleteFunc(s.act.brief, func(b brief) bool {
		over := all || stage.Clock() >= b.at
		if over {
			bad = append(bad, b.end())
		}
		return over
	})
	return errors.Join(bad...)
}

// last lets the fault last: as long as it says, or until every group has arrived where it goes.
func (s *scene) last() error {
	if hold := s.act.Hold; hold > 0 {
		select {
		case <-s.ctx.Done():
		case <-time.After(hold - stage.Clock().Sub(s.act.fault)):
		}
		return s.ctx.Err()
	}
	if len(s.act.brief) > 0 {
		if err := s.until(planLimit, "what is brief has ended", func() error {
			if err := s.endBrief(false); err != nil || len(s.act.brief) == 0 {
				return err
			}
			return errors.New("not yet")
		}); err != nil {
			return err
		}
	}
	s.act.answers()
	if err := s.until(planLimit, "every group writes where it is to be", s.arrived); err != nil {
		return err
	}
	return s.do(s.act.Then)
}

// arrived: nothing is under way, and the writer outside has written to the active since. Inside a region that is cut off, writes prove nothing.
func (s *scene) arrived() error {
	for _, p := range s.planes {
		g := p.Group
		v, err := s.Bus().Group(s.ctx, g.Name)
		switch {
		case err != nil:
			return err
		case v.Record.Phase != events.PhaseActive || v.Record.Running():
			return fmt.Errorf("%s: %s: %s", g.Name, v.Record.Phase, v.Why)
		case s.act.want(p).End == Moved && v.Active() == g.Primary():
			return fmt.Errorf("%s has not moved: %s", g.Name, v.Why)
		}
		if n := s.count(g.Name, stage.OutsideWriter, v.Active(), s.act.fault); n < 5 {
			return fmt.Errorf("%s: %d writes to %s", g.Name, n, v.Active())
		}
	}
	return nil
}

// parts reports whether what a fault does keeps a region from others.
func (f *Fault) parts(region string) bool {
	return slices.ContainsFunc(f.Do, func(a Act) bool {
		return (a.Verb == Cut || a.Verb == Isolate || a.Verb == KillRegion) && (a.Where == region || a.To == region)
	})
}

// want is what is expected of a plane.
func (f *Fault) want(p *Plane) Want {
	switch {
	case p.sync(): // commits wait for the passive until it has left the set, or streams again
		w := f.Want
		switch {
		case w.Pause != 0:
			w.Pause = max(w.Pause, syncLimit)
		case f.parts(Away): // it can leave only once a leader is back to record that
			w.Pause = f.Hold + thawLimit + syncLimit
		}
		return w
	case !p.Moving || f.Move != nil:
		return f.Want
	case f.Plan != nil:
		return *f.Plan
	}
	return Want{End: Either, Pause: max(planLimit, f.Hold+thawLimit)}
}
