package rollout

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Run begins a plan: it is a rollout from now on. The window's end is zero for none.
func Run(s *State, by, ask, reason string, until time.Time, wall time.Time) events.Notice {
	h := &s.Head
	h.State, h.By, h.Ask, h.Reason, h.Began, h.Until = events.RolloutRunning, by, ask, reason, wall, until
	h.Pace, h.Good, h.Wave, s.dirty = start(h.Verb, h.Limits), 0, 0, true
	why := fmt.Sprintf("%s runs the %s of %s: %d moves in %d waves", by, h.Verb, h.About(), h.Moves-h.Tally.Left, len(h.Waves))
	if reason != "" {
		why += ": " + reason
	}
	n := s.notice("", "rollout.begin", why)
	n.Region = h.Region
	return n
}

// Stale says why a plan can't be run; "" if it can.
func Stale(h *events.Rollout, wall time.Time) string {
	again := fmt.Sprintf("`switchback plan %s` makes a new one", h.Verb)
	switch {
	case h.State != events.RolloutPlanned:
		return fmt.Sprintf("plan %s was run already: `switchback rollout show %s` shows it; %s", h.ID, h.ID, again)
	case h.Defunct != "":
		return h.Defunct
	case wall.Sub(h.Made) > events.PlanGood:
		return fmt.Sprintf("plan %s is %s old, it was good for %s: %s", h.ID, wall.Sub(h.Made).Round(time.Second), events.PlanGood, again)
	case h.Moves == h.Tally.Left:
		return fmt.Sprintf("plan %s moves nothing: what it leaves out says why", h.ID)
	}
	return ""
}

// steering is one thing a person may do to a rollout: why it can't be done ("" = it can), and the doing.
type steering struct {
	verb string
	not  func(s *State, group string) string
	do   func(s *State, group string)
	says string
}

// steerings is the table of what a person may do.
var steerings = []steering{
	{events.AskPause, func(s *State, _ string) string { return over(s, events.RolloutPaused) }, func(s *State, _ string) { s.Head.State = events.RolloutPaused },
		"paused: nothing begins any more, what is under way ends by itself"},
	{events.AskResume, func(s *State, _ string) string { return over(s, events.RolloutRunning) }, func(s *State, _ string) {
		s.count()
		s.Head.State, s.Head.Spared, s.Head.Until = events.RolloutRunning, s.Head.Tally.Failed+s.Head.Tally.Unknown, time.Time{}
	}, "goes on; what failed so far counts no more against its budget"},
	{events.AskSkip, notSkipped, func(s *State, group string) {
		for _, i := range s.Of(group) {
			if m := s.Move(i); m.State != events.MoveSkipped && m.State != events.MoveLeft {
				s.edit(i).State = events.MoveSkipped
			}
		}
	}, "skipped: what comes after it no longer waits for it"},
	{events.AskRetry, notRetried, retry, "taken up again"},
	{events.AskAbort, func(s *State, _ string) string { return over(s, events.RolloutAborted) }, func(s *State, _ string) { s.Head.State = events.RolloutAborted },
		"aborted: nothing begins any more, what is under way ends by itself, what is done stays"},
}

// over says why a rollout can't be given a state: it has ended, or has it already.
func over(s *State, want events.RolloutState) string {
	switch h := &s.Head; {
	case h.State == events.RolloutPlanned:
		return fmt.Sprintf("plan %s is not run: `switchback %s --plan %s` runs it", h.ID, h.Verb, h.ID)
	case h.State.Over():
		return fmt.Sprintf("rollout %s is %s already", h.ID, h.State)
	case h.State == want:
		return fmt.Sprintf("rollout %s is %s already", h.ID, want)
	}
	return ""
}

func notSkipped(s *State, group string) string {
	if s.Head.State == events.RolloutPlanned || s.Head.State.Over() {
		return over(s, "")
	}
	if len(s.Of(group)) == 0 {
		return fmt.Sprintf("%s is no part of rollout %s: `switchback rollout show %s` lists its groups", group, s.Head.ID, s.Head.ID)
	}
	for _, i := range s.Of(group) {
		if m := s.Move(i); m.State == events.MoveRuns || m.State == events.MoveUnknown {
			return fmt.Sprintf("the %s of %s is under way (%s): wait for it, or `switchback abort %s`", m.Verb, group, m.Op, group)
		}
	}
	return ""
}

// again reports whether a retry takes a move up: what failed, of one group or of all, and whatever was held by it.
func takesUp(m *events.Move, group string) bool {
	return m.State == events.MoveHeld || m.State == events.MoveFailed && (group == "" || m.Group == group)
}

func notRetried(s *State, group string) string {
	if s.Head.State == events.RolloutPlanned || s.Head.State == events.RolloutAborted {
		return over(s, "")
	}
	for _, p := range s.Parts {
		for i := range p {
			if p[i].State == events.MoveFailed && takesUp(&p[i], group) {
				return ""
			}
		}
	}
	if group != "" {
		return fmt.Sprintf("no move of %s failed: nothing to take up again", group)
	}
	return "no move failed: nothing to take up again; what is unknown is asked for all the time"
}

// retry takes failed moves up again, under new ids, and what was held by them.
func retry(s *State, group string) {
	for i := range s.Len() {
		if !takesUp(s.Move(i), group) {
			continue
		}
		m := s.edit(i)
		m.State, m.Try, m.Op, m.Why = events.MoveWaits, m.Try+1, "", ""
		s.reopen(i)
	}
	if s.Head.State == events.RolloutHalted || s.Head.State == events.RolloutDone {
		s.Head.State, s.Head.Ended = events.RolloutRunning, time.Time{}
	}
}

// Refuses says why a person can't steer a rollout so; "" if they can.
func Refuses(s *State, verb, group string) string {
	for _, st := range steerings {
		if st.verb == verb {
			return st.not(s, group)
		}
	}
	return verb + noSteering
}

const noSteering = " is nothing a rollout takes: want pause, resume, skip, retry or abort"

// Steer does what a person asks of a rollout, at once; or says why not.
func Steer(s *State, verb, group, by, reason string, wall time.Time) (ok bool, why string, tell []events.Notice) {
	for _, st := range steerings {
		if st.verb != verb {
			continue
		}
		if not := st.not(s, group); not != "" {
			return false, not, nil
		}
		st.do(s, group)
		s.dirty, s.mem.well = true, 0
		if s.Head.State.Over() {
			s.Head.Ended = wall
		}
		why = "rollout " + s.Head.ID + ": "
		if group != "" {
			why += group + ": "
		}
		why += st.says
		said := why + " (by " + by
		if reason != "" {
			said += ": " + reason
		}
		n := s.notice(group, "ask."+verb, said+")")
		n.By = by
		return true, why, []events.Notice{n}
	}
	return false, verb + noSteering, nil
}
