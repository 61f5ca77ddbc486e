package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

const (
	pollEvery = time.Second
	pollMost  = 20   // operations asked about at once
	followed  = 4096 // events that may wait; what is dropped beyond that is found by polling
)

// ErrStillRunning: an operation had not ended when its follower stopped. It goes on.
var ErrStillRunning = errors.New("still under way")

// ErrUnprotected: a move is done, but no healthy passive was there yet when its follower stopped.
var ErrUnprotected = errors.New("not protected yet")

// Follower follows operations from before they are asked for, so that none of their events is missed. For one goroutine.
type Follower struct {
	c     *Client
	in    chan Event
	later []Event         // of groups followed, about what was not followed yet: the swap that follows a restore
	told  map[string]bool // ids of events, for a publish that was repeated is told twice
	stop  func()
}

// Follow begins to listen. Call Stop when done.
func (c *Client) Follow() (*Follower, error) {
	f := &Follower{c: c, in: make(chan Event, followed), told: map[string]bool{}}
	stop, err := c.Events(func(e Event) {
		select {
		case f.in <- e:
		default:
		}
	})
	f.stop = stop
	return f, err
}

// Stop ends the listening.
func (f *Follower) Stop() { f.stop() }

// Until hands every event of the operations to told and returns when each has ended, in the order of ops. An end is heard of by an event; in case one is lost
// the leader is asked every second, too. When ctx ends first it returns those that ended, and ErrStillRunning naming the others.
func (f *Follower) Until(ctx context.Context, ops []events.AnswerItem, told func(Event)) ([]events.Operation, error) {
	return f.follow(ctx, ops, func(o *events.Operation) bool { return o.Ended != "" }, ErrStillRunning, told)
}

// Protected goes on after moves were done until the group of each has a healthy passive again. When ctx ends first it returns those that have, and
// ErrUnprotected naming the others. One that was not done is not waited for.
func (f *Follower) Protected(ctx context.Context, ops []events.AnswerItem, told func(Event)) ([]events.Operation, error) {
	return f.follow(ctx, ops, func(o *events.Operation) bool { return o.Protected != 0 || (o.Ended != "" && o.Ended != "done") }, ErrUnprotected, told)
}

func (f *Follower) follow(ctx context.Context, ops []events.AnswerItem, over func(*events.Operation) bool, unmet error, told func(Event)) ([]events.Operation, error) {
	w := &watch{over: over, group: map[string]string{}, ended: map[string]events.Operation{}}
	for _, o := range ops {
		if _, twice := w.group[o.Operation]; !twice {
			w.group[o.Operation] = o.Group
			w.order = append(w.order, o.Operation)
		}
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	polled := make(chan []events.Operation, 1)
	polling := false
	poll := func() {
		if !polling {
			polling = true
			go f.c.reports(ctx, w.some(), polled)
		}
	}
	poll() // what was asked for before may be over before
	take := func(e Event) {
		if _, ours := w.group[e.Notice.Operation]; !ours {
			f.keep(e, ops)
		} else if f.tell(e, told) && w.take(&e.Notice) {
			poll()
		}
	}
	f.again(take)
	for len(w.ended) < len(w.group) {
		select {
		case e := <-f.in:
			take(e)
		case <-tick.C:
			poll()
		case done := <-polled:
			polling = false
			for _, o := range done {
				w.end(o)
			}
		case <-ctx.Done():
			return w.results(), fmt.Errorf("%s: %w", strings.Join(w.left(), ", "), unmet)
		}
	}
	for more := true; more; { // an end that was found by asking is told of, too, if its event is here
		select {
		case e := <-f.in:
			take(e)
		default:
			more = false
		}
	}
	return w.results(), nil
}

// keep keeps an event of a followed group for what may be followed next.
func (f *Follower) keep(e Event, ops []events.AnswerItem) {
	for _, o := range ops {
		if e.Notice.Group == o.Group && len(f.later) < followed {
			f.later = append(f.later, e)
			return
		}
	}
}

// again hands on what was kept.
func (f *Follower) again(take func(Event)) {
	kept := f.later
	f.later = nil
	for _, e := range kept {
		take(e)
	}
}

// tell tells an event once and reports whether it was new.
func (f *Follower) tell(e Event, told func(Event)) bool {
	if f.told[e.ID] {
		return false
	}
	f.told[e.ID] = true
	told(e)
	return true
}

// Next waits for the move that the leader begins by itself once a restore is done that was asked for by ask, as a failback's is. Every event of the group
// is handed to told meanwhile. It returns the move; or the restore as failed, if the leader gave up what was to follow it; or ErrStillRunning when ctx ends.
func (f *Follower) Next(ctx context.Context, ask string, restore events.AnswerItem, told func(Event)) (events.Operation, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	take := func(e Event) bool {
		return e.Notice.Group == restore.Group && f.tell(e, told) && e.Notice.Operation != ""
	}
	f.again(func(e Event) { take(e) })
	for {
		if o, ok := f.c.follows(ctx, ask, restore); ok {
			return o, nil
		}
		for again := false; !again; {
			select {
			case e := <-f.in:
				again = take(e)
			case <-tick.C:
				again = true
			case <-ctx.Done():
				return events.Operation{}, fmt.Errorf("what follows %s has not begun: %w", restore.Operation, ErrStillRunning)
			}
		}
	}
}

// follows finds what follows a restore: the operation of its group that bears the id of the same ask, or the restore itself if it ended otherwise than done.
func (c *Client) follows(ctx context.Context, ask string, restore events.AnswerItem) (events.Operation, bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*pollEvery)
	defer cancel()
	var now, kept struct{ Operation events.Operation }
	if err := c.Query(ctx, "report", map[string]string{"group": restore.Group}, &now); err == nil && now.Operation.Ask == ask && now.Operation.ID != restore.Operation {
		return now.Operation, true
	}
	err := c.Query(ctx, "report", map[string]string{"operation": restore.Operation}, &kept)
	return kept.Operation, err == nil && kept.Operation.Ended != "" && kept.Operation.Ended != "done"
}
