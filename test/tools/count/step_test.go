package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// full is a pipe that nobody reads any more.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

// TestStepIsCounted: what a command says and how it ends is counted as a test's.
func TestStepIsCounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script, last string
		says               []string
	}{
		{"passes", "echo 5 seeds", "1 passed, 0 failed, 0 skipped", []string{"ok   simulator"}},
		{"fails", "echo FAILED seed 7; echo why >&2; exit 1", "0 passed, 1 failed, 0 skipped", []string{"FAIL simulator sh -c", "FAILED seed 7", "why", "exit status 1"}},
		{"is killed", "printf half; kill -9 $$", "0 passed, 1 failed, 0 skipped", []string{"half", "killed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var said, told bytes.Buffer
			stepErr := step("simulator", []string{"sh", "-c", c.script}, &said)
			err := run(&said, &told, "")
			lines := strings.Split(strings.TrimSpace(told.String()), "\n")
			if last := lines[len(lines)-1]; last != c.last || (stepErr != nil) != (err != nil) {
				t.Errorf("last line %q, want %q; the step ended with %v, the count with %v", last, c.last, stepErr, err)
			}
			for _, s := range c.says {
				if !strings.Contains(told.String(), s) {
					t.Errorf("want %q in\n%s", s, told.String())
				}
			}
		})
	}
}

// TestStepThatCannotRunFails: no command, one that is not there, and a count that is gone.
func TestStepThatCannotRunFails(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := step("simulator", nil, &b); err == nil {
		t.Error("no command is a success")
	}
	if err := step("simulator", []string{"/no/such/program"}, &b); err == nil || !strings.Contains(b.String(), `"fail"`) {
		t.Errorf("a program that is not there: %v, written %s", err, b.String())
	}
	if err := step("simulator", []string{"true"}, full{}); err == nil {
		t.Error("nobody counts it, and it is a success")
	}
}
