package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// handover is what a guard that is stopped leaves to the next of the same boot, so that an upgrade freezes nobody. Its instants are absolute
// and mean nothing after a reboot.
type handover struct {
	Boot      string                    `json:"boot"`
	Deadlines map[string]events.Instant `json:"deadlines"`
}

// leave writes the deadlines for the next guard.
func leave(path string, g *lease.Guard) error {
	boot, err := boottime.Boot()
	if err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	h := handover{boot, map[string]events.Instant{}}
	for _, c := range g.Guarded() {
		h.Deadlines[c.Cluster] = c.Deadline
	}
	b, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	if err := ledger.Replace(path, b); err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	return nil
}

// takeOver reads what the guard before left, once: a guard that is killed later must not be followed by one that believes this. Anything wrong with it means
// no deadlines, so freeze first.
func takeOver(path string) (map[string]events.Instant, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	if err := forget(path); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	var h handover
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, fmt.Errorf("take over %s: %w", path, err)
	}
	boot, err := boottime.Boot()
	if err != nil || h.Boot != boot {
		return nil, err
	}
	return h.Deadlines, nil
}

func forget(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
