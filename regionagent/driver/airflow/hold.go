package airflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// Spec is what a holder is to hold, as it stands in its file.
type Spec struct {
	Dir     string   `json:"dir"`               // the driver's, where the logs go
	Name    string   `json:"name"`              // of its files there
	Standby string   `json:"standby,omitempty"` // while this file is there it begins nothing; empty = it always does
	Bin     string   `json:"bin"`
	Home    string   `json:"home"`
	EnvFile string   `json:"env_file,omitempty"`
	User    string   `json:"user,omitempty"`
	Run     []string `json:"run"`
}

// PIDFile and Children are what a holder says of itself.
func (s *Spec) PIDFile() string  { return filepath.Join(s.Dir, s.Name+".pid") }
func (s *Spec) Children() string { return filepath.Join(s.Dir, s.Name+".children.json") }

// Sessions is where it notes the sessions it began.
func (s *Spec) Sessions() string { return filepath.Join(s.Dir, s.Name+".sessions.json") }

// Children is what a holder holds.
type Children struct {
	Holder  int            `json:"holder"`
	Standby bool           `json:"standby,omitempty"` // it stands by: it began nothing
	Run     map[string]int `json:"run"`               // pid by part, of those that run
	Ended   []string       `json:"ended,omitempty"`   // how those ended that do not
}

// Hold is the parent of all processes of one cluster: what they leave behind becomes its child, so that whoever has its pid has them all. It begins them once, says which run, and ends
// when none is left. SIGTERM has them end; SIGHUP begins those that do not run. It restarts nothing by itself, decides nothing, and outlives the agent.
//
// With the standby file there it begins nothing, and waits to be ended: so does one that a host's own boot begins (I8).
func Hold(specFile string) error {
	runtime.LockOSThread() // its children get their death signal when the thread ends that began them
	b, err := os.ReadFile(specFile)
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	h := holder{spec: Spec{}}
	if err := json.Unmarshal(b, &h.spec); err != nil {
		return fmt.Errorf("hold: read %s: %w", specFile, err)
	}
	if h.out, err = ledger.Open[Children](h.spec.Children()); err != nil {
		return fmt.Errorf("hold: %w", err) // another one holds it
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("hold: become the parent of orphans: %w", err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGCHLD)
	h.pids = map[string]int{}
	h.standby = h.standsBy()
	if err := ledger.Replace(h.spec.PIDFile(), []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil { // before anything runs that it has to be found by
		return fmt.Errorf("hold: write pid file: %w", err)
	}
	h.begin()
	if err := h.say(); err != nil {
		return err
	}
	return h.loop(signals)
}

type holder struct {
	spec    Spec
	out     *ledger.File[Children]
	pids    map[string]int
	ended   []string
	standby bool
	ending  bool
}

func (h *holder) standsBy() bool {
	if h.spec.Standby == "" {
		return false
	}
	_, err := os.Lstat(h.spec.Standby)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// begin begins every part that does not run.
func (h *holder) begin() {
	if h.ending || h.standby || h.standsBy() {
		return
	}
	for _, part := range h.spec.Run {
		if h.pids[part] != 0 {
			continue
		}
		pid, err := h.launch(part)
		if err != nil {
			h.note(part + ": " + err.Error())
		}
		if pid != 0 {
			h.pids[part] = pid
		}
	}
}

func (h *holder) note(s string) {
	if h.ended = append(h.ended, s); len(h.ended) > 10 {
		h.ended = h.ended[1:]
	}
}

func (h *holder) launch(part string) (int, error) {
	env, as, err := h.environment()
	if err != nil {
		return 0, err
	}
	log, err := os.OpenFile(filepath.Join(h.spec.Dir, strings.ReplaceAll(part, " ", "-")+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o640)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	p, err := os.StartProcess(h.spec.Bin, append([]string{h.spec.Bin}, strings.Fields(part)...), &os.ProcAttr{
		Dir: h.spec.Home, Env: env, Files: []*os.File{null, log, log}, Sys: &syscall.SysProcAttr{Setsid: true, Credential: as, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, err
	}
	pid := p.Pid
	return pid, errors.Join(freezer.NoteSession(h.spec.Sessions(), pid), p.Release()) // reaped with all that becomes ours
}

// environment is what its processes get: nothing of the agent's own but what every program needs, then what the file says.
func (h *holder) environment() ([]string, *syscall.Credential, error) {
	as, u, err := credential(h.spec.User)
	if err != nil {
		return nil, nil, err
	}
	env := []string{"PATH=" + filepath.Dir(h.spec.Bin) + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username, "LANG=C.UTF-8", "AIRFLOW_HOME=" + h.spec.Home}
	if h.spec.EnvFile != "" {
		more, err := readEnv(h.spec.EnvFile)
		if err != nil {
			return nil, nil, err
		}
		env = append(env, more...)
	}
	return env, as, nil
}

// readEnv reads NAME=value lines; # begins a comment line, quotes around a whole value are taken off.
func readEnv(file string) (env []string, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read env_file: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, v, ok := strings.Cut(line, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("read env_file: %s:%d: want NAME=value", file, n) // the line may be a secret
		}
		if len(v) > 1 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
			v = v[1 : len(v)-1]
		}
		env = append(env, name+"="+v)
	}
	return env, nil
}

// credential is an OS user's; nil = our own.
func credential(name string) (*syscall.Credential, *user.User, error) {
	if name == "" {
		u, err := user.Current()
		return nil, u, err
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	ids, err3 := u.GroupIds()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, nil, fmt.Errorf("user %s: %w", name, err)
	}
	if os.Geteuid() == int(uid) {
		return nil, u, nil
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, nil, fmt.Errorf("user %s: %w", name, err)
		}
		c.Groups = append(c.Groups, uint32(n))
	}
	return c, u, nil
}

// settle is how often a holder that ends looks whether somebody is left, besides when a child ends.
const settle = 100 * time.Millisecond

func (h *holder) loop(signals <-chan os.Signal) error {
	tick := time.NewTicker(settle)
	defer tick.Stop()
	for {
		changed, left := h.reap()
		if !left && (!h.standby || h.ending) {
			return h.say()
		}
		select {
		case s := <-signals:
			switch s {
			case syscall.SIGHUP:
				h.begin()
				changed = true
			case syscall.SIGTERM, syscall.SIGINT:
				h.ending = true
				for _, pid := range h.pids {
					_ = syscall.Kill(pid, syscall.SIGTERM) // gone already is what is wanted
				}
			}
		case <-tick.C:
		}
		if changed {
			if err := h.say(); err != nil {
				return err
			}
		}
	}
}

// reap takes the end of every child that ended, its own and those it inherited, and says whether any is left.
func (h *holder) reap() (changed, left bool) {
	for {
		var st syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &st, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return changed, false // ECHILD: none is left
		}
		if pid == 0 {
			return changed, true
		}
		for part, p := range h.pids {
			if p == pid {
				delete(h.pids, part)
				h.note(fmt.Sprintf("%s (pid %d) ended: %s", part, pid, how(st)))
				changed = true
			}
		}
	}
}

func how(st syscall.WaitStatus) string {
	if st.Signaled() {
		return "by signal " + st.Signal().String()
	}
	return fmt.Sprintf("with exit code %d", st.ExitStatus())
}

// say writes down what runs.
func (h *holder) say() error {
	c := Children{Holder: os.Getpid(), Standby: h.standby, Run: map[string]int{}, Ended: slices.Clone(h.ended)}
	for part, pid := range h.pids {
		c.Run[part] = pid
	}
	if err := h.out.Save(c); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	return nil
}

// pause waits a moment, as long as ctx lasts.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
