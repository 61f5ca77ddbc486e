package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Outside is where clients are that live in no region: its own place in the network.
const Outside = ""

// ErrNoIsolation says that this machine lets us make no network namespaces, so regions can't be cut off from each other.
var ErrNoIsolation = errors.New("regions can't be cut off from each other here")

// network is one namespace per region and one outside, joined by a bridge that lives in the outside one. Namespaces have no names: they live as long as a
// process in them or this one, so nothing of them can be left behind, and the host's own interfaces are never touched. Where the machine allows none, every
// region has a loopback address of its own instead, and can be killed but not cut off.
type network struct {
	spaces map[string]*os.File
	order  []string // of regions; the first has the address prefix + "1"
	prefix string
	lock   net.Listener // loopback: keeps the prefix from every other stage of this host
	shared error        // loopback: why there are no namespaces
}

const outsideHost = "100"

// makeNetwork makes the namespaces of the regions and joins them.
func makeNetwork(regions []string) (*network, error) {
	n := &network{spaces: map[string]*os.File{}, order: regions, prefix: "10.77.0."}
	if _, err := exec.LookPath("ip"); err != nil {
		return loopback(regions, fmt.Errorf("the program ip is missing (package iproute2): %w", err))
	}
	for _, r := range append([]string{Outside}, regions...) {
		f, err := newSpace()
		if err != nil {
			n.close()
			return loopback(regions, fmt.Errorf("%w (root, or a user who may make user namespaces, can)", err))
		}
		n.spaces[r] = f
	}
	if err := n.join(); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// loopback reserves addresses 127.77.N.x for the regions.
func loopback(regions []string, why error) (*network, error) {
	n := &network{order: regions, shared: fmt.Errorf("%w: %w", ErrNoIsolation, why)}
	for i := range 250 {
		l, err := net.Listen("unix", fmt.Sprintf("@switchback-stage-%d", i))
		if err == nil {
			n.lock, n.prefix = l, fmt.Sprintf("127.77.%d.", i)
			return n, nil
		}
	}
	return nil, errors.New("every network from 127.77.0 to 127.77.249 is taken by another stage")
}

// join lays a cable from every region to the bridge.
func (n *network) join() error {
	err := n.ip(Outside, "link set lo up", "link add bridge type bridge", "addr add "+n.address(Outside)+"/24 dev bridge", "link set bridge up")
	for _, r := range n.order {
		if err != nil {
			return err
		}
		port := n.port(r)
		err = n.withFile(Outside, n.spaces[r], "link add "+port+" type veth peer name eth0 netns /proc/self/fd/3")
		if err == nil {
			err = n.ip(r, "link set lo up", "addr add "+n.address(r)+"/24 dev eth0", "link set eth0 up")
		}
		if err == nil {
			err = n.ip(Outside, "link set "+port+" up", "link set "+port+" master bridge")
		}
	}
	return err
}

// port names the bridge's end of a region's cable.
func (n *network) port(region string) string {
	return "port" + strings.TrimPrefix(n.address(region), n.prefix)
}

// address is a region's; Outside has its own.
func (n *network) address(region string) string {
	for i, r := range n.order {
		if r == region {
			return n.prefix + strconv.Itoa(i+1)
		}
	}
	return n.prefix + outsideHost
}

// isolate unplugs a region's cable from the bridge: what is sent vanishes without an error, as in a real partition.
func (n *network) isolate(region string) error {
	if n.shared != nil {
		return n.shared
	}
	return n.ip(Outside, "link set "+n.port(region)+" nomaster")
}

// heal plugs it in again.
func (n *network) heal(region string) error {
	if n.shared != nil {
		return n.shared
	}
	return n.ip(Outside, "link set "+n.port(region)+" master bridge")
}

func (n *network) ip(place string, lines ...string) error {
	for _, l := range lines {
		if err := n.withFile(place, nil, l); err != nil {
			return err
		}
	}
	return nil
}

func (n *network) withFile(place string, f *os.File, line string) error {
	cmd := exec.Command("ip", strings.Fields(line)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if f != nil {
		cmd.ExtraFiles = []*os.File{f}
	}
	err := n.start(place, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("run ip %s: %w: %s", line, err, strings.TrimSpace(out.String()))
	}
	return nil
}

// start starts a program in a place.
func (n *network) start(place string, cmd *exec.Cmd) error {
	return n.in(place, cmd.Start)
}

// dial connects from a place. A unix socket is reachable from every place: it is the host's file system that matters there.
func (n *network) dial(place string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, kind, addr string) (c net.Conn, err error) {
		err = n.in(place, func() error {
			c, err = (&net.Dialer{}).DialContext(ctx, kind, addr)
			return err
		})
		return c, err
	}
}

// in runs f on a thread that is in the place's namespace; a socket or process made there stays there.
func (n *network) in(place string, f func() error) error {
	if n.shared != nil {
		return f()
	}
	space := n.spaces[place]
	if space == nil {
		return fmt.Errorf("no place %q in this network", place)
	}
	return onThread(func() error {
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network of %q: %w", place, err)
		}
		return f()
	})
}

// newSpace makes an empty namespace.
func newSpace() (f *os.File, err error) {
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return f, err
}

// onThread runs f on a thread of its own and brings the thread back to where it was; one that can't go back ends.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

func (n *network) close() {
	for _, f := range n.spaces {
		f.Close()
	}
	if n.lock != nil {
		n.lock.Close()
	}
}
