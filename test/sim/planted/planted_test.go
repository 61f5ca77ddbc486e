package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/switchback-dr/switchback/test/sim"
)

// maxSeeds bounds the seeds tried per rule, should those that found it before find it no more.
const maxSeeds = "200"

type edit struct{ file, old, text string }

type rule struct {
	name     string
	scenario string // the schedule that finds it, in scenarios
	mood     string // the mood whose seeds are tried, - = any
	found    string // seeds that found it before, tried first: numbers with commas; empty = not for seeds
	with     string // number of the rule that covers it, so that only both together are missed
	edits    []edit
}

// number is the rule's, as the table has it.
func (r *rule) number() string {
	number, _, _ := strings.Cut(r.name, " ")
	return number
}

// scenarios is where schedules lie that find a removed rule. TestScenarios runs them with every rule in place.
const scenarios = "../testdata/without"

// rules reads rules.txt.
func rules(t *testing.T) []rule {
	t.Helper()
	b, err := os.ReadFile("rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rs []rule
	for n, line := range strings.Split(string(b), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(line, "#") || line == "":
		case kind == "rule":
			rs = append(rs, rule{name: rest, mood: "-"})
		case kind == "scenario":
			rs[len(rs)-1].scenario = rest
		case kind == "mood":
			rs[len(rs)-1].mood = rest
		case kind == "found":
			rs[len(rs)-1].found = rest
		case kind == "with":
			rs[len(rs)-1].with = rest
		case kind == "file":
			r := &rs[len(rs)-1]
			r.edits = append(r.edits, edit{file: rest})
		case kind == "-" || kind == "+":
			r := &rs[len(rs)-1]
			e := &r.edits[len(r.edits)-1]
			if kind == "-" {
				e.old += "\n" + rest
			} else {
				e.text += "\n" + rest
			}
		default:
			t.Fatalf("rules.txt:%d: %q: want rule, scenario, mood, found, with, file, - or +", n+1, line)
		}
	}
	return rs
}

// numbered finds a rule.
func numbered(t *testing.T, rs []rule, number string) rule {
	t.Helper()
	for i := range rs {
		if rs[i].number() == number {
			return rs[i]
		}
	}
	t.Fatalf("no rule %s", number)
	return rule{}
}

// apply takes rules away in a copy of each file they stand in, and returns the overlay for the compiler. A text that is not there exactly once is an error:
// the rule has moved, and the planted bug must follow.
func apply(t *testing.T, root, dir string, rs ...rule) string {
	t.Helper()
	texts := map[string]string{}
	for _, r := range rs {
		for _, e := range r.edits {
			path := filepath.Join(root, e.file)
			if _, ok := texts[path]; !ok {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				texts[path] = string(b)
			}
			old := strings.TrimPrefix(e.old, "\n")
			if n := strings.Count(texts[path], old); n != 1 {
				t.Fatalf("%s: %q stands %d times in %s: want once", r.name, old, n, e.file)
			}
			texts[path] = strings.Replace(texts[path], old, strings.TrimPrefix(e.text, "\n"), 1)
		}
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range texts {
		copied := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root), "/", "_"))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = copied
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// build builds the command without some rules.
func build(t *testing.T, without ...rule) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "planted")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-overlay", apply(t, root, dir, without...), "-o", bin, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// breaks runs the command, and reports whether an invariant broke, and how.
func breaks(t *testing.T, bin string, args ...string) (string, bool) {
	t.Helper()
	search := exec.Command(bin, args...)
	search.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves no search behind
	out, err := search.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("run: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out)), err != nil
}

func TestEveryRemovedRuleIsFound(t *testing.T) {
	t.Parallel()
	rs := rules(t)
	for _, r := range rs {
		schedule := filepath.Join(scenarios, r.scenario)
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			if len(r.edits) == 0 || r.scenario == "" {
				t.Fatal("want edits, and a scenario that finds that the rule is gone")
			}
			bin := build(t, r)
			found, ok := breaks(t, bin, schedule)
			if r.with != "" {
				if ok {
					t.Fatalf("found although %s stands: take `with` away. %s", r.with, found)
				}
				return
			}
			if !ok {
				t.Fatalf("%s does not find that the rule is gone", r.scenario)
			}
			t.Logf("found: %s", found)
			if r.found == "" {
				return
			}
			if found, ok = breaks(t, bin, r.found, r.mood, maxSeeds); !ok {
				t.Fatalf("%s seeds of mood %s did not find that the rule is gone", maxSeeds, r.mood)
			}
			t.Logf("found: %s", found)
		})
		if r.with == "" || r.with < r.number() {
			continue
		}
		other := numbered(t, rs, r.with)
		t.Run(r.name+"; and "+other.name, func(t *testing.T) {
			t.Parallel()
			found, ok := breaks(t, build(t, r, other), schedule)
			if !ok {
				t.Fatalf("%s does not find that both rules are gone", r.scenario)
			}
			t.Logf("found: %s", found)
		})
	}
}

// TestWhatFindsARemovedRuleFindsNothingElse: with every rule in place neither seeds nor schedules break anything, so what they find is the rule's absence.
func TestWhatFindsARemovedRuleFindsNothingElse(t *testing.T) {
	t.Parallel()
	for _, r := range rules(t) {
		for _, word := range strings.Split(r.found, ",") {
			if word == "" {
				continue
			}
			seed, err := strconv.ParseUint(word, 10, 64)
			if err != nil {
				t.Fatalf("%s: found %q: want numbers", r.name, r.found)
			}
			res, err := sim.Seed(seed, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.Violation != nil {
				t.Errorf("%s: seed %d breaks with the rule in place: %v", r.name, seed, res.Violation)
			}
		}
	}
	files, err := os.ReadDir(scenarios)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if code := follow(filepath.Join(scenarios, f.Name()), false); code != 0 {
			t.Errorf("%s breaks with every rule in place", f.Name())
		}
	}
}

// TestEveryRuleOfTheTableIsPlanted: a rule that the protocol is known to need is taken away here, alone or with the one that covers it, and every schedule that
// was written to find one is used.
func TestEveryRuleOfTheTableIsPlanted(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("table.txt")
	if err != nil {
		t.Fatal(err)
	}
	rs := rules(t)
	used, seen := map[string]bool{}, map[string]bool{}
	for i := range rs {
		r := &rs[i]
		if seen[r.number()] {
			t.Errorf("rule %s is planted twice: give it a number of its own", r.number())
		}
		seen[r.number()], used[r.scenario] = true, true
		if r.with != "" && numbered(t, rs, r.with).with != r.number() {
			t.Errorf("%s: covered by %s, which does not name it", r.name, r.with)
		}
	}
	for _, line := range strings.Split(string(b), "\n") {
		if number, _, _ := strings.Cut(line, " "); number != "" && number != "#" && !seen[number] {
			t.Errorf("not planted: %s", line)
		}
	}
	files, err := os.ReadDir(scenarios)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !used[f.Name()] {
			t.Errorf("%s finds no rule of rules.txt", f.Name())
		}
	}
}
