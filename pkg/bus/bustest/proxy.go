package bustest

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/switchback-dr/switchback/pkg/bus"
)

// Proxy stands between clients and one server. It forwards bytes, in each direction as long as its gate is open; a closed gate keeps what was
// sent and lets it go when it opens, even to a server whose client has given up meanwhile.
type Proxy struct {
	Region string
	listen net.Listener
	target string

	mu               sync.Mutex
	changed          *sync.Cond
	toServer, toUser bool // open
	closed           bool
	conns            map[net.Conn]bool
	running          sync.WaitGroup
}

// Proxy puts a proxy in front of server i until the test ends. Clients that take its Server instead of the hub's own go through it.
func (h *Hub) Proxy(t testing.TB, i int) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	p := &Proxy{
		Region: Regions[i], listen: l, target: strings.TrimPrefix(h.Servers()[i].URL, "nats://"), toServer: true, toUser: true, conns: map[net.Conn]bool{},
	}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Server is the proxy's address, in the server's place.
func (p *Proxy) Server() bus.Server {
	return bus.Server{Region: p.Region, URL: "nats://" + p.listen.Addr().String()}
}

// Gates opens or closes each direction: both closed is a black hole, toUser alone swallows the answers, toServer alone delays the questions.
func (p *Proxy) Gates(toServer, toUser bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.toServer, p.toUser = toServer, toUser
	p.changed.Broadcast()
}

func (p *Proxy) accept() {
	for {
		user, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			user.Close()
			continue
		}
		if !p.keep(user, server) {
			return
		}
		p.running.Go(func() { p.carry(server, user, &p.toServer) })
		p.running.Go(func() { p.carry(user, server, &p.toUser) })
	}
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
		}
		p.conns[c] = true
	}
	return !p.closed
}

// carry copies one direction; at its end it closes both sides.
func (p *Proxy) carry(to io.WriteCloser, from io.ReadCloser, open *bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			for !*open && !p.closed {
				p.changed.Wait()
			}
			p.mu.Unlock()
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) close() {
	p.listen.Close()
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}
