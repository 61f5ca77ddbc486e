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

// maxSeeds bounds the schedules tried per rule; most are found within a few.
const maxSeeds = "400"

type edit struct{ file, old, text string }

type rule struct {
	name  string
	mood  string // the mood whose seeds are tried, - = any
	found string // seeds that found it before, tried first: numbers with commas
	rare  bool
	model string // not for seeds: why, and what finds it instead
	edits []edit
}

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
		case kind == "rare":
			rs[len(rs)-1].rare = true
		case kind == "mood":
			rs[len(rs)-1].mood = rest
		case kind == "found":
			rs[len(rs)-1].found = rest
		case kind == "model":
			rs[len(rs)-1].model = rest
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
			t.Fatalf("rules.txt:%d: %q: want rule, rare, mood, found, model, file, - or +", n+1, line)
		}
	}
	return rs
}

// apply takes a rule away in a copy of each file it stands in, and returns the overlay for the compiler. A text that is not there exactly once is an
// error: the rule has moved, and the planted bug must follow.
func (r rule) apply(t *testing.T, root, dir string) string {
	t.Helper()
	texts := map[string]string{}
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

func TestEveryRemovedRuleIsFoundByRandomSeeds(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	seeds := maxSeeds
	if s := os.Getenv("PLANTED_SEEDS"); s != "" {
		seeds = s
	}
	for _, r := range rules(t) {
		if r.model != "" || r.rare && os.Getenv("PLANTED_SEEDS") == "" {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			bin := filepath.Join(dir, "planted")
			build := exec.Command("go", "build", "-overlay", r.apply(t, root, dir), "-o", bin, ".")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build without %s: %v\n%s", r.name, err, out)
			}
			search := exec.Command(bin, r.found, r.mood, seeds)
			search.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves no search behind
			out, err := search.CombinedOutput()
			var exit *exec.ExitError
			switch {
			case err == nil:
				t.Fatalf("%s seeds of mood %s did not find that the rule is gone", seeds, r.mood)
			case !errors.As(err, &exit) || exit.ExitCode() != 1:
				t.Fatalf("run without %s: %v\n%s", r.name, err, out)
			}
			t.Logf("found: %s", strings.TrimSpace(string(out)))
		})
	}
}

// TestSeedsThatFindARemovedRuleFindNothingElse: with every rule in place they break nothing, so what they find is the rule's absence.
func TestSeedsThatFindARemovedRuleFindNothingElse(t *testing.T) {
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
}
