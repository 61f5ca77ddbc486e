package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/client"
)

// follower is a client that follows, and a leader of one's own on the same bus.
func follower(t *testing.T) (*client.Follower, *client.Client, *bus.Client) {
	t.Helper()
	c, b := twin(t)
	f, err := c.Follow()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f, c, b
}

// tell publishes a notice as the leader does, by its id.
func tell(t *testing.T, b *bus.Client, id string, n events.Notice) {
	t.Helper()
	env, err := events.Wrap(n, "1", "test", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	env.ID = id
	data, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{events.SubjectEvent(n), events.SubjectOperation(n.Operation)} {
		if _, err := b.Publish(t.Context(), bus.Out{Subject: subject, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func item(group, op string) events.AnswerItem { return events.AnswerItem{Group: group, Operation: op} }

// reports answers every query for a report: what is asked for by its operation, or by its group.
func reports(t *testing.T, b *bus.Client, f func(q map[string]string) (events.Operation, bool)) {
	t.Helper()
	serve(t, b, events.Prefix+"q.report", func(m bus.Message) any {
		var q map[string]string
		if err := json.Unmarshal(m.Data, &q); err != nil {
			t.Error(err)
		}
		op, ok := f(q)
		if !ok {
			return map[string]string{"error": "no such operation"}
		}
		return map[string]any{"group": "orders", "operation": op}
	})
}

// What is told between the ask and its answer is not missed, and an operation that has not ended is named when time is up.
func TestFollow(t *testing.T) {
	t.Parallel()
	f, c, b := follower(t)
	tell(t, b, "1", events.Notice{Type: events.NoticeServing, Group: "orders", Operation: "orders-8", Report: &events.Operation{ID: "orders-8", Ended: "done"}})
	told := 0
	ops, err := f.Until(within(t, 500*time.Millisecond), []events.AnswerItem{item("billing", "billing-2"), item("orders", "orders-8")}, func(client.Event) { told++ })
	if !errors.Is(err, client.ErrStillRunning) || err.Error() != "billing-2: still under way" {
		t.Errorf("got %v", err)
	}
	if len(ops) != 1 || ops[0].ID != "orders-8" || told != 1 {
		t.Errorf("ended %+v, told %d events", ops, told)
	}
	es, err := c.History(t.Context(), "orders")
	if err != nil || len(es) != 1 || es[0].Notice.Operation != "orders-8" {
		t.Errorf("history %+v, %v", es, err)
	}
}

// Whatever ends an operation ends it, whether it moves a group or works on a cluster.
func TestEnds(t *testing.T) {
	t.Parallel()
	for i, c := range []struct{ kind, op, ended string }{
		{events.NoticeServing, "orders-8", "done"}, {events.NoticeAborted, "orders-8", "aborted"}, {events.NoticeRestored, "orders-restore-3", "done"},
		{events.NoticeFailed, "orders-restore-3", "failed"}, {events.NoticeAborted, "orders-rebuild-4", "aborted"}, {events.NoticeServing, "orders-restart-5", "done"},
	} {
		f, _, b := follower(t)
		tell(t, b, "begun", events.Notice{Type: events.NoticeRestoring, Group: "orders", Operation: c.op})
		tell(t, b, "ended", events.Notice{Type: c.kind, Group: "orders", Operation: c.op, Report: &events.Operation{ID: c.op, Ended: c.ended}})
		var told []string
		ops, err := f.Until(within(t, 20*time.Second), []events.AnswerItem{item("orders", c.op), item("orders", c.op)}, func(e client.Event) { told = append(told, e.ID) })
		if err != nil || len(ops) != 1 || ops[0].Ended != c.ended {
			t.Errorf("%d: ended %+v, %v", i, ops, err)
		}
		if d := cmp.Diff([]string{"begun", "ended"}, told); d != "" {
			t.Errorf("%d: told (-want +got):\n%s", i, d)
		}
	}
}

// An answer that it still runs is no end.
func TestFollowByAsking(t *testing.T) {
	t.Parallel()
	f, _, b := follower(t)
	asked := 0
	reports(t, b, func(map[string]string) (events.Operation, bool) {
		op := events.Operation{ID: "orders-8"}
		if asked++; asked > 1 {
			op.Ended = "done"
		}
		return op, true
	})
	ops, err := f.Until(within(t, 20*time.Second), []events.AnswerItem{item("orders", "orders-8")}, func(client.Event) {})
	if err != nil || len(ops) != 1 || ops[0].Ended != "done" {
		t.Errorf("%+v, %v", ops, err)
	}
}

// A move that gave way is known by the group's newer one. A restore has no epoch: what the group does tells nothing of it.
func TestGaveWay(t *testing.T) {
	t.Parallel()
	for op, want := range map[string]string{"orders-8": "its group went on to orders-9", "orders-restore-3": ""} {
		f, _, b := follower(t)
		reports(t, b, func(q map[string]string) (events.Operation, bool) {
			return events.Operation{ID: "orders-9"}, q["group"] == "orders"
		})
		limit := 20 * time.Second
		if want == "" {
			limit = 300 * time.Millisecond
		}
		ops, err := f.Until(within(t, limit), []events.AnswerItem{item("orders", op)}, func(client.Event) {})
		switch {
		case want == "" && !errors.Is(err, client.ErrStillRunning):
			t.Errorf("%s: %+v, %v: want it still under way", op, ops, err)
		case want != "" && (err != nil || len(ops) != 1 || ops[0].EndWhy != want):
			t.Errorf("%s: %+v, %v: want %q", op, ops, err, want)
		}
	}
}

// After its end a move is followed until it is protected, by an event or by asking; what was told before is not told again.
func TestProtected(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		f, _, b := follower(t)
		moves := []events.AnswerItem{item("orders", "orders-8")}
		done := events.Operation{ID: "orders-8", Ended: "done", Serving: time.Second}
		tell(t, b, "serving", events.Notice{Type: events.NoticeServing, Group: "orders", Operation: "orders-8", Report: &done})
		var seen []string
		note := func(e client.Event) { seen = append(seen, e.ID) }
		if _, err := f.Until(within(t, 20*time.Second), moves, note); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Protected(within(t, 100*time.Millisecond), moves, note); !errors.Is(err, client.ErrUnprotected) || errors.Is(err, client.ErrStillRunning) {
			t.Fatalf("got %v: it is not protected", err)
		}
		again := done
		again.Protected = 14 * time.Second
		want := []string{"serving"}
		if told {
			tell(t, b, "serving", events.Notice{Type: events.NoticeServing, Group: "orders", Operation: "orders-8", Report: &done})
			tell(t, b, "protected", events.Notice{Type: events.NoticeProtected, Group: "orders", Operation: "orders-8", Report: &again})
			want = append(want, "protected")
		} else {
			reports(t, b, func(map[string]string) (events.Operation, bool) { return again, true })
		}
		ops, err := f.Protected(within(t, 20*time.Second), moves, note)
		if err != nil || len(ops) != 1 || ops[0].Protected != 14*time.Second {
			t.Errorf("%+v, %v", ops, err)
		}
		if d := cmp.Diff(want, seen); d != "" {
			t.Errorf("told (-want +got):\n%s", d)
		}
	}
}

// The swap that follows a failback's restore bears the id of its ask; a leader that gives it up says so by the restore's own id.
func TestNext(t *testing.T) {
	t.Parallel()
	restore := item("orders", "orders-restore-3")
	for name, c := range map[string]struct {
		last events.Operation // of the group, from the second answer on
		own  string           // how the restore's report ends from then on
		want string
	}{
		"begun":    {events.Operation{ID: "orders-9", Ask: "mine"}, "done", "orders-9"},
		"given up": {events.Operation{ID: "orders-8", Ask: "another"}, "failed", "orders-restore-3"},
		"neither":  {events.Operation{ID: "orders-9", Ask: "another"}, "done", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _, b := follower(t)
			var asked atomic.Int64
			reports(t, b, func(q map[string]string) (events.Operation, bool) {
				early := asked.Add(1) <= 2
				switch {
				case q["group"] != "" && early:
					return events.Operation{ID: "orders-8", Ask: "another"}, true
				case q["group"] != "":
					return c.last, true
				case early:
					return events.Operation{ID: restore.Operation, Ended: "done"}, true
				}
				return events.Operation{ID: restore.Operation, Ended: c.own}, true
			})
			tell(t, b, "wait", events.Notice{Type: events.NoticeWait, Group: "orders", Why: "12 MB behind"})
			tell(t, b, "other", events.Notice{Type: events.NoticeWait, Group: "billing"})
			var seen []string
			limit := 20 * time.Second
			if c.want == "" {
				limit = 1500 * time.Millisecond
			}
			op, err := f.Next(within(t, limit), "mine", restore, func(e client.Event) { seen = append(seen, e.ID) })
			if op.ID != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %+v, %v", op, err)
			}
			if c.want == "" && err.Error() != "what follows orders-restore-3 has not begun: still under way" {
				t.Errorf("got %v", err)
			}
			if fmt.Sprint(seen) != "[wait]" {
				t.Errorf("told %v: want what concerns the group", seen)
			}
		})
	}
}
