package rollout

import (
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// State is one rollout as its leader holds it: the stored head and parts. A part handed out is never changed afterwards: who edits a move gets a copy of its part.
type State struct {
	Head  events.Rollout
	Parts [][]events.Move

	fresh []bool // by part: copied since it was last saved, and to be saved
	dirty bool   // the head is to be saved
	open  []int  // moves that are not over, in order
	of    map[string][]int
	mem   memory
}

// memory is what a leader notes of a rollout and a new one learns anew.
type memory struct {
	well    events.Instant         // since when the open waves are over and well, 0 = not
	since   map[int]events.Instant // since when a move runs, as this leader saw it
	refused map[int]events.Instant // since when a move is refused
	again   map[int]events.Instant // when a refused move is asked for again
	waits   map[int]Saying         // what a move that is not over waits for
	checked events.Instant         // when the moved groups were last found well
	said    string                 // the row last told
	looked  events.Instant         // when it was looked at last
}

// New holds a rollout: a plan just made, or what was stored.
func New(head events.Rollout, moves []events.Move) *State {
	s := &State{Head: head, of: map[string][]int{}, mem: memory{
		since: map[int]events.Instant{}, refused: map[int]events.Instant{}, again: map[int]events.Instant{}, waits: map[int]Saying{},
	}}
	for part := range slices.Chunk(moves, events.PartMoves) {
		s.Parts = append(s.Parts, part)
	}
	s.fresh = make([]bool, len(s.Parts))
	for i := range moves {
		s.of[moves[i].Group] = append(s.of[moves[i].Group], i)
		if !moves[i].State.Over() {
			s.open = append(s.open, i)
		}
	}
	return s
}

// Len is how many moves it has.
func (s *State) Len() int { return s.Head.Moves }

// Move is one of its moves, to be read only.
func (s *State) Move(i int) *events.Move { return &s.Parts[i/events.PartMoves][i%events.PartMoves] }

// Of lists the moves of a group, in order.
func (s *State) Of(group string) []int { return s.of[group] }

// edit is a move to be changed; it is saved with its part.
func (s *State) edit(i int) *events.Move {
	p := i / events.PartMoves
	if !s.fresh[p] {
		s.Parts[p], s.fresh[p] = slices.Clone(s.Parts[p]), true
	}
	s.dirty = true
	return &s.Parts[p][i%events.PartMoves]
}

// reopen puts a move that was over back among the open ones.
func (s *State) reopen(i int) {
	if at, open := slices.BinarySearch(s.open, i); !open {
		s.open = slices.Insert(s.open, at, i)
	}
	delete(s.mem.refused, i)
	delete(s.mem.since, i)
	delete(s.mem.again, i)
	delete(s.mem.waits, i)
}

// Save is what has changed since it was last called, and must be stored together: parts by number, then the head; nil if nothing has.
func (s *State) Save() (parts []events.RolloutPart, head *events.Rollout) {
	if !s.dirty {
		return nil, nil
	}
	s.dirty = false
	for p, fresh := range s.fresh {
		if fresh {
			parts = append(parts, events.RolloutPart{Rollout: s.Head.ID, No: p, Moves: s.Parts[p]})
			s.fresh[p] = false
		}
	}
	s.count()
	h := s.Head
	h.Waves, h.Counted = slices.Clone(h.Waves), slices.Clone(h.Counted)
	return parts, &h
}

// All marks everything to be saved: a plan just made.
func (s *State) All() {
	for p := range s.fresh {
		s.Parts[p], s.fresh[p] = slices.Clone(s.Parts[p]), true
	}
	s.dirty = true
}

// Shown is the head with its moves counted.
func (s *State) Shown() events.Rollout {
	if s.dirty {
		s.count()
	}
	return s.Head
}

// Open reports whether anything of it is under way or may begin.
func (s *State) Open() bool {
	return s.Head.State != events.RolloutPlanned && (!s.Head.State.Over() || s.Head.Tally.Runs+s.Head.Tally.Unknown > 0)
}

// Looked is when its leader looked at it last; 0 = never.
func (s *State) Looked() events.Instant { return s.mem.looked }

// Changed reports whether something of it is to be stored: a person steered it, or it was just made.
func (s *State) Changed() bool { return s.dirty }

// count tallies the moves, in all and per wave.
func (s *State) count() {
	s.Head.Tally = events.Tally{}
	s.Head.Counted = make([]events.WaveTally, len(s.Head.Waves))
	for _, p := range s.Parts {
		for i := range p {
			tally(&s.Head.Tally, p[i].State)
			if w := p[i].Wave; w >= 0 && w < len(s.Head.Counted) {
				tally(&s.Head.Counted[w], p[i].State)
			}
		}
	}
}

func tally(t *events.Tally, s events.MoveState) {
	switch s {
	case events.MoveWaits:
		t.Waits++
	case events.MoveRuns:
		t.Runs++
	case events.MoveDone:
		t.Done++
	case events.MoveFailed:
		t.Failed++
	case events.MoveUnknown:
		t.Unknown++
	case events.MoveHeld:
		t.Held++
	case events.MoveSkipped:
		t.Skipped++
	case events.MoveLeft:
		t.Left++
	}
}
