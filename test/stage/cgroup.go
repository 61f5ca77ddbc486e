package stage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/kernel"
)

// ownCgroup gives a server the cgroup that its agent would start it in, where the kernel lease is wanted and the machine has any. The warden removes it.
func (s *Stage) ownCgroup(v *Server) error {
	if s.options.Kernel == "" || s.options.Kernel == config.KernelOff {
		return nil
	}
	path, err := kernel.Home(v.Data)
	if err != nil || os.MkdirAll(path, 0o755) != nil {
		return nil // none here: its agent says so, too
	}
	v.cgroup = path
	list, err := os.OpenFile(filepath.Join(s.home.dir, cgroupList), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(list, path)
	return errors.Join(err, list.Close())
}
