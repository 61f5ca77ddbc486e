package regionagent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/drivertest"
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

// mute is a server that says how many processes it may have only while it can be asked.
type mute struct {
	driver.Driver
	n   int
	err error
}

func (m *mute) Processes(context.Context) (int, error) { return m.n, m.err }

// TestSizeOfWhoeverCantBeAsked: a server in the middle of a restore counts what it was measured with, and the host is not measured anew for it; one that was never measured
// counts as much as any may have.
func TestSizeOfWhoeverCantBeAsked(t *testing.T) {
	t.Parallel()
	m := &mute{Driver: drivertest.NewToys().Add(events.Ref{Region: "r1", Cluster: "a"}), err: errors.New("no data")}
	a := &agent{cfg: &config.Agent{}, log: slog.New(slog.DiscardHandler), clusters: []*cluster{{driver: m}}}
	size := func(want int) []freezer.Load {
		t.Helper()
		loads, err := a.loads(t.Context())
		if err != nil || loads[0].Processes != want {
			t.Errorf("%+v, %v: want %d processes", loads, err, want)
		}
		return loads
	}
	size(unknownProcesses)
	m.n, m.err = 37, nil
	a.measured.Store(&measured{Loads: size(37)})
	m.err = errors.New("no data")
	if !a.measured.Load().covers(size(37)) {
		t.Error("measured anew for a server that can't be asked now")
	}
	m.n, m.err = 200, nil
	if a.measured.Load().covers(size(200)) {
		t.Error("not measured anew for a larger server")
	}
}
