package sim

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
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
			t.Fatalf("%v\nreproduce: switchback sim --seeds 1 --seed %d", res.Violation, seed)
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
	_ = fmt.Sprint(first.Rows)
}
