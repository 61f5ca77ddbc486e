package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/test/sim"
)

// simulated is what -o json and yaml show of a simulation.
type simulated struct {
	Seeds     uint64         `json:"seeds"` // run to their end
	Seconds   float64        `json:"seconds"`
	PerSecond float64        `json:"seeds_per_second"`
	Steps     int            `json:"steps"`
	Rows      map[string]int `json:"rows"`   // how often each row began to match
	Missed    []string       `json:"missed"` // rows that never did, in no scenario either
	Broken    []broken       `json:"broken"`
}

type broken struct {
	Seed      uint64 `json:"seed"`
	Violation string `json:"violation"`
	Reproduce string `json:"reproduce"`
	Mood      string `json:"mood,omitempty"`
	Scenario  string `json:"scenario,omitempty"` // the smallest schedule found that breaks the same, as a file of test/sim/testdata; of the first seed only

	schedule  sim.Schedule
	violation *sim.Violation
}

// shrinking is how many runs are spent on making the schedule of the first broken seed smaller.
const shrinking = 400

func (a *app) simCommand() *cobra.Command {
	var seeds string
	var first uint64
	var lasts time.Duration
	var verbose, coverage bool
	var live forecast
	cmd := &cobra.Command{
		Use: "sim", Short: "Drive the real cores under simulated faults; or ask what they would do with the live fleet", Args: cobra.NoArgs,
		Long: `Drives the packages that ship under virtual time and seeded faults, and checks the invariants after every step. A seed is a whole schedule: the same seed is
the same run. The schedule of the first seed that breaks an invariant is made as small as it goes, and printed as a scenario. Exit code 1: something broke, or
with --coverage a row was never reached.

With --fleet live --lose REGION it runs the real core on the fleet's stored state instead, and says what would happen, when, and what would be left behind.`,
		Example: `  switchback sim --seeds 500
  switchback sim --fleet live --lose eu-west-1`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wanted, err := live.wanted(cmd); wanted || err != nil {
				if err != nil {
					return err
				}
				return a.foresee(cmd, live.lose)
			}
			if seeds == "" && !cmd.Flags().Changed("seed") && lasts == 0 {
				seeds = "100"
			}
			from, to, err := seedRange(seeds, first, lasts)
			if err != nil {
				return err
			}
			var log io.Writer
			if verbose {
				log = a.err
			}
			ctx := cmd.Context()
			if lasts > 0 {
				var end context.CancelFunc
				ctx, end = context.WithTimeout(ctx, lasts)
				defer end()
			}
			s, err := simulate(ctx, from, to, log)
			if err != nil {
				return err
			}
			if err := a.showValue(s, func(p *page) { p.simulated(s, coverage) }); err != nil {
				return err
			}
			if len(s.Broken) > 0 || coverage && len(s.Missed) > 0 {
				return &failure{exitFailed, errSilent}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&seeds, "seeds", "", "how many seeds to run, or which: 5000, 5001..9000 (default: 1 with --seed, else 100)")
	cmd.Flags().Uint64Var(&first, "seed", 1, "the first seed")
	cmd.Flags().DurationVar(&lasts, "for", 0, "begin no seed after so long; without --seeds, go on until then")
	live.flags(cmd)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log each run, one after the other")
	cmd.Flags().BoolVar(&coverage, "coverage", false, "list the rows of every decision table with how often they were reached; one that is reached by no seed and no scenario is a failure")
	return cmd
}

// seedRange reads --seeds: a number of seeds from first on, or FROM..TO, both included. Without it, one seed, or no end where time ends it.
func seedRange(seeds string, first uint64, lasts time.Duration) (from, to uint64, err error) {
	lo, hi, ranged := strings.Cut(seeds, "..")
	n, errN := strconv.ParseUint(lo, 10, 64)
	m, errM := strconv.ParseUint(hi, 10, 64)
	switch {
	case seeds == "" && lasts > 0:
		return first, math.MaxUint64, nil
	case seeds == "":
		return first, first, nil
	case ranged && (errN != nil || errM != nil || m < n):
		return 0, 0, usage("--seeds %s: want FROM..TO, like 5001..9000", seeds)
	case ranged:
		return n, m, nil
	case errN != nil || n == 0:
		return 0, 0, usage("--seeds %s: want at least 1, or a range like 5001..9000", seeds)
	}
	return first, first + n - 1, nil
}

// simulate runs the seeds from one to another on every processor, or one by one where they are logged. It begins none after ctx ended.
func simulate(ctx context.Context, from, to uint64, log io.Writer) (*simulated, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(1600)) // worlds are small and short-lived
	s := &simulated{Rows: map[string]int{}, Broken: []broken{}, Missed: []string{}}
	workers := runtime.GOMAXPROCS(0)
	if log != nil {
		workers = 1
	}
	began := time.Now()
	seeds := make(chan uint64)
	var mu sync.Mutex
	var failed []error
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for seed := range seeds {
				r, err := sim.Seed(seed, log)
				mu.Lock()
				if err != nil {
					failed = append(failed, fmt.Errorf("seed %d: %w", seed, err))
				} else {
					s.add(r)
				}
				mu.Unlock()
			}
		})
	}
feed:
	for seed := from; ; seed++ {
		select {
		case seeds <- seed:
		case <-ctx.Done():
			break feed
		}
		if seed == to {
			break
		}
	}
	close(seeds)
	running.Wait()
	s.sum(time.Since(began))
	s.shrink()
	return s, errors.Join(failed...)
}

// sum adds up once every seed has run.
func (s *simulated) sum(took time.Duration) {
	s.Seconds = took.Seconds()
	s.PerSecond = float64(s.Seeds) / s.Seconds
	scenarios := sim.ByScenario()
	for _, t := range sim.Tables() {
		for _, id := range t.Rows {
			if s.Rows[id] == 0 && !slices.Contains(scenarios, id) {
				s.Missed = append(s.Missed, id)
			}
		}
	}
	slices.SortFunc(s.Broken, func(x, y broken) int { return cmp.Compare(x.Seed, y.Seed) })
}

// shrink makes the schedule of the first broken seed smaller.
func (s *simulated) shrink() {
	if len(s.Broken) > 0 {
		b := &s.Broken[0]
		small, bad := sim.Shrink(b.schedule, b.violation, shrinking)
		b.Scenario = fmt.Sprintf("# %v\n\n%v", bad, small)
	}
}

func (s *simulated) add(r sim.Result) {
	s.Seeds++
	s.Steps += r.Steps
	for id, n := range r.Rows {
		s.Rows[id] += n
	}
	if r.Violation != nil {
		seed := r.Schedule.Setting.Seed
		s.Broken = append(s.Broken, broken{
			Seed: seed, Violation: r.Violation.Error(), Reproduce: fmt.Sprintf("switchback sim --seed %d", seed), Mood: r.Schedule.Mood, schedule: r.Schedule, violation: r.Violation,
		})
	}
}

// coverage lists every row, by table.
func (p *page) coverage(s *simulated) {
	scenarios := sim.ByScenario()
	for _, t := range sim.Tables() {
		p.line("%s", t.Name)
		for _, id := range t.Rows {
			how := ""
			switch {
			case s.Rows[id] > 0:
			case slices.Contains(scenarios, id):
				how = "  by a scenario"
			default:
				how = "  NEVER REACHED"
			}
			p.line("%8d  %s%s", s.Rows[id], strings.TrimPrefix(id, "agent."), how)
		}
	}
}

func (p *page) simulated(s *simulated, coverage bool) {
	for _, b := range s.Broken {
		p.line("%s  seed %d: %s", p.paint("FAILED"), b.Seed, b.Violation)
		p.line("reproduce: %s", b.Reproduce)
		if b.Scenario != "" {
			p.line("as a scenario, to stand in test/sim/testdata under a telling name:\n\n%s", b.Scenario)
		}
	}
	if coverage {
		p.coverage(s)
	}
	all := 0
	for _, t := range sim.Tables() {
		all += len(t.Rows)
	}
	p.line("%d seeds in %.1f s (%.1f seeds/s, %d steps): %d broke an invariant", s.Seeds, s.Seconds, s.PerSecond, s.Steps, len(s.Broken))
	p.line("%d of %d rows were reached, by these seeds or by a scenario", all-len(s.Missed), all)
	if coverage && len(s.Missed) > 0 {
		p.line("never reached: %s", strings.Join(s.Missed, ", "))
	}
}
