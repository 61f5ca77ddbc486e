package matrix

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

var (
	west    = events.Ref{Region: Home, Cluster: "a"}
	central = events.Ref{Region: Away, Cluster: "b"}
)

// of makes answers of a server, one per pair of milliseconds.
func of(who events.Ref, ms ...int) (all []answer) {
	for i := 0; i+1 < len(ms); i += 2 {
		all = append(all, answer{who, at(ms[i]), at(ms[i+1]), true})
	}
	return all
}

func at(ms int) stage.Instant { return stage.Instant(time.Duration(ms) * time.Millisecond) }

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		name       string
		all        [][]answer
		promotions int
		want, late int
		newest     int // sent late
	}{
		{"one server", [][]answer{of(west, 0, 1, 10, 11)}, 0, 0, 0, 0},
		{"there", [][]answer{of(west, 0, 1), of(central, 10, 11)}, 1, 0, 0, 0},
		{"there and back", [][]answer{of(west, 0, 1, 30, 31), of(central, 10, 11)}, 2, 0, 0, 0},
		{"an answer that comes late", [][]answer{of(west, 0, 15), of(central, 10, 11)}, 1, 5, 1, 0},
		{"a write that is taken late", [][]answer{of(west, 0, 1, 17, 18), of(central, 10, 11, 20, 21)}, 1, 8, 1, 17},
		{"nobody was promoted", [][]answer{of(west, 0, 1), of(central, 10, 11)}, 0, 11, 1, 10},
		{"too early on the way back", [][]answer{of(west, 0, 1, 15, 16, 30, 31), of(central, 10, 11, 20, 21)}, 2, 6, 1, 20},
	} {
		var all []answer
		for _, x := range c.all {
			all = append(all, x...)
		}
		got := overlap(inOrder(all), c.promotions)
		if newest := at(c.newest); got != (twice{time.Duration(c.want) * time.Millisecond, c.late, c.late, newest}) {
			t.Errorf("%s: %v, want %d ms, %d late", c.name, got, c.want, c.late)
		}
	}
}

func TestPause(t *testing.T) {
	all := of(west, 0, 1, 2, 3, 50, 51, 90, 91)
	for _, c := range []struct{ from, to, want int }{{1, 51, 48}, {3, 91, 48}, {51, 200, 109}, {10, 20, 10}, {60, 91, 31}} {
		if got := pause(all, at(c.from), at(c.to)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("from %d to %d: %v, want %d ms", c.from, c.to, got, c.want)
		}
	}
	if got := elsewhere(append(all, of(central, 60, 62)...), west, at(55)); got != 7*time.Millisecond {
		t.Errorf("the first answer elsewhere after %v, want 7 ms", got)
	}
	if got := elsewhere(all, west, 0); got != -1 {
		t.Errorf("nobody answered elsewhere: %v, want -1", got)
	}
}

func TestMissing(t *testing.T) {
	log := []stage.Write{
		{Group: "g", Writer: Home, N: 1, Sent: 10, Acked: 11}, {Group: "g", Writer: stage.OutsideWriter, N: 2, Sent: 20, Acked: 21}, {Group: "g", Writer: Home, N: 3, Sent: 20},
		{Group: "g", Writer: Home, N: 4, Sent: 30, Acked: 31}, {Group: "h", Writer: Home, N: 5, Sent: 30, Acked: 31}, {Group: "g", Writer: Home, N: 6, Sent: 5, Acked: 6},
	}
	lost := missing(log, "g", 10, map[stage.Row]bool{{Writer: Home, N: 1}: true})
	outside, inside, after := split(lost, 25)
	if len(lost) != 2 || outside != 1 || inside != 1 || after != 1 {
		t.Errorf("lost %v: %d outside, %d inside, %d after the fault; want one each", lost, outside, inside, after)
	}
}
