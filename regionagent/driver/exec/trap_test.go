package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// scripted is a driver whose commands are these shell lines; the others answer done. $1 is the directory.
func scripted(t *testing.T, lines map[string]string, change func(*Config)) *Driver {
	t.Helper()
	dir := plainDir(t)
	cfg := Config{Cluster: events.Ref{Region: "r1", Cluster: "a"}, Dir: dir, PIDFile: filepath.Join(dir, "pid"), Match: dir, Commands: map[string][]string{}}
	for _, name := range append(append([]string{}, Needed...), Optional...) {
		line, given := lines[name]
		if !given && name != Probe {
			line = `echo '{"outcome":"done"}'`
		}
		cfg.Commands[name] = []string{"/bin/sh", "-c", line, "sh", dir}
	}
	if change != nil {
		change(&cfg)
	}
	d, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sleeper runs a process that the pid file names and the driver takes for its cluster's.
func sleeper(t *testing.T, dir string) {
	t.Helper()
	cmd := osexec.Command("/bin/sleep", "600")
	cmd.Dir = dir // what matches is its working directory
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUnknownIsNeverDown: whatever a probe's command does but to say down where nothing of it runs, nobody is told that it is down.
func TestUnknownIsNeverDown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line  string
		runs  bool
		want  events.Server
		error string
	}{
		"down":                      {`echo '{"state":"down"}'`, false, events.ServerDown, ""},
		"down, with processes":      {`echo '{"state":"down"}'`, true, events.ServerUnknown, "but 1 processes of it exist"},
		"active":                    {`echo '{"state":"active","serves":true}'`, true, events.ServerWritable, ""},
		"active, without processes": {`echo '{"state":"active","serves":true}'`, false, events.ServerUnknown, "could not be fenced"},
		"active, serves not said":   {`echo '{"state":"active"}'`, true, events.ServerUnknown, "not whether it serves"},
		"standby":                   {`echo '{"state":"standby","ready":false,"why":"no copy"}'`, false, events.ServerRecovery, "no copy"},
		"standby, ready not said":   {`echo '{"state":"standby"}'`, false, events.ServerUnknown, "not whether it is ready"},
		"exit code 1":               {`echo '{"state":"down"}'; exit 1`, false, events.ServerUnknown, "exit code 1"},
		"killed":                    {`kill -9 $$`, false, events.ServerUnknown, "signal: killed"},
		"silent":                    {`true`, false, events.ServerUnknown, "can't be read"},
		"another word":              {`echo '{"state":"stopped"}'`, false, events.ServerUnknown, `state "stopped"`},
		"hangs":                     {`sleep 600`, false, events.ServerUnknown, "did not end within"},
		"too much":                  {`head -c 1000000 /dev/zero; echo '{"state":"down"}'`, false, events.ServerUnknown, "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := scripted(t, map[string]string{Probe: c.line}, func(cfg *Config) {
				if name == "hangs" {
					cfg.Limits = map[string]time.Duration{Probe: 200 * time.Millisecond}
				}
			})
			if c.runs {
				sleeper(t, d.cfg.Dir)
			}
			h := d.Probe(t.Context())
			if h.Server != c.want || !strings.Contains(h.Error, c.error) {
				t.Errorf("%s (%s): want %s with %q", h.Server, h.Error, c.want, c.error)
			}
			if h.Server != events.ServerRecovery && h.Streaming || h.LagKnown {
				t.Errorf("%+v", h)
			}
		})
	}
}

// TestPortOpenIsNotDown: somebody who answers in its place keeps it from being called down.
func TestPortOpenIsNotDown(t *testing.T) {
	t.Parallel()
	l := listen(t)
	d := scripted(t, map[string]string{Probe: `echo '{"state":"down"}'`}, func(c *Config) { c.Listen = l.Addr().String() })
	if h := d.Probe(t.Context()); h.Server != events.ServerUnknown || !strings.Contains(h.Error, "somebody accepts connections") {
		t.Errorf("%s (%s)", h.Server, h.Error)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if h := d.Probe(t.Context()); h.Server != events.ServerDown || !strings.Contains(h.Stopped, "port closed") {
		t.Errorf("%s (%s), stopped %q", h.Server, h.Error, h.Stopped)
	}
}

// TestExitCodes: as of the external fence, and what a command says counts only where a probe finds it true.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		want events.Outcome
		why  string
	}{
		"done":              {`echo '{"outcome":"done","why":"w"}'`, events.Done, "w"},
		"done, not said":    {`true`, events.Unknown, "can't be read"},
		"done, said retry":  {`echo '{"outcome":"retry","why":"not yet"}'`, events.Unknown, "not yet"},
		"failed":            {`echo '{"why":"busy "}'; echo bad >&2; exit 1`, events.Retry, "busy bad"},
		"refused":           {`echo '{"why":"it lacks 3 files"}'; exit 2`, events.Refused, "it lacks 3 files"},
		"any other":         {`echo '{"outcome":"done"}'; exit 3`, events.Unknown, "exit code 3"},
		"killed":            {`kill -9 $$`, events.Unknown, "nobody knows"},
		"overran":           {`sleep 600`, events.Unknown, "did not end within"},
		"not there":         {``, events.Unknown, "no such file"},
		"holds its outputs": {`sleep 600 & echo '{"outcome":"done"}'`, events.Done, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := scripted(t, map[string]string{Probe: `echo '{"state":"standby","ready":true}'`, "cut": c.line}, func(cfg *Config) {
				switch name {
				case "overran":
					cfg.Limits = map[string]time.Duration{"cut": 200 * time.Millisecond}
				case "not there":
					cfg.Commands["cut"] = []string{"/nobody/there"}
				}
			})
			r := d.Do(t.Context(), driver.Action{Step: "g/2/cut", Verb: driver.Cut, Limit: 20 * time.Second})
			if r.Outcome != c.want || !strings.Contains(r.Why, c.why) || r.Step != "g/2/cut" {
				t.Errorf("%s (%s): want %s with %q", r.Outcome, r.Why, c.want, c.why)
			}
			if h := d.Probe(t.Context()); h.Streaming == r.Outcome.OK() {
				t.Errorf("after %s: ready %v", r.Outcome, h.Streaming)
			}
		})
	}
}

// TestOverrunIsKilledWhole: a command that overruns is killed with all it has in its process group.
func TestOverrunIsKilledWhole(t *testing.T) {
	t.Parallel()
	d := scripted(t, map[string]string{Probe: `echo '{"state":"standby","ready":true}'`, "cut": `sleep 600 & echo $! > $1/child; wait`}, nil)
	r := d.Do(t.Context(), driver.Action{Verb: driver.Cut, Limit: 3 * time.Second})
	if r.Outcome != events.Unknown || !strings.Contains(r.Why, "killed with its process group") {
		t.Fatalf("%s (%s)", r.Outcome, r.Why)
	}
	gone(t, filepath.Join(d.cfg.Dir, "child"))
}

// TestLeftoverIsKilledFirst: a command whose agent died is not left at work beside the same one asked again.
func TestLeftoverIsKilledFirst(t *testing.T) {
	t.Parallel()
	d := scripted(t, map[string]string{Probe: `echo '{"state":"standby","ready":true}'`}, nil)
	cmd := osexec.Command("/bin/sh", "-c", `sleep 600 & echo $! > "$0/child"; wait`, d.cfg.Dir)
	cmd.Env, cmd.SysProcAttr = append(os.Environ(), "SWITCHBACK_COMMAND=of-before"), &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	other := osexec.Command("/bin/sleep", "600") // what it began as a service of its own lives on
	other.Env, other.SysProcAttr = cmd.Env, &syscall.SysProcAttr{Setsid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	for {
		if b, err := os.ReadFile(filepath.Join(d.cfg.Dir, "child")); err == nil && len(b) > 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := d.write(runningFile, leftover{Token: "SWITCHBACK_COMMAND=of-before", Group: cmd.Process.Pid}); err != nil {
		t.Fatal(err)
	}
	if r := d.Do(t.Context(), driver.Action{Verb: driver.Cut, Limit: 20 * time.Second}); r.Outcome != events.Done {
		t.Fatalf("%s (%s)", r.Outcome, r.Why)
	}
	<-over
	gone(t, filepath.Join(d.cfg.Dir, "child"))
	if err := d.write(runningFile, leftover{Token: "PATH=" + os.Getenv("PATH")}); err != nil { // whoever may write there must not have others killed
		t.Fatal(err)
	}
	if err := d.endLeftover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the service it had begun: %v", err)
	}
}

// TestInterruptedRestore: what a restore was doing when its agent died is nobody's data until another has ended.
func TestInterruptedRestore(t *testing.T) {
	t.Parallel()
	d := scripted(t, map[string]string{Probe: `echo '{"state":"standby","ready":true}'`, "restore": `test -e $1/go || exit 3; echo '{"outcome":"done"}'`}, nil)
	if err := d.write(ownFile, own{Wrote: true, Clean: true}); err != nil {
		t.Fatal(err)
	}
	do := func(v driver.Verb, want events.Outcome) events.Result {
		t.Helper()
		r := d.Do(t.Context(), driver.Action{Verb: v, Source: "b:1", Limit: 20 * time.Second})
		if r.Outcome != want {
			t.Fatalf("%s: %s (%s), want %s", v, r.Outcome, r.Why, want)
		}
		return r
	}
	do(driver.Restore, events.Unknown)
	for _, v := range []driver.Verb{driver.Start, driver.Promote, driver.StartStandby, driver.Stop} {
		do(v, events.Refused)
	}
	if h := d.Probe(t.Context()); h.Streaming {
		t.Errorf("ready: %+v", h)
	}
	if err := os.WriteFile(filepath.Join(d.cfg.Dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	do(driver.Restore, events.Done)
	do(driver.Restore, events.AlreadyDone)
	do(driver.Start, events.Refused) // somebody else's data now
}

// TestStandbyFileIsBack: whatever becomes of a start, what is started beside the driver stands by afterwards.
func TestStandbyFileIsBack(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"failed": `exit 1`, "refused": `exit 2`, "unknown": `exit 9`, "said done": `test -e $1/standby && exit 2; echo '{"outcome":"done"}'`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := scripted(t, map[string]string{Probe: `echo '{"state":"standby","ready":true}'`, "promote": line}, nil)
			r := d.Do(t.Context(), driver.Action{Verb: driver.Promote, Limit: time.Second})
			if r.Outcome.OK() || name == "said done" && r.Outcome != events.Unknown {
				t.Errorf("%s (%s): it does not serve", r.Outcome, r.Why)
			}
			if !d.standsBy() {
				t.Error("no standby file")
			}
		})
	}
}

// TestOrder: a command is told all it may need, on standard input.
func TestOrder(t *testing.T) {
	t.Parallel()
	d := scripted(t, map[string]string{Probe: `echo '{"state":"standby","ready":true}'`, "follow": `cat > $1/order; echo '{"outcome":"done"}'`}, nil)
	for _, a := range []driver.Action{{Verb: driver.Mark, Group: "shop"}, {Verb: driver.Follow, Step: "shop/2/follow", Source: "10.0.0.2:80", Limit: 20 * time.Second}} {
		if r := d.Do(t.Context(), a); r.Outcome != events.Done {
			t.Fatalf("%s (%s)", r.Outcome, r.Why)
		}
	}
	got, err := os.ReadFile(filepath.Join(d.cfg.Dir, "order"))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"version":1,"verb":"follow","step":"shop/2/follow","cluster":"r1/a","group":"shop","source":"10.0.0.2:80","standby_file":"%s/standby","limit_seconds":`, d.cfg.Dir)
	if !strings.HasPrefix(string(got), want) {
		t.Errorf("order %s\nwant  %s…", got, want)
	}
}

// gone waits until a process is no more.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || strings.Contains(string(stat), ") Z ") {
			return
		}
		if pause(ctx) != nil {
			t.Fatalf("process %d still runs: %s", pid, stat)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // closed by the test already
	return l
}
