package stage

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

const ms = Instant(time.Millisecond)

// TestJudge goes through what an audit has to tell apart.
func TestJudge(t *testing.T) {
	t.Parallel()
	g := Groups(1)[0]
	old, young := g.Primary(), g.Recovery()
	write := func(n int64, by events.Ref, sent, acked Instant) Write {
		return Write{Group: g.Name, Writer: "w", N: n, Sent: sent * ms, Acked: acked * ms, Server: by}
	}
	story := Story{Group: g.Name, Old: old, New: young, Fault: 1000 * ms}
	rows := func(ns ...int64) map[Row]bool {
		out := map[Row]bool{}
		for _, n := range ns {
			out[Row{"w", n}] = true
		}
		return out
	}
	log := []Write{write(1, old, 900, 910), write(2, old, 990, 1005), write(3, old, 1010, 0), write(4, young, 2000, 2010), {Group: "other", Writer: "w", N: 9, Sent: 1, Acked: 2, Server: old}}

	a := judge(story, log, rows(1, 2, 3), rows(1, 2, 4))
	if len(a.Lost) != 0 || a.Acked != 2 || a.NewAck != 1 || a.Both != 0 || len(a.Missing) != 0 || a.OldOnly != 1 || a.Serving != 1010*time.Millisecond || a.LastOld != -10*time.Millisecond {
		t.Errorf("a clean move: %+v", a)
	}
	a = judge(story, log, nil, rows(1, 4))
	if len(a.Lost) != 1 || a.Lost[0].N != 2 {
		t.Errorf("a lost write: %+v", a.Lost)
	}
	a = judge(story, log, nil, rows(1, 2))
	if len(a.Missing) != 1 || a.Missing[0].N != 4 {
		t.Errorf("a write the new active does not have: %+v", a.Missing)
	}
	a = judge(story, append(log, write(5, old, 1995, 2005)), nil, rows(1, 2, 4))
	if a.Both != 5*time.Millisecond || a.BothAt != 1000*time.Millisecond {
		t.Errorf("an answer of the old one 5 ms after the new one took a write: both for %v from %v", a.Both, a.BothAt)
	}
	if a = judge(story, log[:3], nil, rows()); a.Serving != -1 || a.Both != 0 {
		t.Errorf("nobody serves: %+v", a)
	}
}

// TestWithin holds a loss against what the operation says of it.
func TestWithin(t *testing.T) {
	t.Parallel()
	a := Audit{Story: Story{Group: "orders"}, Lost: []Write{{Sent: 1000 * ms, Acked: 1010 * ms}, {Sent: 1500 * ms, Acked: 1500 * ms}}}
	for _, x := range []struct {
		name string
		loss *events.Loss
		ok   bool
	}{
		{"inside the window", &events.Loss{Known: true, Window: 2 * time.Second}, true},
		{"before the window", &events.Loss{Known: true, Window: 500 * time.Millisecond}, false},
		{"nobody can say", &events.Loss{}, true},
		{"the report says nothing", nil, false},
	} {
		if err := a.Within(x.loss, 3000*ms, 20*time.Millisecond); (err == nil) != x.ok {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	if err := (&Audit{}).Within(nil, 0, 0); err != nil {
		t.Errorf("nothing lost: %v", err)
	}
}
