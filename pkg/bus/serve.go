package bus

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// serving is how many requests of one door are answered at once; more wait in their connection.
const serving = 64

// Serve answers requests on pattern as a NATS micro service, so that `nats micro ls` shows it. It is registered on every connection: the hub
// gives each request to any one of them, so the loss of a hub server loses no door. Requests given to a server behind a route that is dead and not yet found
// dead (3 s) are lost: who asks must ask again, with the same id.
func (n *NATS) Serve(s Service, pattern string, f func(Message) []byte) (stop func(), err error) {
	slots := make(chan struct{}, serving)
	handler := micro.HandlerFunc(func(r micro.Request) {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			if err := r.Respond(f(Message{Subject: r.Subject(), Data: r.Data(), Reply: r.Reply()})); err != nil {
				n.log.Warn("answer request", "subject", r.Subject(), "err", err)
			}
		}()
	})
	var services []micro.Service // in the order of the connections
	stop = func() {
		for i, x := range services {
			go n.conns[i].shut(x)
		}
	}
	for _, c := range n.conns {
		c.mu.Lock()
		nc := c.nc
		c.mu.Unlock()
		x, err := addService(nc, s, pattern, handler)
		if err != nil {
			stop()
			return nil, fmt.Errorf("serve %s in hub region %s: %w", pattern, c.server.Region, err)
		}
		services = append(services, x)
	}
	return stop, nil
}

func addService(nc *nats.Conn, s Service, pattern string, h micro.Handler) (micro.Service, error) {
	x, err := micro.AddService(nc, micro.Config{Name: s.Name, Version: s.Version, Description: s.Description})
	if err != nil {
		return nil, err
	}
	if err := x.AddEndpoint("door", h, micro.WithEndpointSubject(pattern)); err != nil {
		_ = x.Stop()
		return nil, err
	}
	return x, nil
}

// shut stops a service once its connection is up: stopped while it is down, nats.go forgets it and subscribes anew with the connection, and a share of all requests
// would go to a door behind which nobody is any more.
func (c *conn) shut(x micro.Service) {
	for !c.isUp() && !c.closed() {
		time.Sleep(retryWait)
	}
	_ = x.Stop()
}

func (c *conn) closed() bool {
	c.mu.Lock()
	nc := c.nc
	c.mu.Unlock()
	return nc.IsClosed()
}
