package bus

import (
	"slices"
	"time"
)

// Fate is what becomes of one publish, whatever the server would say.
type Fate int

// The fates of a publish.
const (
	FateFair     Fate = iota
	FateAckLost       // stored or refused as usual, but no answer arrives: ErrUnknown when the caller gives up
	FateLost          // never arrives: ErrUnknown when the caller gives up
	FateLate          // arrives only when Land is called, long after the caller gave up: ErrUnknown
	FateInFlight      // refused as in flight: ErrInFlight
	FateDenied        // forbidden: ErrDenied
)

// Fates asks f for the fate of every publish from now on, of a batch by its first message; nil = all fair. f must not use the bus.
func (c *Client) Fates(f func(Out) Fate) {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	c.fate = f
}

// Land lets every publish of fate FateLate arrive now, in order, and returns how many were stored.
func (c *Client) Land() (stored int) {
	c.memory.mu.Lock()
	late := c.late
	c.late = nil
	c.memory.mu.Unlock()
	for _, ms := range late {
		if _, err := c.memory.commit(ms); err == nil {
			stored++
		}
	}
	return stored
}

// Cut takes the way to a region's server away, Mend gives it back. Calls under way fail with ErrUnknown at once.
func (c *Client) Cut(region string) { c.bend(region, func(w *way) { w.cut = true }) }

// Mend gives the way to a region's server back.
func (c *Client) Mend(region string) { c.bend(region, func(w *way) { w.cut = false }) }

// Slow makes every publish by a region's server take that much longer. One whose caller gives up before is stored nevertheless.
func (c *Client) Slow(region string, d time.Duration) { c.bend(region, func(w *way) { w.slow = d }) }

func (c *Client) bend(region string, f func(*way)) {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	f(c.ways[region])
	c.settle(region)
	c.memory.wake()
}

func (c *Client) decide(ms []Out) Fate {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	if c.fate == nil {
		return FateFair
	}
	f := c.fate(ms[0])
	if f == FateLate {
		c.late = append(c.late, slices.Clone(ms))
	}
	return f
}
