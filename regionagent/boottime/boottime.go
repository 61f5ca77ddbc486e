// Package boottime reads the clock by which rights to run are kept: CLOCK_BOOTTIME, which counts suspend, where Go's own monotonic clock stands still.
package boottime

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/events"
)

// Now reads the boot clock of this host.
func Now() events.Instant { return events.Instant(read(unix.CLOCK_BOOTTIME)) }

// Boot names the present boot: instants of another one mean nothing.
func Boot() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func read(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic(fmt.Sprintf("clock %d can't be read: %v", clock, err)) // Linux has had these since 2.6.39
	}
	return time.Duration(ts.Nano())
}

// Watch compares the boot clock with CLOCK_MONOTONIC (apart after a suspend) and the wall clock (apart after a pause of a machine whose boot clock did not count
// it, or when somebody set it). The zero value is ready; not for concurrent use.
type Watch struct{ last reading }

type reading struct{ boot, mono, wall time.Duration }

// Jump returns by how much the clocks moved apart since the call before, 0 at the first. More than M means: freeze first, ask later.
func (w *Watch) Jump() time.Duration {
	now := readAll()
	last := w.last
	w.last = now
	if last == (reading{}) {
		return 0
	}
	boot := now.boot - last.boot
	return max((boot - (now.mono - last.mono)).Abs(), (boot - (now.wall - last.wall)).Abs())
}

// readAll reads the three clocks at one moment: again if we were held up between them.
func readAll() reading {
	for {
		r := reading{read(unix.CLOCK_BOOTTIME), read(unix.CLOCK_MONOTONIC), read(unix.CLOCK_REALTIME)}
		if read(unix.CLOCK_BOOTTIME)-r.boot < time.Millisecond {
			return r
		}
	}
}
