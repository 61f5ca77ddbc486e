package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// lostAnswer: it is stored, and nobody tells.
func lostAnswer(t *testing.T, r rig) {
	b, n := r.party(t), own()
	must(t, b, bus.Out{Subject: n.rec, Data: text("one"), Last: bus.LastIs(0)})
	b.mute()
	if _, err := b.Publish(brief(t), bus.Out{Subject: n.rec, Data: text("two")}); !errors.Is(err, bus.ErrUnknown) {
		t.Errorf("no answer: %v", err)
	}
	b.release()
	lastIs(t, b, n.rec, "two")
}

// lateArrival: it is stored after the caller gave up.
func lateArrival(t *testing.T, r rig) {
	b, other, n := r.party(t), r.party(t), own()
	first := must(t, b, bus.Out{Subject: n.rec, Data: text("one"), Last: bus.LastIs(0)})
	b.hold()
	if _, err := b.Publish(brief(t), bus.Out{Subject: n.rec, Data: text("two"), Last: &first}); !errors.Is(err, bus.ErrUnknown) {
		t.Errorf("no answer: %v", err)
	}
	lastIs(t, other, n.rec, "one")
	b.release()
	lastIs(t, other, n.rec, "two")
}

// blackHole: the nearest server swallows everything. Its lane is cut off at once when that is noticed, everything else moves on.
func blackHole(t *testing.T, r rig) {
	b, n := r.party(t), own()
	a := n.agent
	lane, subject := b.Lane(0, place(0)), events.SubjectLane(0, 1, a)
	var heard inbox
	stop, err := b.Subscribe(n.did, heard.put)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	seq, err := lane.Publish(soon(t), subject, text("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	b.cut(0)
	began := time.Now()
	if _, err := lane.Publish(soon(t), subject, text("two"), seq); !errors.Is(err, bus.ErrUnknown) && !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("into the black hole: %v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the lane's call came back after %v, its deadline, not when the connection dropped", d)
	}
	eventually(t, "the region is known to be gone", func() bool { return !b.Regions()["hub-a"] })
	if _, err := lane.Publish(soon(t), subject, text("three"), seq); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("with the connection gone: %v", err)
	}
	must(t, b, bus.Out{Subject: n.rec, Data: text("goes on")})
	for i := 0; len(heard.all()) == 0; i++ { // the subscription moves while we publish
		must(t, b, bus.Out{Subject: n.cmd, Data: fmt.Append(nil, i)})
		if i > 2000 {
			t.Fatal("the subscription never moved to another server")
		}
	}
	if _, err := b.Lane(1, place(1)).Publish(soon(t), events.SubjectLane(1, 1, a), nil, 0); err != nil {
		t.Errorf("the next lane: %v", err)
	}
	drain(lane.Changed())
	b.mend(0)
	select {
	case <-lane.Changed():
	case <-time.After(30 * time.Second):
		t.Fatal("nobody said that the lane's connection is back")
	}
	m, err := lane.Last(soon(t), subject)
	if err != nil || m == nil {
		t.Fatalf("read the lane again: %v, %v", m, err)
	}
	if _, err := lane.Publish(soon(t), subject, text("four"), m.Seq); err != nil {
		t.Errorf("publish on the lane again: %v", err)
	}
}

func drain(ch <-chan struct{}) {
	select {
	case <-ch:
	default:
	}
}

func consuming(t *testing.T, r rig) {
	b, n := r.party(t), own()
	subject := events.SubjectOp("reader", n.id)
	for i := range 300 {
		must(t, b, bus.Out{Subject: subject, Data: fmt.Append(nil, i)})
	}
	var mu sync.Mutex
	var got []string
	refused := 0
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Consume(ctx, events.StreamOps, "consuming-"+n.id, func(_ context.Context, m bus.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if m.Subject != subject {
				return nil
			}
			if string(m.Data) == "7" && refused < 3 {
				refused++
				return errors.New("not now")
			}
			got = append(got, string(m.Data))
			return nil
		})
	}()
	eventually(t, "all are handed over", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= 300 })
	must(t, b, bus.Out{Subject: subject, Data: text("300")})
	eventually(t, "a new one is handed over", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= 301 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	var want []string
	for i := range 301 {
		want = append(want, fmt.Sprint(i))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("once each and in order: %s", d)
	}
	if refused != 3 {
		t.Errorf("the refused one was handed over %d times before it was taken", refused)
	}
}

// consumingByTurns: a reader dies with a message in hand; the next one gets that first, and then the rest in order.
func consumingByTurns(t *testing.T, r rig) {
	b, n := r.party(t), own()
	subject := events.SubjectReport(n.agent, "")
	for i := range 40 {
		must(t, b, bus.Out{Subject: subject + fmt.Sprintf("c%d", i), Data: fmt.Append(nil, i)})
	}
	var mu sync.Mutex
	var got []string
	read := func(from bus.Bus, until int) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = from.Consume(ctx, events.StreamReport, "turns-"+n.id, func(_ context.Context, m bus.Message) error {
				mu.Lock()
				defer mu.Unlock()
				if !strings.HasPrefix(m.Subject, subject) {
					return nil
				}
				if len(got) == until {
					cancel()
					return errors.New("dies here")
				}
				got = append(got, string(m.Data))
				return nil
			})
		}()
		if until > 40 {
			eventually(t, "the second reader has everything", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= 40 })
			cancel()
		}
		<-done
		cancel()
	}
	read(b, 5)
	read(r.party(t), 41)
	last := events.Seq(0)
	for i, v := range got {
		if v != fmt.Sprint(i) && !(i > 0 && i <= 6) { // the fifth may come again: its acknowledgement was on the way
			t.Fatalf("in order, without a gap: %v", got)
		}
		last++
	}
	unique := slices.Compact(slices.Clone(got))
	if len(unique) != 40 {
		t.Errorf("%d different messages of 40: %v", len(unique), got)
	}
}

func requests(t *testing.T, r rig) {
	b, other, n := r.party(t), r.party(t), own()
	pattern, asked := events.SubjectDo("*", n.id), events.SubjectDo("me", n.id)
	if _, err := b.Request(soon(t), asked, nil); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("nobody serves it: %v", err)
	}
	stop, err := other.Serve(bus.Service{Name: "switchback", Version: "1.0.0", Description: "door"}, pattern, func(m bus.Message) []byte {
		return []byte(m.Subject + " " + string(m.Data))
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	eventually(t, "the door answers", func() bool {
		got, err = b.Request(soon(t), asked, text("please"))
		return err == nil
	})
	if want := asked + " please"; string(got) != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	stop()
	eventually(t, "the door is closed", func() bool {
		_, err := b.Request(brief(t), asked, nil)
		return errors.Is(err, bus.ErrUnavailable)
	})
	plain := "switchback.look." + n.id
	unsub, err := other.Subscribe(plain, func(m bus.Message) {
		if err := other.Send(m.Reply, text("seen")); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unsub()
	eventually(t, "a plain subscriber answers", func() bool {
		got, err := b.Request(soon(t), plain, nil)
		return err == nil && string(got) == "seen"
	})
}

// serverLost stops each server in turn: its lane fails at once and with the right error, the others and everything else go on, and it heals.
func serverLost(t *testing.T, r rig) {
	b := r.party(t)
	n := own()
	a := n.agent
	for i := range events.Lanes {
		lane, subject := b.Lane(i, place(i)), events.SubjectLane(i, 1, a)
		var at events.Seq
		if m, err := lane.Last(soon(t), subject); err == nil && m != nil {
			at = m.Seq
		}
		seq, err := lane.Publish(soon(t), subject, text("before"), at)
		if err != nil {
			t.Fatalf("lane %d: %v", i, err)
		}
		r.stop(i)
		began := time.Now()
		_, err = lane.Publish(soon(t), subject, text("lost"), seq)
		if !errors.Is(err, bus.ErrUnknown) && !errors.Is(err, bus.ErrUnavailable) {
			t.Errorf("lane %d of a stopped server: %v", i, err)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("lane %d failed only after %v", i, d)
		}
		for j := range events.Lanes {
			if j == i {
				continue
			}
			other, subject := b.Lane(j, place(j)), events.SubjectLane(j, 1, a)
			m, err := other.Last(soon(t), subject)
			if err != nil {
				t.Fatalf("lane %d while server %d is stopped: %v", j, i, err)
			}
			var at events.Seq
			if m != nil {
				at = m.Seq
			}
			if _, err := other.Publish(soon(t), subject, text("on"), at); err != nil {
				t.Errorf("lane %d while server %d is stopped: %v", j, i, err)
			}
		}
		eventually(t, "the record can be written without one server", func() bool {
			_, err := b.Publish(brief(t), bus.Out{Subject: n.rec, Data: fmt.Append(nil, i)})
			return err == nil
		})
		r.start(t, i)
		var m *bus.Message
		eventually(t, "the lane is back with what it had stored", func() bool {
			m, err = lane.Last(brief(t), subject)
			return err == nil && m != nil
		})
		if m.Seq < seq {
			t.Errorf("lane %d came back at %d, it had acknowledged %d", i, m.Seq, seq)
		}
		if _, err := lane.Publish(soon(t), subject, text("after"), m.Seq); err != nil {
			t.Errorf("lane %d after its server is back: %v", i, err)
		}
		eventually(t, "the record can be written with all servers", func() bool {
			_, err := b.Publish(brief(t), bus.Out{Subject: n.rec, Data: fmt.Append(nil, i)})
			return err == nil
		})
	}
	for _, subject := range []string{events.SubjectGroup(n.id), events.SubjectReport(a, "c"), events.SubjectOp("me", n.id), events.SubjectHealth(a, "full")} {
		eventually(t, "every stream is back: "+subject, func() bool {
			_, err := b.Publish(brief(t), bus.Out{Subject: subject})
			return err == nil
		})
	}
}
