package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// The slowest and the fastest pace at which tasks may be retried, and the most of one DAG.
const (
	slowestTasks   = time.Hour
	fastestTasks   = time.Millisecond
	maxTaskBudget  = 1_000_000
	longestTaskTag = 100 // characters, as Airflow has it
)

// tasks reads what a workflow's group says about the tasks that a move or an outage hit. Whoever says nothing has the defaults.
func tasks(o *object, g *events.GroupConfig) {
	v := o.get("tasks")
	if g.Kind != events.KindAirflow {
		if v.there() && g.Kind != "" {
			v.problem("it belongs to kind airflow: kind %s runs no tasks that could be told apart", g.Kind)
		}
		return
	}
	p := events.DefaultTaskPolicy()
	v.object(func(o *object) {
		words := map[string]events.TaskWord{"safe": events.TaskSafe, "ask": events.TaskHold, "never": events.TaskNever}
		p.Retry = words[word(o.get("retry"), "safe", "safe", "ask", "never")]
		p.Pace = events.Duration(o.get("rate").pace(p.Pace.D()))
		p.Budget = o.get("budget").integer(p.Budget, 0, maxTaskBudget)
		p.Never = o.get("never").tags(p.Never)
		ask := o.get("ask")
		p.Ask = ask.tags(p.Ask)
		for _, tag := range p.Ask {
			for _, never := range p.Never {
				if tag == never && ask.there() {
					ask.problem("%q stands in never too: want it in one of them", tag)
				}
			}
		}
	})
	g.Tasks = &p
}

// pace reads how often something may be done, as in 20/s, 5/m or 100/h, and gives the time between two; def if the key is not there.
func (v value) pace(def time.Duration) time.Duration {
	const want = "a rate, as in 20/s, 5/m or 100/h"
	s, ok := v.text(want)
	if !ok {
		return def
	}
	number, unit, _ := strings.Cut(s, "/")
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if per == 0 || err != nil || !(n > 0) || n > 1e9 {
		v.problem("%q: want %s", s, want)
		return def
	}
	pace := time.Duration(float64(per) / n)
	if pace < fastestTasks || pace > slowestTasks {
		v.problem("%q: want 1/h to 1000/s", s)
		return def
	}
	return pace
}

// tags reads a list of tags of DAGs; def if the key is not there, none if the list is empty.
func (v value) tags(def []string) []string {
	if !v.there() {
		return def
	}
	all := []string{}
	v.list(func(v value) {
		tag, ok := v.text("a tag of DAGs, as in dr:hold")
		switch {
		case !ok:
		case len(tag) > longestTaskTag:
			v.problem("a tag of %d characters: want at most %d, as Airflow has it", len(tag), longestTaskTag)
		default:
			all = append(all, tag)
		}
	})
	return all
}
