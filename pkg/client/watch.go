package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// watch is what is known of the operations followed.
type watch struct {
	over  func(*events.Operation) bool // what is waited for
	order []string
	group map[string]string           // of each operation
	ended map[string]events.Operation // those that are over
	next  int
}

// take takes an event of ours and reports whether the leader has to be asked: it ends something without saying how in full.
func (w *watch) take(n *events.Notice) (ask bool) {
	switch n.Type {
	case events.NoticeServing, events.NoticeRestored, events.NoticeProtected, events.NoticeAborted, events.NoticeFailed, events.NoticeRefused:
		if n.Report != nil {
			w.end(*n.Report)
		}
		return n.Report == nil
	}
	return false
}

// end notes an operation that is over. A later word on it counts more: it knows the second clock, and what was lost.
func (w *watch) end(o events.Operation) {
	_, ours := w.group[o.ID]
	if ours && w.over(&o) && o.Protected >= w.ended[o.ID].Protected {
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

func (w *watch) left() (ids []string) {
	for _, id := range w.order {
		if _, ok := w.ended[id]; !ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// some are the operations to ask about now, in turn.
func (w *watch) some() (items []events.AnswerItem) {
	for range w.order {
		id := w.order[w.next%len(w.order)]
		w.next++
		if _, over := w.ended[id]; !over {
			items = append(items, events.AnswerItem{Operation: id, Group: w.group[id]})
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

// report asks what became of one operation. A move that gave way to a newer one of its group leaves no report of its own; a restore always does.
func (c *Client) report(ctx context.Context, i events.AnswerItem) (events.Operation, error) {
	var kept, now struct{ Operation events.Operation }
	err := c.Query(ctx, "report", map[string]string{"operation": i.Operation}, &kept)
	if _, unknown := errors.AsType[Refusal](err); !unknown || epoch(i.Group, i.Operation) == 0 {
		return kept.Operation, err
	}
	if err := c.Query(ctx, "report", map[string]string{"group": i.Group}, &now); err != nil || now.Operation.ID == i.Operation {
		return now.Operation, err
	}
	if epoch(i.Group, now.Operation.ID) > epoch(i.Group, i.Operation) {
		return events.Operation{ID: i.Operation, Ended: "failed", EndWhy: "its group went on to " + now.Operation.ID}, nil
	}
	return events.Operation{}, err
}

// epoch is the number in the id of a move, group-epoch; 0 for anything else, as for group-restore-3.
func epoch(group, id string) uint64 {
	number, ok := strings.CutPrefix(id, group+"-")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return 0
	}
	return n
}

func sortBySeq(ms []bus.Message) {
	slices.SortFunc(ms, func(a, b bus.Message) int { return cmp.Compare(a.Seq, b.Seq) })
}
