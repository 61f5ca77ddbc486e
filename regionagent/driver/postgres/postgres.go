package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// Driver cares for one PostgreSQL server. It is safe for concurrent use: probes run beside an action, actions one at a time. It never is the
// parent of a server and stops none by itself.
type Driver struct {
	cfg     Config
	owner   owner
	log     *slog.Logger
	metrics *Metrics

	watch, work *link         // probes; actions
	meter       *link         // statistics, where they are collected
	awaiting    *link         // canaries of a server in sync: they may wait for long
	doing       chan struct{} // a token of one
	lag         lagClock
	word        upstreamWord
	door        door
	lastPlace   atomic.Pointer[place]
	moved       atomic.Int64                      // how often the last place was forgotten
	placing     singleflight.Group                // one asks the files for it
	lastControl atomic.Pointer[rememberedControl] // what a server that is down was left as
	progress    progress

	life       context.Context // until Close
	end        context.CancelFunc
	canaryLock chan struct{} // a token of one, for canaryNow
	canaryNow  *pending
	notSeen    atomic.Pointer[string] // why the last sync order was not seen to hold; nil = it was, or there is none

	lookedForSlot time.Time // by the holder of doing
	weighing      atomic.Bool
	weighed       atomic.Pointer[weight]
	saidUnbounded atomic.Bool
	reached       func(point string) // tests
	twoNames      bool               // tests: as if the file system could not exchange two names
}

var _ driver.Driver = (*Driver)(nil)

// New makes the driver of one server, which need not run, nor its data be whole. Errors are ErrConfig and name the field, the value and what
// would be right.
func New(cfg Config, log *slog.Logger) (driver.Driver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	o, err := lookupOwner(cfg.User)
	if err != nil {
		return nil, err
	}
	if uid := os.Geteuid(); uid != 0 && uid != int(o.uid) {
		return nil, wrong("user", cfg.User, "the user that runs Switchback (uid %d), as it is not root", uid)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	d := &Driver{
		cfg: cfg, owner: o, metrics: cfg.Metrics, doing: make(chan struct{}, 1),
		log: log.With("cluster", cfg.Cluster.String(), "kind", string(events.KindPostgres)),
	}
	// An abandoned probe ends by itself; an action such as CHECKPOINT may take as long as it takes.
	d.watch, d.work, d.awaiting, d.meter = newLink(d.dial("10s")), newLink(d.dial("0")), newLink(d.dial("0")), newLink(d.dial("5s"))
	d.life, d.end = context.WithCancel(context.Background())
	d.canaryLock = make(chan struct{}, 1)
	return d, nil
}

// Close implements driver.Driver.
func (d *Driver) Close() error {
	d.end()
	d.watch.close()
	d.work.close()
	d.awaiting.close()
	d.meter.close()
	return nil
}

// Tree implements driver.Driver.
func (d *Driver) Tree() driver.Tree {
	t := driver.Tree{PIDFile: d.path("postmaster.pid"), Unit: d.cfg.Unit, Cgroup: d.cfg.Cgroup, Match: d.cfg.Data, Signal: d.path(signalFile), Mark: d.path(markFile)}
	ctx, cancel := context.WithTimeout(context.Background(), ProbeLimit)
	defer cancel()
	if p, err := d.where(ctx); err == nil {
		t.Address = p.address()
	} else {
		d.log.Warn("port of the server is not known yet", "err", err)
	}
	return t
}

// ActionLimit is what an action gets when it brings no limit.
const ActionLimit = time.Minute

// Do implements driver.Driver.
func (d *Driver) Do(ctx context.Context, a driver.Action) events.Result {
	began := time.Now()
	if a.Verb != driver.Restore { // which takes as long as it takes
		limit := a.Limit
		if limit <= 0 {
			limit = ActionLimit
		}
		short, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ctx = short
	}
	r := d.do(ctx, a)
	r.Step, r.Took = a.Step, time.Since(began)
	d.metrics.did(d.cfg.Cluster.Region, a.Verb, r)
	d.log.Info("did", "verb", string(a.Verb), "step", a.Step, "outcome", string(r.Outcome), "why", r.Why, "lsn", r.LSN.String(), "timeline", r.Timeline, "took", r.Took)
	return r
}

func (d *Driver) do(ctx context.Context, a driver.Action) events.Result {
	select {
	case d.doing <- struct{}{}:
		defer func() { <-d.doing }()
	case <-ctx.Done():
		return result(events.Retry, "another action is under way: %v", ctx.Err())
	}
	if ctx.Err() != nil {
		return result(events.Retry, "nothing was begun: %v", ctx.Err())
	}
	switch a.Verb {
	case driver.Start:
		return d.start(ctx, a.Permit)
	case driver.StartStandby:
		return d.startStandby(ctx, a.Source)
	case driver.Promote:
		return d.promote(ctx)
	case driver.Stop:
		return d.stop(ctx)
	case driver.Cut:
		return d.cut(ctx, a.Until)
	case driver.Follow:
		return d.follow(ctx, a.Source)
	case driver.Checkpoint:
		return d.checkpoint(ctx)
	case driver.Mark:
		return d.mark(a.Group)
	case driver.Restore:
		return d.restore(ctx, a)
	case driver.Sync:
		return d.sync(ctx, a)
	case driver.Release:
		return d.release(ctx)
	}
	return refused("verb %q: a PostgreSQL server knows none such", a.Verb)
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

// done is Done, or AlreadyDone if nothing had to change.
func done(already bool) events.Result {
	if already {
		return events.Result{Outcome: events.AlreadyDone}
	}
	return events.Result{Outcome: events.Done}
}

// now is what the server is as an action begins.
func (d *Driver) now(ctx context.Context) events.ClusterHealth {
	ctx, cancel := context.WithTimeout(ctx, ProbeLimit)
	defer cancel()
	return d.look(ctx, d.work, false)
}

// rested is now, once a server that is going away has gone: after a stop the postmaster stays for its archiver and walsenders, and its pid file
// goes before it does.
func (d *Driver) rested(ctx context.Context) (h events.ClusterHealth) {
	none := 0
	_ = poll(ctx, slow, func() (bool, error) { // when ctx ends, what was seen last is the answer
		if h = d.now(ctx); h.Server != events.ServerUnknown {
			return true, nil
		}
		all, err := processes(d.cfg.Data)
		f, noFile := readPIDFile(d.cfg.Data)
		if len(all) == 0 {
			none++ // once: it went while we looked
		}
		return err != nil || none > 1 || len(all) > 0 && noFile == nil && f.status != "stopping", nil
	})
	return h
}

// must returns what the action can't begin with: nil if the server is what it has to be.
func must(h events.ClusterHealth, want events.Server) *events.Result {
	var r events.Result
	switch h.Server {
	case want:
		return nil
	case events.ServerFrozen:
		r = refused("frozen: thaw or kill it first")
	case events.ServerUnknown:
		r = unknown("nothing was begun, the server does not answer: %s", h.Error)
	default:
		r = refused("the server is %s: it has to be %s", h.Server, want)
	}
	return &r
}

// checkpoint forces one and returns once the control file shows the current timeline: until then pg_rewind against this server silently does
// the wrong thing (facts, C3a). In recovery it is a restart point, and the timeline is its upstream's affair.
func (d *Driver) checkpoint(ctx context.Context) events.Result {
	h := d.rested(ctx)
	if h.Server != events.ServerRecovery {
		if r := must(h, events.ServerWritable); r != nil {
			return *r
		}
	}
	shown := func(c *pgx.Conn) (tli uint32, err error) {
		err = c.QueryRow(ctx, "SELECT timeline_id FROM pg_control_checkpoint()").Scan(&tli)
		return tli, err
	}
	r := events.Result{Outcome: events.Done, Timeline: h.Timeline}
	err := d.work.use(ctx, func(c *pgx.Conn) error {
		before, err := shown(c)
		if err != nil {
			return err
		}
		if _, err := c.Exec(ctx, "CHECKPOINT"); err != nil {
			return err
		}
		if before == h.Timeline || h.Server == events.ServerRecovery {
			r = done(before == h.Timeline)
			r.Timeline = h.Timeline
			return nil
		}
		return poll(ctx, fast, func() (bool, error) { tli, err := shown(c); return tli == h.Timeline, err })
	})
	if err != nil {
		return unknown("checkpoint on timeline %d: %v", h.Timeline, err)
	}
	return r
}

// mark writes the mark that says the data is under our care, or removes it.
func (d *Driver) mark(group string) events.Result {
	var changed bool
	var err error
	if group == "" {
		changed, err = remove(d.path(markFile))
	} else {
		changed, err = d.writeOwn(markFile, own{Group: group})
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return refused("no data directory to mark: %v", err)
	case err != nil:
		return unknown("mark %s: %v", filepath.Base(d.cfg.Data), err)
	}
	return done(!changed)
}
