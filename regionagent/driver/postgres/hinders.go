package postgres

import (
	"fmt"
	"os"
	"strings"
)

// hinderPaused is why a planned move to a standby would never end.
const hinderPaused = "replay is paused"

// How many files of the log may wait for the archive before a stop is called slow, and how many are counted at most.
const (
	archiveBacklog = 10
	archiveCounted = 4096
)

// hinders says why a planned move should not begin now.
func (d *Driver) hinders(f facts) (why []string) {
	if f.recovery {
		if f.paused {
			why = append(why, hinderPaused)
		}
		if s := d.space(); s != "" {
			why = append(why, s)
		}
		return why
	}
	if f.backups > 0 {
		why = append(why, "a base backup runs")
	}
	if n := d.unarchived(); n > archiveBacklog {
		why = append(why, fmt.Sprintf("%d files of the log wait for the archive", n))
	}
	return why
}

// unarchived counts the files of the log that wait for the archive.
func (d *Driver) unarchived() (n int) {
	dir, err := os.Open(d.path("pg_wal/archive_status"))
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(archiveCounted) // some are as good as all
	for _, name := range names {
		if strings.HasSuffix(name, ".ready") {
			n++
		}
	}
	return n
}
