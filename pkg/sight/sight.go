// Package sight looks at an agent or a cluster of another region the way its clients would: a TLS answer of an agent, a protocol answer of a server. A TCP
// connect proves nothing: the kernel accepts it for a frozen server too (facts/postgres).
package sight

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Limit bounds one look at one address.
const Limit = 400 * time.Millisecond

// Look looks at every target at once and says what it saw, in the targets' order. conf may be nil: then agents can't be seen.
func Look(ctx context.Context, l events.Look, conf *tls.Config) []events.Sighting {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	out := make([]events.Sighting, len(l.Targets))
	var wg sync.WaitGroup
	for i, t := range l.Targets {
		wg.Go(func() { out[i] = one(ctx, l.Region, t, conf) })
	}
	wg.Wait()
	return out
}

func one(ctx context.Context, region string, t events.LookTarget, conf *tls.Config) events.Sighting {
	if t.Cluster != (events.Ref{}) {
		return events.Sighting{Region: region, What: t.Cluster.Cluster, How: events.SightCluster, Seen: Server(ctx, t.Address)}
	}
	return events.Sighting{Region: region, What: t.Agent.Agent, How: events.SightAgent, Seen: conf != nil && Agent(ctx, t.Peer, conf)}
}

// Agent reports whether an agent completes a TLS handshake.
func Agent(ctx context.Context, address string, conf *tls.Config) bool {
	d := tls.Dialer{Config: conf}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = c.Close() // only looked
	return true
}

// Server reports whether a PostgreSQL server answers its protocol: one byte to a request for TLS, which its own process sends.
func Server(ctx context.Context, address string) bool {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer c.Close()
	if at, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(at); err != nil {
			return false
		}
	}
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest
		return false
	}
	b := make([]byte, 1)
	_, err = io.ReadFull(c, b)
	return err == nil && (b[0] == 'S' || b[0] == 'N')
}
