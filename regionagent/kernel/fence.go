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

// fence is one cluster's. A look at processes may hang in the kernel, and the guard's loop must not wait for it: so what the loop touches has a lock of its own,
// which nobody holds while he asks the kernel for anything.
type fence struct {
	log  *slog.Logger
	look sync.Mutex // held for a whole look

	mu    sync.Mutex // what follows
	tree  driver.Tree
	until events.Instant
	free  bool
	spare []driver.Process
	why   string
	at    *attached // written under both locks, so either is enough to read it

	// Of the looks alone: the parent whose listeners are all marked and inside the cgroup, the processes whose connections are spared, and the life both belong to;
	// off: nothing of ours is on the cgroup.
	settled driver.Process
	spared  map[driver.Process]bool
	life    uint64
	off     bool
	sight   *sight // nil = the next look is a search
}

// wish is what is wanted for a cluster, as of the beginning of a look.
type wish struct {
	tree  driver.Tree
	free  bool
	spare []driver.Process
}

func (f *fence) wish() wish {
	f.mu.Lock()
	defer f.mu.Unlock()
	return wish{f.tree, f.free, f.spare}
}

// see brings the kernel up to what is true now: where the server is, whether it is still the same one, who is spared.
func (f *fence) see() error {
	w := f.wish()
	if w.free {
		f.forget()
		return f.takeOff(w.tree)
	}
	if f.holds(w) {
		return f.sight.err
	}
	file, old := stampOf(w.tree.PIDFile)
	parent, err := f.search(w)
	f.keep(w, file, old, parent, err)
	return err
}

// search looks for the server, and brings the kernel up to what it finds.
func (f *fence) search(w wish) (driver.Process, error) {
	parent, err := freezer.Parent(w.tree)
	if err != nil {
		return parent, err
	}
	path, err := group(w.tree, parent.PID)
	if err != nil {
		return parent, err
	}
	if f.at == nil || f.at.path != path || !f.at.there() {
		if err := f.attach(path, w.tree); err != nil {
			return parent, err
		}
	}
	lives, known := f.at.load(wordEnded) == 0, f.at.parent()
	if parent != known && known.PID != 0 && lives {
		f.end("its server is gone")
	}
	f.catchUp() // only now: a deadline must not be lent to a life that is over
	if life := f.at.load(wordLife); life != f.life {
		f.life, f.settled, f.spared = life, driver.Process{}, nil
	}
	dying := parent == known && !lives
	if parent.PID != 0 && parent != f.settled && !dying {
		if err := f.begin(parent); err != nil {
			return parent, err
		}
	}
	if !dying {
		f.spareLinks(w.spare)
	}
	return parent, nil
}

func (f *fence) attach(path string, t driver.Tree) error {
	at, err := attach(path)
	if err != nil {
		return err
	}
	if at.load(wordPort) == 0 {
		at.store(wordPort, portOf(t.Address))
	}
	f.swap(at)
	f.settled, f.spared, f.off = driver.Process{}, nil, false
	return nil
}

// swap replaces what is attached to, and gives up our hold on what was.
func (f *fence) swap(at *attached) {
	f.mu.Lock()
	old := f.at
	f.at = at
	f.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// catchUp stores the deadline that was told before there was anything to store it in.
func (f *fence) catchUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at.store(wordDeadline, uint64(f.until))
}

// takeOff takes the program off whatever cgroup it is on, also one that a guard before this one attached it to.
func (f *fence) takeOff(t driver.Tree) error {
	if f.off {
		return errFree
	}
	at := f.at
	if at == nil {
		path, err := group(t, 0)
		if err == nil {
			at, err = find(path)
		}
		if err != nil || at == nil {
			f.off = true // nothing of ours can be anywhere
			return errFree
		}
		defer at.close()
	}
	if err := at.detach(); err != nil {
		return err
	}
	f.log.Info("kernel lease taken off", "cgroup", at.path)
	_ = os.Remove(at.path) // one of ours that nobody is in goes; no other one does
	f.swap(nil)
	f.off = true
	return errFree
}

// end is the end of a life: its connections never speak again, and their clients are told so.
func (f *fence) end(why string) {
	f.mu.Lock()
	at := f.at
	if at == nil {
		f.mu.Unlock()
		return
	}
	at.store(wordLife, at.load(wordLife)+1) // before anything is noted: a guard killed in between must not leave it undone
	at.store(wordEnded, 1)
	life, port, id := at.load(wordLife), at.load(wordPort), at.id
	f.mu.Unlock()
	n, err := reset(port, id)
	f.log.Info("a server's life has ended: nothing it said leaves any more", "why", why, "next_life", life, "connections_reset", n, "err", err)
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
	fresh := 0
	for _, s := range ls {
		if f.life != 0 && f.at.marked(s) != f.life {
			if err := f.at.mark(s, f.life); err != nil {
				return err
			}
			fresh++
		}
	}
	f.note(parent, ls[0].port)
	if fresh > 0 { // what was accepted before the mark would be mute for ever
		_, err := reset(uint64(ls[0].port), f.at.id)
		f.log.Info("a server's life has begun", "pid", parent.PID, "life", f.life, "listeners", len(ls), "port", ls[0].port, "err", err)
		return nil
	}
	if inside, err := listensIn(uint64(ls[0].port), f.at.id); err != nil || !inside {
		return errors.Join(err, errOutside)
	}
	f.settled = parent
	return nil
}

// note writes down whose life it is, for the looks to come and for the next guard. Was it ended meanwhile, it is that server's end that was meant.
func (f *fence) note(parent driver.Process, port int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at.store(wordPort, uint64(port))
	f.at.store(wordStart, parent.Start)
	f.at.store(wordParent, uint64(parent.PID))
	if f.at.load(wordLife) == f.life {
		f.at.store(wordEnded, 0)
	}
}

// spareLinks marks the connections of processes that must not be cut. A process is known by pid and start, so no other one can be meant by it.
func (f *fence) spareLinks(ps []driver.Process) {
	now := map[driver.Process]bool{}
	for _, p := range ps {
		if f.spared[p] || f.spareOne(p) {
			now[p] = true
		}
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
		if f.at.marked(s) != f.life {
			continue // of a former life, or spared already
		}
		if err := f.at.mark(s, f.life|exempt); err != nil {
			f.log.Warn("link not spared", "pid", p.PID, "err", err)
			return false
		}
	}
	return true
}

// parent is whose life it is; the zero Process: nobody's yet.
func (a *attached) parent() driver.Process {
	return driver.Process{PID: int(a.load(wordParent)), Start: a.load(wordStart)}
}

// there reports whether the cgroup is still the one we attached to: a unit's is made anew at each start.
func (a *attached) there() bool {
	info, err := os.Stat(a.path)
	return err == nil && inode(info) == a.id
}
