package stage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Plain is one cluster of a group of plain processes (kind exec), cared for by Options.Commands. It writes its directory, a line at a time, to the file of its group.
type Plain struct {
	Ref      events.Ref
	Dir      string
	Out      string // of the group: both its clusters write to it, so the order in it is what happened
	Commands string
}

// makePlain makes the directories of a group of plain processes.
func (s *Stage) makePlain(g Group) error {
	for _, ref := range g.Clusters() {
		p := &Plain{Ref: ref, Dir: filepath.Join(s.dir(ref.Region), ref.Cluster), Out: filepath.Join(s.home.dir, g.Name+".lines"), Commands: s.options.Commands}
		if err := os.Mkdir(p.Dir, 0o755); err != nil {
			return err
		}
		s.plains = append(s.plains, p)
	}
	return nil
}

// startPlain starts a group's process at home, by its own command, and returns when it works.
func (s *Stage) startPlain(g Group) error {
	p := s.Plain(g.Primary())
	cmd := exec.Command(p.Commands, "start", p.Dir, p.Out)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err := s.net.start(p.Ref.Region, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Ref, err)
	}
	return until(s.ctx, 20*time.Second, func(context.Context) error {
		if n := len(s.Lines(g.Name)); n == 0 {
			return fmt.Errorf("%s has not written a line", p.Ref)
		}
		return nil
	})
}

// Plain finds a cluster of plain processes.
func (s *Stage) Plain(ref events.Ref) *Plain {
	for _, p := range s.plains {
		if p.Ref == ref {
			return p
		}
	}
	return nil
}

// Lines is who wrote each line of a group of plain processes, in the order it happened.
func (s *Stage) Lines(group string) (by []events.Ref) {
	b, _ := os.ReadFile(filepath.Join(s.home.dir, group+".lines")) // not there: no line yet
	for line := range strings.Lines(string(b)) {
		for _, p := range s.plains {
			if strings.TrimSpace(line) == p.Dir {
				by = append(by, p.Ref)
			}
		}
	}
	return by
}
