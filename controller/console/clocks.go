package console

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

// asksAtOnce is how many reports a look at a rollout may ask for; the next look goes on.
const asksAtOnce = 20

// keptClocks bounds how many clocks are remembered.
const keptClocks = 10_000

// clocks remembers both clocks of operations of which both have stopped: they never change.
type clocks struct {
	mu   sync.Mutex
	kept map[string]clock
}

type clock struct{ serving, protected time.Duration }

func newClocks() *clocks { return &clocks{kept: map[string]clock{}} }

// clockData are both clocks over the groups of a rollout of which they are known.
type clockData struct {
	Serving, Protected sum
}

type sum struct {
	Groups          int
	Median, Slowest time.Duration
}

// clocksOf fills both clocks of moves that are done in, as far as they are known or can be asked for at once.
func (v *visit) clocksOf(ctx context.Context, moves []moveData) (d clockData) {
	var serving, protected []time.Duration
	asked := 0
	for i := range moves {
		m := &moves[i]
		if m.State != events.MoveDone || m.Op == "" {
			continue
		}
		k, known := v.c.clocks.get(m.Op)
		if !known && asked < asksAtOnce {
			asked++
			k = v.c.clocks.ask(ctx, v, m.Op)
		}
		m.Serving, m.Protected = k.serving, k.protected
		if k.serving > 0 {
			serving = append(serving, k.serving)
		}
		if k.protected > 0 {
			protected = append(protected, k.protected)
		}
	}
	return clockData{sumOf(serving), sumOf(protected)}
}

func (c *clocks) get(op string) (clock, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.kept[op]
	return k, known
}

func (c *clocks) ask(ctx context.Context, v *visit, op string) (k clock) {
	var r answers.Report
	if err := v.query(ctx, "report", map[string]any{"operation": op}, &r); err != nil {
		return k
	}
	o := &r.Operation
	if !words.Restores(o) {
		k.serving = words.Served(o)
	}
	k.protected = o.Protected
	if k.protected > 0 && (k.serving > 0 || words.Restores(o)) {
		c.mu.Lock()
		if len(c.kept) >= keptClocks {
			clear(c.kept)
		}
		c.kept[op] = k
		c.mu.Unlock()
	}
	return k
}

func sumOf(all []time.Duration) (s sum) {
	if len(all) == 0 {
		return s
	}
	slices.Sort(all)
	return sum{len(all), all[len(all)/2], all[len(all)-1]}
}
