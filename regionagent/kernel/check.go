package kernel

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/events"
)

// Result is what became of one thing a host needs for the kernel lease.
type Result struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Weak bool   `json:"weak,omitempty"` // not OK, but it can run: the text says what is not covered
	Text string `json:"text"`
}

// Host is whether the kernel lease can run on this host.
type Host []Result

// Can reports whether it can run here at all.
func (h Host) Can() bool { return h.first(false) == "" }

// Whole reports whether it can run here and covers everything it promises.
func (h Host) Whole() bool { return h.Can() && h.first(true) == "" }

// Why says what is in its way, and what would remove it; empty: nothing.
func (h Host) Why() string {
	if why := h.first(false); why != "" {
		return why
	}
	return h.first(true)
}

func (h Host) first(weak bool) string {
	for _, r := range h {
		if !r.OK && r.Weak == weak {
			return r.What + ": " + r.Text
		}
	}
	return ""
}

// Check tries everything the kernel lease needs: it attaches the program to a cgroup made for that, has it judge packets, and removes all of it again.
func Check() Host {
	var h Host
	add := func(what string, err error, good string) bool {
		r := Result{What: what, OK: err == nil, Text: good}
		if err != nil {
			r.Text = err.Error()
		}
		h = append(h, r)
		return r.OK
	}
	root, err := mount()
	if !add("cgroup v2", err, "mounted at "+root) || !add("privilege", privilege(), "root, with the capabilities it takes") {
		return h
	}
	if add("program", try(root), "loads, attaches and judges by this process's boot clock") {
		if !add("socket monitor", tryMonitor(), "lists and resets connections") {
			h[len(h)-1].Weak = true
		}
	}
	if source, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource"); err == nil {
		r := Result{What: "clock", OK: true, Text: "clocksource " + strings.TrimSpace(string(source))}
		if strings.TrimSpace(string(source)) == "kvm-clock" {
			r.OK, r.Weak = false, true
			r.Text = "clocksource kvm-clock stands still while this machine is paused by its host: what it answers between its resume and its first refused beat is not stopped; want clocksource=tsc"
		}
		h = append(h, r)
	}
	return h
}

// privilege looks for the capabilities, which a container may have taken from root.
func privilege() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	effective := uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	var lack []string
	for _, c := range []struct {
		name string
		bit  uint
	}{{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}, {"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN}, {"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE}} {
		if effective&(1<<c.bit) == 0 {
			lack = append(lack, c.name)
		}
	}
	if len(lack) > 0 {
		return fmt.Errorf("user %d lacks %s: want the guard to run as root", os.Geteuid(), strings.Join(lack, ", "))
	}
	return nil
}

// try attaches the program to a new cgroup and has it judge a packet before and after a deadline: that also proves that this process and the kernel mean the same by
// a deadline, which a time namespace would break.
func try(root string) (err error) {
	path := filepath.Join(root, fmt.Sprintf("switchback-check-%d", os.Getpid()))
	a, err := attach(path)
	defer os.Remove(path) // held by nobody
	if err != nil {
		return fmt.Errorf("%w (kernel %s: want 5.9 or newer, with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF)", err, release())
	}
	defer a.close()
	for _, c := range []struct {
		deadline events.Instant
		want     uint32
	}{{now().Add(time.Minute), 1}, {now().Add(-time.Millisecond), 0}} {
		a.store(wordDeadline, uint64(c.deadline))
		got, _, err := a.program.Test(packet(1))
		if err != nil {
			return fmt.Errorf("try program: %w", err)
		}
		if got != c.want {
			return fmt.Errorf("a packet with its deadline %v away got %d, want %d: is the guard in a time namespace?", c.deadline.Sub(now()), got, c.want)
		}
	}
	return a.detach()
}

// packet is an Ethernet frame with a TCP segment that carries n bytes.
func packet(n int) []byte {
	b := make([]byte, 14+20+20+n)
	b[12], b[13] = 0x08, 0x00
	b[14], b[17], b[23] = 0x45, byte(40+n), unix.IPPROTO_TCP
	b[14+20+12] = 5 << 4
	return b
}

// tryMonitor resets a connection of our own.
func tryMonitor() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	fd, err := monitor()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	all, err := list(fd, unix.AF_INET, talking, portOf(l.Addr().String()))
	if err == nil && (len(all) != 1 || all[0].cgroup == 0) {
		err = fmt.Errorf("it shows %d connections and no cgroup where there is one of ours: want kernel 5.7 or newer", len(all))
	}
	if err == nil {
		err = destroy(fd, &all[0])
	}
	if err != nil {
		return fmt.Errorf("%w; clients of a killed server wait for minutes (want CONFIG_INET_DIAG_DESTROY)", err)
	}
	return nil
}

func release() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // can't fail with a good address
	return unix.ByteSliceToString(u.Release[:])
}
