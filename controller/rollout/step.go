package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// look is one look at a rollout.
type look struct {
	s       *State
	f       *Facts
	out     *Outcome
	runs    int // moves under way
	errors  int // failed and unknown
	waits   int // moves of open waves that have not begun
	left    int // of both, before anything begins
	hosts   map[events.AgentRef]int
	works   map[events.AgentRef]int // restores
	regions map[string]int
	returns map[string]int // restores
	why     string
}

// Step looks at a rollout: what came of the moves under way, then the first row that matches. The state is changed in place; what Save returns afterwards has to be
// stored together with what Begin begins.
func Step(s *State, f *Facts) Outcome {
	out := Outcome{Wake: events.Never}
	if s.Head.State == events.RolloutPlanned {
		return out
	}
	s.mem.looked = f.Now
	l := &look{s: s, f: f, out: &out, hosts: map[events.AgentRef]int{}, works: map[events.AgentRef]int{}, regions: map[string]int{}, returns: map[string]int{}}
	over := func(i int) bool { return s.Move(i).State.Over() }
	s.open = slices.DeleteFunc(s.open, over)
	l.observe()
	table := rollouts
	if s.Head.Auto {
		table = outages
	}
	r := match(table, l)
	if r.do != nil {
		r.do(l)
	}
	why := l.why
	if why == "" {
		why = l.say(r.why)
	}
	l.tell(r.id, why)
	s.open = slices.DeleteFunc(s.open, over)
	if l.runs+l.waits > 0 && !s.Head.State.Over() || l.runs > 0 {
		out.Wake = min(out.Wake, f.Now.Add(again/2))
	}
	return out
}

// observe reads off the groups what came of the moves under way, and counts them.
func (l *look) observe() {
	h := &l.s.Head
	for _, i := range l.s.open {
		m := l.s.Move(i)
		if m.State == events.MoveWaits && h.Auto {
			l.darkMove(i, m)
			continue
		}
		if m.State == events.MoveWaits {
			if m.Wave <= h.Wave {
				l.waits++
			}
			continue
		}
		a := &at{l: l, i: i, m: m, f: l.f.Look(i, m)}
		r := l.decide(running, a)
		if now := l.s.Move(i); now.State.Over() {
			l.tellMove(a, r, now.State)
		} else if now.State == events.MoveWaits {
			l.waits++ // again
			l.tellMove(a, r, now.State)
		} else {
			l.runs++
			l.occupy(a)
		}
	}
	l.left = l.runs + l.waits
	for _, p := range l.s.Parts {
		for i := range p {
			if p[i].State == events.MoveFailed || p[i].State == events.MoveUnknown {
				l.errors++
			}
		}
	}
}

// decide finds the row of a move, does it, and keeps what it says.
func (l *look) decide(rows []row[*at], a *at) *row[*at] {
	r := match(rows, a)
	if r.do != nil {
		r.do(a)
	}
	if a.why == "" {
		a.why = strings.NewReplacer("{silent}", a.f.Silent, "{region}", a.m.To.Region).Replace(r.why)
	}
	l.s.mem.waits[a.i] = Saying{r.id, a.why}
	return r
}

// occupy counts a move under way where it takes part.
func (l *look) occupy(a *at) {
	hosts, regions := l.hosts, l.regions
	if a.m.Verb == events.AskRestore {
		hosts, regions = l.works, l.returns
	}
	for _, h := range a.f.Hosts {
		hosts[h]++
	}
	regions[a.m.To.Region]++
}

// hostFull says which host takes part in as many moves as it may; "" if none.
func (l *look) hostFull(a *at) string {
	taken, most := l.hosts, l.s.Head.Limits.PerAgent
	if a.m.Verb == events.AskRestore {
		taken, most = l.works, l.s.Head.Limits.Restores
	}
	for _, h := range a.f.Hosts {
		if taken[h] >= most {
			return fmt.Sprintf("waits for its turn: %s takes part in %d, which is as many as it may", h, taken[h])
		}
	}
	return ""
}

func (l *look) regionFull(a *at) bool {
	if a.m.Verb == events.AskRestore {
		most := l.s.Head.Limits.Restoring // 0: it was begun before there was such a limit
		return most > 0 && l.returns[a.m.To.Region] >= most
	}
	return l.regions[a.m.To.Region] >= l.s.Head.Limits.PerRegion
}

// needs is where what a move comes after stands: done (or skipped by a person), failed, or not over.
func (l *look) needs(a *at) events.MoveState {
	state := events.MoveDone
	for _, g := range append([]string{a.m.Group}, a.m.After...) {
		for _, j := range l.s.of[g] {
			if j >= a.i {
				break
			}
			switch m := l.s.Move(j); m.State {
			case events.MoveDone, events.MoveSkipped:
			case events.MoveFailed, events.MoveHeld, events.MoveLeft:
				a.why = fmt.Sprintf("%s of %s failed: `switchback rollout retry %s` takes both up again", m.Verb, m.Group, l.s.Head.ID)
				return events.MoveFailed
			default:
				if state == events.MoveDone {
					a.why = fmt.Sprintf("waits for the %s of %s", m.Verb, m.Group)
				}
				state = events.MoveRuns
			}
		}
	}
	return state
}

// first reports whether no earlier move of its group is part of the rollout: where it is active is as planned.
func (l *look) first(i int) bool {
	m := l.s.Move(i)
	for _, j := range l.s.of[m.Group] {
		if j < i && l.s.Move(j).Verb != events.AskRestore {
			return false
		}
	}
	return true
}

// begin looks at every waiting move of the open waves, in order, and takes those that may begin. Only the part of it that can still begin something is looked at.
func (l *look) begin() {
	for _, i := range l.s.open {
		m := l.s.Move(i)
		if m.State != events.MoveWaits || m.Wave > l.s.Head.Wave {
			continue
		}
		if l.runs >= l.s.Head.Pace {
			break
		}
		a := &at{l: l, i: i, m: m, f: l.f.Look(i, m)}
		r := l.decide(waiting, a)
		if now := l.s.Move(i); now.State.Over() {
			l.tellMove(a, r, now.State)
		} else if now.State == events.MoveRuns {
			l.runs++
			l.occupy(a)
		}
	}
}

// take lets a move begin.
func (l *look) take(a *at) {
	l.out.Begin = append(l.out.Begin, a.i)
	l.runs++
	l.occupy(a)
}

// Answered takes the answer to the ask for a move: begun, or refused. What is refused may pass later, for as long as the patience lasts.
func (s *State) Answered(i int, ans events.AnswerItem, f *Facts) []events.Notice {
	if ans.Accepted {
		m := s.edit(i)
		m.State, m.Op, m.Why = events.MoveRuns, ans.Operation, ""
		s.mem.since[i] = f.Now
		delete(s.mem.refused, i)
		s.mem.waits[i] = Saying{"move.begin", ans.Why}
		return nil
	}
	s.mem.waits[i], s.mem.again[i] = Saying{ans.Rule, ans.Why}, f.Now.Add(again)
	since, known := s.mem.refused[i]
	if !known {
		s.mem.refused[i] = f.Now
		return nil
	}
	if f.Now.Sub(since) < f.Patience {
		return nil
	}
	m := s.edit(i)
	m.State, m.Why = events.MoveFailed, fmt.Sprintf("refused for %s: %s", f.Now.Sub(since).Round(time.Second), ans.Why)
	halved(&s.Head)
	return []events.Notice{s.notice(m.Group, ans.Rule, m.Why)}
}

// Saying is a row and what it says.
type Saying struct{ Rule, Why string }

// Waits says what a move that is not over waits for, as its leader saw it last.
func (s *State) Waits(i int) Saying {
	if w, ok := s.mem.waits[i]; ok {
		return w
	}
	if w := s.Move(i).Wave; w > s.Head.Wave {
		return Saying{"move.wave", fmt.Sprintf("waits for %s to open", s.Head.Waves[w].Name)}
	}
	return Saying{"move.pace", "waits for its turn"}
}

func (s *State) notice(group, rule, why string) events.Notice {
	return events.Notice{Type: events.NoticeRollout, Rollout: s.Head.ID, Group: group, Rule: rule, Why: why, By: s.Head.By}
}

// tellMove tells the end of a move that is not plainly its operation's own.
func (l *look) tellMove(a *at, r *row[*at], state events.MoveState) {
	if state != events.MoveDone {
		came := string(state)
		if state == events.MoveWaits {
			came = "ended, it is tried again"
		}
		l.out.Tell = append(l.out.Tell, l.s.notice(a.m.Group, r.id, fmt.Sprintf("%s of %s %s: %s", a.m.Verb, a.m.Group, came, a.why)))
	}
}

// tell keeps what a rollout's row says, and tells it when another row holds than before.
func (l *look) tell(rule, why string) {
	h := &l.s.Head
	if rule == rollouts[0].id || rule == outages[0].id || rule == ruleHalted {
		return // nothing new: its end, or why it was halted, was told
	}
	if rule == rulePaused && h.Rule == ruleWindow {
		return // that its window is over says so
	}
	if l.s.mem.said == rule {
		if l.s.dirty {
			h.Why = why
		}
		return
	}
	again := l.s.mem.said == "" && h.Rule == rule
	l.s.mem.said = rule
	if again {
		return // a new leader says nothing new
	}
	h.Rule, h.Why = rule, why
	l.s.dirty = true
	n := l.s.notice("", rule, fmt.Sprintf("%s of %s: %s", h.Verb, h.About(), why))
	n.Region = h.Region
	l.out.Tell = append(l.out.Tell, n)
}
