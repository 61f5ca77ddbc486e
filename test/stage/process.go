package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Kind is one of the processes of a region.
type Kind string

// The kinds, in the order they are started.
const (
	Hub        Kind = "hub"
	Controller Kind = "controller"
	Guard      Kind = "guard"
	Agent      Kind = "agent"
)

// process is one of our binary's processes: its place, its file and, while it runs, itself.
type process struct {
	kind   Kind
	region string
	config string
	log    string
	state  string // of an agent: its directory

	servers int // of an agent: how many it cares for

	mu         sync.Mutex
	cmd        *exec.Cmd // nil = not running
	exited     chan struct{}
	supervised bool // it stands still, and if somebody else ends it meanwhile, it is started again as by its unit
}

// restartAfter is the RestartSec of the guard's unit.
const restartAfter = 100 * time.Millisecond

// start starts it in its region, writing to the end of its log.
func (s *Stage) start(p *process) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s of %s: %w", p.kind, p.region, err)
	}
	defer log.Close()
	cmd := exec.Command(s.options.Binary, string(p.kind), "-c", p.config)
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(p.config), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.net.start(p.region, cmd); err != nil {
		return fmt.Errorf("start %s of %s: %w", p.kind, p.region, err)
	}
	p.cmd, p.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		err := cmd.Wait()
		if end, openErr := os.OpenFile(p.log, os.O_APPEND|os.O_WRONLY, 0); openErr == nil {
			fmt.Fprintf(end, "-- process %d ended: %v\n", cmd.Process.Pid, err)
			end.Close()
		}
		p.mu.Lock()
		p.cmd = nil
		again := p.supervised || p.kind == Agent && cmd.ProcessState.ExitCode() > 0 // gave up by itself, as on a host that was too slow to freeze in time for a moment
		p.mu.Unlock()
		close(exited)
		if again && s.ctx.Err() == nil {
			time.Sleep(restartAfter)
			s.restart(p)
		}
	}(p.exited)
	return nil
}

// restart starts what was ended by somebody else while the stage held it still, or what ended by itself.
func (s *Stage) restart(p *process) {
	err := s.start(p)
	if end, openErr := os.OpenFile(p.log, os.O_APPEND|os.O_WRONLY, 0); openErr == nil {
		fmt.Fprintf(end, "-- started again as its unit would: %v\n", err)
		end.Close()
	}
}

// supervise says whether a process that ends is started again, and whether it was to be until now.
func (p *process) supervise(yes bool) (before bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.supervised = p.supervised, yes
	return before
}

// signal sends it a signal; with wait it returns when the process has ended. One that does not run is an error.
func (p *process) signal(sig syscall.Signal, wait bool) error {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	if cmd == nil {
		return fmt.Errorf("%s of %s does not run", p.kind, p.region)
	}
	if err := cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s of %s: %w", p.kind, p.region, err)
	}
	if wait {
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			return fmt.Errorf("%s of %s does not end after %v", p.kind, p.region, sig)
		}
	}
	return nil
}

// gone waits until a process that was killed is reaped.
func (p *process) gone() {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	if cmd != nil {
		<-exited
	}
}

// of finds a region's processes of a kind: one of each host.
func (s *Stage) of(kind Kind, region string) (all []*process, err error) {
	for _, p := range s.processes {
		if p.kind == kind && p.region == region {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		err = fmt.Errorf("no %s in region %q", kind, region)
	}
	return all, err
}

// Log is the file a process writes its log to; of several hosts, the first one's.
func (s *Stage) Log(kind Kind, region string) string {
	all, err := s.of(kind, region)
	if err != nil {
		return ""
	}
	return all[0].log
}

// Running reports whether a process runs; of several hosts, whether any does.
func (s *Stage) Running(kind Kind, region string) bool {
	all, _ := s.of(kind, region) // none there, none runs
	return slices.ContainsFunc(all, (*process).running)
}

func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

// StartProcess starts a process that does not run; of several hosts, on each.
func (s *Stage) StartProcess(kind Kind, region string) error {
	all, err := s.of(kind, region)
	for _, p := range all {
		err = errors.Join(err, s.start(p))
	}
	return err
}

// StopProcess asks a process to end (SIGTERM) and waits for it.
func (s *Stage) StopProcess(kind Kind, region string) error {
	return s.send(kind, region, syscall.SIGTERM, true)
}

// KillProcess ends a process by SIGKILL.
func (s *Stage) KillProcess(kind Kind, region string) error {
	return s.send(kind, region, syscall.SIGKILL, true)
}

// Pause stops a process where it stands (SIGSTOP); Resume lets it go on. Whoever ends it meanwhile finds it started again.
func (s *Stage) Pause(kind Kind, region string) error {
	all, err := s.of(kind, region)
	for _, p := range all {
		p.supervise(true)
		err = errors.Join(err, p.signal(syscall.SIGSTOP, false))
	}
	return err
}

// Resume lets a paused process go on, if it is the same still.
func (s *Stage) Resume(kind Kind, region string) error {
	all, err := s.of(kind, region)
	for _, p := range all {
		if e := p.signal(syscall.SIGCONT, false); e != nil && !p.supervise(true) { // else it is on its way up
			err = errors.Join(err, e)
		}
	}
	return err
}

func (s *Stage) send(kind Kind, region string, sig syscall.Signal, wait bool) error {
	all, err := s.of(kind, region)
	for _, p := range all {
		p.supervise(false)
		err = errors.Join(err, p.signal(sig, wait))
	}
	return err
}

// Command runs the binary with these arguments outside every region, with the hub's addresses in its environment, and returns what it printed to
// standard output. The error of a program that ran holds what it printed to standard error; errors.As finds its *exec.ExitError.
func (s *Stage) Command(ctx context.Context, args ...string) (string, error) {
	return s.RunOutside(ctx, []string{"SWITCHBACK_HUB=" + s.hubList()}, s.options.Binary, args...)
}

// RunOutside runs any program as Command does, with more in its environment.
func (s *Stage) RunOutside(ctx context.Context, env []string, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = s.home.dir
	cmd.Env = append(os.Environ(), env...)
	var out, bad limited
	cmd.Stdout, cmd.Stderr = &out, &bad
	err := s.net.start(Outside, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return string(out), fmt.Errorf("%s %v: %w: %s", filepath.Base(path), args, err, bad)
	}
	return string(out), nil
}

// limited keeps the first mebibyte.
type limited []byte

func (l *limited) Write(b []byte) (int, error) {
	*l = append(*l, b[:min(len(b), 1<<20-len(*l))]...)
	return len(b), nil
}
