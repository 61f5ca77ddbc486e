package guard

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// A freeze that waits behind a kill must go with it: by the time it would begin, the server may have been started anew, with a right, and nobody would thaw what the freeze
// catches of it.
func TestFreezeBehindAKillIsDropped(t *testing.T) {
	t.Parallel()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		verb  Verb
		proof error
		begun bool
	}{
		"freeze, killed":     {Freeze, nil, false},
		"freeze, not proved": {Freeze, errors.New("not proved"), true},
		"thaw, killed":       {Thaw, nil, false}, // refused: no deadline is held
	} {
		g := &guard{Config: Config{Durations: d, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())}, results: make(chan result)}
		g.core = lease.NewGuard(d, boottime.Now(), []lease.Guarded{{Cluster: "r1/c", Held: true}})
		kill := &job{verb: Kill, stop: func() {}}
		k := &cluster{name: "r1/c", running: kill, waiting: &job{verb: c.verb}}
		g.finish(t.Context(), result{cluster: k, job: kill, err: c.proof})
		if k.waiting != nil || (k.running != nil) != c.begun {
			t.Errorf("%s: running %+v, waiting %+v", name, k.running, k.waiting)
		}
	}
}
