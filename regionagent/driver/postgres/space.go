package postgres

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// spaceLeft is what must be free for a server to go on: four files of its log of the usual size. With less it is about to fail, and one that fails for it may not even start again.
const spaceLeft = 64 << 20

// space says that a file system of the server is full, or as good as; "" = none is. A server without space may go on acknowledging what fits into pages and log it has: the
// canary does, so it can't tell.
func (d *Driver) space() string {
	for _, place := range []string{".", "pg_wal"} {
		var st unix.Statfs_t
		if unix.Statfs(d.path(place), &st) != nil {
			continue // the probe says what is wrong with the place
		}
		if free := st.Bavail * uint64(st.Bsize); free < spaceLeft {
			return fmt.Sprintf("has no space left: %d MiB are free in %s, want %d", free>>20, d.path(place), spaceLeft>>20)
		}
	}
	return ""
}
