// Package exec is the driver of whatever has no driver of its own: commands, JSON in and JSON out. README.md's section and DESIGN.md have the protocol.
package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// Probe is the command that says what is true. The others bear the names of the driver's verbs.
const Probe = "probe"

// Needed are the commands every cluster has to have; Optional those the driver has an answer of its own for.
var (
	Needed   = []string{Probe, string(driver.Start), string(driver.StartStandby), string(driver.Promote), string(driver.Stop)}
	Optional = []string{string(driver.Cut), string(driver.Follow), string(driver.Restore), string(driver.Release)}
)

// Config says how to reach one cluster.
type Config struct {
	Cluster   events.Ref
	Commands  map[string][]string      // program and arguments by command; all of Needed, and any of Optional
	Limits    map[string]time.Duration // by command; what is missing has only the limit of the order it is run for
	User      string                   // who runs them; empty = the agent's own user
	Dir       string                   // where the driver keeps what must stay with the data; it has to exist
	PIDFile   string
	Match     string // with PIDFile: what the process's command line or working directory holds
	Unit      string
	Cgroup    string
	Listen    string      // host:port it answers on here, which has to refuse connections once it is killed; empty = none
	Advertise string      // how clients and peers reach it; empty = nobody has to
	Processes int         // the most it may have
	Kind      events.Kind // empty = exec
	Body      Body        // what carries the verbs out; nil = Commands
}

// riseLimit is how long a start or a promotion of a cluster may take that names no limit of its own: as long as the agent gives such an order.
const riseLimit = time.Minute

// Rises implements driver.Riser: whatever the commands begin, they return once it serves.
func (d *Driver) Rises() time.Duration {
	if most := max(d.cfg.Limits[string(driver.Start)], d.cfg.Limits[string(driver.Promote)]); most > 0 {
		return most
	}
	return riseLimit
}

// Body carries the verbs out in the place of commands, for a kind that has a driver of its own and no log. All that this package does around commands holds for it too: what it says is
// held against the processes that the guard would fence, and believed of a verb only once it is found true.
type Body interface {
	// Ask says what is true, within ctx.
	Ask(ctx context.Context) (Answer, error)
	// Carry carries one verb out.
	Carry(ctx context.Context, o Order) events.Result
	// Has reports whether it has a verb that need not be there.
	Has(verb driver.Verb) bool
	// Tree is how its processes are found; the files of the driver are added to it.
	Tree() driver.Tree
}

// Driver cares for one cluster by commands.
type Driver struct {
	cfg   Config
	log   *slog.Logger
	as    *syscall.Credential // nil = our own user
	mu    sync.Mutex          // one command that changes something at a time
	words sync.Mutex          // of the file own.json
}

// New makes a driver. It touches nothing.
func New(cfg Config, log *slog.Logger) (*Driver, error) {
	if cfg.Kind == "" {
		cfg.Kind = events.KindExec
	}
	for _, name := range Needed {
		if cfg.Body == nil && len(cfg.Commands[name]) == 0 {
			return nil, fmt.Errorf("kind exec: no command for %s", name)
		}
	}
	if cfg.Body == nil && cfg.PIDFile == "" && cfg.Unit == "" && cfg.Cgroup == "" {
		return nil, errors.New("kind exec: no pid file, unit or cgroup: nothing could be fenced")
	}
	d := &Driver{cfg: cfg, log: log}
	if cfg.User == "" {
		return d, nil
	}
	u, err := user.Lookup(cfg.User)
	if err != nil {
		return nil, fmt.Errorf("kind exec: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("kind exec: user %s: %w", cfg.User, err)
	}
	if os.Geteuid() == int(uid) {
		return d, nil
	}
	d.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("kind exec: groups of %s: %w", cfg.User, err)
	}
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("kind exec: groups of %s: %w", cfg.User, err)
		}
		d.as.Groups = append(d.as.Groups, uint32(n))
	}
	return d, nil
}

// Tree implements driver.Driver.
func (d *Driver) Tree() driver.Tree {
	t := driver.Tree{PIDFile: d.cfg.PIDFile, Match: d.cfg.Match, Unit: d.cfg.Unit, Cgroup: d.cfg.Cgroup}
	if d.cfg.Body != nil {
		t = d.cfg.Body.Tree()
	}
	t.Signal, t.Mark, t.Address = d.StandbyFile(), d.path(markFile), d.cfg.Listen
	return t
}

// Processes implements driver.Sizer.
func (d *Driver) Processes(context.Context) (int, error) { return d.cfg.Processes, nil }

// Close implements driver.Driver: there is nothing to let go of.
func (d *Driver) Close() error { return nil }

// StandbyFile is the file that makes whatever is started beside the driver stand by (I8).
func (d *Driver) StandbyFile() string { return d.path(standbyFile) }

func (d *Driver) path(name string) string { return filepath.Join(d.cfg.Dir, name) }

// Do implements driver.Driver.
func (d *Driver) Do(ctx context.Context, a driver.Action) events.Result {
	began := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.Limit)
		defer cancel()
	}
	r := d.act(ctx, a)
	r.Step, r.Took = a.Step, time.Since(began)
	return r
}

func (d *Driver) act(ctx context.Context, a driver.Action) events.Result {
	if a.Verb == driver.Mark {
		return d.mark(a.Group)
	}
	if a.Verb == driver.Sync {
		return refused("kind %s has no commits that could wait for others", d.cfg.Kind)
	}
	if !slices.Contains(Needed[1:], string(a.Verb)) && !slices.Contains(Optional, string(a.Verb)) && a.Verb != driver.Checkpoint {
		return refused("verb %q: kind %s knows none such", a.Verb, d.cfg.Kind)
	}
	if err := ctx.Err(); err != nil {
		return unknown("nothing was begun: %v", err)
	}
	if err := d.endLeftover(ctx); err != nil {
		return result(events.Retry, "nothing was begun, a command of an earlier agent is still at work: %v", err)
	}
	h := d.look(ctx)
	switch h.Server {
	case events.ServerFrozen:
		return refused("frozen: thaw or kill it first")
	case events.ServerUnknown:
		return unknown("nothing was begun, nobody knows what it is: %s", h.Error)
	}
	own, err := d.read()
	if err != nil {
		return unknown("nothing was begun: %v", err)
	}
	if own.Broken && a.Verb != driver.Restore {
		return refused("a restore of it was interrupted: only another makes it whole")
	}
	c := call{Driver: d, a: a, was: h, own: own}
	switch a.Verb {
	case driver.Start:
		return c.start(ctx)
	case driver.StartStandby:
		return c.startStandby(ctx)
	case driver.Promote:
		return c.promote(ctx)
	case driver.Stop:
		return c.stop(ctx)
	case driver.Cut:
		return c.cut(ctx)
	case driver.Follow:
		return c.follow(ctx)
	case driver.Restore:
		return c.restore(ctx)
	case driver.Release:
		return c.release(ctx)
	}
	if h.Server == events.ServerDown { // checkpoint
		return refused("it is down")
	}
	return events.Result{Outcome: events.AlreadyDone}
}

func result(o events.Outcome, format string, args ...any) events.Result {
	return events.Result{Outcome: o, Why: fmt.Sprintf(format, args...)}
}

func refused(format string, args ...any) events.Result {
	return result(events.Refused, format, args...)
}

func unknown(format string, args ...any) events.Result {
	return result(events.Unknown, format, args...)
}
