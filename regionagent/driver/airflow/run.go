package airflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// runner begins and ends what a cluster consists of.
type runner interface {
	tree() driver.Tree
	// found says what the processes of the tree are: whether they only stand by, and which parts run.
	found(p freezer.Processes) (standby bool, parts map[string]bool, ended string, err error)
	launch(ctx context.Context, standby bool) error // nothing of it runs; returns once its parts are begun, or once it stands by
	mend(ctx context.Context) error                 // begins the parts that do not run
	end(ctx context.Context) error                  // tells every part to end; returns at once
	warm(ctx context.Context) error                 // begins what runs on a passive as well
	cold() string                                   // what of that does not run; empty = all does
}

// held is a cluster of processes, by a holder of this program.
type held struct {
	cfg  *Config
	log  *slog.Logger
	spec Spec // of what is fenced
	side Spec // of what is warm
	// begun is called when what is warm was begun.
	begun func()
}

func newHeld(cfg *Config, standby string, begun func(), log *slog.Logger) *held {
	s := Spec{
		Dir: cfg.Dir, Name: "holder", Standby: standby, Bin: cfg.Bin, Home: cfg.Home, EnvFile: cfg.EnvFile, User: cfg.User, Run: cfg.Run,
	}
	w := s
	w.Name, w.Standby, w.Run = "warm", "", cfg.Warm
	return &held{cfg, log, s, w, begun}
}

func (h *held) tree() driver.Tree {
	return driver.Tree{PIDFile: h.spec.PIDFile(), Match: h.spec.file(), Sessions: h.spec.Sessions(), Cgroup: h.cfg.Cgroup}
}

// file is where a spec stands, which its holder is given.
func (s *Spec) file() string { return filepath.Join(s.Dir, s.Name+".json") }

func (h *held) found(p freezer.Processes) (bool, map[string]bool, string, error) {
	parts := map[string]bool{}
	if p.Parent == 0 {
		return false, parts, fmt.Sprintf("their holder is gone, %d of its processes go on", len(p.All)), nil
	}
	c, there, err := ledger.Read[Children](h.spec.Children())
	if err != nil {
		return false, nil, "", err
	}
	if !there || c.Holder != p.Parent {
		return false, parts, "its holder has just begun", nil
	}
	runs := map[int]bool{}
	for _, pid := range p.PIDs() {
		runs[pid] = true
	}
	for part, pid := range c.Run {
		parts[part] = runs[pid]
	}
	return c.Standby && len(p.All) == 1, parts, strings.Join(c.Ended, "; "), nil
}

func (h *held) launch(ctx context.Context, standby bool) error {
	s, err := h.hold(ctx, &h.spec, h.cfg.Cgroup)
	if err == nil && s.Standby != standby {
		err = fmt.Errorf("its holder came up with standby %v, want %v", s.Standby, standby)
	}
	return err
}

// hold begins a holder and returns what it says of itself.
func (h *held) hold(ctx context.Context, s *Spec, cgroup string) (Children, error) {
	b, err := json.Marshal(s)
	if err == nil {
		err = ledger.Replace(s.file(), b)
	}
	if err != nil {
		return Children{}, fmt.Errorf("write what is to be held: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, s.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return Children{}, err
	}
	defer log.Close()
	cmd := osexec.Command(h.cfg.Self[0], append(h.cfg.Self[1:len(h.cfg.Self):len(h.cfg.Self)], s.file())...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, s.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the agent
	if cgroup != "" {
		dir, err := openGroup(cgroup)
		if err != nil { // it is held by its parent and its sessions then, which is said by doctor
			h.log.Warn("no cgroup for the processes", "err", err)
		} else {
			defer dir.Close()
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
		}
	}
	if err := cmd.Start(); err != nil {
		return Children{}, fmt.Errorf("begin the holder: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // else it would stay a zombie
	for {
		if c, there, err := ledger.Read[Children](s.Children()); err == nil && there && c.Holder == cmd.Process.Pid {
			return c, nil
		}
		select {
		case err := <-ended:
			return Children{}, fmt.Errorf("the holder ended at once (%v): %s", err, tail(log.Name()))
		case <-ctx.Done():
			return Children{}, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func openGroup(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	return os.Open(path)
}

const tailSize = 500

func tail(file string) string {
	b, _ := os.ReadFile(file) // not there: it said nothing
	return strings.TrimSpace(string(b[max(0, len(b)-tailSize):]))
}

// signalHolder sends a signal to the holder of a spec, if it runs.
func (h *held) signalHolder(t driver.Tree, s syscall.Signal) error {
	p, err := freezer.Find(t)
	if err != nil || p.Parent == 0 {
		return err
	}
	if err := syscall.Kill(p.Parent, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("tell the holder: %w", err)
	}
	return nil
}

func (h *held) mend(context.Context) error { return h.signalHolder(h.tree(), syscall.SIGHUP) }
func (h *held) end(context.Context) error  { return h.signalHolder(h.tree(), syscall.SIGTERM) }

func (h *held) sideTree() driver.Tree {
	return driver.Tree{PIDFile: h.side.PIDFile(), Match: h.side.file(), Sessions: h.side.Sessions()}
}

func (h *held) warm(ctx context.Context) error {
	if len(h.side.Run) == 0 {
		return nil
	}
	p, err := freezer.Find(h.sideTree())
	if err != nil {
		return err
	}
	if p.Parent != 0 {
		return h.signalHolder(h.sideTree(), syscall.SIGHUP)
	}
	if len(p.All) > 0 { // of a holder that is gone: its port would be taken
		if _, err := freezer.Kill(ctx, h.sideTree()); err != nil {
			return err
		}
	}
	if _, err = h.hold(ctx, &h.side, ""); err == nil {
		h.begun()
	}
	return err
}

func (h *held) cold() string {
	if len(h.side.Run) == 0 {
		return ""
	}
	p, err := freezer.Find(h.sideTree())
	if err != nil {
		return err.Error()
	}
	c, _, err := ledger.Read[Children](h.side.Children())
	if err != nil {
		return err.Error()
	}
	runs := map[int]bool{}
	for _, pid := range p.PIDs() {
		runs[pid] = true
	}
	for _, part := range h.side.Run {
		if p.Parent == 0 || c.Holder != p.Parent || !runs[c.Run[part]] {
			return part + " does not run"
		}
	}
	return ""
}

// whole says what of the program is missing before anything of it is begun; empty = nothing.
func (c *Config) whole() string {
	if len(c.Run) == 0 {
		return ""
	}
	if st, err := os.Stat(c.Bin); err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
		return fmt.Sprintf("%s is no program", c.Bin)
	}
	if st, err := os.Stat(c.Home); err != nil || !st.IsDir() {
		return fmt.Sprintf("%s is no directory", c.Home)
	}
	if c.EnvFile != "" {
		if _, err := readEnv(c.EnvFile); err != nil {
			return err.Error()
		}
	}
	if _, err := os.Stat(c.DSNFile); errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("no file %s", c.DSNFile)
	}
	return ""
}
