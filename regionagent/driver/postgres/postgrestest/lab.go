// Package postgrestest makes real PostgreSQL servers that live as long as whoever made them: for tests and the demo, on loopback only.
package postgrestest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Lab is a directory of throwaway servers of one installed version. A warden process of its own kills every one of them and removes the
// directory when the lab is closed or this process ends, however it ends.
type Lab struct {
	Bin  string // directory of PostgreSQL's programs
	User string // OS user and superuser of the servers: ourselves, or postgres when we are root

	dir    string
	cred   *syscall.Credential // nil = ourselves
	warden *exec.Cmd
	leash  io.Closer // the warden acts when it is closed

	mu    sync.Mutex
	ports []net.Listener // abstract sockets that reserve the ports we gave away on this host
}

// warden kills by working directory, which finds orphans and frozen processes too, and removes the shared memory segments they leave.
const wardenScript = `cat >/dev/null
for again in 1 2 3 4 5; do
  left=
  for p in /proc/[0-9]*; do
    case "$(readlink "$p/cwd" 2>/dev/null)" in "$1"/*) kill -9 "${p#/proc/}" 2>/dev/null; left=1;; esac
  done
  [ -n "$left" ] || break
  sleep 0.1
done
for f in "$1"/*/data/postmaster.pid; do
  [ -f "$f" ] && ipcrm -m "$(sed -n 7p "$f" | awk '{print $2}')" 2>/dev/null
done
rm -rf "$1"
`

// Bins lists the installed versions of PostgreSQL, newest first: the directories of their programs.
func Bins() []string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the only error is a bad pattern
	more, _ := filepath.Glob("/usr/pgsql-*/bin/initdb")
	var bins []string
	for _, f := range append(found, more...) {
		bins = append(bins, filepath.Dir(f))
	}
	major := func(bin string) int {
		n, _ := strconv.Atoi(strings.TrimLeft(filepath.Base(filepath.Dir(bin)), "pgsql-"))
		return n
	}
	slices.SortFunc(bins, func(a, b string) int { return major(b) - major(a) })
	return bins
}

// Open makes a lab of the PostgreSQL in bin; empty means the newest installed. It takes about a second, for an initdb.
func Open(bin string) (*Lab, error) {
	if bin == "" {
		all := Bins()
		if len(all) == 0 {
			return nil, errors.New("no PostgreSQL found in /usr/lib/postgresql or /usr/pgsql-*: install it")
		}
		bin = all[0]
	}
	l := &Lab{Bin: bin}
	if err := l.identify(); err != nil {
		return nil, err
	}
	var err error
	if l.dir, err = os.MkdirTemp("", "sbpg-"); err != nil { // short: a socket's path has 107 bytes
		return nil, fmt.Errorf("make lab: %w", err)
	}
	err = errors.Join(l.chown(l.dir), l.post(), l.template())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) identify() error {
	name := "postgres"
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return fmt.Errorf("who am I: %w", err)
		}
		l.User = me.Username
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("PostgreSQL never runs as root, and there is no user %s: %w", name, err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	l.User, l.cred = name, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(err1, err2)
}

func (l *Lab) chown(path string) error {
	if l.cred == nil {
		return nil
	}
	return os.Chown(path, int(l.cred.Uid), int(l.cred.Gid))
}

// post starts the warden, in a session of its own so that nothing sent to our group reaches it.
func (l *Lab) post() error {
	l.warden = exec.Command("/bin/sh", "-c", wardenScript, "warden", l.dir)
	l.warden.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	leash, err := l.warden.StdinPipe()
	if err != nil {
		return fmt.Errorf("post warden: %w", err)
	}
	l.leash = leash
	if err := l.warden.Start(); err != nil {
		return fmt.Errorf("post warden: %w", err)
	}
	return nil
}

// Close kills every server of the lab and removes its directory.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.ports {
		p.Close()
	}
	l.ports = nil
	if l.warden == nil || l.warden.Process == nil {
		return os.RemoveAll(l.dir)
	}
	l.leash.Close()
	defer func() { l.warden = nil }()
	return l.warden.Wait()
}

// run runs a program as the servers' user, in a cgroup if one is named.
func (l *Lab) run(cgroup, stdin, path string, args ...string) error {
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = "/", []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}, strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.cred}
	if cgroup != "" {
		dir, err := os.Open(cgroup)
		if err != nil {
			return fmt.Errorf("run %s: %w", filepath.Base(path), err)
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w: %s", filepath.Base(path), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

func (l *Lab) pg(name string, args ...string) error {
	return l.run("", "", filepath.Join(l.Bin, name), args...)
}

// roles makes the role of replication links, with what a rewind needs.
const roles = `CREATE ROLE replicator REPLICATION LOGIN
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) TO replicator
`

// template is what every server is a copy of, so all of a lab's servers have one system id and a standby needs no base backup.
func (l *Lab) template() error {
	dir := filepath.Join(l.dir, "template")
	err := l.pg("initdb", "-D", dir, "-U", l.User, "-A", "trust", "-E", "UTF8", "--no-locale", "--data-checksums", "--no-sync", "--no-instructions", "--wal-segsize=4")
	if err != nil {
		return err
	}
	if err := appendTo(filepath.Join(dir, "postgresql.conf"), settings); err != nil { // before its first start: a standby must not have less than the control file
		return err
	}
	return l.run("", roles, filepath.Join(l.Bin, "postgres"), "--single", "-D", dir, "postgres")
}

// port reserves a port below the range the kernel gives to outgoing connections, against every other lab of this host.
func (l *Lab) port() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 200 {
		n := 15000 + rand.IntN(15000)
		lock, err := net.Listen("unix", fmt.Sprintf("@switchback-port-%d", n))
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n)))
		if err != nil {
			lock.Close()
			continue
		}
		probe.Close()
		l.ports = append(l.ports, lock)
		return n, nil
	}
	return 0, errors.New("no free port between 15000 and 30000")
}
