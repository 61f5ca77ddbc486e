package exec

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/drivertest"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// subject is one plain server and its driver.
type subject struct {
	d   *Driver
	dir string
}

func newSubject(t *testing.T, name string) *subject {
	t.Helper()
	dir := plainDir(t)
	d, err := New(Config{
		Cluster: events.Ref{Region: "r1", Cluster: name}, Commands: plainCommands(t, dir), Dir: dir, PIDFile: filepath.Join(dir, "pid"), Match: dir, Advertise: name + ":1", Processes: 3,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &subject{d, dir}
}

func (s *subject) Driver() driver.Driver { return s.d }
func (s *subject) Address() string       { return s.d.cfg.Advertise }

func (s *subject) Write(context.Context) error {
	got, err := plainAsk(s.dir, "write")
	if err == nil && got != "ok" {
		err = errors.New("answered " + got)
	}
	return err
}

func (s *subject) Freeze() error {
	_, err := freezer.Freeze(context.Background(), s.d.Tree())
	return err
}

func (s *subject) Thaw() error {
	_, err := freezer.Thaw(context.Background(), s.d.Tree())
	return err
}

func (s *subject) Kill() error {
	_, err := freezer.Kill(context.Background(), s.d.Tree())
	return err
}

func (s *subject) Boot(context.Context) error { return plainLaunch(s.dir) }

// TestConforms runs the suite of all drivers on pairs of plain processes.
func TestConforms(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Env{
		Settle: 20 * time.Second, ProbeLimit: 5 * time.Second, NoLog: true,
		Pair: func(t *testing.T) (active, passive drivertest.Subject) {
			a, p := newSubject(t, "a"), newSubject(t, "b")
			if err := a.Boot(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r := p.d.Do(t.Context(), driver.Action{Verb: driver.StartStandby, Source: a.Address(), Limit: 20 * time.Second}); !r.Outcome.OK() {
				t.Fatalf("start the passive: %s (%s)", r.Outcome, r.Why)
			}
			return a, p
		},
	})
}
