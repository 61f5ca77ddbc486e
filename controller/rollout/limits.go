package rollout

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Defaults are the limits of a rollout of a verb. Who fails over is in a hurry: no canary, no soak. Who moves what is well has time.
func Defaults(verb string, fleet events.FleetConfig) events.Limits {
	l := events.Limits{Canary: 1, AtOnce: 16, PerAgent: 4, PerRegion: 16, Soak: events.Duration(2 * time.Minute), Budget: 2}
	if verb == events.AskFailover {
		l = events.Limits{AtOnce: 64, PerAgent: 8, PerRegion: 64, Budget: 10}
	}
	l.Restores, l.Restoring = fleet.Restores()
	return l
}

// Limits are the defaults of a verb with what an ask changes: 0 changes nothing, a negative number is none.
func Limits(verb string, fleet events.FleetConfig, asked *events.Limits) events.Limits {
	l := Defaults(verb, fleet)
	if asked == nil {
		return l
	}
	for _, x := range []struct{ to, from *int }{{&l.Canary, &asked.Canary}, {&l.AtOnce, &asked.AtOnce}, {&l.PerAgent, &asked.PerAgent}, {&l.PerRegion, &asked.PerRegion}, {&l.Restores, &asked.Restores},
		{&l.Restoring, &asked.Restoring}} {
		if *x.from != 0 {
			*x.to = max(0, *x.from)
		}
	}
	if asked.Soak != 0 {
		l.Soak = max(0, asked.Soak)
	}
	if asked.Budget != 0 {
		l.Budget = max(0, asked.Budget)
	}
	l.AtOnce, l.PerAgent, l.PerRegion, l.Restores, l.Restoring = max(1, l.AtOnce), max(1, l.PerAgent), max(1, l.PerRegion), max(1, l.Restores), max(1, l.Restoring)
	return l
}

// firstPace is how many moves begin at once before anything is known to go well.
const firstPace = 4

// start is the pace a rollout begins with: a failover's is the whole, for nobody is served meanwhile.
func start(verb string, l events.Limits) int {
	if verb == events.AskFailover {
		return l.AtOnce
	}
	return min(firstPace, l.AtOnce)
}

// grew counts a success: as many in a row as the pace double it.
func grew(h *events.Rollout) {
	if h.Good++; h.Good >= h.Pace {
		h.Pace, h.Good = min(2*h.Pace, h.Limits.AtOnce), 0
	}
}

// halved counts an error.
func halved(h *events.Rollout) { h.Pace, h.Good = max(1, h.Pace/2), 0 }

// allowed is how many moves of so many may be failed or unknown.
func allowed(l events.Limits, moves int) int { return int(l.Budget * float64(moves) / 100) }
