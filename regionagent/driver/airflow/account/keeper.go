// Package account keeps the task ledgers of one workflow cluster: it opens one after a move or an outage, retries what may be retried, and watches every task until it is known what came of it.
//
//	Open ─▶ look at Airflow ─▶ tasks.Classify ─▶ file (fsync) ─▶ loop: look ─▶ tasks.Turn ─▶ intent (fsync) ─▶ clear ─▶ result (fsync) ─▶ pieces to the bus
package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
)

// Airflow is what a ledger needs of one. Looks are of its database and by its clock; changes go through its API.
type Airflow interface {
	// Window is the window that ends now. ErrNoScheduler: no scheduler runs yet, so it has no end.
	Window(ctx context.Context) (events.TaskWindow, error)
	// Look lists whatever may have been hit in a window.
	Look(ctx context.Context, w events.TaskWindow) (tasks.Sight, error)
	// Again looks at certain task instances; one that is missing is in no run any more. now is the database's.
	Again(ctx context.Context, keys []events.TaskKey) (now time.Time, seen map[events.TaskKey]tasks.Instance, err error)
	// Clear has a task instance that failed, and what comes after it and did not run, run again. Nothing that did not fail is touched. A *Refusal is a definite no.
	Clear(ctx context.Context, k events.TaskKey, note string) error
	// Fail sets a task instance failed.
	Fail(ctx context.Context, k events.TaskKey) error
}

// ErrNoScheduler says that no scheduler runs.
var ErrNoScheduler = errors.New("no scheduler runs yet")

// Refusal is a definite no of Airflow's: nothing was done.
type Refusal struct{ Why string }

func (r *Refusal) Error() string { return r.Why }

// Config is what a keeper has to know.
type Config struct {
	Cluster events.Ref
	Dir     string                                                // of the ledgers of this cluster
	Airflow Airflow                                               // the port
	May     func(ctx context.Context) error                       // nil error: the cluster is active here and has the right to run; asked before each change
	Publish func(ctx context.Context, p events.TaskPart) error    // stores one piece on the bus
	Told    func(ctx context.Context, newest *events.TaskSummary) // the newest ledger changed
	Metrics *Metrics
}

// The times of a keeper. Settle is how long after its start, or after an answer that did not come, nothing is done about an intent: a request that was sent may still be carried out then.
const (
	callLimit = 10 * time.Second
	settle    = 15 * time.Second
	lookFirst = 2 * time.Second
	lookLast  = 30 * time.Second
	tellEvery = 2 * time.Second
	watchMost = 24 * time.Hour // since the window's end; what has no result then never gets one here
	refusals  = 3              // definite ones, after which it waits for a person
	keepBooks = 50
)

// Keeper keeps the ledgers of one cluster.
type Keeper struct {
	cfg    Config
	log    *slog.Logger
	mu     sync.Mutex // of books: whoever writes holds it
	all    []*book    // oldest first
	wake   chan struct{}
	last   *events.TaskSummary // as told
	sent   map[string]uint64   // revision of each piece the bus has, by operation and number
	wait   time.Duration       // until the next look
	calm   time.Time           // nothing is done about intents before
	next   time.Time           // no retry before
	toldAt time.Time
}

// New reads the ledgers there are. The error names those that can't be read; the keeper works with the others.
func New(cfg Config, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{cfg: cfg, log: log, wake: make(chan struct{}, 1), sent: map[string]uint64{}, wait: lookFirst}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of ledgers: %w", err)
	}
	all, err := readAll(cfg.Dir)
	k.all = all
	if n := len(all); n > 0 {
		cfg.Metrics.group = all[n-1].Group
	}
	return k, err
}

// Close closes the files.
func (k *Keeper) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.all {
		_ = b.file.Close() // everything written is on disk
	}
}

func (k *Keeper) find(operation string) *book {
	for _, b := range k.all {
		if b.Operation == operation {
			return b
		}
	}
	return nil
}

// Order is what a ledger is opened for.
type Order struct {
	Operation string // empty: an outage in place, which the keeper names
	Group     string
	Epoch     events.Epoch
	Policy    events.TaskPolicy
}

// Open opens the ledger of an operation once Airflow's new scheduler is there: it is done when the ledger is on disk. Asked again it is done already.
func (k *Keeper) Open(ctx context.Context, o Order) events.Result {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.find(o.Operation); b != nil && o.Operation != "" {
		return events.Result{Outcome: events.AlreadyDone, Why: opened(b)}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*callLimit)
	defer cancel()
	w, err := k.cfg.Airflow.Window(ctx)
	if err != nil {
		return events.Result{Outcome: events.Retry, Why: err.Error()}
	}
	if o.Operation == "" && !k.died(w) {
		return events.Result{Outcome: events.Done, Why: "no scheduler died since the last ledger: nothing of it was hit"}
	}
	s, err := k.cfg.Airflow.Look(ctx, w)
	if err != nil {
		return events.Result{Outcome: events.Retry, Why: err.Error()}
	}
	h := head{No: 1, Operation: o.Operation, Local: o.Operation == "", Group: o.Group, Epoch: o.Epoch, Policy: o.Policy, Window: w}
	if n := len(k.all); n > 0 {
		h.No = k.all[n-1].No + 1
	}
	if h.Local {
		h.Operation = fmt.Sprintf("%s-%d-local-%d", o.Group, o.Epoch, h.No)
	}
	b, err := create(filepath.Join(k.cfg.Dir, h.Operation+suffix), h, tasks.Classify(s, w, o.Policy))
	if err != nil {
		return events.Result{Outcome: events.Retry, Why: err.Error()}
	}
	k.all = append(k.all, b)
	k.prune()
	k.cfg.Metrics.opened(b)
	k.nudge()
	return events.Result{Outcome: events.Done, Why: opened(b)}
}

// died reports whether a scheduler died that no ledger has.
func (k *Keeper) died(w events.TaskWindow) bool {
	if len(k.all) == 0 || len(w.Jobs) == 0 {
		return len(w.Jobs) > 0
	}
	return w.Jobs[len(w.Jobs)-1] > slices.Max(append([]int64{0}, k.all[len(k.all)-1].Window.Jobs...))
}

func opened(b *book) string {
	return fmt.Sprintf("%d tasks were hit in a window of %s", len(b.entries), b.Window.Length().Round(time.Millisecond))
}

// prune forgets the oldest ledgers that are closed; the bus keeps their pieces as long as it keeps events.
func (k *Keeper) prune() {
	for len(k.all) > keepBooks && k.all[0].closed() && k.all[0].told {
		old := k.all[0]
		_ = old.file.Close()
		if err := os.Remove(old.path); err != nil {
			k.log.Warn("remove an old ledger", "operation", old.Operation, "err", err)
			return
		}
		k.all = k.all[1:]
	}
}

// Retry takes a person's word that what waits is to be retried. It is done once that is on disk.
func (k *Keeper) Retry(r *events.TaskRetry) events.Result {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.find(r.Operation)
	switch {
	case b == nil:
		return events.Result{Outcome: events.Refused, Why: fmt.Sprintf("this agent keeps no ledger of %s: it was kept by the side that was active before; clear its tasks in Airflow by hand", r.Operation)}
	case b.retry >= r.No:
		return events.Result{Outcome: events.AlreadyDone}
	}
	n := 0
	for i := range b.entries {
		if r.Takes(&b.entries[i]) {
			n++
		}
	}
	if err := b.write(line{Retry: r}); err != nil {
		return events.Result{Outcome: events.Retry, Why: k.reopen(b, err).Error()}
	}
	k.nudge()
	return events.Result{Outcome: events.Done, Why: fmt.Sprintf("%d tasks of %s are retried", n, r.Operation)}
}

// nudge has the loop look at once.
func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// reopen reads a ledger again whose file could not be written.
func (k *Keeper) reopen(b *book, why error) error {
	fresh, err := open(b.path)
	if err != nil {
		return errors.Join(why, err)
	}
	*b = *fresh
	return why
}

// Summaries says what every ledger says in sum, oldest first.
func (k *Keeper) Summaries() []events.TaskSummary {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]events.TaskSummary, 0, len(k.all))
	for _, b := range k.all {
		all = append(all, b.summary())
	}
	return all
}
