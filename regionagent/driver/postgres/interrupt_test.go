package postgres_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
)

// dying is what a process is told that carries out an action and kills itself in the middle of it, as an agent would be.
type dying struct {
	Config   postgres.Config
	Action   driver.Action
	Point    string // where; "middle of rewind" is while pg_rewind overwrites the data
	Exchange bool   // the file system can exchange two names
}

const dyingRole = "SWITCHBACK_TEST_DIES"

// TestDies is that process's part.
func TestDies(t *testing.T) {
	told := os.Getenv(dyingRole)
	if told == "" {
		return // the tests below start it
	}
	var order dying
	if err := json.Unmarshal([]byte(told), &order); err != nil {
		t.Fatal(err)
	}
	d, err := postgres.New(order.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }
	postgres.OnReach(d, order.Exchange, func(point string) {
		if point == order.Point {
			die()
		}
		if point == "rewind" && order.Point == "middle of rewind" {
			go func() {
				for {
					if w := d.Probe(t.Context()).Work; w != nil && w.Phase == "rewind" && w.Total > 0 {
						die()
					}
				}
			}()
		}
	})
	t.Fatalf("it did not come to %q: %+v", order.Point, d.Do(t.Context(), order.Action))
}

// dies has another process carry out an action, which is killed at a point of it.
func (s subject) dies(point string, exchange bool, a driver.Action, change ...func(*postgres.Config)) {
	s.t.Helper()
	cfg := s.Config(events.Ref{Region: "eu-west-1", Cluster: s.Name})
	for _, f := range change {
		f(&cfg)
	}
	b, err := json.Marshal(dying{cfg, a, point, exchange})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestDies$")
	cmd.Env = append(os.Environ(), dyingRole+"="+string(b))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		s.t.Fatalf("not killed at %q: %v: %s", point, err, out)
	}
}

type interruption struct {
	copy     bool
	exchange bool
	points   []string
}

// overwritten reports whether the data in place is not what it was any more.
func (i interruption) overwritten(point string) bool {
	return point != "begun" && (!i.copy || point != "copy" && point != "fetched" && point != "ready")
}

// TestRestoreIsTakenUpWhereverItWasInterrupted kills the agent at every point of a restore, by a rewind and by a copy, and asks again.
func TestRestoreIsTakenUpWhereverItWasInterrupted(t *testing.T) {
	t.Parallel()
	for _, c := range []interruption{
		{false, true, []string{"begun", "rewind", "rewound", "dress", "follow", "streams", "done"}},
		{true, true, []string{"begun", "copy", "fetched", "ready", "swap", "swapped", "aside", "dress", "follow", "streams", "done"}},
		{true, false, []string{"between", "swapped", "aside"}},
	} {
		for _, point := range c.points {
			name := map[bool]string{false: "rewind", true: "copy"}[c.copy] + map[bool]string{false: " by two names", true: ""}[c.exchange] + " " + point
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				a, b, lost := failedOver(t, 2)
				b.commit()
				a.do(events.Done, driver.Action{Verb: driver.Mark, Group: "orders"})
				order := driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "g/2/restore", Copy: c.copy}
				a.dies(point, c.exchange, order)
				if h := a.probe(); h.Server == events.ServerWritable || h.Empty {
					t.Errorf("after the kill: %+v", h)
				}
				if c.overwritten(point) {
					a.do(events.Refused, driver.Action{Verb: driver.Start})
				}
				r := a.d.Do(t.Context(), order)
				if !r.Outcome.OK() {
					t.Fatalf("asked again: %+v", r)
				}
				wantLost(t, r.Lost, lost)
				if c.copy && r.How != "copied" {
					t.Errorf("asked again: %+v", r)
				}
				a.restored(b)
				if h := a.probe(); h.Mark != "orders" {
					t.Errorf("mark %q", h.Mark)
				}
				if again := a.do(events.AlreadyDone, order); again.How != r.How || again.Lost == nil || again.Lost.Commits != r.Lost.Commits {
					t.Errorf("then: %+v, was %+v", again, r)
				}
			})
		}
	}
}
