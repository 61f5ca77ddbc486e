package controller

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// tellers makes those of one leader after the other, on one bus.
func tellers(t *testing.T) (client *bus.Client, next func() *teller) {
	t.Helper()
	store := bus.NewStore()
	for _, s := range events.Streams() {
		if s.Name == events.StreamEvents {
			if err := store.Create(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := bus.NewMemory(store, "r1", "r2", "r3")
	client = m.Client()
	term := events.Seq(0)
	return client, func() *teller {
		term++
		return &teller{bus: client, name: "r1/c1", log: slog.New(slog.DiscardHandler), count: func(events.Notice) {}, term: term, out: make(chan bus.Out, 16)}
	}
}

// carry publishes the first n messages that wait, all of them if n < 0, and says how many there were.
func (t *teller) carry(test *testing.T, n int) int {
	test.Helper()
	all := len(t.out)
	for i := range all {
		o := <-t.out
		if n >= 0 && i >= n {
			continue
		}
		if _, err := t.bus.Publish(test.Context(), o); err != nil {
			test.Fatal(err)
		}
	}
	return all
}

func ended(kind, id string, lost int) events.Notice {
	op := &events.Operation{ID: id, Ended: "done", Lost: &events.LostLog{Commits: lost}}
	return events.Notice{Type: kind, Group: "orders", Operation: id, Report: op, Why: "ended"}
}

// A leader that dies between recording an end and telling of it is followed by one that tells; of what the bus has, nothing is told twice.
func TestReportsOfADeadLeaderAreToldByTheNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(t *testing.T, first *teller, n events.Notice)
		want   int
	}{
		"nothing left":         {func(t *testing.T, first *teller, n events.Notice) {}, 2},
		"only the report left": {func(t *testing.T, first *teller, n events.Notice) { first.tell(n); first.carry(t, 1) }, 2},
		"both left":            {func(t *testing.T, first *teller, n events.Notice) { first.tell(n); first.carry(t, -1) }, 0},
		"a later one has followed": {func(t *testing.T, first *teller, n events.Notice) {
			first.tell(n)
			first.tell(ended(n.Type, "orders-restore-9", 0))
			first.carry(t, -1)
		}, 0},
		"the report was replaced": {func(t *testing.T, first *teller, n events.Notice) {
			first.tell(n)
			n.Type = events.NoticeProtected
			first.tell(n)
			first.carry(t, -1)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, next := tellers(t)
			n := ended(events.NoticeRestored, "orders-restore-3", 7)
			c.before(t, next(), n)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			second := next()
			second.again(ctx, []events.Notice{n})
			if got := second.carry(t, -1); got != c.want {
				t.Fatalf("%d messages, want %d", got, c.want)
			}
			third := next()
			third.again(ctx, []events.Notice{n})
			if got := third.carry(t, -1); got != 0 {
				t.Fatalf("the third leader tells once more: %d messages", got)
			}
			m, err := client.Last(ctx, events.StreamEvents, events.SubjectOperation(n.Operation))
			if err != nil || m == nil {
				t.Fatalf("the report: %v %v", m, err)
			}
			var env events.Envelope
			var told events.Notice
			if json.Unmarshal(m.Data, &env) != nil || json.Unmarshal(env.Data, &told) != nil || told.Report.Lost.Commits != 7 {
				t.Errorf("the report says %s", m.Data)
			}
		})
	}
}

// Whoever tells it, it bears the same id: a follower that hears it twice knows.
func TestReportsBearTheIDOfTheirOperation(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	_, next := tellers(t)
	for range 2 {
		l := next()
		l.tell(events.Notice{Type: events.NoticeLeader})
		l.tell(ended(events.NoticeServing, "orders-4", 0))
		for range len(l.out) {
			ids[(<-l.out).ID] = true
		}
	}
	for _, want := range []string{"1-1", "2-1", "orders-4-serving", "orders-4-serving-report"} {
		if !ids[want] {
			t.Errorf("no %s among %v", want, ids)
		}
	}
	if len(ids) != 4 {
		t.Errorf("%v, want 4", ids)
	}
}
