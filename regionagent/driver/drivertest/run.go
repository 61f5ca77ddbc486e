package drivertest

import (
	"context"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// Subject is one cluster under test: its driver, and what only its surroundings can do to it.
type Subject interface {
	Driver() driver.Driver
	Address() string                 // what Source names it by
	Write(ctx context.Context) error // one client's write over a connection of its own; nil = acknowledged
	Freeze() error                   // holds every process of it
	Thaw() error
	Kill() error                    // the signal file first, then every process, as the guard does
	Boot(ctx context.Context) error // starts it around the gate, as a service manager would
}

// Env makes what the suite needs.
type Env struct {
	// Pair makes a running active and a passive that streams from it, both gone when the test ends.
	Pair func(t *testing.T) (active, passive Subject)
	// Settle is how long a fact may take to come true.
	Settle time.Duration
	// ProbeLimit is what a probe is given; it must answer within it.
	ProbeLimit time.Duration
	// NoLog says that the kind has no log: it must claim no position, timeline, system identifier, lag or loss, and refuse to wait for others.
	NoLog bool
}

// Run is the conformance suite of drivers.
func Run(t *testing.T, env Env) {
	cases := []namedCase{
		{"probe tells active from passive", (*suite).states},
		{"a frozen server is never down", (*suite).frozen},
		{"a killed active comes up read-only, the gate opens it", (*suite).killed},
		{"stop then start, on the same timeline", (*suite).stopStart},
		{"a passive is never opened by the gate", (*suite).notItsLog},
		{"switchover there", (*suite).switchover},
		{"a promoted server comes up read-only", (*suite).promotedBoots},
		{"a cut stands still until followed", (*suite).cut},
		{"a cut waits for what still arrives", (*suite).cutUntil},
		{"a killed active comes home", (*suite).restoreKilled},
		{"a stopped active comes home with all it has", (*suite).restoreStopped},
		{"a restore of a passive changes nothing", (*suite).restorePassive},
		{"a copy", (*suite).restoreCopy},
		{"restored, then promoted, and home again", (*suite).thereAndBack},
		{"release", (*suite).release},
		{"mark", (*suite).mark},
		{"refusals change nothing", (*suite).refusals},
		{"an ended context", (*suite).ended},
	}
	if env.NoLog {
		cases = append(cases, namedCase{"what needs a log is refused or not claimed", (*suite).noLog})
	} else {
		cases = append(cases, namedCase{"commits wait for whom they are told to", (*suite).sync},
			namedCase{"a cut stops every acknowledgement, and the promoted one waits for nobody", (*suite).syncCut})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{T: t, env: env}
			s.active, s.passive = env.Pair(t)
			c.test(s)
		})
	}
}

type namedCase struct {
	name string
	test func(*suite)
}

type suite struct {
	*testing.T
	env             Env
	active, passive Subject
}

func (s *suite) probe(x Subject) events.ClusterHealth {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), s.env.ProbeLimit)
	defer cancel()
	began := time.Now()
	h := x.Driver().Probe(ctx)
	if took := time.Since(began); took > s.env.ProbeLimit+s.env.ProbeLimit/4 {
		s.Errorf("probe took %v, it was given %v", took, s.env.ProbeLimit)
	}
	return h
}

// until waits for a fact about one cluster.
func (s *suite) until(x Subject, fact string, is func(events.ClusterHealth) bool) events.ClusterHealth {
	s.Helper()
	deadline := time.Now().Add(s.env.Settle)
	for {
		h := s.probe(x)
		if is(h) {
			return h
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: not so after %v: %+v", fact, s.env.Settle, h)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *suite) untilServer(x Subject, want events.Server) events.ClusterHealth {
	s.Helper()
	return s.until(x, string(want), func(h events.ClusterHealth) bool { return h.Server == want })
}

func (s *suite) do(x Subject, a driver.Action, want ...events.Outcome) events.Result {
	s.Helper()
	if a.Step == "" {
		a.Step = "step/" + string(a.Verb)
	}
	if a.Limit == 0 {
		a.Limit = s.env.Settle
	}
	r := x.Driver().Do(s.Context(), a)
	if r.Step != a.Step {
		s.Fatalf("%s answered for step %q, asked as %q", a.Verb, r.Step, a.Step)
	}
	for _, w := range want {
		if r.Outcome == w {
			if w == events.Refused && r.Why == "" {
				s.Fatalf("%s refused without a reason", a.Verb)
			}
			return r
		}
	}
	s.Fatalf("%s: %s (%s), want %v", a.Verb, r.Outcome, r.Why, want)
	return r
}

// twice does an action, then again: the second answers already-done.
func (s *suite) twice(x Subject, a driver.Action) (first, second events.Result) {
	s.Helper()
	return s.do(x, a, events.Done), s.do(x, a, events.AlreadyDone)
}

func (s *suite) write(x Subject) {
	s.Helper()
	if err := x.Write(s.Context()); err != nil {
		s.Fatalf("write: %v", err)
	}
}

func (s *suite) noWrite(x Subject) {
	s.Helper()
	if err := x.Write(s.Context()); err == nil {
		s.Fatal("a write was acknowledged by a cluster that must take none")
	}
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func streams(h events.ClusterHealth) bool {
	return h.Server == events.ServerRecovery && h.Streaming
}
