package postgres

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWeight adds up a data directory without its log, beside the probes, and tells both sizes to the grain.
func TestWeight(t *testing.T) {
	t.Parallel()
	d := &Driver{cfg: Config{Data: filepath.Join(t.TempDir(), "data")}, life: context.Background()}
	for name, size := range map[string]int64{"base/1": 3*grain + 1, "global/2": 2 * grain, "pg_wal/3": 9 * grain} {
		if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(d.path(name))
		if err == nil {
			err = f.Truncate(size) // a hole: it takes no room here
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	var size, free int64
	for deadline := time.Now().Add(30 * time.Second); size == 0 && time.Now().Before(deadline); {
		size, free = d.weigh()
	}
	if size != 5*grain || free <= 0 || free%grain != 0 {
		t.Errorf("size %d, free %d: want %d, and something to the grain", size, free, 5*grain)
	}
}
