package sim

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// seeds is how many random schedules a test run drives; SIM_SEEDS overrides it.
func seeds(t *testing.T) uint64 {
	n := uint64(40)
	if s := os.Getenv("SIM_SEEDS"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SIM_SEEDS %q: want a number", s)
		}
		n = v
	}
	return n
}

func TestRandomSchedulesKeepTheInvariants(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= seeds(t); seed++ {
		res, err := Seed(seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.Violation != nil {
			t.Errorf("%v\nreproduce: switchback sim --seed %d", res.Violation, seed)
		}
	}
}

func TestSameSeedSameRun(t *testing.T) {
	t.Parallel()
	var a, b bytes.Buffer
	first, err := Seed(7, &a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Seed(7, &b)
	if err != nil {
		t.Fatal(err)
	}
	if first.Hash != second.Hash || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Fatalf("two runs of one seed differ: %x and %x", first.Hash, second.Hash)
	}
	if first.Steps == 0 || a.Len() == 0 {
		t.Fatal("nothing happened")
	}
}

// TestDrawnSchedulesAreScenarios: what is drawn can be written down, read again, and is the same run.
func TestDrawnSchedulesAreScenarios(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 200; seed++ {
		s := Draw(seed)
		shape := s.Setting.Shape()
		for _, e := range s.Entries {
			got, err := ParseEntry(e.String(), &shape)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if got.String() != e.String() {
				t.Fatalf("seed %d: %q was read as %q", seed, e, got)
			}
		}
		got, err := ParseSchedule("# how it was drawn\n\n" + s.String())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got.String() != s.String() {
			t.Fatalf("seed %d: the schedule\n%s\nwas read as\n%s", seed, s, got)
		}
	}
}

func TestParseScheduleSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "no `schedule until",
		"world seed=1\n":                   "no `schedule until",
		"world seed=x\n":                   "line 1:",
		"world seed=1 wheather=fine\n":     "wheather",
		"schedule until=9s\n":              "want world",
		"world seed=1\nschedule until=9\n": "missing unit",
		"world seed=1\nschedule until=9s\n1s bus-list\n----\n":   "line 3:",
		"world seed=1\nschedule until=9s\n----\nadvance d=10s\n": "want world",
	} {
		if _, err := ParseSchedule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v: want %q", text, err, want)
		}
	}
}

func TestParseEntrySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	shape := Random()
	for line, want := range map[string]string{
		"1s":                                    "want a time, a kind",
		"soon bus-lost":                         "invalid duration",
		"1s bus-list":                           "no kind is called",
		"1s bus-lost region=r1":                 "argument region is not of bus-lost",
		"1s agent-crash for=2s":                 "argument agent is missing",
		"1s agent-crash agent=r9/h1":            "want one of",
		"1s agent-crash agent=g1.activ":         "or a place of a group",
		"1s agent-crash agent=g1.active for=2":  "want a duration",
		"1s failover group=g1 accept-loss=yes":  "it takes no value",
		"1s failover group=g1 on=g1.promotion":  "want a group and one of",
		"1s acceptor-wiped lane=3":              "want one of",
		"1s pair-cut from=r1 to=r2 plane=smoke": "want one of",
	} {
		if _, err := ParseEntry(line, &shape); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v: want %q", line, err, want)
		}
	}
}

// TestShrinkKeepsWhatBreaks: of many entries two are needed, in a world of two groups, one of them for a second at least.
func TestShrinkKeepsWhatBreaks(t *testing.T) {
	t.Parallel()
	s := Draw(3)
	s.Entries = append([]Entry{
		{5012 * time.Millisecond, "failover", Args{"group": "g2", "accept-loss": ""}}, {6 * time.Second, "region-isolated", Args{"region": "r1", "for": "9s"}},
	}, s.Entries...)
	runs := 0
	bad := func(s Schedule) *Violation {
		runs++
		at := func(kind string) int {
			return slices.IndexFunc(s.Entries, func(e Entry) bool { return e.Kind == kind })
		}
		if a, b := at("failover"), at("region-isolated"); a >= 0 && b > a && s.Entries[b].Args.span("for") >= time.Second {
			return &Violation{At: 7 * time.Second, Rule: "I1"}
		}
		return nil
	}
	z := &shrinker{small: s, bad: bad(s), left: 300, run: bad}
	z.shrink()
	got := z.small.String()
	want := `world seed=3 groups=2 agents=1 noise=none last=auto
----

schedule until=7s
5s failover group=g2
6s region-isolated for=1.15s region=r1
----
settled
`
	if got != want {
		t.Fatalf("shrunk in %d runs to\n%s\nwant\n%s", runs, got, want)
	}
}
