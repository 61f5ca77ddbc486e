package postgres_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
)

// TestRestoreFromAnyState does to an old active what can happen to one; b is the active by then.
func TestRestoreFromAnyState(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm  func(t *testing.T, a subject)
		how   string
		count bool // the loss can be counted
	}{
		"killed":              {func(t *testing.T, a subject) {}, "rewound", true},
		"stopped immediately": {func(t *testing.T, a subject) { a.boot(t); a.control(t, "stop", "-m", "immediate") }, "rewound", true},
		"frozen, then killed": {func(t *testing.T, a subject) { a.boot(t); a.hold(t); a.kill(t) }, "rewound", true},
		"started by hand":     {func(t *testing.T, a subject) { a.boot(t) }, "rewound", true},
		"started and stopped": {func(t *testing.T, a subject) { a.boot(t); a.control(t, "stop", "-m", "fast") }, "rewound", true},
		"killed twice":        {func(t *testing.T, a subject) { a.boot(t); a.kill(t); a.boot(t); a.kill(t) }, "rewound", true},
		"no data":             {func(t *testing.T, a subject) { a.wipe(t, false) }, "copied", false},
		"an empty directory":  {func(t *testing.T, a subject) { a.wipe(t, true) }, "copied", false},
		"no control file":     {func(t *testing.T, a subject) { a.lose(t, "global/pg_control") }, "copied", false},
		"a file is lost":      {func(t *testing.T, a subject) { a.lose(t, "global/pg_filenode.map") }, "rewound", true},
		"its log is lost": {func(t *testing.T, a subject) {
			names, _ := filepath.Glob(filepath.Join(a.Data, "pg_wal/0*"))
			for _, n := range names {
				a.lose(t, "pg_wal/"+filepath.Base(n))
			}
		}, "copied", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, lost := failedOver(t, 2)
			c.harm(t, a)
			fresh := newSubject(t, a.Server, func(cfg *postgres.Config) { cfg.User, cfg.Bin = "", "" }) // an agent that starts now
			r := fresh.do(events.Done, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "s", Group: "orders"})
			if r.How != c.how {
				t.Errorf("restored: %+v, want %s", r, c.how)
			}
			switch {
			case c.count:
				wantLost(t, r.Lost, lost)
			case r.Lost != nil && r.Lost.Unread == "":
				t.Errorf("said to be exact: %+v", r.Lost)
			}
			fresh.restored(b)
			if h := fresh.probe(); h.Mark != "orders" {
				t.Errorf("mark %q", h.Mark)
			}
			fresh.do(events.AlreadyDone, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "s"})
		})
	}
}

func (s subject) boot(t *testing.T) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

func (s subject) hold(t *testing.T) {
	t.Helper()
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
}

func (s subject) kill(t *testing.T) {
	t.Helper()
	if err := s.Server.Kill(); err != nil {
		t.Fatal(err)
	}
	s.untilServer(events.ServerDown)
}

func (s subject) control(t *testing.T, args ...string) {
	t.Helper()
	if err := s.Control(args...); err != nil {
		t.Fatal(err)
	}
	s.untilServer(events.ServerDown)
}

// wipe removes the data, with or without its directory.
func (s subject) wipe(t *testing.T, keep bool) {
	t.Helper()
	info, err := os.Stat(s.Data)
	if err == nil {
		err = os.RemoveAll(s.Data)
	}
	if err == nil && keep {
		err = os.Mkdir(s.Data, 0o700)
		if err == nil {
			err = os.Chown(s.Data, int(info.Sys().(*syscall.Stat_t).Uid), int(info.Sys().(*syscall.Stat_t).Gid))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if h := s.probe(); h.Server != events.ServerDown || !h.Empty {
		t.Errorf("without data: %+v", h)
	}
}

func (s subject) lose(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.Data, name)); err != nil {
		t.Fatal(err)
	}
}

// TestRestoreWithoutASource asks while the source can't be had: it waits a while, then says why, and nothing has changed.
func TestRestoreWithoutASource(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	until(t, "streaming", func() bool { return b.probe().Streaming })
	c := one(t)
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if r := a.d.Do(ctx, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "1"}); r.Outcome != events.Retry || !strings.Contains(r.Why, "recovery") {
		t.Errorf("of a source in recovery: %+v", r)
	}
	if s := a.controlField("Database cluster state"); s != "in production" {
		t.Errorf("control file: %q", s)
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if r := a.d.Do(ctx, driver.Action{Verb: driver.Restore, Source: c.Address(), Step: "2"}); r.Outcome != events.Retry || !strings.Contains(r.Why, "connect") {
		t.Errorf("of a source that is down: %+v", r)
	}
}

// TestRestoreKeepsToItsRate copies at the lowest rate there is and is told to stop: the child goes with it, and the probe says how far it is meanwhile.
func TestRestoreKeepsToItsRate(t *testing.T) {
	t.Parallel()
	a, b, _ := failedOver(t, 1)
	slow := newSubject(t, a.Server, func(c *postgres.Config) { c.RebuildRate = 32e3 })
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan events.Result, 1)
	go func() {
		answer <- slow.d.Do(ctx, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "s", Copy: true})
	}()
	until(t, "it copies", func() bool {
		began := time.Now()
		h := slow.probe()
		if took := time.Since(began); took > 500*time.Millisecond || h.Server == events.ServerWritable {
			t.Errorf("probe took %v: %+v", took, h)
		}
		return h.Work != nil && h.Work.Phase == "copy" && h.Work.Done > 0 && h.Work.Total > h.Work.Done
	})
	short, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if r := slow.d.Do(short, driver.Action{Verb: driver.Start}); r.Outcome != events.Retry {
		t.Errorf("another verb meanwhile: %+v", r)
	}
	cancel()
	if r := <-answer; r.Outcome != events.Unknown {
		t.Errorf("cancelled: %+v", r)
	}
	if left := atWork(t, a.Data); left != "" {
		t.Errorf("left at work: %s", left)
	}
	if h := slow.probe(); h.Work != nil {
		t.Errorf("work after its end: %+v", h.Work)
	}
	if r := a.do(events.Done, driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "t"}); r.How != "rewound" {
		t.Errorf("restored: %+v", r)
	}
}

// atWork names the processes whose command line has the data directory in it.
func atWork(t *testing.T, data string) string {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range names {
		b, _ := os.ReadFile(name) // gone meanwhile
		if line := strings.ReplaceAll(string(b), "\x00", " "); strings.Contains(line, data) && strings.Contains(line, "pg_") {
			found = append(found, line)
		}
	}
	return strings.Join(found, "; ")
}
