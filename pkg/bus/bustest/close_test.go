package bustest_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// A bus that is closed leaves nothing behind, whether its servers were there or not, and neither does a hub that is shut down.
func TestCloseLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	h, err := bus.StartHub(bus.HubConfig{
		Name: "alone", Region: "hub-a", StoreDir: t.TempDir(), Listen: bus.Listen{Host: "127.0.0.1", Port: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := bus.Connect(ctx, bus.Options{Servers: []bus.Server{{Region: "hub-a", URL: h.URL()}, {Region: "hub-b", URL: "nats://127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Ensure(ctx, events.Streams(), 1, false); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Subscribe("switchback.look", func(bus.Message) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Serve(bus.Service{Name: "switchback", Version: "1.0.0"}, "switchback.do.*.*", func(bus.Message) []byte { return nil }); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	reading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Consume(reading, events.StreamOps, "reader", func(context.Context, bus.Message) error { close(read); return nil })
	}()
	if _, err := b.Publish(ctx, bus.Out{Subject: events.SubjectOp("ann", "arm")}); err != nil {
		t.Fatal(err)
	}
	<-read
	stop()
	<-done
	b.Close()
}
