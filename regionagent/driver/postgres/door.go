package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A probe goes over a session that is open already, so that it is quick and needs no place of its own. A postmaster that hangs alone leaves that session well while nobody
// new gets in: clients without a pool are down. So now and then somebody knocks.
const (
	knockEvery = 5 * time.Second // between two knocks
	knockLimit = 2 * time.Second // for one
	knockMiss  = 2               // so many in a row without any answer are an alarm
)

// door is what knocking found. A refusal (no place left, starting up, a password) is an answer: the postmaster lives.
type door struct {
	mu     sync.Mutex
	next   time.Time
	misses int
	since  time.Time // of the first miss in a row
}

// knock begins a knock if one is due, beside the probe, and says what is wrong by those before; "" if nothing is.
func (d *Driver) knock() string {
	o := &d.door
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.After(o.next) {
		o.next = now.Add(knockEvery)
		go d.knockOnce()
	}
	if o.misses < knockMiss {
		return ""
	}
	return fmt.Sprintf("takes no new connections since %s, although open sessions go on: its postmaster hangs", time.Since(o.since).Round(time.Second))
}

func (d *Driver) knockOnce() {
	ctx, cancel := context.WithTimeout(context.Background(), knockLimit)
	defer cancel()
	conn, err := d.dial("1s")(ctx, &link{})
	if err == nil {
		conn.Close(ctx)
	}
	o := &d.door
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, answered := errors.AsType[*pgconn.PgError](err); err == nil || answered {
		o.misses = 0
		return
	}
	if o.misses++; o.misses == 1 {
		o.since = time.Now()
	}
}
