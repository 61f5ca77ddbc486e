package kernel

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

const (
	// searchEvery is how often a cluster is searched although nothing about it seems to have changed.
	searchEvery = time.Second
	// stampsTell is how old a file's time has to be for a change after it to show: file systems write times in steps of some milliseconds.
	stampsTell = time.Second
)

// sight is what the last search for a cluster's server found, with the signs by which a look sees that it still holds. A search asks the kernel some thirty things, twenty times a
// second for every cluster of a host, and nearly all find what the one before found. The signs are three questions: does the very same process live (a descriptor of it is held, so no
// other one can be meant), is the pid file untouched, and is the cgroup the one it was.
type sight struct {
	wish wish
	life uint64
	err  error // what came of the search
	file stamp
	pid  int // descriptor of the process
	till time.Time
}

// stamp tells whether a file was touched.
type stamp struct {
	device, inode uint64
	size          int64
	changed       unix.Timespec
}

func stampOf(path string) (s stamp, old bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return stamp{}, false
	}
	age := time.Since(time.Unix(st.Ctim.Unix()))
	return stamp{st.Dev, st.Ino, st.Size, st.Ctim}, age > stampsTell
}

// keep remembers what a search found, if it is the kind of thing that its signs can vouch for: a server that was seen whole, or one that is outside. The stamp is of before the search.
func (f *fence) keep(w wish, file stamp, old bool, parent driver.Process, err error) {
	f.forget()
	if !old || parent.PID == 0 || err == nil && parent != f.settled || err != nil && !errors.Is(err, errOutside) {
		return
	}
	pid, e := hold(parent)
	if e != nil {
		return
	}
	f.sight = &sight{w, f.life, err, file, pid, time.Now().Add(searchEvery)}
}

func (f *fence) forget() {
	if f.sight != nil {
		_ = unix.Close(f.sight.pid)
		f.sight = nil
	}
}

// holds reports whether the last search would find the same now.
func (f *fence) holds(w wish) bool {
	s := f.sight
	if s == nil || time.Now().After(s.till) || w.free || w.tree != s.wish.tree || !slices.Equal(w.spare, s.wish.spare) {
		return false
	}
	if f.at.load(wordLife) != s.life || f.at.load(wordEnded) != 0 || !f.at.there() {
		return false
	}
	file, _ := stampOf(w.tree.PIDFile)
	return file == s.file && runs(s.pid)
}

// runs reports whether the process of a descriptor has not ended.
func runs(pid int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pid), Events: unix.POLLIN}}, 0)
	return err == nil && n == 0
}
