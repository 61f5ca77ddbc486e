package auth

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bounds how often each may do something. It keeps no more than so many at a time: who has not come for longest is forgotten, which gives it a full burst again.
type Limits struct {
	each  rate.Limit
	burst int
	most  int

	mu  sync.Mutex
	all map[string]*limited
}

type limited struct {
	*rate.Limiter
	last time.Time
}

// mostLimited is how many are kept: 100 bytes each.
const mostLimited = 10_000

// NewLimits returns limits of so many a second, and a burst.
func NewLimits(perSecond float64, burst int) *Limits {
	return &Limits{each: rate.Limit(perSecond), burst: burst, most: mostLimited, all: map[string]*limited{}}
}

// Take counts one and returns how long to wait instead; 0 = it may go on.
func (l *Limits) Take(who string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.all[who]
	if x == nil {
		if len(l.all) >= l.most {
			l.forget(now)
		}
		x = &limited{Limiter: rate.NewLimiter(l.each, l.burst)}
		l.all[who] = x
	}
	x.last = now
	r := x.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait
	}
	return 0
}

// forget makes room: whoever has a full burst again, and if that is nobody, who has not come for longest.
func (l *Limits) forget(now time.Time) {
	oldest := ""
	for who, x := range l.all {
		if x.TokensAt(now) >= float64(l.burst) {
			delete(l.all, who)
		} else if oldest == "" || x.last.Before(l.all[oldest].last) {
			oldest = who
		}
	}
	if len(l.all) >= l.most {
		delete(l.all, oldest)
	}
}

// AddressKey is what failures of an address are counted by: of IPv6 the network that one host has to itself.
func AddressKey(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.Unmap().String()
}
