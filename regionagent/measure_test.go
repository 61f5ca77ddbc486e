package regionagent

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

func TestMeasuredCoversWhatIsNoLarger(t *testing.T) {
	t.Parallel()
	m := measured{Loads: []freezer.Load{{Processes: 131, How: freezer.ByCgroup}, {Processes: 91, How: freezer.BySignal}}}
	for _, c := range []struct {
		name  string
		loads []freezer.Load
		want  bool
	}{
		{"the same", m.Loads, true},
		{"smaller", []freezer.Load{{Processes: 50, How: freezer.ByCgroup}, {Processes: 91, How: freezer.BySignal}}, true},
		{"a larger server", []freezer.Load{{Processes: 131, How: freezer.ByCgroup}, {Processes: 92, How: freezer.BySignal}}, false},
		{"no cgroup any more", []freezer.Load{{Processes: 131, How: freezer.BySignal}, {Processes: 91, How: freezer.BySignal}}, false},
		{"one server more", append(m.Loads[:2:2], freezer.Load{Processes: 1, How: freezer.ByCgroup}), false},
		{"one server less", m.Loads[:1], false},
	} {
		if got := m.covers(c.loads); got != c.want {
			t.Errorf("%s: covered %v", c.name, got)
		}
	}
}

func TestTooSlowSaysWhatWouldHelp(t *testing.T) {
	t.Parallel()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	m := measured{Loads: []freezer.Load{{Processes: 900, How: freezer.BySignal}, {Processes: 100, How: freezer.BySignal}}, How: freezer.BySignal, Took: d.Freeze}
	if why := m.tooSlow(d); why != "" {
		t.Errorf("S itself is too slow: %s", why)
	}
	m.Took += time.Millisecond
	why := m.tooSlow(d)
	for _, want := range []string{"1000 processes", "2 servers", "251ms", "by sigstop", "fast", "250ms", "fewer connections", "cgroup", "slower profile"} {
		if !strings.Contains(why, want) {
			t.Errorf("%q does not say %q", why, want)
		}
	}
}

// TestMeasuredIsKeptForTheNextAgent: an agent that is upgraded takes what its predecessor measured; one of another boot measures.
func TestMeasuredIsKeptForTheNextAgent(t *testing.T) {
	s := newHome(t, underCare)
	a := s.h.agent
	a.metrics = newMetrics(prometheus.NewRegistry())
	a.d = events.Durations{Freeze: time.Hour}
	if why := a.measure(t.Context(), false); why != "" {
		t.Fatal(why)
	}
	first := *a.measured.Load()
	if n := first.Loads[0].Processes; n != 60+3+8+10+10 {
		t.Errorf("the server may have %d processes: want 91 by its settings", n)
	}
	a.d.Freeze = first.Took - 1
	if why := a.measure(t.Context(), false); why == "" || a.measured.Load().Took != first.Took {
		t.Errorf("measured %v after %v, %q: want the same, and too slow", a.measured.Load().Took, first.Took, why)
	}
	first.Boot = "another"
	a.keep(first)
	if err := a.measure(t.Context(), false); a.measured.Load().Boot == "another" {
		t.Errorf("what another boot measured was taken (%s)", err)
	}
}
