// Package e2e_test plays faults on real processes and real servers, with writers inside both regions and outside all the time, and judges every move by an audit of
// every acknowledged write: never two writers, nothing lost beyond what the operation's report says.
package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	stage.Enter()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sbe2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "switchback")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/switchback")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	return m.Run()
}

// serveLimit bounds a move on a busy machine; how long it takes on a calm one is logged.
const serveLimit = 60 * time.Second

// play is a stage with writers on it.
type play struct {
	*stage.Stage
	t       *testing.T
	writers *stage.Writers
	asked   *atomic.Int64 // asks so far, for their ids
	again   int           // how often failed moves of a rollout were taken up again
}

// begin builds a stage for one test and waits until every group has acknowledged writes.
func begin(t *testing.T, groups []stage.Group) *play { return beginAt(t, groups, stage.Every) }

// beginAt does so with writers that write more or less often.
func beginAt(t *testing.T, groups []stage.Group, every time.Duration) *play {
	t.Helper()
	return beginWith(t, stage.Options{Groups: groups, Every: every})
}

// beginWith does so with whatever else a stage can have.
func beginWith(t *testing.T, o stage.Options) *play {
	t.Helper()
	keep, err := os.MkdirTemp("", "sbe2e-logs-")
	if err != nil {
		t.Fatal(err)
	}
	o.Binary, o.Keep = binary, keep
	groups := o.Groups
	s, err := stage.Build(t.Context(), o)
	p := &play{Stage: s, t: t, asked: new(atomic.Int64)}
	t.Cleanup(func() {
		if s != nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			t.Log("logs of every process: ", keep)
		} else {
			os.RemoveAll(keep)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.writers, err = s.StartWriters(); err != nil {
		t.Fatal(err)
	}
	p.wait("every group has acknowledged writes", func() error {
		for _, g := range groups {
			if !g.Written() {
				continue // nobody writes to it
			}
			if n := len(p.acks(g.Name, g.Primary(), 0)); n < 20 {
				return fmt.Errorf("%s: %d", g.Name, n)
			}
		}
		return nil
	})
	return p
}

// do fails the test if something that must work does not.
func (p *play) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// wait polls until f holds.
func (p *play) wait(what string, f func() error) {
	p.t.Helper()
	deadline := time.Now().Add(serveLimit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("waited %v in vain until %s: %v", serveLimit, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// acks are the writes of a group that a server acknowledged and that were sent after an instant.
func (p *play) acks(group string, by events.Ref, since stage.Instant) (out []stage.Write) {
	for _, x := range p.writers.Log() {
		if x.Group == group && x.Server == by && x.Acked != 0 && x.Sent > since {
			out = append(out, x)
		}
	}
	return out
}

// heard is how many events there are so far.
func (p *play) heard() int {
	all, _ := p.Bus().Events()
	return len(all)
}

// serving waits until a group's new active serves, and further until its clients have written to it.
func (p *play) serving(skip int, fault stage.Instant, g stage.Group, to events.Ref) {
	p.t.Helper()
	_, err := p.Bus().Wait(p.t.Context(), skip, serveLimit, func(n events.Notice) bool { return n.Type == events.NoticeServing && n.Group == g.Name })
	p.do(err)
	p.wait(g.Name+" takes writes at "+to.String(), func() error {
		if n := len(p.acks(g.Name, to, fault)); n < 10 {
			return fmt.Errorf("%d writes", n)
		}
		return nil
	})
}

// view is a group as the leader shows it now.
func (p *play) view(group string) (v stage.GroupView) {
	p.t.Helper()
	p.wait("somebody shows "+group, func() (err error) {
		v, err = p.Bus().Group(p.t.Context(), group)
		return err
	})
	return v
}

// judge audits a group's last move. What is in Bad fails the test.
func (p *play) judge(g stage.Group, fault stage.Instant, old map[stage.Row]bool) (j stage.Judged) {
	p.t.Helper()
	p.wait("the audit of "+g.Name, func() (err error) {
		j, err = p.Judge(p.t.Context(), g.Name, 0, fault, p.writers.Log(), old)
		return err
	})
	for _, b := range j.Bad {
		p.t.Error(b)
	}
	p.t.Logf("%s: %s → %s, %s, proof %s: serving after %v, lost %d of %d acknowledged, last of the old active sent at %v, only there %d",
		g.Name, j.Old, j.New, j.Op.Rule, j.Op.Proof.Kind, j.Serving, len(j.Lost), j.Acked, j.LastOld, j.OldOnly)
	return j
}

// closeBooks kills a region, reads its servers and judges the groups that were moved away from it.
func (p *play) closeBooks(region string, fault stage.Instant, moved []stage.Group) (out []stage.Judged) {
	p.t.Helper()
	_, err := p.writers.Stop()
	p.do(err)
	p.do(p.KillRegion(region))
	old, err := p.ReadOld(p.t.Context(), region)
	p.do(err)
	for _, g := range moved {
		out = append(out, p.judge(g, fault, old[g.Name]))
	}
	return out
}

// at lists the groups at home in a region.
func at(groups []stage.Group, region string) (out []stage.Group) {
	for _, g := range groups {
		if g.Home == region {
			out = append(out, g)
		}
	}
	return out
}

// fast are the durations of the stage.
func fast(t *testing.T) events.Durations {
	t.Helper()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// exit is the exit code of a verb that ran.
func exit(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.ExitCode()
	}
	return -1
}

// shortly is a context for one question.
func (p *play) shortly() context.Context {
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	p.t.Cleanup(cancel)
	return ctx
}
