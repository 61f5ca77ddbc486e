package fleet

import (
	"fmt"

	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/events"
)

// RolloutView is a plan or rollout. Its moves are shared with the fleet and never change.
type RolloutView struct {
	events.Rollout
	parts [][]events.Move
	waits map[int]rollout.Saying
}

// Moves lists its moves from one on, at most so many, each with what it waits for.
func (v *RolloutView) Moves(from, most int) []events.Move {
	moves := []events.Move{}
	for i := max(0, from); i < v.Rollout.Moves && len(moves) < most; i++ {
		m := v.parts[i/events.PartMoves][i%events.PartMoves]
		if w, ok := v.waits[i]; ok {
			m.Rule, m.Why = w.Rule, w.Why
		}
		moves = append(moves, m)
	}
	return moves
}

// rolloutViews are all that are stored, the newest first.
func (f *Fleet) rolloutViews() []RolloutView {
	vs := []RolloutView{}
	for _, s := range f.rollouts {
		if s == nil {
			continue
		}
		v := RolloutView{Rollout: s.Shown(), parts: append([][]events.Move(nil), s.Parts...), waits: map[int]rollout.Saying{}}
		if s.Open() {
			for i := range s.Len() {
				if !s.Move(i).State.Over() {
					v.waits[i] = f.waits(s, i)
				}
			}
		}
		at := len(vs)
		for at > 0 && vs[at-1].Made.Before(v.Made) {
			at--
		}
		vs = append(vs[:at], append([]RolloutView{v}, vs[at:]...)...)
	}
	return vs
}

// waits says what a move that is not over waits for: of an outage, what its group's own row says.
func (f *Fleet) waits(s *rollout.State, i int) rollout.Saying {
	m := s.Move(i)
	if g := f.groups.get(m.Group); s.Head.Auto && m.State == events.MoveWaits && g != nil {
		return rollout.Saying{Rule: g.rule, Why: g.why}
	}
	return s.Waits(i)
}

// standing says where each group stands in the rollouts under way: its first move that is not over, else its last.
func (f *Fleet) standing() map[string]string {
	where := map[string]string{}
	for _, s := range f.rollouts {
		if s == nil || !s.Open() {
			continue
		}
		for i := range s.Len() {
			name := s.Move(i).Group
			if of := s.Of(name); of[0] == i {
				where[name] = f.stands(s, of)
			}
		}
	}
	return where
}

func (f *Fleet) stands(s *rollout.State, moves []int) string {
	h := &s.Head
	m, why := s.Move(moves[len(moves)-1]), ""
	for _, i := range moves {
		if !s.Move(i).State.Over() {
			w := f.waits(s, i)
			m, why = s.Move(i), fmt.Sprintf("%s (rule %s)", w.Why, w.Rule)
			break
		}
	}
	if why == "" {
		if why = string(m.State); m.Why != "" {
			why += ": " + m.Why
		}
	}
	return fmt.Sprintf("rollout %s, %s of %s, %s: its %s: %s", h.ID, h.Verb, h.About(), h.State, m.Verb, why)
}
