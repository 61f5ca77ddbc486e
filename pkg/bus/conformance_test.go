package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// TestConformance holds the in-memory hub and the real one to the same behaviour.
func TestConformance(t *testing.T) {
	for _, make := range []func(*testing.T) rig{memoryRig, natsRig} {
		r := make(t)
		t.Run(r.name, func(t *testing.T) {
			t.Run("calm", func(t *testing.T) { // these leave the servers alone, so they may run together
				for name, f := range map[string]func(*testing.T, rig){
					"conditions": conditions, "deduplication": deduplication, "batches": batches, "fences": fences, "ex-leader": exLeader,
					"refused is heard": refusedIsHeard, "reading": reading, "reading many": readingMany, "lanes": lanes, "consuming": consuming,
					"consuming by turns": consumingByTurns, "requests": requests, "lost answer": lostAnswer, "late arrival": lateArrival,
					"black hole": blackHole, "impossible": impossible,
				} {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						f(t, r)
					})
				}
			})
			t.Run("server lost", func(t *testing.T) { serverLost(t, r) })
		})
	}
}

// names are subjects and an agent that only this run of this test uses.
type names struct {
	id                  string
	agent               events.AgentRef
	term, rec, cmd, did string
}

var runs atomic.Int64

func own() names {
	id := fmt.Sprintf("run-%d", runs.Add(1))
	a := events.AgentRef{Region: "eu", Agent: id}
	return names{id, a, events.Prefix + "ctl.term-" + id, events.SubjectRecord(id), events.SubjectCommand(a, "c"), events.SubjectDid(a)}
}

func text(s string) []byte { return []byte(s) }

// last is the text of the last message on a subject of the state stream, once it is v: a replica may be behind.
func lastIs(t *testing.T, b bus.Bus, subject, v string) {
	t.Helper()
	eventually(t, subject+" holds "+v, func() bool {
		m, err := b.Last(soon(t), events.StreamState, subject)
		return err == nil && m != nil && string(m.Data) == v
	})
}

func conditions(t *testing.T, r rig) {
	b, n := r.party(t), own()
	if _, err := b.Publish(soon(t), bus.Out{Subject: n.rec, Data: text("x"), Last: bus.LastIs(7)}); !errors.Is(err, bus.ErrWrongSequence) {
		t.Errorf("nothing there, 7 expected: %v", err)
	}
	first := must(t, b, bus.Out{Subject: n.rec, Data: text("one"), Last: bus.LastIs(0), Stream: events.StreamState})
	for _, wrong := range []events.Seq{0, first - 1, first + 1} {
		if _, err := b.Publish(soon(t), bus.Out{Subject: n.rec, Data: text("x"), Last: &wrong}); !errors.Is(err, bus.ErrWrongSequence) {
			t.Errorf("%d there, %d expected: %v", first, wrong, err)
		}
	}
	second := must(t, b, bus.Out{Subject: n.rec, Data: text("two"), Last: &first})
	if second <= first {
		t.Errorf("sequences %d, %d: they must rise", first, second)
	}
	lastIs(t, b, n.rec, "two")
	if _, err := b.Publish(soon(t), bus.Out{Subject: n.rec, Stream: events.StreamOps}); err == nil || errors.Is(err, bus.ErrUnknown) {
		t.Errorf("another stream expected: %v", err)
	}
	if _, err := b.Publish(soon(t), bus.Out{Subject: "switchback.nowhere"}); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("a subject that no stream takes: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Publish(done, bus.Out{Subject: n.rec, Data: text("x")}); err == nil {
		t.Error("a call that was given up before it began succeeded")
	}
}

func deduplication(t *testing.T, r rig) {
	b, n := r.party(t), own()
	m := bus.Out{Subject: events.SubjectOp("me", n.id), Data: text("first"), ID: n.id}
	first := must(t, b, m)
	m.Data = text("second")
	if again := must(t, b, m); again != first {
		t.Errorf("the same id got sequence %d, then %d", first, again)
	}
	var got *bus.Message
	eventually(t, "it is stored", func() bool {
		var err error
		got, err = b.Last(soon(t), events.StreamOps, m.Subject)
		return err == nil && got != nil
	})
	if string(got.Data) != "first" || got.Seq != first {
		t.Errorf("stored: %+v", got)
	}
}

func batches(t *testing.T, r rig) {
	b, n := r.party(t), own()
	cmds := func(count int, data string) (ms []bus.Out) {
		for i := range count {
			ms = append(ms, bus.Out{Subject: fmt.Sprintf("%s%d", n.cmd, i), Data: text(data)})
		}
		return ms
	}
	last := must(t, b, cmds(bus.MaxBatch, "one")...)
	for _, i := range []int{0, 1, 500, 999} {
		eventually(t, "the batch is stored with consecutive sequences", func() bool {
			m, err := b.Last(soon(t), events.StreamState, fmt.Sprintf("%s%d", n.cmd, i))
			return err == nil && m != nil && m.Seq == last-events.Seq(999-i)
		})
	}
	broken := cmds(3, "two")
	broken[1].Last = bus.LastIs(last + 1)
	if _, err := b.Batch(soon(t), broken); !errors.Is(err, bus.ErrWrongSequence) {
		t.Errorf("a batch with one wrong condition: %v", err)
	}
	held := broken[1]
	held.Last = bus.LastIs(last - 998)
	if _, err := b.Batch(soon(t), []bus.Out{held, {Subject: n.rec, Data: text("new"), Last: bus.LastIs(0)}}); err != nil {
		t.Errorf("a batch with two right conditions: %v", err)
	}
	lastIs(t, b, n.rec, "new")
	lastIs(t, b, n.cmd+"0", "one")
	lastIs(t, b, n.cmd+"2", "one")
	health := events.SubjectHealth(n.agent, "full")
	if _, err := b.Batch(soon(t), []bus.Out{{Subject: health}, {Subject: health}}); err == nil || errors.Is(err, bus.ErrUnknown) {
		t.Errorf("a batch on a stream without batches: %v", err)
	}
}

func fences(t *testing.T, r rig) {
	b, n := r.party(t), own()
	old := must(t, b, bus.Out{Subject: n.term, Data: text("a"), Last: bus.LastIs(0)})
	fence := &bus.Fence{Subject: n.term, Seq: old}
	must(t, b, bus.Out{Subject: n.cmd, Data: text("one"), Fence: fence})
	rec := must(t, b, bus.Out{Subject: n.rec, Data: text("one"), Last: bus.LastIs(0), Fence: fence}, bus.Out{Subject: n.cmd, Data: text("two")}) - 1
	if _, err := b.Batch(soon(t), []bus.Out{{Subject: n.rec, Last: bus.LastIs(rec + 1), Fence: fence}, {Subject: n.cmd}}); !errors.Is(err, bus.ErrWrongSequence) {
		t.Errorf("the record moved on, the term did not: %v", err)
	}
	if _, err := b.Batch(soon(t), []bus.Out{{Subject: n.rec, Last: bus.LastIs(0), Fence: fence}, {Subject: n.cmd}}); !errors.Is(err, bus.ErrWrongSequence) {
		t.Errorf("the record is there, the term did not move: %v", err)
	}
	if _, err := b.Batch(soon(t), []bus.Out{{Subject: n.rec + "x", Last: bus.LastIs(3), Fence: fence}, {Subject: n.cmd}}); !errors.Is(err, bus.ErrWrongSequence) {
		t.Errorf("the record is not there, the term did not move: %v", err)
	}
	must(t, b, bus.Out{Subject: n.term, Data: text("b"), Last: &old})
	for name, ms := range map[string][]bus.Out{
		"one":               {{Subject: n.cmd, Data: text("x"), Fence: fence}},
		"batch":             {{Subject: n.cmd, Data: text("x"), Fence: fence}, {Subject: n.cmd + "2"}},
		"right condition":   {{Subject: n.rec, Data: text("x"), Last: &rec, Fence: fence}, {Subject: n.cmd}},
		"wrong condition":   {{Subject: n.rec, Data: text("x"), Last: bus.LastIs(0), Fence: fence}, {Subject: n.cmd}},
		"condition, second": {{Subject: n.cmd, Data: text("x"), Fence: fence}, {Subject: n.rec, Last: bus.LastIs(1)}},
	} {
		// While a replica is behind, a batch that breaks both conditions may name the other one first.
		eventually(t, name+" is fenced after the term moved on", func() bool {
			_, err := b.Batch(soon(t), ms)
			if err == nil || errors.Is(err, bus.ErrWrongSequence) && name != "wrong condition" && name != "condition, second" {
				t.Fatalf("%s, after the term moved on: %v", name, err)
			}
			return errors.Is(err, bus.ErrFenced) && !errors.Is(err, bus.ErrWrongSequence)
		})
	}
	lastIs(t, b, n.cmd, "two")
	lastIs(t, b, n.rec, "one")
}

// exLeader is the paused leader whose batch arrives after another was elected.
func exLeader(t *testing.T, r rig) {
	ex, next, n := r.party(t), r.party(t), own()
	term := must(t, ex, bus.Out{Subject: n.term, Data: text("ex"), Last: bus.LastIs(0)})
	ex.hold()
	late := []bus.Out{{Subject: n.cmd, Data: text("stale"), Fence: &bus.Fence{Subject: n.term, Seq: term}}, {Subject: n.rec, Data: text("stale")}}
	if _, err := ex.Batch(brief(t), late); !errors.Is(err, bus.ErrUnknown) {
		t.Fatalf("a batch on its way: %v", err)
	}
	newTerm := must(t, next, bus.Out{Subject: n.term, Data: text("next"), Last: &term})
	must(t, next, bus.Out{Subject: n.cmd, Data: text("fresh"), Fence: &bus.Fence{Subject: n.term, Seq: newTerm}}, bus.Out{Subject: n.rec, Data: text("fresh")})
	ex.release()
	eventually(t, "the ex-leader hears that it is fenced", func() bool {
		_, err := ex.Batch(soon(t), late)
		return errors.Is(err, bus.ErrFenced)
	})
	lastIs(t, next, n.cmd, "fresh")
	lastIs(t, next, n.rec, "fresh")
}

func refusedIsHeard(t *testing.T, r rig) {
	b, n := r.party(t), own()
	var raw, did inbox
	for pattern, in := range map[string]*inbox{n.cmd: &raw, n.did: &did} {
		stop, err := b.Subscribe(pattern, in.put)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	first := must(t, b, bus.Out{Subject: n.cmd, Data: text("one"), Last: bus.LastIs(0)})
	if _, err := b.Publish(soon(t), bus.Out{Subject: n.cmd, Data: text("refused"), Last: bus.LastIs(0)}); !errors.Is(err, bus.ErrWrongSequence) {
		t.Fatalf("published against its condition: %v", err)
	}
	second := must(t, b, bus.Out{Subject: n.cmd, Data: text("two"), Last: &first})
	want := []string{fmt.Sprintf("one#%d", first), fmt.Sprintf("two#%d", second)}
	eventually(t, "both stored messages are told again", func() bool { return len(did.all()) >= 2 })
	if d := cmp.Diff(want, did.all()); d != "" {
		t.Error(d)
	}
	eventually(t, "three attempts are heard", func() bool { return len(raw.all()) >= 3 })
	if d := cmp.Diff([]string{"one#0", "refused#0", "two#0"}, raw.all()); d != "" {
		t.Error(d)
	}
}

func reading(t *testing.T, r rig) {
	b, n := r.party(t), own()
	group := func(i int) string { return events.SubjectGroup(fmt.Sprintf("%s-%d", n.id, i)) }
	if m, err := b.Last(soon(t), events.StreamConfig, group(99)); m != nil || err != nil {
		t.Errorf("nothing there: %v, %v", m, err)
	}
	if ms, err := b.All(soon(t), events.StreamConfig, events.SubjectGroup("*-nobody")); len(ms) > 0 || err != nil {
		t.Errorf("nothing matches: %v, %v", ms, err)
	}
	if _, err := b.Last(soon(t), "SWITCHBACK_NONE", group(1)); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("no such stream: %v", err)
	}
	if _, err := b.All(soon(t), "SWITCHBACK_NONE", group(1)); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("no such stream: %v", err)
	}
	for i := range 12 { // several messages per subject, of which the last counts
		must(t, b, bus.Out{Subject: group(i % 3), Data: fmt.Appendf(nil, "v%d", i)})
	}
	want := []string{group(0) + " v9", group(1) + " v10", group(2) + " v11"}
	var got []string
	eventually(t, "the last of each subject is read in order", func() bool {
		ms, err := b.All(soon(t), events.StreamConfig, events.SubjectGroup("*"))
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, m := range ms {
			if strings.HasPrefix(m.Subject, events.SubjectGroup(n.id+"-")) {
				got = append(got, m.Subject+" "+string(m.Data))
			}
		}
		return slices.Equal(got, want)
	})
}

// readingMany reads more subjects than the server answers at once.
func readingMany(t *testing.T, r rig) {
	b, a := r.party(t), own().agent
	var ms []bus.Out
	for i := range 2500 {
		ms = append(ms, bus.Out{Subject: events.SubjectCommand(a, fmt.Sprintf("c%d", i)), Data: fmt.Append(nil, i)})
	}
	var last events.Seq
	for part := range slices.Chunk(ms, bus.MaxBatch) {
		last = must(t, b, part...)
	}
	eventually(t, "all are read", func() bool {
		got, err := b.All(soon(t), events.StreamState, events.SubjectCommands(a))
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.IsSortedFunc(got, func(a, b bus.Message) int { return int(a.Seq) - int(b.Seq) })
		return len(got) == len(ms) && sorted && got[len(got)-1].Seq == last && string(got[17].Data) == "17"
	})
}

func lanes(t *testing.T, r rig) {
	b, a := r.party(t), own().agent
	for n := range events.Lanes {
		lane, subject := b.Lane(n, place(n)), events.SubjectLane(n, 1, a)
		if m, err := lane.Last(soon(t), subject); m != nil || err != nil {
			t.Errorf("lane %d, nothing there: %v, %v", n, m, err)
		}
		var last events.Seq
		for i := range 20 {
			seq, err := lane.Publish(soon(t), subject, fmt.Append(nil, i), last)
			if err != nil {
				t.Fatalf("lane %d, beat %d: %v", n, i, err)
			}
			m, err := lane.Last(soon(t), subject)
			if err != nil || m == nil || m.Seq != seq || string(m.Data) != fmt.Sprint(i) {
				t.Fatalf("lane %d, read after beat %d: %+v, %v", n, i, m, err)
			}
			last = seq
		}
		if _, err := lane.Publish(soon(t), subject, nil, last-1); !errors.Is(err, bus.ErrWrongSequence) {
			t.Errorf("lane %d, an old sequence: %v", n, err)
		}
	}
	other := b.Lane(0, events.LanePlace{Generation: 1, Region: "nowhere"})
	if _, err := other.Publish(soon(t), events.SubjectLane(0, 1, a), nil, 0); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("a region without a server: %v", err)
	}
}

func impossible(t *testing.T, r rig) {
	b, n := r.party(t), own()
	if _, err := b.Batch(soon(t), nil); !errors.Is(err, bus.ErrInvalid) {
		t.Errorf("an empty batch: %v", err)
	}
	full := bus.Out{Subject: n.rec, Last: bus.LastIs(0), Fence: &bus.Fence{Subject: n.term}}
	if _, err := b.Publish(soon(t), full); !errors.Is(err, bus.ErrInvalid) {
		t.Errorf("two conditions on one message: %v", err)
	}
}
