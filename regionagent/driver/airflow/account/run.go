package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
)

// Run works on the ledgers until ctx ends. What it was doing then is on disk, and the next one goes on from there.
func (k *Keeper) Run(ctx context.Context) {
	k.calm = time.Now().Add(settle) // a request of the process before this one may still be carried out
	k.tell(ctx)
	for {
		k.pass(ctx)
		k.tell(ctx)
		t := time.NewTimer(k.wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-k.wake:
			k.wait = lookFirst
		case <-t.C:
			k.wait = min(2*k.wait, lookLast)
		}
		t.Stop()
	}
}

// pass looks once at every ledger that is not closed.
func (k *Keeper) pass(ctx context.Context) {
	k.mu.Lock()
	open := make([]*book, 0, len(k.all))
	for _, b := range k.all {
		if !b.closed() {
			open = append(open, b)
		}
	}
	k.mu.Unlock()
	for _, b := range open {
		err := k.work(ctx, b)
		k.mu.Lock()
		b.stuck = ""
		if err != nil && ctx.Err() == nil {
			b.stuck = err.Error()
			k.log.Warn("ledger of tasks", "operation", b.Operation, "err", err)
		}
		k.mu.Unlock()
	}
}

// work looks at every entry of one ledger that is not over, and does what it needs.
func (k *Keeper) work(ctx context.Context, b *book) error {
	if err := k.cfg.May(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	var at []int
	var keys []events.TaskKey
	for i := range b.entries {
		if _, begun := b.intents[i]; begun || !b.entries[i].Over() {
			at, keys = append(at, i), append(keys, b.entries[i].TaskKey)
		}
	}
	k.mu.Unlock()
	short, cancel := context.WithTimeout(ctx, 3*callLimit)
	now, seen, err := k.cfg.Airflow.Again(short, keys)
	cancel()
	if err != nil {
		return err
	}
	var due []int
	if due, err = k.note(b, at, now, seen); err != nil {
		return err
	}
	for _, i := range due {
		if err := k.one(ctx, b, i); err != nil {
			return err
		}
		k.tellAtTimes(ctx)
	}
	return nil
}

// note writes down what a look showed, and says which entries something is to be done about. Nothing is done yet: what was seen may be old by then.
func (k *Keeper) note(b *book, at []int, now time.Time, seen map[events.TaskKey]tasks.Instance) (due []int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	since := now.Sub(b.Window.To)
	late := since > watchMost && (b.retry == 0 || time.Since(b.fresh) > watchMost)
	var ls []line
	for _, i := range at {
		e, do, _ := k.turn(b, i, seen, since)
		switch _, begun := b.intents[i]; {
		case late && !e.Over():
			e.Result, e.Why = events.TaskUnknown, fmt.Sprintf("it had no result %s after the window", watchMost)
		case do != tasks.Nothing:
			due = append(due, i)
			continue
		case begun && time.Now().Before(k.calm) && e.Action != events.TaskCleared:
			continue // not settled yet
		}
		if !same(&e, &b.entries[i]) {
			ls = append(ls, line{I: i, Entry: &e})
		}
	}
	if len(ls) == 0 {
		return due, nil
	}
	k.wait = lookFirst
	if err := b.write(ls...); err != nil {
		return nil, k.reopen(b, err)
	}
	for _, l := range ls {
		k.cfg.Metrics.settled(l.Entry)
	}
	return due, nil
}

// turn looks at one entry.
func (k *Keeper) turn(b *book, i int, seen map[events.TaskKey]tasks.Instance, since time.Duration) (events.TaskEntry, tasks.Do, string) {
	var inst *tasks.Instance
	if x, there := seen[b.entries[i].TaskKey]; there {
		inst = &x
	}
	var intent *tasks.Intent
	if x, begun := b.intents[i]; begun {
		intent = &x
	}
	return tasks.Turn(b.entries[i], inst, intent, &b.Window, b.Operation, since)
}

func same(a, b *events.TaskEntry) bool {
	return a.Action == b.Action && a.Result == b.Result && a.Why == b.Why && a.After == b.After
}

// one does what one entry needs, by a look of this moment: intent on disk, then the change, then its result on disk.
func (k *Keeper) one(ctx context.Context, b *book, i int) error {
	k.mu.Lock()
	_, begun := b.intents[i]
	key, pace := b.entries[i].TaskKey, b.Policy.Pace.D()
	k.mu.Unlock()
	if begun && time.Now().Before(k.calm) {
		return fmt.Errorf("whether %s was cleared is not known: Airflow is asked again in %s", key, time.Until(k.calm).Round(time.Second))
	}
	if err := pause(ctx, time.Until(k.next)); err != nil {
		return err
	}
	if err := k.cfg.May(ctx); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	now, seen, err := k.cfg.Airflow.Again(short, []events.TaskKey{key})
	if err != nil {
		return err
	}
	k.mu.Lock()
	e, do, row := k.turn(b, i, seen, now.Sub(b.Window.To))
	if do == tasks.Nothing {
		err := b.write(line{I: i, Entry: &e})
		if err != nil {
			err = k.reopen(b, err)
		}
		k.mu.Unlock()
		return err
	}
	err = b.write(line{I: i, Intent: &tasks.Intent{Do: do, Try: seen[key].Try}})
	if err != nil {
		err = k.reopen(b, err)
	}
	k.mu.Unlock()
	if err != nil {
		return err
	}
	k.next = time.Now().Add(pace)
	k.log.Info("retries a task", "operation", b.Operation, "task", key.String(), "row", row, "do", string(do))
	return k.change(short, b, i, e, do, seen[key].Note)
}

// change changes one instance. An answer that did not come leaves the intent: what is true is asked before anything else.
func (k *Keeper) change(ctx context.Context, b *book, i int, e events.TaskEntry, do tasks.Do, before string) error {
	var err error
	if do == tasks.FailClear {
		err = k.cfg.Airflow.Fail(ctx, e.TaskKey)
	}
	if err == nil {
		err = k.cfg.Airflow.Clear(ctx, e.TaskKey, tasks.Note(b.Operation, e.Why, before))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	refused, definite := errors.AsType[*Refusal](err)
	switch {
	case err == nil:
		e.Action, e.Result = events.TaskCleared, events.TaskPending
	case !definite:
		k.calm = time.Now().Add(settle)
		return fmt.Errorf("clear %s: %w", e.TaskKey, err)
	default:
		if b.refused[i]++; b.refused[i] < refusals {
			return fmt.Errorf("clear %s: %w", e.TaskKey, err)
		}
		b.refused[i] = 0
		e.Action, e.Why = events.TaskWaits, "Airflow refuses to clear it: "+refused.Why
	}
	ls := []line{{I: i, Entry: &e}}
	if err == nil {
		ls = append(ls, reopened(b, &e)...)
	}
	if err := b.write(ls...); err != nil {
		return k.reopen(b, err)
	}
	k.cfg.Metrics.cleared(&e)
	return nil
}

// reopened has those watched again that come after a cleared entry.
func reopened(b *book, of *events.TaskEntry) (ls []line) {
	for i := range b.entries {
		one := []events.TaskEntry{b.entries[i]}
		if tasks.Reopen(one, of); one[0].Result != b.entries[i].Result {
			ls = append(ls, line{I: i, Entry: &one[0]})
		}
	}
	return ls
}

// pause waits, as long as ctx lasts.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
