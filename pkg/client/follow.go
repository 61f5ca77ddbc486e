package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

func sortBySeq(ms []bus.Message) {
	slices.SortFunc(ms, func(a, b bus.Message) int { return cmp.Compare(a.Seq, b.Seq) })
}

const (
	pollEvery = time.Second
	pollMost  = 20   // operations asked about at once
	followed  = 4096 // events that may wait; what is dropped beyond that is found by polling
)

// ErrStillRunning: an operation had not ended when its follower stopped. It goes on.
var ErrStillRunning = errors.New("still under way")

// Follower follows operations from before they are asked for, so that none of their events is missed.
type Follower struct {
	c    *Client
	in   chan Event
	stop func()
}

// Follow begins to listen. Call Stop when done.
func (c *Client) Follow() (*Follower, error) {
	f := &Follower{c: c, in: make(chan Event, followed)}
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
	w := &watch{open: map[string]string{}, ended: map[string]events.Operation{}, told: map[string]bool{}}
	for _, o := range ops {
		w.open[o.Operation] = o.Group
		w.order = append(w.order, o.Operation)
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
	poll() // an ask that was taken before may have ended before
	for len(w.open) > 0 {
		select {
		case e := <-f.in:
			if w.take(e, told) {
				poll()
			}
		case <-tick.C:
			poll()
		case done := <-polled:
			polling = false
			for _, o := range done {
				w.end(o)
			}
		case <-ctx.Done():
			var left []string
			for _, id := range w.order {
				if _, open := w.open[id]; open {
					left = append(left, id)
				}
			}
			return w.results(), fmt.Errorf("%s: %w", strings.Join(left, ", "), ErrStillRunning)
		}
	}
	return w.results(), nil
}

// watch is what is known of the operations followed.
type watch struct {
	order []string
	open  map[string]string // operation: group
	ended map[string]events.Operation
	told  map[string]bool // ids of events, for a publish that was repeated is told twice
	next  int
}

// take tells an event of ours and reports whether it ends an operation without saying how it ended in full.
func (w *watch) take(e Event, told func(Event)) (ask bool) {
	n := &e.Notice
	_, open := w.open[n.Operation]
	if !open || w.told[e.ID] {
		return false
	}
	w.told[e.ID] = true
	told(e)
	switch n.Type {
	case events.NoticeServing, events.NoticeAborted, events.NoticeFailed, events.NoticeRefused:
		if n.Report != nil {
			w.end(*n.Report)
		}
		return n.Report == nil
	}
	return false
}

func (w *watch) end(o events.Operation) {
	if _, open := w.open[o.ID]; open && o.Ended != "" {
		delete(w.open, o.ID)
		w.ended[o.ID] = o
	}
}

func (w *watch) results() (all []events.Operation) {
	for _, id := range w.order {
		if o, ok := w.ended[id]; ok {
			all = append(all, o)
		}
	}
	return all
}

// some are the operations to ask about now, in turn.
func (w *watch) some() (items []events.AnswerItem) {
	for range w.order {
		id := w.order[w.next%len(w.order)]
		w.next++
		if group, open := w.open[id]; open {
			items = append(items, events.AnswerItem{Operation: id, Group: group})
			if len(items) == pollMost {
				break
			}
		}
	}
	return items
}

func (c *Client) reports(ctx context.Context, items []events.AnswerItem, out chan<- []events.Operation) {
	ctx, cancel := context.WithTimeout(ctx, 2*pollEvery)
	defer cancel()
	var ops []events.Operation
	for _, i := range items {
		if o, err := c.report(ctx, i); err == nil {
			ops = append(ops, o)
		}
	}
	out <- ops
}

// report asks what became of one operation. One that gave way to a newer one of its group leaves no report of its own.
func (c *Client) report(ctx context.Context, i events.AnswerItem) (events.Operation, error) {
	var now, kept struct{ Operation events.Operation }
	if err := c.Query(ctx, "report", map[string]string{"group": i.Group}, &now); err != nil || now.Operation.ID == i.Operation {
		return now.Operation, err
	}
	err := c.Query(ctx, "report", map[string]string{"operation": i.Operation}, &kept)
	if _, unknown := errors.AsType[Refusal](err); unknown && number(now.Operation.ID) > number(i.Operation) {
		return events.Operation{ID: i.Operation, Ended: "failed", EndWhy: "its group went on to " + now.Operation.ID}, nil
	}
	return kept.Operation, err
}

// number is the epoch at the end of an operation's id; 0 if there is none.
func number(id string) uint64 {
	n, _ := strconv.ParseUint(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	return n
}
