package regionagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/account"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// accounts is what an agent keeps of the tasks of one workflow cluster.
type accounts struct {
	keeper   *account.Keeper
	due      string      // file: a start was ordered after which the tasks it found have to be accounted for
	starting atomic.Bool // … and it has not ended
	wake     chan struct{}
}

// newAccounts makes the keeper of a workflow's tasks, nil where its driver knows of none.
func (a *agent) newAccounts(c *cluster, m *account.Metrics) *accounts {
	w, ok := c.driver.(account.Workflow)
	if !ok || w.Tasks() == nil {
		return nil
	}
	dir := filepath.Join(a.cfg.State, "tasks", c.ref.Cluster)
	k, err := account.New(account.Config{
		Cluster: c.ref, Dir: dir, Airflow: w.Tasks(), Metrics: m.Of(c.ref),
		May:     func(ctx context.Context) error { _, err := a.mayRetry(ctx, c); return err },
		Publish: a.tellTasks,
		Told: func(ctx context.Context, s *events.TaskSummary) {
			a.post(ctx, func(now events.Instant) lease.Effects { return a.core.Accounted(now, c.ref, s) })
		},
	}, a.log.With("cluster", c.ref.String()))
	if err != nil {
		a.log.Error("ledgers of tasks", "cluster", c.ref.String(), telemetry.Err(err)) // the others are kept all the same
	}
	return &accounts{keeper: k, due: filepath.Join(dir, "due"), wake: make(chan struct{}, 1)}
}

// mayRetry says what the core knows of a cluster whose tasks may be changed now; the error says why they may not.
func (a *agent) mayRetry(ctx context.Context, c *cluster) (lease.View, error) {
	type seen struct {
		v     lease.View
		right bool
		last  events.ClusterHealth
	}
	told := make(chan seen, 1)
	a.post(ctx, func(now events.Instant) lease.Effects {
		v, _ := a.core.View(now, c.ref)
		told <- seen{v, v.Exempt || v.Right > now, c.last}
		return a.core.Tick(now)
	})
	select {
	case s := <-told:
		switch {
		case !s.v.Managed || s.v.Let || s.v.Role != events.RoleActive:
			return s.v, fmt.Errorf("%s is not active", c.ref)
		case s.v.Tasks == nil:
			return s.v, fmt.Errorf("%s has no policy for its tasks", c.ref)
		case !s.right:
			return s.v, fmt.Errorf("%s has no right to run now", c.ref)
		case s.last.Server != events.ServerWritable:
			return s.v, fmt.Errorf("%s does not run (%s)", c.ref, s.last.Server)
		}
		return s.v, nil
	case <-ctx.Done():
		return lease.View{}, context.Cause(ctx)
	}
}

// tellTasks stores one piece of a ledger on the bus, in place of what it held before.
func (a *agent) tellTasks(ctx context.Context, p events.TaskPart) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode a piece of a ledger: %w", err)
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = a.bus.Publish(short, bus.Out{Subject: events.SubjectTasks(p.Group, p.Summary.Operation, p.Part), Data: data})
	return err
}

// account carries out what is asked of the tasks of a cluster.
func (a *agent) account(ctx context.Context, c *cluster, act lease.Action) events.Result {
	switch {
	case c.tasks == nil:
		return events.Result{Outcome: events.Refused, Why: fmt.Sprintf("no ledger is kept of the tasks of %s: its agent's file has no api for it", c.ref)}
	case act.Verb == lease.RetryTasks && act.Retry != nil:
		return c.tasks.keeper.Retry(act.Retry)
	case act.Verb == lease.Account && act.Tasks != nil:
		r := c.tasks.keeper.Open(ctx, account.Order{Operation: act.Account, Group: act.Group, Epoch: act.Epoch, Policy: *act.Tasks})
		if r.Outcome.OK() {
			c.tasks.forget(a)
		}
		return r
	}
	return events.Result{Outcome: events.Refused, Why: fmt.Sprintf("%s of %s names nothing", act.Verb, c.ref)}
}

// starts notes, on disk, that a start is about to be carried out after which tasks have to be accounted for, and returns what to call when it has ended. A promotion has a ledger of its
// own, which the controller asks for. A start that only puts the start gate in place finds everything there: it takes the note away again, unless that is of another one.
func (x *accounts) starts(a *agent, act lease.Action) (ended func(events.Result)) {
	none := func(events.Result) {}
	switch {
	case x == nil:
		return none
	case act.Verb == lease.Promote:
		x.forget(a)
		return none
	case act.Verb != lease.Start:
		return none
	}
	_, err := os.Stat(x.due)
	fresh := err != nil
	if err := ledger.Replace(x.due, []byte(act.Step+"\n")); err != nil {
		a.log.Error("that tasks have to be accounted for is not on disk", "cluster", act.Cluster.String(), telemetry.Err(err))
	}
	x.starting.Store(true)
	return func(r events.Result) {
		if fresh && r.Outcome == events.AlreadyDone {
			x.forget(a)
		}
		x.starting.Store(false)
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
}

// forget drops the note: the tasks are accounted for.
func (x *accounts) forget(a *agent) {
	if err := os.Remove(x.due); err != nil && !errors.Is(err, os.ErrNotExist) {
		a.log.Error("remove the note that tasks have to be accounted for", telemetry.Err(err))
	}
}

// locals opens the ledger of an outage in place, once what was started runs: whoever started it may have died meanwhile.
func (a *agent) locals(ctx context.Context, c *cluster) {
	tick := time.NewTicker(a.d.ReRead)
	defer tick.Stop()
	for {
		if _, err := os.Stat(c.tasks.due); err == nil && !c.tasks.starting.Load() {
			a.local(ctx, c)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.tasks.wake:
		case <-tick.C:
		}
	}
}

func (a *agent) local(ctx context.Context, c *cluster) {
	v, err := a.mayRetry(ctx, c)
	if err != nil {
		return // not now
	}
	r := c.tasks.keeper.Open(ctx, account.Order{Group: v.Group, Epoch: v.Epoch, Policy: *v.Tasks})
	a.log.Info("ledger of an outage in place", "cluster", c.ref.String(), "outcome", string(r.Outcome), "why", r.Why)
	if r.Outcome.OK() {
		c.tasks.forget(a)
	}
}
