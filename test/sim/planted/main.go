// Command planted runs random seeds until an invariant breaks. Its test builds it with one rule of the protocol taken away at a time; unchanged it must find
// nothing.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/switchback-dr/switchback/test/sim"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: planted FIRST-SEED SEEDS")
		os.Exit(2)
	}
	first, err1 := strconv.ParseUint(os.Args[1], 10, 64)
	n, err2 := strconv.ParseUint(os.Args[2], 10, 64)
	if err1 != nil || err2 != nil {
		fmt.Fprintf(os.Stderr, "planted %q %q: want two numbers\n", os.Args[1], os.Args[2])
		os.Exit(2)
	}
	for seed := first; seed < first+n; seed++ {
		res, err := sim.Seed(seed, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		if res.Violation != nil {
			fmt.Printf("%s at seed %d (%d runs): %s\n", res.Violation.Rule, seed, seed-first+1, res.Violation.What)
			os.Exit(1)
		}
	}
}
