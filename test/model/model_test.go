package model

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// small is how many states of every configuration are searched in every test run; `make model` searches them all.
const small = 200

func TestTheRulesHoldInTheFirstStatesOfEveryConfiguration(t *testing.T) {
	t.Parallel()
	moved := 0
	for _, c := range Cases() {
		if c.Aid {
			continue
		}
		r, err := Explore(&c.Config, small, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Bad != "" {
			t.Errorf("%s: %s", c.Name, r.Bad)
			for i, l := range r.Trace {
				t.Logf("%3d %s", i+1, l)
			}
		}
		moved += r.Moved
	}
	if moved == 0 {
		t.Error("nobody was promoted in any state: the search shows nothing")
	}
}

func TestARemovedRuleIsFound(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := Removed(root)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := BuildRemoved(root, t.TempDir(), rules)
	if err != nil {
		t.Fatal(err)
	}
	quick := 0
	for _, r := range rules {
		if _, err := FindCase(r.Search); err != nil {
			t.Errorf("%s: %v", r.ID, err)
		}
		if !r.Quick {
			continue
		}
		quick++
		search := exec.Command(bin, "-without", r.ID, "-case", r.Search, "-limit", strconv.Itoa(r.Limit))
		search.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves no search behind
		out, err := search.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("without %s (%s): %v\n%s", r.ID, r.What, err, out)
		}
		t.Logf("%s %s", r.ID, strings.TrimSpace(string(out)))
	}
	if quick < 5 {
		t.Errorf("%d rules are looked for: want at least 5", quick)
	}
	if err := Without("m01"); err == nil {
		t.Error("this build can take rules away: it is not the shipped code")
	}
}

func TestDeadEndsAreFound(t *testing.T) {
	t.Parallel()
	e := ends{from: map[uint64][]uint64{}, order: []uint64{1, 2, 3, 4, 5}, back: []uint64{1}}
	e.step(1, 2, false)
	e.step(2, 1, false)
	e.step(1, 3, true)
	e.step(3, 1, true) // only what goes wrong once more leads back
	e.step(3, 4, false)
	e.step(4, 3, false)
	e.step(4, 5, false)
	if got := e.dead(); !slices.Equal(got, []uint64{3, 4, 5}) {
		t.Errorf("dead ends %v: want 3, 4 and 5", got)
	}
}
