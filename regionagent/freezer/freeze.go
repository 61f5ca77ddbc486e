package freezer

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// How says what holds the processes.
type How string

// The ways to hold processes.
const (
	ByNothing How = "nothing" // no process of the tree exists
	ByCgroup  How = "cgroup"  // the kernel holds all of them; nobody's SIGCONT undoes it
	BySignal  How = "sigstop" // each was stopped; a SIGCONT by anybody undoes it, so it is verified every 100 ms
)

// Outcome is what became of a freeze, thaw or kill.
type Outcome struct {
	How       How
	Took      time.Duration
	Processes int    // found in the last look before the end; a kill counts what it killed
	NoCgroup  string // why the cgroup that the tree names was not used; empty otherwise
}

// Freeze stops every process of the tree and returns once none can run: by the cgroup's freezer where the tree names one, else SIGSTOP, the parent
// first, since it makes new ones, then the others until two looks in a row find none running. Asleep in the kernel (D) with a SIGSTOP pending
// counts as stopped. Idempotent. It ends with an error when ctx does; what is stopped by then stays stopped. Never a fence proof by itself.
func Freeze(ctx context.Context, t driver.Tree) (Outcome, error) {
	start := time.Now()
	o := Outcome{How: ByNothing}
	for clean := 0; ; {
		p, found := Find(t)
		if p.group != nil && len(p.inside) > 0 { // an empty one is left alone: whoever is started into it would hang
			if err := p.hold(); err != nil {
				o.NoCgroup, t.Unit, t.Cgroup = err.Error(), "", "" // not ours to write: stop the processes one by one
				if t.PIDFile == "" {
					return o, err
				}
				continue
			}
		}
		running, err := p.running()
		if err != nil {
			return o, fmt.Errorf("freeze: %w", err)
		}
		for _, q := range running {
			if !p.inside[q.PID] {
				err = errors.Join(err, signal(q.PID, syscall.SIGSTOP))
			}
		}
		if err != nil {
			return o, fmt.Errorf("freeze: %w", err)
		}
		o.Processes, o.How, o.Took = len(p.All), p.how(), time.Since(start)
		if p.NoCgroup != "" {
			o.NoCgroup = p.NoCgroup
		}
		// A fork may hide from one look: its parent runs when the list is read and is stopped when it is looked at.
		if clean++; len(running) > 0 {
			clean = 0
		}
		if clean == 2 {
			return o, found
		}
		if err := pause(ctx); err != nil {
			return o, errors.Join(found, fmt.Errorf("freeze: %w with %d of %d processes running", err, len(running), len(p.All)))
		}
	}
}

// hold tells the kernel to freeze the group, unless it was told before.
func (p *Processes) hold() error {
	if told, err := p.group.freezing(); err != nil || told {
		return err
	}
	return p.group.set(true)
}

func (p *Processes) how() How {
	how := ByNothing
	for _, q := range p.All {
		if !p.inside[q.PID] {
			return BySignal
		}
		how = ByCgroup
	}
	return how
}

// running lists the processes that may run in user mode now or later without anybody's help.
func (p *Processes) running() ([]Process, error) {
	var frozen, freezing bool
	if p.group != nil {
		var errs [2]error
		frozen, errs[0] = p.group.frozen()
		freezing, errs[1] = p.group.freezing()
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
	}
	var out []Process
	for _, q := range p.All {
		if p.inside[q.PID] && (frozen || freezing && q.State != 'R') {
			continue // told to freeze: whatever sleeps in the kernel meets the freezer before it returns to user mode
		}
		ok, err := q.stopped()
		if err != nil {
			return nil, err
		}
		if !ok {
			out = append(out, q)
		}
	}
	return out, nil
}

// Held reports whether somebody holds the tree still, or has begun to: its parent is stopped, or an orphan where no parent is left, or its cgroup is told to freeze.
func Held(t driver.Tree) (bool, error) {
	p, err := Find(t)
	if err != nil {
		return false, err
	}
	if p.group != nil && len(p.inside) > 0 {
		if told, err := p.group.freezing(); told || err != nil {
			return told, err
		}
	}
	for _, q := range p.All {
		if p.Parent == 0 || q.PID == p.Parent {
			if q.State == 'T' || q.State == 't' {
				return true, nil
			}
		}
	}
	return false, nil
}

// Verify lists the processes of a frozen tree that run. None: it holds. A process that was started since counts.
func Verify(t driver.Tree) ([]int, error) {
	p, found := Find(t)
	running, err := p.running()
	out := make([]int, len(running))
	for i, q := range running {
		out[i] = q.PID
	}
	return out, errors.Join(found, err)
}

// Thaw lets every process of the tree go, the parent last. Whoever calls it has asked whether it may run (A9). All or nothing as far as that can be:
// with an error some may run, and it is to be called again, or the tree frozen or killed.
func Thaw(ctx context.Context, t driver.Tree) (Outcome, error) {
	start := time.Now()
	o := Outcome{How: ByNothing}
	for {
		p, err := Find(t)
		if err != nil {
			return o, fmt.Errorf("thaw: %w", err)
		}
		if p.group != nil {
			if held, err := p.group.freezing(); err != nil {
				return o, err
			} else if held {
				if err := p.group.thaw(ctx); err != nil {
					return o, err
				}
			}
		}
		still := 0
		for i := len(p.All) - 1; i >= 0; i-- {
			q := p.All[i]
			if err := signal(q.PID, syscall.SIGCONT); err != nil { // also where it is not stopped yet: it takes a pending SIGSTOP back
				return o, fmt.Errorf("thaw: %w", err)
			}
			if q.State == 'T' {
				still++
			}
		}
		o = Outcome{How: p.how(), Took: time.Since(start), Processes: len(p.All), NoCgroup: p.NoCgroup}
		if still == 0 {
			return o, nil
		}
		if err := pause(ctx); err != nil {
			return o, fmt.Errorf("thaw: %w with %d of %d processes stopped", err, still, len(p.All))
		}
	}
}

// pause gives the kernel a moment between two looks: short against S.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Millisecond):
		return nil
	}
}
