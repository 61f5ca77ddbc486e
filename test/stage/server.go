package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// Server is one PostgreSQL server of the stage.
type Server struct {
	Ref  events.Ref
	Data string // data directory; its parent holds the unix socket and the log
	Port int    // at the address of its region

	bin    string
	owner  owner
	net    *network
	cgroup string // to be started in, as its agent would start it; empty = ours
}

// settings are small, but keep what durability rests on. Nothing commits by itself: every transaction in a log is a writer's or the canary's, so that what was lost
// can be told one by one. They let in few sessions: an agent takes no lease before it has measured that everything its servers may have is frozen within S.
const settings = `
shared_buffers = 16MB
max_connections = 20
max_worker_processes = 1
autovacuum_max_workers = 1
wal_level = replica
wal_log_hints = on
wal_keep_size = 128MB
max_slot_wal_keep_size = 512MB
max_wal_senders = 5
autovacuum = off
fsync = on
wal_retrieve_retry_interval = 100ms
dynamic_shared_memory_type = mmap
log_line_prefix = '%m [%p] '
`

const hba = "local all all trust\nhost all all all trust\nhost replication all all trust\n"

// roles is whom standbys follow as, with what pg_rewind needs to read a source.
const roles = `CREATE ROLE replicator REPLICATION LOGIN
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO replicator
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO replicator
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO replicator
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO replicator
`

// makeTemplate makes what every server is a copy of, so that a standby needs no base backup.
func (s *Stage) makeTemplate() error {
	all := postgrestest.Bins()
	if len(all) == 0 {
		return errors.New("no PostgreSQL found in /usr/lib/postgresql or /usr/pgsql-*: run deploy/need.sh")
	}
	s.bin, s.template = all[0], filepath.Join(s.home.dir, "template")
	err := errors.Join(os.Mkdir(s.template, 0o700), s.owner.own(s.template))
	if err == nil {
		err = s.asOwner("", filepath.Join(s.bin, "initdb"), "-D", s.template, "-U", s.owner.name, "-E", "UTF8", "--no-locale", "--data-checksums", "--no-sync", "--no-instructions", "--wal-segsize=4")
	}
	if err == nil {
		err = errors.Join(appendTo(filepath.Join(s.template, "postgresql.conf"), settings+s.options.Settings), os.WriteFile(filepath.Join(s.template, "pg_hba.conf"), []byte(hba), 0o600))
	}
	if err == nil {
		err = s.asOwner(roles, filepath.Join(s.bin, "postgres"), "--single", "-D", s.template, "postgres")
	}
	if err != nil {
		return fmt.Errorf("make template of the servers: %w", err)
	}
	return nil
}

func (s *Stage) asOwner(stdin, path string, args ...string) error {
	return run(&exec.Cmd{Path: path, Args: append([]string{path}, args...), Dir: "/", Stdin: strings.NewReader(stdin), SysProcAttr: s.owner.attr()}, (*exec.Cmd).Start)
}

func run(cmd *exec.Cmd, start func(*exec.Cmd) error) error {
	var out bytes.Buffer
	if cmd.Env == nil {
		cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	}
	cmd.Stdout, cmd.Stderr = &out, &out
	err := start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("run %s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// makeServer copies the template; upstream is whom it follows, nil for a primary.
func (s *Stage) makeServer(ref events.Ref, port int, upstream *Server) (*Server, error) {
	dir := filepath.Join(s.home.dir, ref.Region, ref.Cluster)
	v := &Server{Ref: ref, Data: filepath.Join(dir, "data"), Port: port, bin: s.bin, owner: s.owner, net: s.net}
	err := os.Mkdir(dir, 0o755)
	if err == nil && s.options.Disks {
		err = mountDisk(dir)
	}
	if err == nil {
		err = s.owner.own(dir)
	}
	if err == nil {
		err = s.asOwner("", "/bin/cp", "-a", "--reflink=auto", s.template, v.Data)
	}
	conf := fmt.Sprintf("listen_addresses = '%s'\nport = %d\nunix_socket_directories = '%s'\n", s.net.address(ref.Region), port, v.Socket())
	if s.holdsMetadata(ref) {
		conf += metadataSettings
	}
	if upstream != nil {
		host, port, _ := net.SplitHostPort(upstream.Address())
		conf += fmt.Sprintf("primary_conninfo = 'host=%s port=%s user=replicator application_name=%s'\n", host, port, ref.Cluster)
		err = errors.Join(err, v.write("standby.signal", ""))
	}
	if err = errors.Join(err, v.configure(conf), s.ownCgroup(v)); err != nil {
		return nil, fmt.Errorf("make server %s: %w", ref, err)
	}
	return v, nil
}

func (v *Server) configure(lines string) error {
	return appendTo(filepath.Join(v.Data, "postgresql.conf"), lines)
}

func (v *Server) write(name, text string) error {
	path := filepath.Join(v.Data, name)
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), v.owner.own(path))
}

// Socket is the directory of its unix socket.
func (v *Server) Socket() string { return filepath.Dir(v.Data) }

// Address is where clients and peers reach it.
func (v *Server) Address() string {
	return net.JoinHostPort(v.net.address(v.Ref.Region), strconv.Itoa(v.Port))
}

// Start starts it the plain way, around every gate, inside its region, and waits until it answers.
func (v *Server) Start(ctx context.Context, options ...string) error {
	err := v.Launch(options...)
	if err == nil {
		err = until(ctx, 30*time.Second, func(ctx context.Context) error {
			_, err := v.SQL(ctx, "SELECT 1")
			return err
		})
	}
	if err != nil {
		tail, _ := os.ReadFile(v.log())
		return fmt.Errorf("start server %s: %w; its log: %s", v.Ref, err, tail[max(0, len(tail)-2000):])
	}
	return nil
}

// Launch starts it as Start does and waits for nothing: what becomes of it, its log says.
func (v *Server) Launch(options ...string) error {
	v.buried()
	path := filepath.Join(v.bin, "pg_ctl")
	args := []string{path, "start", "--no-wait", "-D", v.Data, "-l", v.log(), "-o", strings.Join(options, " ")}
	cmd := &exec.Cmd{Path: path, Args: args, Dir: v.Socket(), SysProcAttr: v.owner.attr()}
	if v.cgroup != "" {
		dir, err := os.Open(v.cgroup)
		if err != nil {
			return fmt.Errorf("open cgroup of %s: %w", v.Ref, err)
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	return run(cmd, func(c *exec.Cmd) error { return v.net.start(v.Ref.Region, c) })
}

// buried waits until init has taken the last, killed postmaster away: not every init is as quick as a host's own, and PostgreSQL takes a zombie, and a process
// that has let go of its directory but is not one yet, for a server that runs.
func (v *Server) buried() {
	b, _ := os.ReadFile(filepath.Join(v.Data, "postmaster.pid")) // none, nobody to bury
	pid, _, _ := strings.Cut(string(b), "\n")
	for deadline := time.Now().Add(10 * time.Second); pid != "" && time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + pid); err != nil {
			return
		}
		if cwd, err := os.Readlink("/proc/" + pid + "/cwd"); err == nil && cwd != "" {
			return // it lives, or its pid has become somebody else's
		}
	}
}

func (v *Server) log() string { return filepath.Join(v.Socket(), "log") }

// Control runs pg_ctl with its data directory.
func (v *Server) Control(args ...string) error {
	path := filepath.Join(v.bin, "pg_ctl")
	return run(&exec.Cmd{Path: path, Args: append([]string{path, "-D", v.Data}, args...), Dir: v.Socket(), SysProcAttr: v.owner.attr()}, (*exec.Cmd).Start)
}

// dsn connects the superuser over the unix socket.
func (v *Server) dsn() string { return v.dsnOf("postgres") }

func (v *Server) dsnOf(database string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable connect_timeout=2", v.Socket(), v.Port, v.owner.name, database)
}

// SQL runs statements in a session of its own and returns the rows of the last one that has any, as text.
func (v *Server) SQL(ctx context.Context, sql string) ([][]string, error) {
	return v.SQLOf(ctx, "postgres", sql)
}

// SQLOf does so in another database.
func (v *Server) SQLOf(ctx context.Context, database, sql string) ([][]string, error) {
	c, err := pgconn.Connect(ctx, v.dsnOf(database))
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, r := range results {
		for _, row := range r.Rows {
			text := make([]string, len(row))
			for i, cell := range row {
				text[i] = string(cell)
			}
			rows = append(rows, text)
		}
	}
	return rows, nil
}

// until polls f until it succeeds; after the limit its last error is returned.
func until(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // what the end of the time cut short says nothing
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %v: %w", limit, last)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
