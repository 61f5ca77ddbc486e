package freezer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// How long a kill waits for what only makes it better. The kill itself is the fence and waits for neither.
const (
	signalFileLimit = time.Second            // a hung disk must not keep a server alive
	holdLimit       = 200 * time.Millisecond // a process that can't be stopped first can still be killed
	dialLimit       = 500 * time.Millisecond
)

// Kill ends every process of the tree, frozen or not, and returns once none is left and its port is closed: the signal file first, so that whatever
// starts it again starts it read-only; then everything held still, so that nothing forks out of sight; then SIGKILL to all; only then the thaw,
// so that nothing runs between. Idempotent; a tree without processes gets its signal file all the same. With an error the fence isn't proved: call again.
func Kill(ctx context.Context, t driver.Tree) (Outcome, error) {
	start := time.Now()
	placed := make(chan error, 1)
	go func() { placed <- PlaceSignal(t.Signal) }()
	var sig error
	late := false
	select {
	case sig = <-placed:
	case <-time.After(signalFileLimit):
		late = true
	}

	hold, cancel := context.WithTimeout(ctx, holdLimit)
	o, _ := Freeze(hold, t) // what it could not stop is killed running
	cancel()
	killed, err := killAll(ctx, t)
	o.Processes = killed
	if err == nil {
		err = closed(ctx, t.Address)
	}
	if late {
		select {
		case sig = <-placed:
		case <-ctx.Done():
			sig = context.Cause(ctx)
		}
	}
	if sig != nil {
		err = errors.Join(err, fmt.Errorf("killed without its signal file: %w", sig))
	}
	o.Took = time.Since(start)
	return o, err
}

// killAll sends SIGKILL and thaws until no process is left, and returns how many there were. A process once seen is ours until it is gone, whoever is its parent by then.
func killAll(ctx context.Context, t driver.Tree) (int, error) {
	seen := map[int]Process{}
	for {
		p, err := Find(t)
		for _, q := range p.All {
			seen[q.PID] = q
		}
		left := 0
		for _, pid := range slices.Sorted(maps.Keys(seen)) {
			now, e := readProcess(fmt.Sprint(pid))
			if e != nil && !errors.Is(e, errGone) {
				err = errors.Join(err, e)
				continue
			}
			if e != nil || now.gone() || now.Start != seen[pid].Start {
				continue
			}
			left++
			err = errors.Join(err, signal(pid, syscall.SIGKILL))
		}
		if p.group != nil {
			if held, e := p.group.freezing(); e == nil && held {
				err = errors.Join(err, p.group.set(false)) // version 1 delivers the SIGKILL only now; and the next start must not hang in it
			}
		}
		if err != nil {
			return len(seen), fmt.Errorf("kill: %w", err)
		}
		if left == 0 {
			return len(seen), nil
		}
		if err := pause(ctx); err != nil {
			return len(seen), fmt.Errorf("kill: %w with %d of %d processes left (asleep in the kernel?)", err, left, len(seen))
		}
	}
}

// closed waits until nobody answers at the address. Only a refusal counts: silence may be a full queue.
func closed(ctx context.Context, address string) error {
	if address == "" {
		return nil
	}
	for {
		d := net.Dialer{Timeout: dialLimit}
		c, err := d.DialContext(ctx, "tcp", address)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return nil
		case err == nil:
			_ = c.Close() // nothing was said
			err = errors.New("somebody accepts connections")
		}
		if e := pause(ctx); e != nil {
			return fmt.Errorf("prove port %s closed: %w", address, err)
		}
	}
}

// PlaceSignal makes the file that has a later start come up read-only: on disk when it returns, owned like its directory.
func PlaceSignal(path string) error {
	if path == "" {
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("place signal file: %w", err)
	}
	defer dir.Close()
	// O_EXCL never follows a link that the server's own user may have laid there.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return dir.Sync() // somebody placed it; it may not be on disk yet
	} else if err != nil {
		return fmt.Errorf("place signal file: %w", err)
	}
	err = errors.Join(ownAs(f, dir), f.Sync(), f.Close(), dir.Sync())
	if err != nil {
		return fmt.Errorf("place signal file %s: %w", path, err)
	}
	return nil
}

func ownAs(f, dir *os.File) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if int(st.Uid) == os.Geteuid() {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}
