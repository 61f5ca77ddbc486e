package airflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"

	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// units is a cluster of systemd units, all in one slice. One that stands by has no process: a file says that it was told to.
type units struct {
	cfg     *Config
	command string // systemctl
}

func (u *units) tree() driver.Tree { return driver.Tree{Unit: u.cfg.Slice} }

func (u *units) file() string { return filepath.Join(u.cfg.Dir, "stands-by") }

func (u *units) found(p freezer.Processes) (bool, map[string]bool, string, error) {
	parts := map[string]bool{}
	if len(p.All) == 0 {
		_, err := os.Lstat(u.file())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, nil, "", err
		}
		return err == nil, parts, "", nil
	}
	for _, pid := range p.PIDs() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)) // ended meanwhile: it is of no part
		for _, unit := range u.cfg.Units {
			if strings.Contains(strings.ReplaceAll(string(b), "\n", "/\n"), "/"+service(unit)+"/") {
				parts[unit] = true
			}
		}
	}
	return false, parts, "", nil
}

func service(unit string) string { return strings.TrimSuffix(unit, ".service") + ".service" }

func (u *units) systemctl(ctx context.Context, verb string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	args := []string{verb, "--no-block", "--"}
	for _, n := range names {
		args = append(args, service(n))
	}
	out, err := osexec.CommandContext(ctx, u.command, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %.300s", verb, err, out)
	}
	return nil
}

func (u *units) launch(ctx context.Context, standby bool) error {
	if standby {
		return os.WriteFile(u.file(), nil, 0o600)
	}
	if err := os.Remove(u.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return u.mend(ctx)
}

func (u *units) mend(ctx context.Context) error { return u.systemctl(ctx, "start", u.cfg.Units) }
func (u *units) end(ctx context.Context) error {
	if err := os.Remove(u.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return u.systemctl(ctx, "stop", u.cfg.Units)
}
func (u *units) warm(ctx context.Context) error { return u.systemctl(ctx, "start", u.cfg.Warm) }

func (u *units) cold() string {
	for _, w := range u.cfg.Warm {
		p, err := freezer.Find(driver.Tree{Unit: service(w)})
		if err != nil || len(p.All) == 0 {
			return w + " does not run"
		}
	}
	return ""
}
