package stage

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchback-dr/switchback/events"
)

// ProbeEvery is how often each server is asked from inside its region whether it is writable.
const ProbeEvery = 50 * time.Millisecond

// Probe is one answer of a server that said it was writable.
type Probe struct {
	Group    string
	Server   events.Ref
	Sent     Instant
	Answered Instant
}

// Probes ask every server all the time, through its local socket, and wait for an answer as long as it takes: a thawed one is seen.
type Probes struct {
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu  sync.Mutex
	log []Probe
}

// StartProbes starts them.
func (s *Stage) StartProbes() *Probes {
	ctx, cancel := context.WithCancel(s.ctx)
	p := &Probes{cancel: cancel}
	for _, g := range s.options.Groups {
		if !g.Written() {
			continue
		}
		for _, ref := range g.Clusters() {
			p.work.Go(func() { p.probe(ctx, g.Name, s.Server(ref)) })
		}
	}
	return p
}

// Log is what they heard so far.
func (p *Probes) Log() []Probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log[:len(p.log):len(p.log)]
}

// Stop ends them.
func (p *Probes) Stop() {
	p.cancel()
	p.work.Wait()
}

func (p *Probes) probe(ctx context.Context, group string, v *Server) {
	var conn *pgconn.PgConn
	tick := time.NewTicker(ProbeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if conn != nil {
				hangUp(conn)
			}
			return
		case <-tick.C:
		}
		if conn == nil {
			var err error
			if conn, err = pgconn.Connect(ctx, v.dsn()); err != nil {
				conn = nil
				continue
			}
		}
		sent := Clock()
		results, err := conn.Exec(ctx, "SELECT pg_is_in_recovery()").ReadAll()
		if err != nil {
			hangUp(conn)
			conn = nil
			continue
		}
		if string(results[0].Rows[0][0]) == "f" {
			p.mu.Lock()
			p.log = append(p.log, Probe{Group: group, Server: v.Ref, Sent: sent, Answered: Clock()})
			p.mu.Unlock()
		}
	}
}
