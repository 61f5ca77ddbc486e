package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
)

// Server is one server of a lab.
type Server struct {
	Name   string
	Data   string // data directory
	Socket string // directory of its unix socket
	Port   int    // on 127.0.0.1
	Cgroup string // directory of the cgroup to start it in; empty = the starter's
	lab    *Lab
}

// settings are small, but keep what durability rests on.
const settings = `
listen_addresses = '127.0.0.1'
shared_buffers = 16MB
max_connections = 60
wal_level = replica
wal_log_hints = on
wal_keep_size = 128MB
max_wal_senders = 10
fsync = on
wal_retrieve_retry_interval = 100ms
dynamic_shared_memory_type = mmap
autovacuum_naptime = 1min
log_line_prefix = '%m [%p] '
`

// Make copies the template into a server that does not run yet. Lines are added to its postgresql.conf.
func (l *Lab) Make(name string, lines ...string) (*Server, error) {
	home := filepath.Join(l.dir, name)
	s := &Server{Name: name, Data: filepath.Join(home, "data"), Socket: home, lab: l}
	var err error
	if s.Port, err = l.port(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(home, 0o755); err != nil {
		return nil, fmt.Errorf("make server: %w", err)
	}
	if err := errors.Join(l.chown(home), l.run("", "", "cp", "-a", filepath.Join(l.dir, "template"), s.Data)); err != nil {
		return nil, fmt.Errorf("make server %s: %w", name, err)
	}
	conf := fmt.Sprintf("port = %d\nunix_socket_directories = '%s'\n", s.Port, s.Socket) + strings.Join(lines, "\n") + "\n"
	return s, s.Configure(conf)
}

// Primary makes a server and starts it writable.
func (l *Lab) Primary(name string, lines ...string) (*Server, error) {
	s, err := l.Make(name, lines...)
	if err != nil {
		return nil, err
	}
	return s, s.Start()
}

// Standby makes a server that follows another of this lab, which must still have its log from the beginning, and starts it.
func (l *Lab) Standby(name string, of *Server, lines ...string) (*Server, error) {
	conninfo := fmt.Sprintf("host=127.0.0.1 port=%d user=replicator application_name=%s", of.Port, name)
	s, err := l.Make(name, append([]string{"primary_conninfo = '" + conninfo + "'"}, lines...)...)
	if err != nil {
		return nil, err
	}
	if err := s.Write("standby.signal", ""); err != nil {
		return nil, err
	}
	return s, s.Start()
}

// Configure adds lines to postgresql.conf.
func (s *Server) Configure(lines string) error {
	return appendTo(filepath.Join(s.Data, "postgresql.conf"), lines+"\n")
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure server: %w", err)
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Write puts a file into the data directory, as the server's owner would.
func (s *Server) Write(name, content string) error {
	path := filepath.Join(s.Data, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write for %s: %w", s.Name, err)
	}
	return s.lab.chown(path)
}

// Start starts it the plain way, around every gate, and waits until it answers.
func (s *Server) Start() error {
	log := filepath.Join(s.Socket, "log")
	if pids, err := postgres.PIDs(s.Data); err == nil && len(pids) == 0 { // a killed postmaster nobody has waited for yet keeps its pid
		_ = os.Remove(filepath.Join(s.Data, "postmaster.pid"))
		_ = os.Remove(filepath.Join(s.Socket, fmt.Sprintf(".s.PGSQL.%d.lock", s.Port)))
	}
	if err := s.lab.run(s.Cgroup, "", filepath.Join(s.lab.Bin, "pg_ctl"), "start", "--no-wait", "-D", s.Data, "-l", log); err != nil {
		return err
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		_, err := s.SQL(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		pids, _ := postgres.PIDs(s.Data)
		if ctx.Err() != nil || len(pids) == 0 && time.Since(began) > time.Second {
			tail, _ := os.ReadFile(log)
			return fmt.Errorf("start %s: %w; its log: %s", s.Name, err, tail[max(0, len(tail)-2000):])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Control runs pg_ctl with the server's data directory.
func (s *Server) Control(args ...string) error {
	return s.lab.pg("pg_ctl", append(args, "-D", s.Data)...)
}

// Address is where clients and peers reach it.
func (s *Server) Address() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// DSN connects the superuser over the unix socket.
func (s *Server) DSN() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable", s.Socket, s.Port, s.lab.User)
}

// Connect opens a session of the superuser over TCP, as a client elsewhere would.
func (s *Server) Connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=postgres sslmode=disable", s.Port, s.lab.User))
}

// SQL runs one statement in a session of its own and returns the first column of the first row as text, if any.
func (s *Server) SQL(ctx context.Context, sql string) (string, error) {
	c, err := s.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	results, err := c.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return "", err
	}
	for _, r := range results {
		if len(r.Rows) > 0 && len(r.Rows[0]) > 0 {
			return string(r.Rows[0][0]), nil
		}
	}
	return "", nil
}

// Config is what a driver of it needs.
func (s *Server) Config(ref events.Ref) postgres.Config {
	return postgres.Config{Cluster: ref, Data: s.Data, Bin: s.lab.Bin, User: s.lab.User, Advertise: s.Address()}
}

// Kill ends every process of it by SIGKILL, frozen ones too, and leaves the files alone.
func (s *Server) Kill() error { return s.each(syscall.SIGKILL, false) }

// Close kills it and removes all that it leaves: files and its shared memory segment.
func (s *Server) Close() error {
	err := s.Kill()
	if b, read := os.ReadFile(filepath.Join(s.Data, "postmaster.pid")); read == nil {
		if lines := strings.Split(string(b), "\n"); len(lines) > 6 {
			if f := strings.Fields(lines[6]); len(f) == 2 {
				id, _ := strconv.Atoi(f[1])
				_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // gone already with a clean stop
			}
		}
	}
	return errors.Join(err, os.RemoveAll(s.Socket))
}

// Freeze stops every process of it, the postmaster first, until none is left that runs.
func (s *Server) Freeze() error {
	if err := s.each(syscall.SIGSTOP, true); err != nil {
		return err
	}
	pids, err := postgres.PIDs(s.Data)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range pids {
		for !stopped(pid) { // a signal takes effect when the process is next scheduled
			if time.Now().After(deadline) {
				return fmt.Errorf("freeze %s: process %d runs on", s.Name, pid)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

func stopped(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err != nil || strings.HasPrefix(rest, "T")
}

// Thaw lets them go on.
func (s *Server) Thaw() error { return s.each(syscall.SIGCONT, true) }

// each signals every process until all have it: stay says whether they are to be there afterwards.
func (s *Server) each(sig syscall.Signal, stay bool) error {
	done := map[int]bool{}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		pids, err := postgres.PIDs(s.Data)
		if err != nil {
			return err
		}
		fresh := false
		for _, pid := range s.parentFirst(pids) {
			if stay && done[pid] {
				continue
			}
			fresh, done[pid] = true, true
			if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("signal %d: %w", pid, err)
			}
		}
		if !fresh {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s: processes are left after signal %v", s.Name, sig)
}

// parentFirst puts the postmaster in front, so that it makes no new children meanwhile.
func (s *Server) parentFirst(pids []int) []int {
	b, err := os.ReadFile(filepath.Join(s.Data, "postmaster.pid"))
	if err != nil {
		return pids
	}
	first, _, _ := strings.Cut(string(b), "\n")
	for i, pid := range pids {
		if strconv.Itoa(pid) == first {
			pids[0], pids[i] = pids[i], pids[0]
		}
	}
	return pids
}
