package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's socket monitor (linux/inet_diag.h, UAPI).
const (
	diagByFamily  = 20 // SOCK_DIAG_BY_FAMILY
	diagDestroy   = 21 // SOCK_DESTROY
	diagRequest   = 56 // bytes of struct inet_diag_req_v2
	diagMessage   = 72 // bytes of struct inet_diag_msg
	diagID        = 48 // bytes of struct inet_diag_sockid, at 8 in the request and at 4 in the message
	diagCgroup    = 21 // attribute INET_DIAG_CGROUP_ID
	netlinkHeader = unix.SizeofNlMsghdr
	// talking are the states a connection can send data in; a listener and what waits out its time are not among them.
	talking = 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_FIN_WAIT1 | 1<<unix.BPF_TCP_CLOSE_WAIT | 1<<unix.BPF_TCP_LAST_ACK | 1<<unix.BPF_TCP_CLOSING
)

// resetLimit bounds how long a kill waits for clients to be told: their connections are mute already.
const resetLimit = 500 * time.Millisecond

var errSlow = errors.New("not every connection was reset in time: the others are mute, and end by themselves")

// peer is one TCP connection as the monitor shows it.
type peer struct {
	family byte
	id     [diagID]byte
	orphan bool // no process owns it any more
	cgroup uint64
}

// reset ends every connection at a local port whose server's cgroup this is: its client gets a RST. How many were ended.
func reset(port, cgroup uint64) (n int, err error) {
	fd, err := monitor()
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	orphans, limit := endsOrphans(), now().Add(resetLimit)
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		all, e := list(fd, family, talking, port)
		err = errors.Join(err, e)
		for _, p := range all {
			if p.cgroup != cgroup || p.orphan && !orphans {
				continue
			}
			if now() > limit {
				return n, errors.Join(err, errSlow)
			}
			if e := destroy(fd, &p); e != nil {
				err = errors.Join(err, e)
				continue
			}
			n++
		}
	}
	return n, err
}

func monitor() (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG); err != nil {
		return 0, fmt.Errorf("open socket monitor: %w", err)
	}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}) // a kernel that never answers must not hold a kill up
	return fd, nil
}

// listensIn reports whether somebody in the cgroup listens on a port.
func listensIn(port, cgroup uint64) (bool, error) {
	fd, err := monitor()
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		all, err := list(fd, family, 1<<unix.BPF_TCP_LISTEN, port)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(all, func(p peer) bool { return p.cgroup == cgroup }) {
			return true, nil
		}
	}
	return false, nil
}

func request(kind, flags uint16, family byte, states uint32, id [diagID]byte) []byte {
	b := make([]byte, netlinkHeader+diagRequest)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	b[netlinkHeader], b[netlinkHeader+1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[netlinkHeader+4:], states)
	copy(b[netlinkHeader+8:], id[:])
	return b
}

func destroy(fd int, p *peer) error {
	if err := unix.Sendto(fd, request(diagDestroy, unix.NLM_F_REQUEST|unix.NLM_F_ACK, p.family, talking, p.id), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("reset connection: %w", err)
	}
	err := receive(fd, func(unix.NlMsghdr, []byte) {})
	if errors.Is(err, unix.ENOENT) {
		return nil // it ended by itself
	} else if err != nil {
		return fmt.Errorf("reset connection: %w", err)
	}
	return nil
}

// list returns the connections at a local port.
func list(fd int, family byte, states uint32, port uint64) (out []peer, err error) {
	if err := unix.Sendto(fd, request(diagByFamily, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, family, states, [diagID]byte{}), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("list connections: %w", err)
	}
	err = receive(fd, func(h unix.NlMsghdr, b []byte) {
		if h.Type != diagByFamily || len(b) < diagMessage || uint64(binary.BigEndian.Uint16(b[4:])) != port {
			return
		}
		p := peer{family: b[0], orphan: binary.NativeEndian.Uint32(b[68:]) == 0}
		copy(p.id[:], b[4:])
		for a := b[diagMessage:]; len(a) >= 4; {
			n := int(binary.NativeEndian.Uint16(a))
			if n < 4 || n > len(a) {
				break
			}
			if binary.NativeEndian.Uint16(a[2:]) == diagCgroup && n >= 12 {
				p.cgroup = binary.NativeEndian.Uint64(a[4:])
			}
			a = a[min((n+3)&^3, len(a)):]
		}
		out = append(out, p)
	})
	if err != nil {
		return out, fmt.Errorf("list connections: %w", err)
	}
	return out, nil
}

// receive reads one answer to its end.
func receive(fd int, take func(unix.NlMsghdr, []byte)) error {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return err
		}
		for b := buf[:n]; len(b) >= netlinkHeader; {
			h := *(*unix.NlMsghdr)(unsafe.Pointer(&b[0]))
			if h.Len < netlinkHeader || int(h.Len) > len(b) {
				return errors.New("half a message of the kernel")
			}
			body := b[netlinkHeader:h.Len]
			switch h.Type {
			case unix.NLMSG_DONE:
				return nil
			case unix.NLMSG_ERROR:
				if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
					return unix.Errno(-code)
				}
				return nil
			default:
				take(h, body)
			}
			b = b[min((int(h.Len)+3)&^3, len(b)):]
		}
	}
}

// endsOrphans reports whether the kernel can reset a connection that no process owns (since 6.11). An older one would only throw its data away and
// leave the client waiting; there it ends by itself, some minutes later.
func endsOrphans() bool {
	var u unix.Utsname
	var major, minor int
	if unix.Uname(&u) != nil {
		return false
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 11
}
