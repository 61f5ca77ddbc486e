package guard

import (
	"errors"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// Refusals is what the start gates of a host refused, by cluster. They are processes of a moment, so they leave it in a file that the guard exports.
type Refusals map[string]Refusal

// Refusal is how often a start was made read-only by the gate, and why the last time.
type Refusal struct {
	Count int       `json:"count"`
	Row   string    `json:"row"`
	Why   string    `json:"why"`
	At    time.Time `json:"at"` // by the host's wall clock, to be shown
}

// countWait is how long a gate waits for another one that counts: a host that boots starts all of its servers at once.
const countWait = time.Second

// CountRefusal notes one more refused start. An error: it is not counted, nothing else.
func CountRefusal(path, cluster string, p Passage) error {
	f, err := ledger.Open[Refusals](path)
	for until := time.Now().Add(countWait); errors.Is(err, ledger.ErrLocked) && time.Now().Before(until); {
		time.Sleep(countWait / 200)
		f, err = ledger.Open[Refusals](path)
	}
	if err != nil {
		return fmt.Errorf("count a refused start: %w", err)
	}
	defer f.Close()
	all, _, err := f.Load()
	if err != nil || all == nil {
		all = Refusals{} // a count that can't be read begins anew
	}
	all[cluster] = Refusal{all[cluster].Count + 1, p.Row, p.Why, time.Now()}
	if err := f.Save(all); err != nil {
		return fmt.Errorf("count a refused start: %w", err)
	}
	return nil
}

// ReadRefusals reads what the gates refused.
func ReadRefusals(path string) (Refusals, error) {
	all, _, err := ledger.Read[Refusals](path)
	return all, err
}
