package postgres

import (
	"io/fs"
	"path/filepath"
	"time"
)

const (
	weighEvery = 10 * time.Minute // a look at every file of the data
	grain      = 64 << 20         // what is told of sizes: a probe that says something new each time is a message each time
)

// weigh says how large the data is, without its log, and how much is free where a copy of it would be made beside it, both to the grain; 0 = not known. The size is of the
// last look at all files, which goes on beside the probes.
func (d *Driver) weigh() (size, free int64) {
	if d.weighing.CompareAndSwap(false, true) {
		if last := d.weighed.Load(); last == nil || time.Since(last.at) >= weighEvery {
			go func() {
				defer d.weighing.Store(false)
				d.weighed.Store(&weight{d.bytes(), time.Now()})
			}()
		} else {
			d.weighing.Store(false)
		}
	}
	if w := d.weighed.Load(); w != nil && w.bytes > 0 {
		size = max(grain, w.bytes/grain*grain)
	}
	if n, err := freeBytes(filepath.Dir(d.cfg.Data)); err == nil {
		free = n / grain * grain
	}
	return size, free
}

// weight is how large the data was.
type weight struct {
	bytes int64
	at    time.Time
}

// bytes adds up what a base backup would take of the data directory. What vanishes meanwhile counts as nothing.
func (d *Driver) bytes() (n int64) {
	_ = filepath.WalkDir(d.cfg.Data, func(path string, e fs.DirEntry, err error) error {
		switch {
		case d.life.Err() != nil:
			return fs.SkipAll
		case err != nil:
			return nil
		case e.IsDir() && path == d.path("pg_wal"):
			return fs.SkipDir
		case e.Type().IsRegular():
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
