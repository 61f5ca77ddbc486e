package bus

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/events"
)

// newFullStore returns a store with every stream of the catalogue and the first generation of the lanes.
func newFullStore(t *testing.T) *Store {
	t.Helper()
	s := NewStore()
	all := events.Streams()
	for n := range events.Lanes {
		all = append(all, events.Lane(n, events.LanePlace{Generation: 1, Region: fmt.Sprintf("hub-%d", n)}))
	}
	for _, c := range all {
		if err := s.Create(c); err != nil {
			t.Fatalf("create: %v", err)
		}
	}
	return s
}

func TestCreateIsIdempotentAndRefusesDifferences(t *testing.T) {
	t.Parallel()
	s := newFullStore(t)
	c := events.Streams()[0]
	c.Doc = "other words"
	if err := s.Create(c); err != nil {
		t.Errorf("the same again: %v", err)
	}
	c.PerSubject = 2
	if err := s.Create(c); err == nil {
		t.Error("another limit under the same name was accepted")
	}
	if err := s.Create(events.Stream{Name: "OTHER", Subjects: []string{"switchback.*.x"}}); err == nil {
		t.Error("subjects of another stream were accepted")
	}
	var names []string
	for _, c := range s.Streams() {
		names = append(names, c.Name)
	}
	want := []string{
		"SWITCHBACK_CONFIG", "SWITCHBACK_EVENTS", "SWITCHBACK_HEALTH", "SWITCHBACK_LEASE_0_1", "SWITCHBACK_LEASE_1_1", "SWITCHBACK_LEASE_2_1",
		"SWITCHBACK_OPS", "SWITCHBACK_REPORT", "SWITCHBACK_STATE",
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
}

func TestWipeIsTheLossOfADisk(t *testing.T) {
	t.Parallel()
	s := newFullStore(t)
	beat := events.SubjectLane(0, 1, events.AgentRef{Region: "a", Agent: "x"})
	for i := range 3 {
		if seq, err := s.Publish(Out{Subject: beat, Last: LastIs(events.Seq(i))}); err != nil || seq != events.Seq(i+1) {
			t.Fatalf("publish %d: %d, %v", i, seq, err)
		}
	}
	if err := s.Wipe(events.LaneStream(0, 1)); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Last(events.LaneStream(0, 1), beat); m != nil || err != nil {
		t.Errorf("after the loss: %v, %v", m, err)
	}
	if _, err := s.Publish(Out{Subject: beat, Last: LastIs(3)}); !errors.Is(err, ErrWrongSequence) {
		t.Errorf("a beat with the old sequence: %v", err)
	}
	if seq, err := s.Publish(Out{Subject: beat, Last: LastIs(0)}); seq != 1 || err != nil {
		t.Errorf("the first again: %d, %v: sequences begin anew on an empty disk", seq, err)
	}
}

func TestNextWalksWhatIsHeld(t *testing.T) {
	t.Parallel()
	s := newFullStore(t)
	subject := func(i int) string { return events.SubjectRecord(fmt.Sprintf("g%d", i%7)) }
	for i := range 1000 {
		if _, err := s.Publish(Out{Subject: subject(i), Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	var got []events.Seq
	for at := events.Seq(0); ; {
		m, err := s.Next(events.StreamState, at)
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			break
		}
		got, at = append(got, m.Seq), m.Seq
	}
	if d := cmp.Diff([]events.Seq{994, 995, 996, 997, 998, 999, 1000}, got); d != "" {
		t.Error(d)
	}
	if n := len(s.streams[events.StreamState].log); n > 100 {
		t.Errorf("the log keeps %d entries for 7 messages", n)
	}
}

func TestImpossiblePublishes(t *testing.T) {
	t.Parallel()
	s := newFullStore(t)
	fence := &Fence{Subject: events.SubjectTerm}
	rec, cmd := events.SubjectRecord("g"), events.SubjectCommand(events.AgentRef{Region: "a", Agent: "x"}, "c")
	for name, ms := range map[string][]Out{
		"empty":                     {},
		"too long":                  make([]Out, MaxBatch+1),
		"no subject":                {{}},
		"fence on the second":       {{Subject: rec}, {Subject: cmd, Fence: fence}},
		"condition after own write": {{Subject: rec}, {Subject: rec, Last: LastIs(1)}},
		"no room for the fence":     {{Subject: rec, Last: LastIs(0), Fence: fence}},
		"writes its own fence":      {{Subject: rec, Fence: fence}, {Subject: events.SubjectTerm}},
		"two expected streams":      {{Subject: rec, Stream: "A"}, {Subject: cmd, Stream: "B"}},
	} {
		if _, err := s.Batch(ms); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if heard := s.Heard(); len(heard) > 0 {
		t.Errorf("something was sent: %v", heard)
	}
}

func TestMatchAndOverlap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b           string
		match, overlap bool
	}{
		{"a.b", "a.b", true, true},
		{"a.*", "a.b", true, true},
		{"a.*", "a.b.c", false, false},
		{"a.>", "a.b.c", true, true},
		{"a.>", "a", false, false},
		{">", "a", true, true},
		{"*.b", "a.*", false, true},
		{"a.*.c", "a.b", false, false},
		{"a.b", "a.>", false, true},
		{"a.x.>", "a.y.>", false, false},
	} {
		if got := Match(c.a, c.b); got != c.match {
			t.Errorf("Match(%q, %q) = %v", c.a, c.b, got)
		}
		if got := overlap(c.a, c.b); got != c.overlap {
			t.Errorf("overlap(%q, %q) = %v", c.a, c.b, got)
		}
		if got := overlap(c.b, c.a); got != c.overlap {
			t.Errorf("overlap(%q, %q) = %v", c.b, c.a, got)
		}
	}
}
