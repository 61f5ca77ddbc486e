package kernel

import (
	"errors"
	"log/slog"
	"os"
	"sync"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// fence is one cluster's. Whoever touches it holds mu.
type fence struct {
	log    *slog.Logger
	mu     sync.Mutex
	tree   driver.Tree
	until  events.Instant
	free   bool
	spare  []driver.Process
	spared map[driver.Process]bool
	at     *attached
	// settled is the parent whose listeners are all marked and inside the cgroup; it is looked at no more.
	settled driver.Process
	why     string
}

// look brings the kernel up to what is true now: where the server is, whether it is still the same one, who is spared.
func (f *fence) look() error {
	if f.free {
		return f.detach()
	}
	parent, err := freezer.Parent(f.tree)
	if err != nil {
		return err
	}
	path, err := group(f.tree, parent.PID)
	if err != nil {
		return err
	}
	if f.at == nil || f.at.path != path || !f.at.there() {
		if err := f.attach(path); err != nil {
			return err
		}
	}
	known := driver.Process{PID: int(f.at.load(wordParent)), Start: f.at.load(wordStart)}
	lives := f.at.load(wordEnded) == 0
	switch {
	case parent != known && known.PID != 0 && lives:
		f.end("its server is gone")
	case parent == known && !lives, parent == f.settled:
		parent.PID = 0 // being killed, or nothing is new
	}
	if parent.PID != 0 {
		if err := f.begin(parent); err != nil {
			return err
		}
	}
	f.spareLinks()
	f.not("")
	return nil
}

func (f *fence) attach(path string) error {
	at, err := attach(path)
	if err != nil {
		return err
	}
	if f.at != nil {
		f.at.close()
	}
	f.at, f.settled, f.spared = at, driver.Process{}, nil
	if at.load(wordPort) == 0 {
		at.store(wordPort, portOf(f.tree.Address))
	}
	at.store(wordDeadline, uint64(f.until))
	return nil
}

// detach takes the program off whatever cgroup it is on, also one that a guard before this one attached it to.
func (f *fence) detach() error {
	at := f.at
	if at == nil {
		path, err := group(f.tree, 0)
		if err != nil {
			return nil // nothing of ours can be anywhere
		}
		if at, err = find(path); at == nil {
			return err
		}
	}
	f.at = nil
	f.log.Info("kernel lease taken off", "cgroup", at.path)
	f.why = "the cluster is not fenced"
	defer at.close()
	err := at.detach()
	_ = os.Remove(at.path) // one of ours that nobody is in goes; no other one does
	return err
}

// end is the end of a life: its connections never speak again. The life goes up before anything is noted, or a guard killed in between would not raise it.
func (f *fence) end(why string) {
	f.at.store(wordLife, f.at.load(wordLife)+1)
	f.at.store(wordEnded, 1)
	f.settled, f.spared = driver.Process{}, nil
	n, err := reset(f.at.load(wordPort), f.at.id)
	f.log.Info("a server's life has ended: nothing it said leaves any more", "why", why, "next_life", f.at.load(wordLife), "connections_reset", n, "err", err)
}

// begin is the beginning of a life: a server that was not seen before. Its listeners get the mark of its life, and every connection that they accept inherits it. The
// first server ever seen in a cgroup is taken as it is: there nothing of anybody before it can be. It is settled once no listener is new.
func (f *fence) begin(parent driver.Process) error {
	ls, err := listeners(parent)
	if err != nil {
		return err
	}
	defer closeAll(ls)
	if len(ls) == 0 {
		return errNoPort
	}
	life, fresh := f.at.load(wordLife), 0
	for _, s := range ls {
		if life != 0 && f.at.marked(s) != life {
			if err := f.at.mark(s, life); err != nil {
				return err
			}
			fresh++
		}
	}
	f.at.store(wordPort, uint64(ls[0].port))
	f.at.store(wordStart, parent.Start)
	f.at.store(wordParent, uint64(parent.PID))
	f.at.store(wordEnded, 0)
	if fresh > 0 { // what was accepted before the mark would be mute for ever
		_, err := reset(uint64(ls[0].port), f.at.id)
		f.log.Info("a server's life has begun", "pid", parent.PID, "life", life, "listeners", len(ls), "port", ls[0].port, "err", err)
		return nil
	}
	if inside, err := listensIn(uint64(ls[0].port), f.at.id); err != nil || !inside {
		return errors.Join(err, errOutside)
	}
	f.settled = parent
	return nil
}

// spareLinks marks the connections of processes that must not be cut. A process is known by pid and start, so no other one can be meant by it.
func (f *fence) spareLinks() {
	if f.at.load(wordEnded) != 0 {
		return
	}
	now := map[driver.Process]bool{}
	for _, p := range f.spare {
		now[p] = f.spared[p] || f.spareOne(p)
	}
	f.spared = now
}

func (f *fence) spareOne(p driver.Process) bool {
	ss, err := connections(p, f.at.load(wordPort))
	if err != nil {
		f.log.Debug("link not spared", "pid", p.PID, "err", err)
		return false
	}
	defer closeAll(ss)
	for _, s := range ss {
		if mark := f.at.marked(s); mark != f.at.load(wordLife) {
			continue // of a former life, or spared already
		}
		if err := f.at.mark(s, f.at.load(wordLife)|exempt); err != nil {
			f.log.Warn("link not spared", "pid", p.PID, "err", err)
			return false
		}
	}
	return true
}

// there reports whether the cgroup is still the one we attached to: a unit's is made anew at each start.
func (a *attached) there() bool {
	info, err := os.Stat(a.path)
	return err == nil && inode(info) == a.id
}
