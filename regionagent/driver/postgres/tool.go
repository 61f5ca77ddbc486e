package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// owner is the OS user that a server runs as.
type owner struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

func lookupOwner(name string) (owner, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return owner{}, wrong("user", name, "an OS user of this host (%v)", err)
	}
	id := func(s string) uint32 {
		n, _ := strconv.ParseUint(s, 10, 32) // os/user gives decimal ids on every system PostgreSQL and cgroups run on
		return uint32(n)
	}
	o := owner{uid: id(u.Uid), gid: id(u.Gid), home: u.HomeDir}
	names, err := u.GroupIds()
	if err != nil {
		return o, fmt.Errorf("%w: look up groups of %s: %w", ErrConfig, name, err)
	}
	for _, g := range names {
		o.groups = append(o.groups, id(g))
	}
	return o, nil
}

// tool runs one of PostgreSQL's programs as the server's owner and returns what it printed.
func (d *Driver) tool(ctx context.Context, name string, args ...string) (string, error) {
	return d.run(ctx, os.Geteuid() == 0, filepath.Join(d.cfg.Bin, name), args...)
}

func (d *Driver) run(ctx context.Context, asOwner bool, path string, args ...string) (string, error) {
	return output(ctx, d.program(ctx, asOwner, path, args...))
}

// runInside is run for what starts the server: in its own cgroup, if it is to have one, so that its sockets belong there from the first on.
func (d *Driver) runInside(ctx context.Context, asOwner bool, path string, args ...string) (string, error) {
	cmd := d.program(ctx, asOwner, path, args...)
	if d.cfg.Cgroup != "" {
		if err := os.MkdirAll(d.cfg.Cgroup, 0o755); err != nil {
			return "", fmt.Errorf("make the server's cgroup: %w", err)
		}
		dir, err := os.Open(d.cfg.Cgroup)
		if err != nil {
			return "", fmt.Errorf("open the server's cgroup: %w", err)
		}
		defer dir.Close()
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	return output(ctx, cmd)
}

func output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), failed(ctx, cmd.Path, err, complaint.String())
	}
	return out.String(), nil
}

// program prepares one without what the agent's environment would tell it.
func (d *Driver) program(ctx context.Context, asOwner bool, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.WaitDelay, cmd.Env = "/", time.Second, []string{"LC_ALL=C", "HOME=" + d.owner.home}
	for _, kv := range os.Environ() { // a PGDATA or PGPORT of whoever started the agent means another server
		if k, _, _ := strings.Cut(kv, "="); !strings.HasPrefix(k, "LC_") && k != "HOME" && (!strings.HasPrefix(k, "PG") || k == "PG_CLUSTER_CONF_ROOT") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	if asOwner {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: d.owner.uid, Gid: d.owner.gid, Groups: d.owner.groups}}
	}
	return cmd
}

func failed(ctx context.Context, path string, err error, complaint string) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("run %s: %w: %s", filepath.Base(path), err, strings.TrimSpace(complaint))
}

// read reads a file that the server's owner may read. The data directory is that user's: a link in it to a file that is not must not make us
// copy or quote that file.
func (d *Driver) read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in a file's place must not make us wait
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, perm := info.Sys().(*syscall.Stat_t), info.Mode().Perm()
	group := st.Gid == d.owner.gid || slices.Contains(d.owner.groups, st.Gid)
	if !info.Mode().IsRegular() || st.Uid != d.owner.uid && perm&0o004 == 0 && (perm&0o040 == 0 || !group) {
		return nil, fmt.Errorf("read %s: %w: it is not %s's to read", path, os.ErrPermission, d.cfg.User)
	}
	return io.ReadAll(f)
}

// write puts a file of ours in place, whole or not at all, and makes it durable. A file that is there keeps its owner and permissions (a site's
// postgresql.conf); a new one is the server's owner's alone.
func (d *Driver) write(path, content string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".switchback-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name()) // gone already if all went well
	_, err = tmp.WriteString(content)
	uid, gid, perm := d.owner.uid, d.owner.gid, os.FileMode(0o600)
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		st := info.Sys().(*syscall.Stat_t)
		uid, gid, perm = st.Uid, st.Gid, info.Mode().Perm()
	}
	if err == nil && os.Geteuid() == 0 {
		err = tmp.Chown(int(uid), int(gid))
	}
	if err == nil {
		err = tmp.Chmod(perm)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// writeIfChanged spares the disk and says whether it wrote.
func (d *Driver) writeIfChanged(path, content string) (bool, error) {
	if b, err := os.ReadFile(path); err == nil && string(b) == content {
		return false, nil
	}
	return true, d.write(path, content)
}

// remove deletes a file durably and says whether it was there.
func remove(path string) (bool, error) {
	if err := os.Remove(path); err != nil {
		if os.IsNotExist(err) {
			return false, nil
		}
		return false, fmt.Errorf("remove: %w", err)
	}
	return true, syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// poll calls is every `every` until it says yes, fails, or ctx ends.
func poll(ctx context.Context, every time.Duration, is func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := is(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
