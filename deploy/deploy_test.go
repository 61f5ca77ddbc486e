// Package deploy has no code: it is what a site is set up from. Its tests read the examples as the processes would, and look at the units.
package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/switchback-dr/switchback/pkg/config"
)

// TestExamples loads every example with the loader of its kind, which the first word of its name is.
func TestExamples(t *testing.T) {
	t.Parallel()
	load := map[string]func(string) error{
		"fleet":      func(p string) error { _, err := config.LoadFleet(p); return err },
		"controller": func(p string) error { _, err := config.LoadController(p); return err },
		"hub":        func(p string) error { _, err := config.LoadHub(p); return err },
		"agent":      func(p string) error { _, err := config.LoadAgent(p); return err },
		"fence":      func(p string) error { return fences(t, p) },
		"exec":       func(p string) error { return scripts(t, p) },
	}
	seen := map[string]bool{}
	for _, path := range glob(t, "examples/*") {
		kind, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".yaml"), "-")
		if load[kind] == nil {
			t.Errorf("%s: its name begins with none of fleet, controller, hub, agent, fence, exec", path)
			continue
		}
		seen[kind] = true
		if err := load[kind](path); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != len(load) {
		t.Errorf("examples are there for %v only", seen)
	}
}

// fences runs an example of an external fence with a management controller that says off, and one that says on.
func fences(t *testing.T, path string) error {
	t.Helper()
	for state, want := range map[string]int{"off": 0, "on": 1} {
		bin := t.TempDir()
		syscall.ForkLock.RLock() // a child started meanwhile by another test would hold it open for writing: then nobody may run it
		err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\necho chassis power is "+state+"\n"), 0o700)
		syscall.ForkLock.RUnlock()
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(t.Context(), "./"+path)
		cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
		cmd.Stdin = strings.NewReader(`{"version":1,"step":"orders/8/fence","group":"orders","by":"r2/b","victim":{"cluster":"r1/a","agent":"r1/h","address":"10.0.0.1:5432"}}`)
		out, err := cmd.Output()
		if code := cmd.ProcessState.ExitCode(); code != want || !json.Valid(out) || strings.Contains(string(out), `"fenced":true`) != (want == 0) {
			return fmt.Errorf("%s, power %s: exit code %d, %s, %w: want %d", path, state, code, out, err, want)
		}
	}
	return nil
}

// scripts has a shell read an example of kind exec, and asks the commands what there is where nothing runs. The end-to-end tests fail over by them.
func scripts(t *testing.T, path string) error {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, out)
	}
	if filepath.Base(path) != "exec-commands" {
		return nil
	}
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "./"+path, "probe", dir, filepath.Join(dir, "out")).Output()
	if err != nil || strings.TrimSpace(string(out)) != `{"state":"standby","ready":true}` {
		return fmt.Errorf("%s: a probe where nothing runs says %s (%w)", path, out, err)
	}
	return nil
}

// needed is what the design asks of each unit.
var needed = map[string][]string{
	"switchback-guard.service":      {"Restart=always", "StartLimitIntervalSec=0", "OOMScoreAdjust=-1000", "LimitMEMLOCK=infinity", "KillMode=process", "StateDirectoryMode=0700"},
	"switchback-agent.service":      {"Restart=always", "StartLimitIntervalSec=0", "KillMode=process", "OOMPolicy=continue", "Wants=network-online.target switchback-guard.service"},
	"switchback-controller.service": {"Restart=always", "StartLimitIntervalSec=0", "User=switchback", "NoNewPrivileges=yes"},
	"switchback-hub.service":        {"Restart=always", "StartLimitIntervalSec=0", "User=switchback", "NoNewPrivileges=yes"},
}

func TestUnits(t *testing.T) {
	t.Parallel()
	var names []string
	for _, path := range glob(t, "systemd/*.service") {
		name := filepath.Base(path)
		names = append(names, name)
		lines := strings.Split(read(t, path), "\n")
		for _, want := range needed[name] {
			if !slices.Contains(lines, want) {
				t.Errorf("%s: want the line %q", path, want)
			}
		}
		verb := strings.TrimSuffix(strings.TrimPrefix(name, "switchback-"), ".service")
		if !slices.ContainsFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "ExecStart=/usr/bin/switchback "+verb+" --config /etc/switchback/")
		}) {
			t.Errorf("%s: does not start `switchback %s` with a file of its own", path, verb)
		}
		for _, bond := range []string{"Requires=", "BindsTo=", "PartOf="} {
			if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, bond) }) {
				t.Errorf("%s: %s would stop it with another unit", path, bond)
			}
		}
	}
	for name := range needed {
		if !slices.Contains(names, name) {
			t.Errorf("systemd/%s is missing", name)
		}
	}
}

// TestUnitsVerify lets systemd itself read the units, with a program and a user that are there.
func TestUnitsVerify(t *testing.T) {
	t.Parallel()
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed, so systemd has not read the units")
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, path := range glob(t, "systemd/*.service") {
		text := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/switchback`).ReplaceAllString(read(t, path), "ExecStart=/bin/true")
		text = strings.NewReplacer("User=switchback", "User=root", "Group=switchback", "Group=root").Replace(text)
		to := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, to)
	}
	cmd := exec.CommandContext(t.Context(), verify, args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "switchback-") {
			t.Error(strings.TrimSpace(line)) // a word it does not know is only a warning
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: nothing there (%v)", pattern, err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
