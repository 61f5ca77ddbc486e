package postgres

import (
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// lagSamples is how many positions of the upstream are remembered; when full, every other one is dropped, so the span only grows coarser.
const lagSamples = 128

// lagClock tells how old the replayed position is, by when this host first heard of what comes after it: timestamps of two hosts are never
// compared (2-safety, Time), and the upstream's canary moves its log at every probe. It knows nothing from before its own start.
type lagClock struct {
	mu      sync.Mutex
	samples []lagSample // rising
}

type lagSample struct {
	end  events.LSN
	seen time.Time
}

// upstreamWord is what an upstream said last of where its log ends. It outlives the link, and the upstream: what it had written at least.
type upstreamWord struct {
	mu       sync.Mutex
	upstream string
	timeline uint32
	end      events.LSN
	at       time.Time
}

// told notes what the probe found and returns the last word of the same upstream on the same timeline, and how old it is.
func (u *upstreamWord) told(now time.Time, h *events.ClusterHealth, end events.LSN, heard time.Duration) (events.LSN, time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case h.Streaming && end != 0:
		u.upstream, u.timeline, u.end, u.at = h.Upstream, h.Timeline, end, now.Add(-heard)
	case u.timeline != h.Timeline || h.Upstream != "" && h.Upstream != u.upstream:
		u.end = 0
	}
	if u.end == 0 {
		return 0, 0
	}
	return u.end, max(1, now.Sub(u.at))
}

// behind notes that the upstream's log reached `end` and returns for how long something after `replayed` has been known, 0 = caught up.
func (l *lagClock) behind(now time.Time, end, replayed events.LSN) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.samples); n == 0 || end > l.samples[n-1].end {
		l.samples = append(l.samples, lagSample{end, now})
	}
	first := 0
	for first < len(l.samples) && l.samples[first].end <= replayed {
		first++
	}
	l.samples = l.samples[first:]
	if len(l.samples) == 0 {
		return 0
	}
	if len(l.samples) > lagSamples {
		half := l.samples[:0]
		for i, s := range l.samples {
			if i%2 == 0 {
				half = append(half, s)
			}
		}
		l.samples = half
	}
	return now.Sub(l.samples[0].seen)
}
