package stage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// Halted are processes that were stopped where they stand, in the order they go on.
type Halted []int

// HaltServers stops every process of a region's database servers; with a title only those that carry it, as "walreceiver". The postmaster of each goes first.
func (s *Stage) HaltServers(region, title string) (Halted, error) {
	return s.halt(func() (all []int, err error) {
		for _, v := range s.servers {
			if v.Ref.Region != region {
				continue
			}
			found, bad := v.PIDs(title)
			all, err = append(all, found...), errors.Join(err, bad)
		}
		return all, err
	})
}

// HaltPostmasters stops the first process of each of a region's servers: sessions go on, nobody new gets in.
func (s *Stage) HaltPostmasters(region string) (Halted, error) {
	return s.halt(func() (all []int, err error) {
		for _, v := range s.servers {
			if v.Ref.Region != region {
				continue
			}
			found, bad := v.PIDs(filepath.Join(v.bin, "postgres"))
			all, err = append(all, found...), errors.Join(err, bad)
		}
		return all, err
	})
}

// HaltHost stops everything that works in a region, as a virtual machine that is paused: servers, guard, agent, controller, hub. When it goes on, the servers do so
// first: the worst that can happen.
func (s *Stage) HaltHost(region string) (Halted, error) {
	return s.halt(func() ([]int, error) { return pids(s.dir(region)) })
}

// halt looks again until nobody new is found: a server forks while it is being stopped.
func (s *Stage) halt(find func() ([]int, error)) (Halted, error) {
	var all Halted
	done := map[int]bool{}
	for {
		found, err := find()
		if err != nil {
			return all, fmt.Errorf("halt: %w", err)
		}
		grew := false
		for _, pid := range found {
			if done[pid] {
				continue
			}
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
				return all, fmt.Errorf("halt process %d: %w", pid, err)
			}
			done[pid], grew, all = true, true, append(all, pid)
		}
		if !grew {
			return s.serversFirst(all), nil
		}
	}
}

// serversFirst puts the servers' processes before ours.
func (s *Stage) serversFirst(all Halted) Halted {
	var first, last Halted
	for _, pid := range all {
		if s.ours(pid) {
			last = append(last, pid)
		} else {
			first = append(first, pid)
		}
	}
	return append(first, last...)
}

func (s *Stage) ours(pid int) bool {
	for _, p := range s.processes {
		p.mu.Lock()
		mine := p.cmd != nil && p.cmd.Process.Pid == pid
		p.mu.Unlock()
		if mine {
			return true
		}
	}
	return false
}

// Resume lets them go on; those that were killed meanwhile don't count.
func (h Halted) Resume() error {
	var bad []string
	for _, pid := range h {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			bad = append(bad, fmt.Sprintf("%d: %v", pid, err))
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("resume: %s", strings.Join(bad, ", "))
	}
	return nil
}
