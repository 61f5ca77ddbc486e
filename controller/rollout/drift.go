package rollout

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// The tolerance between a plan and the reality it is run in: a group that would lose more than twice what was shown, and this many bytes, has moved too far.
const driftBytes = 16 << 20

// listed bounds how many differences are named.
const listed = 5

// Drift says what has moved since a plan was made, compared with one made now from the same request; none if it may be run as it was shown.
func Drift(old, now *State) []string {
	if now.Head.Defunct != "" {
		return []string{now.Head.Defunct}
	}
	var moved []string
	for _, p := range old.Parts {
		for i := range p {
			if why := drifted(&p[i], now); why != "" {
				moved = append(moved, why)
			}
		}
	}
	for _, p := range now.Parts {
		for i := range p {
			if len(old.Of(p[i].Group)) == 0 && p[i].State != events.MoveLeft {
				moved = append(moved, p[i].Group+" would move now, too, and is not in it")
			}
		}
	}
	if n := len(moved); n > listed {
		moved = append(moved[:listed], fmt.Sprintf("and %d more", n-listed))
	}
	return moved
}

func drifted(m *events.Move, now *State) string {
	is := now.Of(m.Group)
	if m.State == events.MoveLeft {
		return "" // what was left out then is left out, whatever it could do now
	}
	if len(is) == 0 {
		return fmt.Sprintf("%s is not to be moved any more", m.Group)
	}
	n := now.Move(is[0])
	for _, i := range is {
		if now.Move(i).Verb == m.Verb {
			n = now.Move(i)
			break
		}
	}
	switch {
	case n.State == events.MoveLeft:
		return fmt.Sprintf("%s can't move now: %s", m.Group, n.Why)
	case n.Epoch != m.Epoch:
		return fmt.Sprintf("%s was moved meanwhile: epoch %d then, %d now", m.Group, m.Epoch, n.Epoch)
	case n.Verb != m.Verb && m.Verb != events.AskRestore:
		return fmt.Sprintf("%s now needs a %s first", m.Group, n.Verb)
	case m.Verb == events.AskFailover && m.Bytes >= 0 && (n.Bytes < 0 || n.Bytes > 2*m.Bytes+driftBytes):
		return fmt.Sprintf("%s would lose %s now, %s then", m.Group, lossText(n.Bytes), lossText(m.Bytes))
	}
	return ""
}

func lossText(n int64) string {
	if n < 0 {
		return "nobody knows how much"
	}
	return fmt.Sprintf("%d B", n)
}
