// Command run explores the model: `go run ./test/model/run`.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/switchback-dr/switchback/test/model"
)

func main() {
	only := flag.String("only", "", "run only configurations whose name contains this")
	limit := flag.Int("limit", 2_000_000, "stop a search after this many states")
	trace := flag.Bool("trace", false, "print a shortest way to what broke")
	loud := flag.Bool("v", false, "print how far a search is")
	flag.Parse()
	bad := 0
	for _, c := range model.Cases() {
		if !strings.Contains(c.Name, *only) {
			continue
		}
		var progress func(string)
		if *loud {
			progress = func(s string) { fmt.Fprintln(os.Stderr, s) }
		}
		r, err := model.Explore(&c, *limit, progress)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		fmt.Printf("%-40s %s\n", c.Name, r)
		if r.Bad != "" {
			bad++
			if *trace {
				for i, l := range r.Trace {
					fmt.Printf("  %3d %s\n", i+1, l)
				}
			}
		}
	}
	if bad > 0 {
		os.Exit(1)
	}
}
