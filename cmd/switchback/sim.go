package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/test/sim"
)

// simulated is what -o json and yaml show of a simulation.
type simulated struct {
	Seeds     uint64         `json:"seeds"` // run to their end
	Seconds   float64        `json:"seconds"`
	PerSecond float64        `json:"seeds_per_second"`
	Steps     int            `json:"steps"`
	Rows      map[string]int `json:"rows"`   // how often each row told something; a row that tells nobody is never counted
	Missed    []string       `json:"missed"` // rows that told nothing
	Broken    []broken       `json:"broken"`
}

type broken struct {
	Seed      uint64 `json:"seed"`
	Violation string `json:"violation"`
	Reproduce string `json:"reproduce"`
}

func (a *app) simCommand() *cobra.Command {
	var first, count uint64
	var verbose bool
	cmd := &cobra.Command{
		Use: "sim", Short: "Drive the real cores under simulated faults, and check that they stay safe", Args: cobra.NoArgs,
		Long: `Drives the packages that ship under virtual time and seeded faults, and checks the invariants after every step. A seed is a whole schedule: the same seed is
the same run.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seeds") && !cmd.Flags().Changed("seed") {
				count = 100
			}
			if count == 0 {
				return usage("--seeds 0: want at least 1")
			}
			var log io.Writer
			if verbose {
				log = a.err
			}
			s, err := simulate(cmd.Context(), first, count, log)
			if err != nil {
				return err
			}
			if err := a.showValue(s, func(p *page) { p.simulated(s, verbose) }); err != nil {
				return err
			}
			if len(s.Broken) > 0 {
				return &failure{exitFailed, errSilent}
			}
			return nil
		},
	}
	cmd.Flags().Uint64Var(&count, "seeds", 1, "how many seeds to run (default: 1 with --seed, else 100)")
	cmd.Flags().Uint64Var(&first, "seed", 1, "the first seed")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log each run, one after the other, and show how often each row fired")
	cmd.Flags().Lookup("seeds").DefValue = ""
	return cmd
}

// simulate runs seeds on every processor, or one by one where they are logged. It stops early when ctx ends.
func simulate(ctx context.Context, first, count uint64, log io.Writer) (*simulated, error) {
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
	for i := range count {
		select {
		case seeds <- first + i:
		case <-ctx.Done():
			break feed
		}
	}
	close(seeds)
	running.Wait()
	s.sum(time.Since(began))
	return s, errors.Join(failed...)
}

// sum adds up once every seed has run.
func (s *simulated) sum(took time.Duration) {
	s.Seconds = took.Seconds()
	s.PerSecond = float64(s.Seeds) / s.Seconds
	for _, r := range decide.Rows() {
		if s.Rows[r.ID] == 0 {
			s.Missed = append(s.Missed, r.ID)
		}
	}
	slices.SortFunc(s.Broken, func(x, y broken) int { return cmp.Compare(x.Seed, y.Seed) })
}

func (s *simulated) add(r sim.Result) {
	s.Seeds++
	s.Steps += r.Steps
	for id, n := range r.Rows {
		s.Rows[id] += n
	}
	if r.Violation != nil {
		s.Broken = append(s.Broken, broken{r.Seed, r.Violation.Error(), fmt.Sprintf("switchback sim --seeds 1 --seed %d", r.Seed)})
	}
}

func (p *page) simulated(s *simulated, rows bool) {
	for _, b := range s.Broken {
		p.line("%s  seed %d: %s", p.paint("FAILED"), b.Seed, b.Violation)
		p.line("reproduce: %s", b.Reproduce)
	}
	if rows {
		for _, id := range slices.Sorted(maps.Keys(s.Rows)) {
			p.line("%8d  %s", s.Rows[id], id)
		}
	}
	all := len(decide.Rows())
	p.line("%d seeds in %.1f s (%.1f seeds/s, %d steps): %d broke an invariant", s.Seeds, s.Seconds, s.PerSecond, s.Steps, len(s.Broken))
	p.line("rows hit: %d of %d told something", all-len(s.Missed), all)
	if rows {
		p.line("told nothing: %s", strings.Join(s.Missed, ", "))
	}
}
