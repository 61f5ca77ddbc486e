package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// A slow lane under virtual time: who gives up hears nothing, and it is stored nevertheless. The other lanes are not slowed.
func TestMemorySlowLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := bus.NewStore()
		for _, s := range allStreams() {
			if err := store.Create(s); err != nil {
				t.Fatal(err)
			}
		}
		m := bus.NewMemory(store, "hub-a", "hub-b", "hub-c")
		c := m.Client()
		c.Slow("hub-a", time.Second)
		a := events.AgentRef{Region: "eu", Agent: "slow"}
		lane, subject := c.Lane(0, place(0)), events.SubjectLane(0, 1, a)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := lane.Publish(ctx, subject, nil, 0); !errors.Is(err, bus.ErrUnknown) {
			t.Errorf("given up after 500 ms of 1 s: %v", err)
		}
		if d := time.Since(began); d != 500*time.Millisecond {
			t.Errorf("came back after %v", d)
		}
		if _, err := c.Lane(1, place(1)).Publish(t.Context(), events.SubjectLane(1, 1, a), nil, 0); err != nil || time.Since(began) != 500*time.Millisecond {
			t.Errorf("another lane: %v after %v", err, time.Since(began))
		}
		time.Sleep(501 * time.Millisecond) // virtual: until it arrives
		if m, err := lane.Last(t.Context(), subject); err != nil || m == nil || m.Seq != 1 {
			t.Errorf("stored after all: %+v, %v", m, err)
		}
		seq, err := lane.Publish(t.Context(), subject, nil, 1)
		if err != nil || seq != 2 || time.Since(began) != 2001*time.Millisecond {
			t.Errorf("waited for: %d, %v after %v", seq, err, time.Since(began))
		}
	})
}

// Other fates a publish can have, which the real hub's tests meet by their own means or not at all.
func TestMemoryFates(t *testing.T) {
	t.Parallel()
	store := bus.NewStore()
	if err := store.Create(events.Streams()[0]); err != nil {
		t.Fatal(err)
	}
	c := bus.NewMemory(store, "hub-a").Client()
	for fate, want := range map[bus.Fate]error{bus.FateInFlight: bus.ErrInFlight, bus.FateDenied: bus.ErrDenied, bus.FateLost: bus.ErrUnknown} {
		c.Fates(func(bus.Out) bus.Fate { return fate })
		if _, err := c.Publish(brief(t), bus.Out{Subject: events.SubjectTerm}); !errors.Is(err, want) {
			t.Errorf("fate %d: %v", fate, err)
		}
	}
	if n := c.Land(); n != 0 {
		t.Errorf("%d lost ones landed", n)
	}
	if m, err := c.Last(soon(t), events.StreamState, events.SubjectTerm); m != nil || err != nil {
		t.Errorf("stored: %v, %v", m, err)
	}
}
