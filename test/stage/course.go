package stage

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Course is what the log tells of one group over any number of moves: who acknowledged when, and whether everything acknowledged is on the last active.
type Course struct {
	Group   string
	Acked   int
	Spans   []Span    // stretches in which one server acknowledged, in the order of their first writes
	Gaps    []Gap     // between one and the next
	Both    []Overlap // where two servers acknowledged at once: must be none
	Missing []Write   // acknowledged, and not there
}

// Span is a stretch of time in which one server, and it alone, took new writes.
type Span struct {
	Server events.Ref
	First  Instant // when the first write that it acknowledged was sent
	Last   Instant // when its last answer came
	Writes int

	firstAck         Instant
	outside, lastOut Instant // first and last answer to the outside writer; 0 = none
}

// Gap is the pause of one move: from the last answer of the old active to the first one of the new.
type Gap struct {
	From, To events.Ref
	At       Instant       // the last answer of the old
	All      time.Duration // as all writers together saw it
	Outside  time.Duration // as the writer outside saw it, who has to find the new active; -1 = he met only one of the two
}

// Overlap says that a server answered after another one had taken its first write.
type Overlap struct {
	Late, Early events.Ref
	At          Instant
	For         time.Duration
}

// FollowCourse reads the log of a group from an instant on. now holds the rows of its active.
func FollowCourse(group string, log []Write, since Instant, now map[Row]bool) Course {
	c := Course{Group: group}
	var acked []Write
	for _, x := range log {
		if x.Group == group && x.Acked != 0 && x.Sent >= since {
			acked = append(acked, x)
		}
	}
	c.Acked = len(acked)
	slices.SortStableFunc(acked, func(x, y Write) int { return cmp.Compare(x.Sent, y.Sent) })
	answers := map[events.Ref]Instant{} // the last one of each server
	for _, x := range acked {
		if !now[Row{x.Writer, x.N}] {
			c.Missing = append(c.Missing, x)
		}
		if n := len(c.Spans); n == 0 || c.Spans[n-1].Server != x.Server {
			c.begin(x, answers)
		}
		c.Spans[len(c.Spans)-1].add(x)
		answers[x.Server] = max(answers[x.Server], x.Acked)
	}
	for i := 1; i < len(c.Spans); i++ {
		c.Gaps = append(c.Gaps, between(&c.Spans[i-1], &c.Spans[i]))
	}
	return c
}

// begin opens a span with its first write, and looks who still answers after it was sent.
func (c *Course) begin(x Write, answers map[events.Ref]Instant) {
	for _, s := range c.Spans {
		if late := answers[s.Server]; s.Server != x.Server && late > x.Sent {
			c.Both = append(c.Both, Overlap{Late: s.Server, Early: x.Server, At: x.Sent, For: late.Sub(x.Sent)})
			answers[s.Server] = 0 // told once
		}
	}
	c.Spans = append(c.Spans, Span{Server: x.Server, First: x.Sent, firstAck: x.Acked})
}

func (s *Span) add(x Write) {
	s.Writes++
	s.Last = max(s.Last, x.Acked)
	s.firstAck = min(s.firstAck, x.Acked)
	if x.Writer == OutsideWriter {
		if s.outside == 0 {
			s.outside = x.Acked
		}
		s.lastOut = max(s.lastOut, x.Acked)
	}
}

func between(a, b *Span) Gap {
	g := Gap{From: a.Server, To: b.Server, At: a.Last, All: b.firstAck.Sub(a.Last), Outside: -1}
	if a.lastOut != 0 && b.outside != 0 {
		g.Outside = b.outside.Sub(a.lastOut)
	}
	return g
}

// Check says what of it must never be. want are the servers that were to be active, one after the other; excused are writes that are known to be lost.
func (c *Course) Check(excused []Write, want ...events.Ref) (bad []string) {
	for _, b := range c.Both {
		bad = append(bad, fmt.Sprintf("%s: %s answered for %v more after %s had taken a write", c.Group, b.Late, b.For, b.Early))
	}
	var went []events.Ref
	for _, s := range c.Spans {
		went = append(went, s.Server)
	}
	if !slices.Equal(went, want) {
		bad = append(bad, fmt.Sprintf("%s: writes were acknowledged by %v, want %v", c.Group, went, want))
	}
	if gone := c.Unexcused(excused); len(gone) > 0 {
		x := gone[0]
		bad = append(bad, fmt.Sprintf("%s: %d acknowledged writes are not there, nor known to be lost; the first: %s %d, by %s", c.Group, len(gone), x.Writer, x.N, x.Server))
	}
	return bad
}

// Unexcused are the missing writes that are not known to be lost.
func (c *Course) Unexcused(known []Write) []Write {
	has := make(map[Row]bool, len(known))
	for _, x := range known {
		has[Row{x.Writer, x.N}] = true
	}
	return slices.DeleteFunc(slices.Clone(c.Missing), func(x Write) bool { return has[Row{x.Writer, x.N}] })
}

// Quantile is the gap that a part of the moves stays within; at 0.5 the median. Those that are not known don't count; 0 = none is.
func Quantile(gaps []Gap, part float64, of func(Gap) time.Duration) time.Duration {
	var all []time.Duration
	for _, g := range gaps {
		if d := of(g); d >= 0 {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(part*float64(len(all))))]
}
