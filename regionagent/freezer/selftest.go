package freezer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

const (
	selfTestRounds = 3
	selfTestLimit  = 20 * time.Second
)

// SelfTest measures S: the worst of three freezes, by signals, of a tree of n idle processes on this host under its present load. An agent whose S is larger than
// its profile's takes no lease. n is 1 to 5,000; choose the most sessions a server of this host allows.
func SelfTest(n int) (worst time.Duration, err error) {
	if n < 1 || n > 5000 {
		return 0, fmt.Errorf("measure freeze: %d processes: want 1 to 5000", n)
	}
	dir, err := os.MkdirTemp("", "switchback-freeze-")
	if err != nil {
		return 0, fmt.Errorf("measure freeze: %w", err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), selfTestLimit)
	defer cancel()
	script := `i=0; while [ $i -lt ` + strconv.Itoa(n) + ` ]; do sleep 60 & i=$((i+1)); done; echo; wait`
	sh := exec.CommandContext(ctx, "/bin/sh", "-c", script, dir)
	sh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one signal ends all of it, also when this fails half-way
	ready, err := sh.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("measure freeze: %w", err)
	}
	if err := sh.Start(); err != nil {
		return 0, fmt.Errorf("measure freeze: %w", err)
	}
	defer func() {
		_ = syscall.Kill(-sh.Process.Pid, syscall.SIGKILL) // gone already is as good
		_ = sh.Wait()                                      // killed, as it was told
	}()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return 0, fmt.Errorf("measure freeze: start %d processes: %w", n, err)
	}
	t := driver.Tree{PIDFile: filepath.Join(dir, "pid"), Match: dir}
	if err := os.WriteFile(t.PIDFile, []byte(strconv.Itoa(sh.Process.Pid)), 0o600); err != nil {
		return 0, fmt.Errorf("measure freeze: %w", err)
	}
	for range selfTestRounds {
		o, err := Freeze(ctx, t)
		if err == nil && o.Processes < n {
			err = fmt.Errorf("found %d processes: want %d", o.Processes, n)
		}
		_, thawed := Thaw(ctx, t)
		if err := errors.Join(err, thawed); err != nil {
			return 0, fmt.Errorf("measure freeze: %w", err)
		}
		worst = max(worst, o.Took)
	}
	return worst, nil
}
