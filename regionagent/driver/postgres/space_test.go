package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTrapFullDiskPassesTheCanary gives the data, then the log alone, a file system without space. The canary goes into a page and a file of the log that are there, so it passes.
func TestTrapFullDiskPassesTheCanary(t *testing.T) {
	t.Parallel()
	for _, small := range []string{".", "pg_wal"} {
		d := &Driver{cfg: Config{Data: t.TempDir()}}
		if err := os.Mkdir(filepath.Join(d.cfg.Data, "pg_wal"), 0o700); err != nil {
			t.Fatal(err)
		}
		if s := d.space(); s != "" {
			t.Fatalf("on the file system of this test: %q", s)
		}
		place := d.path(small)
		if err := unix.Mount("switchback-test", place, "tmpfs", 0, "size=16m"); err != nil {
			t.Skipf("NOT TESTED: no file system of its own can be made here: %v", err)
		}
		s := d.space()
		if err := unix.Unmount(place, 0); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s, "no space left") || !strings.Contains(s, place) {
			t.Errorf("%s has 16 MiB: %q; want it to say that there is no space left in %s", small, s, place)
		}
	}
}
