package boottime

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestNowIsTheUptime(t *testing.T) {
	t.Parallel()
	before := Now()
	b, err := os.ReadFile("/proc/uptime") // counts suspend too
	after := Now()
	if err != nil {
		t.Fatal(err)
	}
	up, err := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	const tick = 20 * time.Millisecond // /proc/uptime is rounded
	got := time.Duration(up * float64(time.Second))
	if got < time.Duration(before)-tick || got > time.Duration(after)+tick {
		t.Fatalf("/proc/uptime is %v, not between %v and %v", got, time.Duration(before), time.Duration(after))
	}
}

func TestJump(t *testing.T) {
	t.Parallel()
	const step = time.Minute
	for name, c := range map[string]struct {
		since reading // what was done to the last reading of each clock
		want  time.Duration
	}{
		"none":                       {reading{}, 0},
		"suspend":                    {reading{mono: step}, step},
		"boot clock missed a pause":  {reading{wall: -step}, step},
		"wall clock was set back":    {reading{wall: step}, step},
		"a long time between checks": {reading{boot: -step, mono: -step, wall: -step}, 0},
	} {
		var w Watch
		if got := w.Jump(); got != 0 {
			t.Fatalf("first: %v", got)
		}
		w.last = reading{w.last.boot + c.since.boot, w.last.mono + c.since.mono, w.last.wall + c.since.wall}
		if got := w.Jump(); (got - c.want).Abs() > 5*time.Millisecond {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestBoot(t *testing.T) {
	t.Parallel()
	a, err := Boot()
	b, err2 := Boot()
	if err != nil || err2 != nil || a != b || len(a) != 36 {
		t.Fatalf("%q, %q, %v, %v", a, b, err, err2)
	}
}
