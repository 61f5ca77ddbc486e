package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// permit is the agent's word that a stopped cluster may come up writable once (A9). Its end is that of the right it was given under, an absolute instant that means
// nothing after a reboot.
type permit struct {
	Boot    string         `json:"boot"`
	Cluster string         `json:"cluster"`
	Until   events.Instant `json:"until"`
}

// GivePermit puts a permit on disk for the start gate of a cluster. Give it only right before the start, and take it back after.
func GivePermit(path, cluster string, until events.Instant) error {
	boot, err := boottime.Boot()
	if err != nil {
		return fmt.Errorf("permit a start: %w", err)
	}
	b, err := json.Marshal(permit{boot, cluster, until})
	if err != nil {
		return fmt.Errorf("permit a start: %w", err)
	}
	if err := ledger.Replace(path, b); err != nil {
		return fmt.Errorf("permit a start: %w", err)
	}
	return nil
}

// TakePermit takes what permit there is away, for good before it returns, and says why it does not let a start through; empty = it does. An error: it may still be there,
// so it lets nothing through.
func TakePermit(path, cluster string, now events.Instant) (why string, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "its agent has not permitted this start", nil
	} else if err != nil {
		return "", fmt.Errorf("take permit: %w", err)
	}
	if err := forget(path); err != nil {
		return "", fmt.Errorf("take permit: %w", err)
	}
	boot, err := boottime.Boot()
	if err != nil {
		return "", fmt.Errorf("take permit: %w", err)
	}
	var p permit
	switch err := json.Unmarshal(b, &p); {
	case err != nil:
		return fmt.Sprintf("its permit can't be read: %v", err), nil
	case p.Cluster != cluster:
		return "its permit is for " + p.Cluster, nil
	case p.Boot != boot:
		return "its permit is from before the host was booted", nil
	case p.Until <= now:
		return "its permit was given under a right that is over", nil
	}
	return "", nil
}
