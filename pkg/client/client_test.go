package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/client"
)

// twin is a bus in memory: one client that asks, one that answers.
func twin(t *testing.T) (asks *client.Client, answers *bus.Client) {
	t.Helper()
	store := bus.NewStore()
	for _, s := range events.Streams() {
		if err := store.Create(s); err != nil {
			t.Fatal(err)
		}
	}
	m := bus.NewMemory(store, "a")
	return client.New(m.Client()), m.Client()
}

func serve(t *testing.T, d bus.Door, pattern string, f func(bus.Message) any) {
	t.Helper()
	stop, err := d.Serve(bus.Service{Name: "test", Version: "1.0.0"}, pattern, func(m bus.Message) []byte {
		b, err := json.Marshal(f(m))
		if err != nil {
			t.Error(err)
		}
		return b
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

// While nobody leads an ask is repeated, with the same id.
func TestAskWaitsForALeader(t *testing.T) {
	t.Parallel()
	c, b := twin(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	time.AfterFunc(300*time.Millisecond, func() {
		serve(t, b, events.SubjectDo("*", "*"), func(m bus.Message) any {
			a, err := events.DecodeAsk("alice", "arm", m.Data)
			if err != nil {
				t.Error(err)
			}
			return events.Answer{ID: a.ID, Hash: "h", Accepted: true}
		})
	})
	ans, err := c.Ask(ctx, events.Ask{ID: "same", Verb: events.AskArm, Actor: "alice"})
	if err != nil || ans.ID != "same" || !ans.Accepted {
		t.Fatalf("%+v, %v", ans, err)
	}
}

func TestAskErrors(t *testing.T) {
	t.Parallel()
	c, b := twin(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Ask(ctx, events.Ask{Verb: events.AskArm, Actor: "alice"}); err == nil {
		t.Error("an ask without an id was sent: asked again it would be done twice")
	}
	if _, err := c.Ask(ctx, events.Ask{ID: "x", Verb: "explode", Actor: "alice"}); err == nil {
		t.Error("an ask that no leader takes was sent")
	}
	if _, err := c.Ask(ctx, events.Ask{ID: "x", Verb: events.AskArm, Actor: "alice"}); !errors.Is(err, client.ErrNoController) {
		t.Errorf("got %v", err)
	}
	serve(t, b, events.SubjectDo("*", "*"), func(bus.Message) any { return events.Answer{Why: "the bus is not reachable"} })
	if _, err := c.Ask(t.Context(), events.Ask{ID: "x", Verb: events.AskArm, Actor: "alice"}); !errors.Is(err, client.ErrNoController) {
		t.Errorf("got %v: the door's own word is no leader's answer", err)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	c, b := twin(t)
	serve(t, b, events.Prefix+"q.*", func(m bus.Message) any {
		if m.Subject == events.Prefix+"q.group" {
			return map[string]string{"error": "no such group"}
		}
		return map[string]string{"leader": "a/c1"}
	})
	var got struct{ Leader string }
	if err := c.Query(t.Context(), "status", struct{}{}, &got); err != nil || got.Leader != "a/c1" {
		t.Errorf("%+v, %v", got, err)
	}
	err := c.Query(t.Context(), "group", struct{}{}, &got)
	if r, ok := errors.AsType[client.Refusal](err); !ok || r != "no such group" {
		t.Errorf("got %v", err)
	}
}
