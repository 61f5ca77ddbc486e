package guard

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// harden keeps the process in memory and out of the OOM killer's reach. Neither is needed for safety, only for being in time on a host that
// runs out of memory or whose disk hangs, so a refusal is a warning that says what to permit.
func harden(log *slog.Logger) {
	if err := lockMemory(); err != nil {
		log.Warn("memory not locked: the guard may be late on a host that swaps", "err", err, "want", "LimitMEMLOCK=infinity or CAP_IPC_LOCK")
	}
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		log.Warn("not protected from the OOM killer", "err", err, "want", "OOMScoreAdjust=-1000 or CAP_SYS_RESOURCE")
	}
}

// lockMemory brings the program itself into memory and keeps that and whatever is touched later there. Locking on touch spares the runtime's
// reserved, mostly empty arenas.
func lockMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("read memory lock limit: %w", err)
	}
	if limit.Cur != unix.RLIM_INFINITY && os.Geteuid() != 0 {
		// Locking what is mapped later would turn the runtime's next mapping into a crash.
		return fmt.Errorf("memory lock limit is %d bytes", limit.Cur)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("read own mappings: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if f := strings.Fields(line); len(f) < 6 || !strings.HasPrefix(f[5], "/") {
			continue // not from a file
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			return fmt.Errorf("read own mappings: %q: %w", line, err)
		}
		if _, _, errno := unix.Syscall(unix.SYS_MLOCK, from, to-from, 0); errno != 0 {
			return fmt.Errorf("lock the program: %w", errno)
		}
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}
