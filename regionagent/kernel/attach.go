package kernel

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// attached is the program on one cgroup, with what it shares with us. No file pins it: the cgroup holds the program, the program its maps, so all of it lives
// as long as the cgroup, whoever ends, and goes with it.
type attached struct {
	path    string
	id      uint64 // of the cgroup, as the kernel and its directory's inode have it
	program *ebpf.Program
	marks   *ebpf.Map
	memory  []byte // the words, mapped
}

func now() events.Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("boot clock can't be read: %v", err)) // Linux has had it since 2.6.39
	}
	return events.Instant(ts.Nano())
}

func (a *attached) word(n int) *uint64        { return (*uint64)(unsafe.Pointer(&a.memory[n*8])) }
func (a *attached) load(n int) uint64         { return atomic.LoadUint64(a.word(n)) }
func (a *attached) store(n int, value uint64) { atomic.StoreUint64(a.word(n), value) }

// mark sets a socket's mark.
func (a *attached) mark(s socket, mark uint64) error {
	if err := a.marks.Update(uint32(s.fd), mark, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("mark socket: %w", err)
	}
	return nil
}

// marked is a socket's mark, 0 if it has none.
func (a *attached) marked(s socket) (mark uint64) {
	if a.marks.Lookup(uint32(s.fd), &mark) != nil {
		return 0
	}
	return mark
}

// attach puts the program on a cgroup, making the cgroup if it is ours to make, or takes over what a guard before us put there. A newer program replaces an older
// one without a gap: it is attached before the other is taken off, and both obey the same words.
func attach(path string) (*attached, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	old, err := find(path)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return attachNew(path)
	}
	return old, old.renew()
}

func attachNew(path string) (*attached, error) {
	shared, err := newWords()
	if err != nil {
		return nil, fmt.Errorf("make map: %w", err)
	}
	defer shared.Close() // mapped below
	a := &attached{path: path}
	if a.marks, err = newMarks(); err == nil {
		a.program, err = newProgram(shared, a.marks)
	}
	if err == nil {
		err = a.open(shared)
	}
	if err == nil {
		err = a.hang(a.program)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// open maps the words and learns the cgroup's id.
func (a *attached) open(shared *ebpf.Map) (err error) {
	if a.memory, err = unix.Mmap(shared.FD(), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map words into memory: %w", err)
	}
	info, err := os.Stat(a.path)
	if err != nil {
		return fmt.Errorf("look at cgroup: %w", err)
	}
	a.id = inode(info)
	return nil
}

func (a *attached) on(f func(cgroup int) error) error {
	dir, err := os.Open(a.path)
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	defer dir.Close()
	return f(int(dir.Fd()))
}

func (a *attached) hang(p *ebpf.Program) error {
	return a.on(func(cgroup int) error {
		return link.RawAttachProgram(link.RawAttachProgramOptions{Target: cgroup, Program: p, Attach: ebpf.AttachCGroupInetEgress, Flags: unix.BPF_F_ALLOW_MULTI})
	})
}

// detach takes the program off: nothing is cut any more.
func (a *attached) detach() error {
	return a.on(func(cgroup int) error {
		return link.RawDetachProgram(link.RawDetachProgramOptions{Target: cgroup, Program: a.program, Attach: ebpf.AttachCGroupInetEgress})
	})
}

// close gives up our hold on it; what is attached stays attached. A field that was not made yet is nil, which is closed already.
func (a *attached) close() {
	if a.memory != nil {
		_ = unix.Munmap(a.memory) // fails only for what was never mapped
	}
	_ = errors.Join(a.program.Close(), a.marks.Close()) // descriptors: nothing is lost
}

// find opens what is attached to a cgroup by its name; nil = nothing of ours is, or there is no such cgroup.
func find(path string) (*attached, error) {
	a := &attached{path: path}
	if _, err := os.Stat(path); err != nil {
		return nil, nil
	}
	err := a.on(func(cgroup int) error {
		all, err := link.QueryPrograms(link.QueryOptions{Target: cgroup, Attach: ebpf.AttachCGroupInetEgress})
		if err != nil {
			return fmt.Errorf("list programs of cgroup %s: %w", path, err)
		}
		for _, one := range all.Programs {
			p, err := ebpf.NewProgramFromID(one.ID)
			if errors.Is(err, os.ErrNotExist) {
				continue // gone meanwhile
			} else if err != nil {
				return fmt.Errorf("open program %d: %w", one.ID, err)
			}
			if info, err := p.Info(); err == nil && info.Name == programName {
				a.program = p
				return a.takeOver(info)
			}
			_ = p.Close()
		}
		return nil
	})
	if err != nil || a.program == nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// takeOver opens the maps of a program that was found.
func (a *attached) takeOver(info *ebpf.ProgramInfo) error {
	ids, _ := info.MapIDs()
	var shared *ebpf.Map
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return fmt.Errorf("open map %d: %w", id, err)
		}
		switch about, err := m.Info(); {
		case err == nil && about.Name == wordsName:
			defer m.Close()
			shared = m
		case err == nil && about.Name == marksName:
			a.marks = m
		default:
			_ = m.Close()
		}
	}
	if shared == nil || a.marks == nil || shared.ValueSize() != words*8 {
		return fmt.Errorf("program on cgroup %s is not of this kind: detach it with bpftool cgroup detach", a.path)
	}
	return a.open(shared)
}

// renew replaces the program that was taken over if it is not the one this guard would load.
func (a *attached) renew() error {
	shared, err := a.shared()
	if err != nil {
		return err
	}
	defer shared.Close()
	p, err := newProgram(shared, a.marks)
	if err != nil {
		return err
	}
	mine, err1 := p.Info()
	theirs, err2 := a.program.Info()
	if err := errors.Join(err1, err2); err != nil || mine.Tag == theirs.Tag {
		return errors.Join(err, p.Close())
	}
	if err := a.hang(p); err != nil {
		return errors.Join(err, p.Close())
	}
	err = errors.Join(a.detach(), a.program.Close())
	a.program = p
	return err
}

func (a *attached) shared() (*ebpf.Map, error) {
	info, err := a.program.Info()
	if err != nil {
		return nil, err
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return nil, err
		}
		if about, err := m.Info(); err == nil && about.Name == wordsName {
			return m, nil
		}
		_ = m.Close()
	}
	return nil, fmt.Errorf("program on cgroup %s has no map %s", a.path, wordsName)
}

func inode(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

// mount is where version 2 of control groups is mounted, alone or beside version 1.
func mount() (string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("read mounts: %w", err)
	}
	for line := range strings.Lines(string(b)) { // id parent dev root point options ... - type source options
		before, after, ok := strings.Cut(line, " - ")
		if f := strings.Fields(before); ok && len(f) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return f[4], nil
		}
	}
	return "", errors.New("control groups of version 2 are not mounted: want mount -t cgroup2, or a host that boots with them")
}

// home is the cgroup of a server without a unit. The directory's name tells people whose it is, the sum of the whole path keeps two servers of a host apart.
func home(root, data string) string {
	data = filepath.Clean(data)
	sum := sha256.Sum256([]byte(data))
	name := filepath.Base(filepath.Dir(data))
	return filepath.Join(root, "switchback", strings.Trim(name, "/.")+"-"+hex.EncodeToString(sum[:6]))
}

// group is the cgroup of a cluster's server: the one the tree names, or its unit's, by the parent's own membership. What nobody named is never touched: a server started by
// hand sits in its starter's session.
func group(t driver.Tree, parent int) (string, error) {
	switch {
	case t.Cgroup != "":
		return t.Cgroup, nil
	case t.Unit == "":
		return "", errNoGroup
	case parent == 0:
		return "", fmt.Errorf("unit %s does not run", t.Unit)
	}
	root, err := mount()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", parent))
	if err != nil {
		return "", fmt.Errorf("look at pid %d: %w", parent, err)
	}
	for line := range strings.Lines(string(b)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if before, _, in := strings.Cut(path+"/", "/"+unitName(t.Unit)+"/"); ok && in {
			return filepath.Join(root, before, unitName(t.Unit)), nil
		}
	}
	return "", fmt.Errorf("pid %d is not in the cgroup of unit %s: it was started around it", parent, t.Unit)
}

// unitName completes a unit's name as systemd does.
func unitName(unit string) string {
	if strings.Contains(unit, ".") {
		return unit
	}
	return unit + ".service"
}
