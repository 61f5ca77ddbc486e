// Command run explores the model of the rules as built: every configuration, then every rule taken away. `make model` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/switchback-dr/switchback/test/model"
)

var (
	only    = flag.String("only", "", "run only configurations and rules whose name contains this")
	limit   = flag.Int("limit", 20_000, "stop the search of a configuration after this many states (0: never); small ones are always searched to their end")
	trace   = flag.Bool("trace", false, "print a shortest way to what broke, in words")
	loud    = flag.Bool("v", false, "print how far a search is")
	without = flag.String("without", "", "explore with this rule taken away (only in the build this command makes for itself)")
	one     = flag.String("case", "", "explore only the configuration of this very name")
	held    = flag.Bool("held", true, "explore the configurations with every rule in place")
	rare    = flag.Bool("rare", false, "look for the rules too that take very long to find")
	build   = flag.String("build", "", "only build the command with removable rules, into this directory")
	removed = flag.Bool("removed", true, "take every rule away once: each must be found")
)

func main() {
	flag.Parse()
	ok, err := run()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

func run() (bool, error) {
	if *without != "" {
		if err := model.Without(*without); err != nil {
			return false, err
		}
	}
	if *one != "" {
		c, err := model.FindCase(*one)
		if err != nil {
			return false, err
		}
		return explore(&c)
	}
	ok := true
	if *held && *build == "" {
		good, err := holds()
		if err != nil {
			return false, err
		}
		ok = good
	}
	if *removed {
		good, err := found()
		if err != nil {
			return false, err
		}
		ok = ok && good
	}
	return ok, nil
}

// explore searches one configuration here.
func explore(c *model.Case) (bool, error) {
	var progress func(string)
	if *loud {
		progress = func(s string) { fmt.Fprintln(os.Stderr, s) }
	}
	r, err := model.Explore(&c.Config, *limit, progress)
	if err != nil {
		return false, err
	}
	fmt.Printf("%-18s %s\n", c.Name, r)
	if r.Bad != "" && *trace {
		for i, l := range r.Trace {
			fmt.Printf("  %3d %s\n", i+1, l)
		}
	}
	return r.Bad == "", nil
}

// holds explores every configuration with every rule in place.
func holds() (bool, error) {
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	var jobs []job
	for _, c := range model.Cases() {
		if !c.Aid && strings.Contains(c.Name, *only) {
			most := *limit
			if c.Whole {
				most = 0
			}
			jobs = append(jobs, job{args: []string{"-case", c.Name, "-limit", fmt.Sprint(most)}})
		}
	}
	fmt.Println("Every rule in place: every state within the bound must hold.")
	return both(self, jobs)
}

// found takes every rule away once.
func found() (bool, error) {
	root, err := os.Getwd()
	if err != nil {
		return false, err
	}
	rules, err := model.Removed(root)
	if err != nil {
		return false, err
	}
	dir := *build
	if dir == "" {
		if dir, err = os.MkdirTemp("", "model"); err != nil {
			return false, err
		}
		defer os.RemoveAll(dir)
	}
	bin, err := model.BuildRemoved(root, dir, rules)
	if err != nil {
		return false, err
	}
	if *build != "" {
		fmt.Println(bin)
		return true, nil
	}
	var jobs []job
	var left []string
	for _, r := range rules {
		switch {
		case !strings.Contains(r.ID+" "+r.What+" "+r.Search, *only):
		case r.Rare && !*rare:
			left = append(left, r.ID)
		default:
			jobs = append(jobs, job{[]string{"-without", r.ID, "-case", r.Search, "-limit", fmt.Sprint(r.Limit)}, fmt.Sprintf("%-6s %-78s ", r.ID, r.What), true})
		}
	}
	fmt.Println("One rule taken away: it must be found.")
	good, err := both(bin, jobs)
	if len(left) > 0 {
		fmt.Printf("NOT LOOKED FOR, the search takes too long (-rare looks for them): %s\n", strings.Join(left, ", "))
	}
	return good, err
}

// job is one search in a process of its own.
type job struct {
	args []string
	head string
	bad  bool // it must break
}

// both runs the searches two at a time and prints what each found, in order. False: one did not end as it must.
func both(bin string, jobs []job) (bool, error) {
	out := make([]chan string, len(jobs))
	good := make([]bool, len(jobs))
	next := make(chan int)
	var failed sync.Once
	var ended error
	for i := range out {
		out[i] = make(chan string, 1)
	}
	go func() {
		for i := range jobs {
			next <- i
		}
		close(next)
	}()
	for range 2 {
		go func() {
			for i := range next {
				args := jobs[i].args
				if *trace {
					args = append(args, "-trace")
				}
				b, err := exec.Command(bin, args...).CombinedOutput()
				code := 0
				if err != nil {
					code = -1
					if x, ok := err.(*exec.ExitError); ok {
						code = x.ExitCode()
					}
				}
				if code != 0 && code != 1 {
					failed.Do(func() { ended = fmt.Errorf("%s %v: %w\n%s", bin, args, err, b) })
				}
				good[i] = (code == 1) == jobs[i].bad
				out[i] <- string(b)
			}
		}()
	}
	all := true
	for i := range jobs {
		s := <-out[i]
		mark := ""
		if !good[i] {
			all, mark = false, "  <-- NOT AS IT MUST BE\n"
		}
		fmt.Print(jobs[i].head, s, mark)
	}
	return all, ended
}
