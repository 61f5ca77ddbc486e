package airflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/account"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/rest"
	"github.com/switchback-dr/switchback/regionagent/driver/exec"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// Driver cares for one workflow cluster. It is the driver of kinds without a log, with a body that knows Airflow.
type Driver struct {
	*exec.Driver
	*body
	live *account.Live // nil: no API is configured
}

// body knows what a workflow cluster consists of.
type body struct {
	cfg    Config
	log    *slog.Logger
	db     *database
	meter  *meter
	run    runner
	api    *rest.Client // nil = none
	once   sync.Once
	life   context.Context
	end    context.CancelFunc
	mu     sync.Mutex
	policy atomic.Pointer[events.TaskPolicy] // of the group, as the last order had it; nil = not told
	from   map[string]time.Time              // when the drain of a step began, as far as this agent knows
	set    known
}

var (
	_ driver.Driver  = (*Driver)(nil)
	_ driver.Drainer = (*Driver)(nil)
	_ exec.Body      = (*body)(nil)
)

// New makes a driver. It touches nothing but its own directory, which it makes.
func New(cfg Config, log *slog.Logger) (*Driver, error) {
	if cfg.Drain <= 0 {
		cfg.Drain = DefaultDrain
	}
	if cfg.Stale <= 0 {
		cfg.Stale = readSettings(&cfg).seconds("scheduler.scheduler_health_check_threshold", DefaultStale)
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("kind airflow: %w", err)
	}
	b := &body{cfg: cfg, log: log, db: newDatabase(cfg.DSNFile), from: map[string]time.Time{}}
	if cfg.API.URL != "" {
		c, err := rest.New(cfg.API)
		if err != nil {
			return nil, fmt.Errorf("kind airflow: %w", err)
		}
		b.api = c
	}
	b.meter = newMeter(b.db.open)
	b.life, b.end = context.WithCancel(context.Background())
	standby := filepath.Join(cfg.Dir, "standby")
	if b.run = (&units{&b.cfg, "systemctl"}); len(cfg.Units) == 0 {
		b.run = newHeld(&b.cfg, standby, func() { go b.heat(b.life) }, log)
	}
	x, err := exec.New(exec.Config{Cluster: cfg.Cluster, Kind: events.KindAirflow, Body: b, Dir: cfg.Dir, Advertise: cfg.Advertise, Processes: cmp.Or(cfg.Processes, DefaultProcesses)}, log)
	if err != nil {
		return nil, err
	}
	if x.StandbyFile() != standby {
		return nil, fmt.Errorf("kind airflow: the standby file is %s, not %s", x.StandbyFile(), standby)
	}
	d := &Driver{Driver: x, body: b}
	if b.api != nil {
		d.live = &account.Live{DSN: cfg.DSNFile, API: b.api}
	}
	return d, nil
}

// Close implements driver.Driver.
func (d *Driver) Close() error {
	d.end()
	if d.live != nil {
		d.live.Close()
	}
	d.meter.close()
	if d.api != nil {
		d.api.Close()
	}
	return d.Driver.Close()
}

// Tree implements driver.Driver.
func (d *Driver) Tree() driver.Tree { return d.Driver.Tree() }

// API is the client of its REST API; nil = none is configured.
func (d *Driver) API() *rest.Client { return d.api }

// Do implements driver.Driver.
func (d *Driver) Do(ctx context.Context, a driver.Action) events.Result {
	if a.Tasks != nil {
		d.policy.Store(a.Tasks)
	}
	if a.Verb == driver.Checkpoint && a.Drain {
		began := time.Now()
		r := d.drain(ctx, a)
		r.Step, r.Took = a.Step, time.Since(began)
		return r
	}
	return d.Driver.Do(ctx, a)
}

// The drain looks a few times and answers, so that whatever else is ordered does not wait for it; it is asked again.
const (
	drainLook = 3 * time.Second
	drainPoll = 300 * time.Millisecond
)

// drain holds back what would begin, and waits until nothing is queued or runs, or its time is over.
func (d *Driver) drain(ctx context.Context, a driver.Action) events.Result {
	short, cancel := context.WithTimeout(ctx, drainLook)
	defer cancel()
	d.mu.Lock()
	if d.from[a.Step].IsZero() {
		d.from = map[string]time.Time{a.Step: time.Now()}
	}
	began := d.from[a.Step]
	d.mu.Unlock()
	for {
		since, left, err := d.db.hold(ctx, a.Step)
		since = max(since, time.Since(began))
		switch {
		case err != nil && ctx.Err() != nil:
			return events.Result{Outcome: events.Unknown, Why: err.Error()}
		case err != nil:
			return events.Result{Outcome: events.Retry, Why: "its DAGs are not paused: " + err.Error()}
		case left == 0:
			return events.Result{Outcome: events.Done, Why: fmt.Sprintf("drained in %v: nothing is queued or runs, its DAGs are paused until it moved", since.Round(time.Second))}
		case since >= d.cfg.Drain:
			return events.Result{Outcome: events.Done, Why: fmt.Sprintf("%d tasks are still queued or run after %v: they are ended, and begin anew afterwards; its DAGs are paused until then", left, since.Round(time.Second))}
		}
		if pause(short, drainPoll) != nil {
			return events.Result{Outcome: events.Retry, Why: fmt.Sprintf("%d tasks are queued or run, waited for %v of at most %v", left, since.Round(time.Second), d.cfg.Drain)}
		}
	}
}

// Drained implements driver.Drainer.
func (d *Driver) Drained(ctx context.Context) (string, error) { return d.db.heldFor(ctx) }

// Undrain implements driver.Drainer.
func (d *Driver) Undrain(ctx context.Context, step string) error {
	n, err := d.db.letGo(ctx, step)
	if err == nil {
		d.log.Info("DAGs go on that a planned move had paused", "step", step, "dags", n)
	}
	return err
}

// Tree implements exec.Body.
func (b *body) Tree() driver.Tree { return b.run.tree() }

// Has implements exec.Body: what need not be there is not, but for what restores. There is no data but the database's.
func (b *body) Has(v driver.Verb) bool { return v == driver.Restore }

// launched is what the driver has to remember of its last launch.
type launched struct {
	Job int       `json:"job"` // the newest row in the list of jobs then: whatever is of this side has a newer one
	At  time.Time `json:"at"`  // by this host's clock
}

func (b *body) launchFile() string { return filepath.Join(b.cfg.Dir, "launched.json") }

func (b *body) last() (launched, error) {
	l, _, err := ledger.Read[launched](b.launchFile())
	return l, err
}

// Carry implements exec.Body.
func (b *body) Carry(ctx context.Context, o exec.Order) events.Result {
	var err error
	var done string
	switch driver.Verb(o.Verb) {
	case driver.Start, driver.Promote:
		done, err = b.bringUp(ctx)
	case driver.StartStandby, driver.Restore:
		done, err = b.standBy(ctx)
	case driver.Stop:
		done, err = b.stop(ctx, o)
	default:
		return events.Result{Outcome: events.Refused, Why: "kind airflow has no verb " + o.Verb}
	}
	switch {
	case errors.Is(err, errWaits):
		return events.Result{Outcome: events.Retry, Why: err.Error()}
	case err != nil && ctx.Err() != nil:
		return events.Result{Outcome: events.Unknown, Why: err.Error()}
	case err != nil:
		return events.Result{Outcome: events.Retry, Why: err.Error()}
	}
	return events.Result{Outcome: events.Done, Why: done}
}

// errWaits says that nothing was begun, for want of a database.
var errWaits = errors.New("waits for its database")

// A part that ends while the others come up is begun again with them: a scheduler whose database was away ends once its last task has said so, well after the database is back (fact E4). That
// often, and no sooner than so long after it was begun the last time.
const (
	upTries = 5
	upPause = 3 * time.Second
	upLook  = 200 * time.Millisecond
)

// bringUp begins what is missing until it serves, or the order's time is over.
func (b *body) bringUp(ctx context.Context) (string, error) {
	done, err := b.activate(ctx)
	began := time.Now()
	for tries := 1; err == nil; {
		a, askErr := b.Ask(ctx)
		if askErr == nil && a.Serves != nil && *a.Serves {
			break // what it may do without is begun by the agent's next order
		}
		if pause(ctx, upLook) != nil {
			break // whether it is up is asked once more by who ordered it
		}
		if askErr == nil && a.Waits == "" && tries < upTries && time.Since(began) >= upPause && (a.Lacks != "" || a.State == "down") {
			b.log.Info("looks again at what ended meanwhile", "why", cmp.Or(a.Lacks, a.Why))
			done, err = b.activate(ctx)
			tries, began = tries+1, time.Now()
		}
	}
	return done, err
}

// activate begins what is missing of an active: all of it after a launch of nothing, the missing parts of one that runs, and all of it anew where its scheduler lives but is not well.
func (b *body) activate(ctx context.Context) (string, error) {
	if err := b.look(ctx); err != nil {
		return "", err
	}
	if err := b.run.warm(ctx); err != nil {
		return "", err
	}
	p, err := freezer.Find(b.run.tree())
	if err != nil {
		return "", err
	}
	standby, parts, _, err := b.run.found(p)
	if err != nil {
		return "", err
	}
	if len(p.All) > 0 && !standby {
		last, err := b.last()
		if err != nil {
			return "", err
		}
		why := b.dead(parts, last)
		if why == "" {
			b.log.Info("begins what is missing", "runs", slices.Sorted(maps.Keys(parts)))
			return "its missing parts were begun", b.run.mend(ctx)
		}
		b.log.Info("begins anew", "why", why)
	}
	if err := b.gone(ctx, endLimit); err != nil {
		return "", err
	}
	newest, err := b.db.failJobs(ctx, b.policy.Load())
	if err != nil {
		return "", fmt.Errorf("%w: %w", errWaits, err)
	}
	f, err := ledger.Open[launched](b.launchFile())
	if err == nil {
		err = errors.Join(f.Save(launched{newest, time.Now()}), f.Close())
	}
	if err != nil {
		return "", err
	}
	return "its processes were begun", b.run.launch(ctx, false)
}

// look asks the database itself whether it accepts writes.
func (b *body) look(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	b.db.look(short)
	if why := b.db.waits(); why != "" {
		return fmt.Errorf("%w: %s", errWaits, why)
	}
	return nil
}

// standBy has nothing run but what is warm.
func (b *body) standBy(ctx context.Context) (string, error) {
	if err := b.run.warm(ctx); err != nil {
		return "", err
	}
	p, err := freezer.Find(b.run.tree())
	if err != nil {
		return "", err
	}
	if standby, _, _, err := b.run.found(p); err != nil || standby {
		return "it stands by", err
	}
	if err := b.gone(ctx, endLimit); err != nil {
		return "", err
	}
	return "it stands by", b.run.launch(ctx, true)
}

// How long parts that are told to end may take: a scheduler without tasks needs two seconds for its last word, and waits for its workers where it has any.
const (
	endLimit  = 5 * time.Second
	stopLimit = 8 * time.Second
	killRoom  = 2 * time.Second // of an order's limit, for the kill
)

// stop ends every process: it is told to, then whatever is left of the whole tree is killed. Killing the scheduler alone would leave its workers and their tasks at work.
func (b *body) stop(ctx context.Context, o exec.Order) (string, error) {
	limit := stopLimit
	if o.Limit > 0 {
		limit = min(limit, max(time.Duration(o.Limit*float64(time.Second))-killRoom, 0))
	}
	p, err := freezer.Find(b.run.tree())
	if err != nil {
		return "", err
	}
	began := time.Now()
	if err := b.gone(ctx, limit); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d processes ended in %v, none is left", len(p.All), time.Since(began).Round(time.Millisecond)), nil
}

// gone tells everything to end, waits for that, and kills what is left. The tree is the body's own: without the file that would have the next launch stand by.
func (b *body) gone(ctx context.Context, limit time.Duration) error {
	if err := b.run.end(ctx); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		p, err := freezer.Find(b.run.tree())
		if err == nil && len(p.All) == 0 {
			return nil
		}
		if pause(short, 20*time.Millisecond) != nil {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := freezer.Kill(ctx, b.run.tree())
	return err
}
