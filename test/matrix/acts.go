package matrix

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// loopEvery is how often a crash loop kills.
const loopEvery = 1500 * time.Millisecond

// undo ends an act; nil = there is nothing to end.
type undo func() error

// verbs are what the acts do. Every verb has one function, however many faults use it.
var verbs = map[Verb]func(*scene, Act) (undo, error){
	KillRegion: func(s *scene, a Act) (undo, error) {
		return func() error { return s.StartRegion(a.Where) }, s.KillRegion(a.Where)
	},
	Isolate: func(s *scene, a Act) (undo, error) {
		return func() error { return s.Heal(a.Where) }, s.Isolate(a.Where)
	},
	Cut: func(s *scene, a Act) (undo, error) {
		return func() error { return s.Mend(a.Where, a.To) }, s.Cut(a.Where, a.To)
	},
	Pause: func(s *scene, a Act) (undo, error) {
		return func() error { return s.Resume(a.What, a.Where) }, s.Pause(a.What, a.Where)
	},
	HaltServers: func(s *scene, a Act) (undo, error) { return halted(s.HaltServers(a.Where, "")) },
	HaltMasters: func(s *scene, a Act) (undo, error) { return halted(s.HaltPostmasters(a.Where)) },
	HaltWAL:     func(s *scene, a Act) (undo, error) { return halted(s.HaltServers(a.Where, "walreceiver")) },
	HaltHost:    func(s *scene, a Act) (undo, error) { return halted(s.HaltHost(a.Where)) },
	Kill: func(s *scene, a Act) (undo, error) {
		return func() error { return s.StartProcess(a.What, a.Where) }, s.KillProcess(a.What, a.Where)
	},
	Loop:        loop,
	StopBus:     func(s *scene, _ Act) (undo, error) { return s.StartHub, s.StopHub() },
	RollBus:     roll,
	FillDisks:   fill,
	SlowArchive: archive,
	Boot:        boot,
	AskAbort:    func(s *scene, _ Act) (undo, error) { return nil, s.abort() },
}

func halted(h stage.Halted, err error) (undo, error) { return h.Resume, err }

// loop kills a process again and again; it is started again at once, as its unit would.
func loop(s *scene, a Act) (undo, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan error, 1)
	go func() {
		for {
			err := errors.Join(s.KillProcess(a.What, a.Where), s.StartProcess(a.What, a.Where))
			select {
			case <-ctx.Done():
				done <- err
				return
			case <-time.After(loopEvery):
			}
		}
	}()
	return func() error { cancel(); return <-done }, nil
}

// roll restarts one hub server after the other, as an upgrade does: the next one when the one before is whole again.
func roll(s *scene, _ Act) (undo, error) {
	for _, r := range Places {
		if err := errors.Join(s.StopProcess(stage.Hub, r), s.StartProcess(stage.Hub, r)); err != nil {
			return nil, err
		}
		if err := s.WaitWhole(rejoinLimit); err != nil {
			return nil, fmt.Errorf("after the hub server of %s was restarted: %w", r, err)
		}
	}
	return nil, nil
}

// each does something to every server of a region.
func (s *scene) each(region string, f func(*stage.Server) error) error {
	var all []error
	for _, g := range s.Groups() {
		if ref := server(g, region); ref != (events.Ref{}) {
			all = append(all, f(s.Server(ref)))
		}
	}
	return errors.Join(all...)
}

func fill(s *scene, a Act) (undo, error) {
	return func() error { return s.each(a.Where, (*stage.Server).FreeDisk) }, s.each(a.Where, (*stage.Server).FillDisk)
}

// archive has every server's archiver hang over a file of its log.
func archive(s *scene, a Act) (undo, error) {
	set := func(v *stage.Server, command string) error {
		_, err := v.SQL(s.ctx, fmt.Sprintf("ALTER SYSTEM SET archive_command = '%s'", command))
		if err == nil {
			_, err = v.SQL(s.ctx, "SELECT pg_reload_conf()")
		}
		return err
	}
	err := s.each(a.Where, func(v *stage.Server) error {
		err := set(v, "sleep 15")
		if err == nil {
			_, err = v.SQL(s.ctx, "SELECT pg_switch_wal()")
		}
		return err
	})
	return func() error {
		return s.each(a.Where, func(v *stage.Server) error {
			rows, err := v.SQL(s.ctx, "SELECT pg_is_in_recovery()")
			if err != nil || rows[0][0] == "t" { // moved away meanwhile: it takes the setting of its new active, or is down
				return nil
			}
			return set(v, "/bin/true")
		})
	}, err
}

// boot starts a region as a host that comes up: the servers by their own units, that know nothing of us and try again, then our processes.
func boot(s *scene, a Act) (undo, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	var units sync.WaitGroup
	err := s.each(a.Where, func(v *stage.Server) error {
		units.Go(func() { _ = v.Unit(ctx) }) // what became of it, the writers and probes beside it tell
		return v.Launch()
	})
	return func() error { cancel(); units.Wait(); return nil }, errors.Join(err, s.StartRegion(a.Where))
}

// abort has a person abort whatever is under way; refused is an answer.
func (s *scene) abort() error {
	var all []error
	for _, g := range s.Groups() {
		_, err := s.Bus().Ask(s.ctx, "alice", events.AskAbort, fmt.Sprintf(`{"id":"%s","group":"%s","reason":"the matrix"}`, s.id("abort"), g.Name))
		all = append(all, err)
	}
	return errors.Join(all...)
}
