// Command planted runs seeds until an invariant breaks. Its test builds it with one rule of the protocol taken away at a time; unchanged it must find
// nothing.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/switchback-dr/switchback/test/sim"
)

func main() {
	debug.SetGCPercent(400)
	seeds, err := wanted(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "planted: %v\nusage: planted SEED,SEED,… MOOD SEEDS: some seeds first, then so many of one mood, - = of any\n", err)
		os.Exit(2)
	}
	for i, seed := range seeds {
		res, err := sim.Seed(seed, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		if res.Violation != nil {
			fmt.Printf("seed %d (%s, run %d): %v\n", seed, res.Schedule.Mood, i+1, res.Violation)
			os.Exit(1)
		}
	}
}

// wanted are the seeds to run, in order.
func wanted(args []string) ([]uint64, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("%d arguments: want 3", len(args))
	}
	var seeds []uint64
	for _, word := range strings.Split(args[0], ",") {
		seed, err := strconv.ParseUint(word, 10, 64)
		if err != nil && word != "" {
			return nil, fmt.Errorf("seed %q: want a number", word)
		}
		if err == nil {
			seeds = append(seeds, seed)
		}
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return nil, fmt.Errorf("seeds %q: want a number", args[2])
	}
	mood := strings.TrimPrefix(args[1], "-")
	return append(seeds, sim.InMood(mood, 1, n)...), nil
}
