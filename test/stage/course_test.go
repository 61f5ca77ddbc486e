package stage

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// TestCourse follows a group there and back.
func TestCourse(t *testing.T) {
	t.Parallel()
	g := Groups(1)[0]
	a, b := g.Primary(), g.Recovery()
	at := func(writer string, n int64, by events.Ref, sent, acked Instant) Write {
		return Write{Group: g.Name, Writer: writer, N: n, Sent: sent * ms, Acked: acked * ms, Server: by}
	}
	there := []Write{
		at(OutsideWriter, 1, a, 100, 105), at("in", 1, a, 110, 118), at("in", 2, a, 120, 0),
		at(OutsideWriter, 2, b, 300, 310), at("in", 3, b, 200, 205),
		at("in", 4, a, 500, 505), at(OutsideWriter, 3, a, 600, 604), at(OutsideWriter, 4, a, 700, 704),
	}
	all := map[Row]bool{}
	for _, x := range there {
		all[Row{x.Writer, x.N}] = true
	}
	c := FollowCourse(g.Name, there, 0, all)
	if bad := c.Check(nil, a, b, a); len(bad) > 0 || c.Acked != 7 {
		t.Errorf("%v %+v", bad, c)
	}
	want := []Gap{{a, b, 118 * ms, 87 * time.Millisecond, 205 * time.Millisecond}, {b, a, 310 * ms, 195 * time.Millisecond, 294 * time.Millisecond}}
	if len(c.Gaps) != 2 || c.Gaps[0] != want[0] || c.Gaps[1] != want[1] {
		t.Errorf("gaps %v, want %v", c.Gaps, want)
	}
	outside := func(g Gap) time.Duration { return g.Outside }
	if low, high := Quantile(c.Gaps, 0, outside), Quantile(c.Gaps, 1, outside); low != 205*time.Millisecond || high != 294*time.Millisecond {
		t.Errorf("from %v to %v", low, high)
	}
	if c := FollowCourse(g.Name, there, 400*ms, all); c.Acked != 3 || len(c.Gaps) != 0 {
		t.Errorf("from the second move on: %+v", c)
	}

	for _, x := range []struct {
		name    string
		log     []Write
		gone    Row
		excused []Write
		bad     string
	}{
		{"a late answer", append([]Write{at("late", 1, a, 115, 210)}, there...), Row{}, nil, "answered for 10ms more"},
		{"one write in between", append([]Write{at("mid", 1, a, 250, 255)}, there...), Row{}, nil, "want"},
		{"a write is missing", there, Row{"in", 3}, nil, "in 3"},
		{"a write is known to be lost", there, Row{"in", 3}, there[4:5], ""},
	} {
		now := map[Row]bool{}
		for _, w := range x.log {
			now[Row{w.Writer, w.N}] = Row{w.Writer, w.N} != x.gone
		}
		c := FollowCourse(g.Name, x.log, 0, now)
		bad := strings.Join(c.Check(x.excused, a, b, a), "; ")
		if (bad == "") != (x.bad == "") || !strings.Contains(bad, x.bad) {
			t.Errorf("%s: %q, want %q", x.name, bad, x.bad)
		}
	}
}
