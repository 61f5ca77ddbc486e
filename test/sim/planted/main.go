// Command planted runs seeds until an invariant breaks. Its test builds it with one rule of the protocol taken away at a time; unchanged it must find
// nothing. With the name of a file it runs the schedule in it instead, and with -v it says all that happens.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/switchback-dr/switchback/test/sim"
)

func main() {
	debug.SetGCPercent(400)
	if n := len(os.Args); n == 2 || n == 3 && os.Args[1] == "-v" {
		os.Exit(follow(os.Args[n-1], n == 3))
	}
	seeds, err := wanted(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "planted: %v\nusage: planted [-v] FILE, or planted SEED,SEED,… MOOD SEEDS: some seeds first, then so many of one mood, - = of any\n", err)
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

// follow runs the schedule of a file, in worlds of several lucks: 1 = an invariant broke.
func follow(file string, loud bool) int {
	b, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	s, err := sim.ParseSchedule(string(b))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
		return 2
	}
	var log io.Writer
	if loud {
		log = os.Stdout
	}
	for range lucks {
		res, err := s.Run(log)
		switch {
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			return 2
		case res.Violation != nil:
			fmt.Printf("seed %d: %v\n", s.Setting.Seed, res.Violation)
			return 1
		}
		s.Setting.Seed++
	}
	return 0
}

// lucks is in how many worlds a schedule is followed that differ by their luck alone: a rule is missed within milliseconds, sometimes.
const lucks = 4

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
