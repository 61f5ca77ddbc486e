package stage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Crowd is a number of clients outside every region, each with one session over TCP on one server, who write as fast as they are answered and never come back.
type Crowd struct {
	server *Server
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex
	acked []Instant // when each answer (ReadyForQuery) came
	left  int       // sessions that live
}

// Crowd lets n clients in; each was answered once when it returns. End it before the stage is closed.
func (s *Stage) Crowd(v *Server, n int) (*Crowd, error) {
	if _, err := v.SQL(s.ctx, "CREATE TABLE IF NOT EXISTS public.crowd (n int)"); err != nil {
		return nil, fmt.Errorf("let a crowd in: %w", err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	c := &Crowd{server: v, cancel: cancel, left: n}
	for range n {
		cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable connect_timeout=5", s.net.address(v.Ref.Region), v.Port, v.owner.name))
		if err != nil {
			c.End()
			return nil, err
		}
		cfg.DialFunc = s.net.dial(Outside)
		conn, err := pgconn.ConnectConfig(ctx, cfg)
		if err != nil {
			c.End()
			return nil, fmt.Errorf("let a crowd in: %w", err)
		}
		c.work.Go(func() { c.write(ctx, conn) })
	}
	return c, until(ctx, 10*time.Second, func(context.Context) error {
		if got := c.Answers(0); got < 5*n {
			return fmt.Errorf("a crowd of %d had %d answers", n, got)
		}
		return nil
	})
}

func (c *Crowd) write(ctx context.Context, conn *pgconn.PgConn) {
	defer hangUp(conn)
	for {
		_, err := conn.Exec(ctx, "INSERT INTO public.crowd VALUES (1)").ReadAll() // returns at ReadyForQuery
		now := Clock()
		c.mu.Lock()
		if err == nil {
			c.acked = append(c.acked, now)
		} else {
			c.left--
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Answers is how many answers came after an instant.
func (c *Crowd) Answers(since Instant) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range slices.Backward(c.acked) {
		if at <= since {
			break
		}
		n++
	}
	return n
}

// Left is how many sessions still live.
func (c *Crowd) Left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// End sends everybody home.
func (c *Crowd) End() {
	c.cancel()
	c.work.Wait()
}
