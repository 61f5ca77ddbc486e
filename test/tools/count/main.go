// Command count reads the output of `go test -json` and says what happened: one line per package, all the output of what failed, every skip with its
// reason, and last "N passed, N failed, N skipped", which it also writes to the file named by -out. It fails if anything failed or nothing ran.
//
// With -as NAME -- COMMAND it runs a command instead, and writes what go would write of a test, so that what is no Go test is counted too.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package                       string
	ImportPath, Test, Output, FailedBuild string  `json:",omitempty"`
	Elapsed                               float64 `json:",omitempty"`
}

func main() {
	out := flag.String("out", "", "file to write the last line to")
	as := flag.String("as", "", "run the command after -- and write its end as that of the one test of a package with this name")
	flag.Parse()
	if *as != "" {
		if err := step(*as, flag.Args(), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "count:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(os.Stdin, os.Stdout, *out); err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, w io.Writer, file string) error {
	c := counter{w: w, output: map[string][]string{}, open: map[string]bool{}, broken: map[string]bool{}}
	if err := c.read(in); err != nil {
		return err
	}
	line := c.finish()
	fmt.Fprintln(w, line)
	if file != "" {
		if err := os.WriteFile(file, []byte(line+"\n"), 0o644); err != nil {
			return fmt.Errorf("write counts: %w", err)
		}
	}
	switch {
	case c.failed > 0:
		return errors.New("there are failures")
	case c.passed == 0:
		return errors.New("no test passed: that is no success")
	}
	return nil
}

type counter struct {
	w                       io.Writer
	passed, failed, skipped int
	output                  map[string][]string // by package and test, until its end is known
	open                    map[string]bool     // tests that began and have not ended
	broken                  map[string]bool     // packages in which a test failed
	skips                   []string
}

func (c *counter) read(in io.Reader) error {
	s := bufio.NewScanner(in)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		var e event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil || e.Action == "" {
			fmt.Fprintln(c.w, s.Text()) // what go itself says, around the tests
			continue
		}
		c.take(e)
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read the tests' output: %w", err)
	}
	return nil
}

func (c *counter) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		c.open[key] = true
	case "output":
		c.output[key] = append(c.output[key], e.Output)
	case "build-output":
		c.output[e.ImportPath+" "] = append(c.output[e.ImportPath+" "], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			c.endPackage(e)
			return
		}
		c.endTest(e, key)
		delete(c.open, key)
		delete(c.output, key)
	}
}

func (c *counter) endTest(e event, key string) {
	switch e.Action {
	case "pass":
		c.passed++
	case "skip":
		c.skipped++
		c.skips = append(c.skips, "SKIP "+key+": "+reason(c.output[key]))
	case "fail":
		c.fail(e.Package, "FAIL "+key, c.output[key])
	}
}

func (c *counter) fail(pkg, what string, output []string) {
	c.failed++
	c.broken[pkg] = true
	fmt.Fprintf(c.w, "%s\n%s\n", what, strings.TrimRight(strings.Join(output, ""), "\n"))
}

// endPackage counts a package that failed although none of its tests did: it did not build, or its process ended in the middle.
func (c *counter) endPackage(e event) {
	for _, key := range c.left(e.Package) {
		c.fail(e.Package, "FAIL "+key+" (did not end)", c.output[key])
		delete(c.open, key)
	}
	key := e.Package + " "
	if e.Action == "fail" && !c.broken[e.Package] {
		c.fail(e.Package, "FAIL "+e.Package, slices.Concat(c.output[e.FailedBuild+" "], c.output[key]))
	} else if e.Action == "fail" {
		fmt.Fprintf(c.w, "FAIL %s\n%s", e.Package, strings.Join(c.output[key], ""))
	} else if e.Action == "pass" {
		fmt.Fprintf(c.w, "ok   %-60s %6.1f s\n", e.Package, e.Elapsed)
	}
	delete(c.output, key)
}

func (c *counter) left(pkg string) (keys []string) {
	for key := range c.open {
		if pkg == "" || strings.HasPrefix(key, pkg+" ") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// finish prints the skips, so that nobody overlooks them, and returns the last line.
func (c *counter) finish() string {
	for _, key := range c.left("") {
		c.fail("", "FAIL "+key+" (did not end, nor did its package)", c.output[key])
	}
	if len(c.skips) > 0 {
		fmt.Fprintf(c.w, "\n!!! %d skipped: what they would have shown is not known\n%s\n\n", len(c.skips), strings.Join(c.skips, "\n"))
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

// reason is what a test said when it skipped, on one line.
func reason(output []string) string {
	var said []string
	for _, l := range output {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			said = append(said, l)
		}
	}
	if len(said) == 0 {
		return "gave no reason"
	}
	return strings.Join(said, " ")
}
