package stage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// KillRegion ends every process in a region by SIGKILL, all at once as near as one machine can: database servers, agents, guards, hub, controller.
// It returns when none is left.
func (s *Stage) KillRegion(region string) error {
	for _, p := range s.processes {
		if p.region == region {
			p.supervise(false)
		}
	}
	if err := kill(s.dir(region)); err != nil {
		return fmt.Errorf("kill region: %w", err)
	}
	for _, p := range s.processes {
		if p.region == region {
			p.gone()
		}
	}
	return nil
}

// StartRegion starts our processes of a region that were killed. Database servers stay down: starting them is the agent's business.
func (s *Stage) StartRegion(region string) error {
	for _, p := range s.processes {
		if p.region == region {
			if err := s.start(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// CanIsolate is nil, or ErrNoIsolation with the reason.
func (s *Stage) CanIsolate() error { return s.net.shared }

// Isolate cuts a region off from every other and from the outside, both ways, without an error anywhere: packets vanish. Inside it everything lives on. ErrNoIsolation: this
// machine can't.
func (s *Stage) Isolate(region string) error { return s.net.isolate(region) }

// Heal ends Isolate.
func (s *Stage) Heal(region string) error { return s.net.heal(region) }

// StopHub kills every hub server: the whole bus is gone.
func (s *Stage) StopHub() error {
	var all []error
	for _, r := range Regions {
		all = append(all, s.KillProcess(Hub, r))
	}
	return errors.Join(all...)
}

// StartHub starts every hub server that does not run.
func (s *Stage) StartHub() error {
	var all []error
	for _, r := range Regions {
		all = append(all, s.StartProcess(Hub, r))
	}
	return errors.Join(all...)
}

// Spoil makes a server unable to start once it is down, as a broken disk would: its control file is gone.
func (v *Server) Spoil() error {
	path := filepath.Join(v.Data, "global", "pg_control")
	if err := os.Rename(path, path+".lost"); err != nil {
		return fmt.Errorf("spoil %s: %w", v.Ref, err)
	}
	return nil
}

// Mend ends Spoil.
func (v *Server) Mend() error {
	path := filepath.Join(v.Data, "global", "pg_control")
	if err := os.Rename(path+".lost", path); err != nil {
		return fmt.Errorf("mend %s: %w", v.Ref, err)
	}
	return nil
}

// WipeHub removes what every hub server has on disk; they must be stopped.
func (s *Stage) WipeHub() error {
	var all []error
	for _, r := range Regions {
		all = append(all, os.RemoveAll(filepath.Join(s.dir(r), "nats")))
	}
	return errors.Join(all...)
}
