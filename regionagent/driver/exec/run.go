package exec

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// Version of the protocol between the driver and its commands.
const Version = 1

// maxAnswer bounds what a command may say on each of its outputs, in bytes.
const maxAnswer = 64 << 10

// The exit codes, as of the external fence. Any other, and a command that overran its time, say that nobody knows what was done.
const (
	exitDone    = 0
	exitRetry   = 1
	exitRefused = 2
)

// lingerLimit is how long the outputs of a command that has ended are waited for: what it started and left behind must not hold them open.
const lingerLimit = 200 * time.Millisecond

// Order is what a command reads from standard input.
type Order struct {
	Version int        `json:"version"`
	Verb    string     `json:"verb"`
	Step    string     `json:"step,omitempty"` // the same for every try of one order
	Cluster events.Ref `json:"cluster"`
	Group   string     `json:"group,omitempty"`
	Source  string     `json:"source,omitempty"` // whom to follow: the active's address, as its agent advertises it
	Copy    bool       `json:"copy,omitempty"`   // restore: anew, whatever could be kept
	Standby string     `json:"standby_file"`
	Limit   float64    `json:"limit_seconds,omitempty"` // it is killed then; 0 = not by time
}

// Answer is what it writes to standard output.
type Answer struct {
	Outcome events.Outcome `json:"outcome"`           // done or already-done, with exit code 0; not of a probe
	Why     string         `json:"why,omitempty"`     // shown to people
	State   string         `json:"state,omitempty"`   // probe: active, standby, down or empty
	Serves  *bool          `json:"serves,omitempty"`  // probe, active: it was seen to do its work, not just to be there
	Ready   *bool          `json:"ready,omitempty"`   // probe, standby: it could take over now
	Alarm   string         `json:"alarm,omitempty"`   // probe: needs a person, although it may serve
	Hinders []string       `json:"hinders,omitempty"` // probe: why a planned move should not begin now
	Waits   string         `json:"waits,omitempty"`   // probe, active or down: what it depends on that is not there; it can't serve before
	Alike   []events.Alike `json:"alike,omitempty"`   // probe: what has to be the same on both sides
	Lacks   string         `json:"lacks,omitempty"`   // probe, active: which part of it does not run, or not well; a start begins it again
}

// ended is how a command ended: its exit code, or why there is none.
type ended struct {
	code     int
	out, bad []byte
	err      error // nil: it ended by itself, with code
}

// run runs one command to its end. Without a shell; with outputs and time bounded; in a process group of its own, which is killed when ctx ends.
func (d *Driver) run(ctx context.Context, o Order) ended {
	argv := d.cfg.Commands[o.Verb]
	if limit := d.cfg.Limits[o.Verb]; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	began := time.Now()
	if at, ok := ctx.Deadline(); ok {
		o.Limit = max(time.Until(at).Seconds(), 0.001)
	}
	o.Version, o.Cluster, o.Standby = Version, d.cfg.Cluster, d.path(standbyFile)
	in, err := json.Marshal(o)
	if err != nil {
		return ended{err: err}
	}
	token := tokenName + rand.Text()
	cmd := osexec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, bad bounded
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay, cmd.Dir = bytes.NewReader(in), &out, &bad, lingerLimit, "/"
	cmd.Env = append(os.Environ(), token)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: d.as, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	changes := o.Verb != Probe
	if changes {
		if err := d.write(runningFile, leftover{Token: token}); err != nil {
			return ended{err: err}
		}
	}
	done := make(chan error, 1)
	go func() { // the death signal comes when the thread ends that began the child, not the process
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			if changes {
				err = d.write(runningFile, leftover{Token: token, Group: cmd.Process.Pid})
			}
			err = errors.Join(cmd.Wait(), err)
		}
		done <- err
	}()
	err = <-done
	e := ended{out: out, bad: bad}
	if ctx.Err() != nil && cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever it left in its group when it ended by itself just then
	}
	exit, failed := errors.AsType[*osexec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		e.err = fmt.Errorf("%s did not end within %v: killed with its process group, nobody knows what it did", o.Verb, time.Since(began).Round(time.Millisecond))
	case failed:
		if e.code = exit.ExitCode(); e.code < 0 {
			e.err = fmt.Errorf("%s ended by %v: nobody knows what it did", o.Verb, exit)
		}
	case err != nil && !errors.Is(err, osexec.ErrWaitDelay):
		e.err = fmt.Errorf("%s: %w", o.Verb, err)
	}
	if changes {
		d.log.Info("command", "verb", o.Verb, "step", o.Step, "took", time.Since(began).String(), "exit", e.code, "err", fmt.Sprint(e.err), "stderr", string(bad[:min(len(bad), 2000)]))
		if _, err := d.remove(runningFile); err != nil && e.err == nil {
			e.err = err
		}
	}
	return e
}

// command runs a command that changes something and judges how it ended. What it says is believed only where a probe finds it true: see proved.
func (c *call) command(ctx context.Context, verb driver.Verb) events.Result {
	o := Order{Verb: string(verb), Step: c.a.Step, Source: c.a.Source, Copy: c.a.Copy}
	var m mark
	if c.readFile(markFile, &m) == nil {
		o.Group = m.Group
	}
	if at, ok := ctx.Deadline(); ok {
		o.Limit = max(time.Until(at).Seconds(), 0.001)
	}
	if b := c.cfg.Body; b != nil {
		o.Version, o.Cluster, o.Standby = Version, c.cfg.Cluster, c.StandbyFile()
		return b.Carry(ctx, o)
	}
	e := c.run(ctx, o)
	if e.err != nil {
		return unknown("%v: %.500s", e.err, e.bad)
	}
	return judge(string(verb), e)
}

// judge reads what a command said by its exit code and output.
func judge(verb string, e ended) events.Result {
	var said Answer
	err := json.Unmarshal(e.out, &said)
	switch {
	case e.code == exitDone && (err != nil || len(e.out) >= maxAnswer):
		return unknown("%s: exit code 0, but what it said can't be read: want {\"outcome\": \"done\"} (%v): %.500s", verb, err, e.bad)
	case e.code == exitDone && !said.Outcome.OK():
		return unknown("%s: exit code 0, but outcome %q: want done or already-done: %s", verb, said.Outcome, said.Why)
	case e.code == exitDone:
		return events.Result{Outcome: said.Outcome, Why: said.Why}
	case e.code == exitRefused:
		return refused("%s refused: %s%.500s", verb, said.Why, e.bad)
	case e.code == exitRetry:
		return result(events.Retry, "%s failed, and is tried again: %s%.500s", verb, said.Why, e.bad)
	}
	return unknown("%s ended with exit code %d: want 0 done, 1 failed, 2 refused: %.500s", verb, e.code, e.bad)
}

// bounded keeps the first maxAnswer bytes.
type bounded []byte

func (b *bounded) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxAnswer-len(*b))]...)
	return len(p), nil
}

// tokenName is the variable in the environment of a command, and of all it begins.
const tokenName = "SWITCHBACK_COMMAND="

// leftover names the command that runs, for the next agent: one that died while it ran must not leave it at work beside the same one asked again.
type leftover struct {
	Token string `json:"token"` // in the environment of the command and of all it began
	Group int    `json:"group"` // its process group; 0 = not known yet
}

// endLeftover kills the command that an agent which died has left, and what is in its process group; what that had begun as a service of its own lives on.
func (d *Driver) endLeftover(ctx context.Context) error {
	var l leftover
	if err := d.readFile(runningFile, &l); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		d.log.Warn("the word on a command that may still run can't be read", "err", err)
	}
	for strings.HasPrefix(l.Token, tokenName) { // the file lies where others may write: it must not name just anybody
		pids, err := l.find()
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			break
		}
		d.log.Warn("killed what a command of an earlier agent had left at work", "pids", fmt.Sprint(pids))
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is what we want
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	_, err := d.remove(runningFile)
	return err
}

func (l leftover) find() (pids []int, err error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + name + "/environ")
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), l.Token) {
			continue // gone, a zombie, or somebody else's
		}
		if group, err := syscall.Getpgid(pid); err == nil && (l.Group == 0 || group == l.Group) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// pollEvery is how often a fact is looked for after a command.
const pollEvery = 30 * time.Millisecond

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pollEvery):
		return nil
	}
}
