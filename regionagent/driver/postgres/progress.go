package postgres

import (
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// The phases of a restore, as operators see them.
const (
	phaseAnalyse = "analyse"
	phaseCount   = "count"
	phaseRecover = "recover"
	phaseRewind  = "rewind"
	phaseCopy    = "copy"
	phaseVerify  = "verify"
	phaseStart   = "start"
	phaseCatchUp = "catch-up"
)

// progress is how far the restore under way has got; the zero value is none.
type progress struct {
	mu             sync.Mutex
	phase          string // empty = none is under way
	done, total    int64  // bytes of the phase
	began, changed time.Time
}

func (p *progress) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.done, p.total, p.began = phaseAnalyse, 0, 0, time.Now()
	p.changed = p.began
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = ""
}

func (p *progress) enter(phase string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != "" && p.phase != phase {
		p.phase, p.done, p.total, p.changed = phase, 0, 0, time.Now()
	}
}

func (p *progress) set(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done != p.done {
		p.changed = time.Now()
	}
	p.done, p.total = done, total
}

// bytes is how many of the phase are done.
func (p *progress) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// work is what a probe says of it, nil while no restore is under way.
func (p *progress) work() *events.Work {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == "" {
		return nil
	}
	now := time.Now()
	return &events.Work{Phase: p.phase, Done: p.done, Total: p.total, Took: now.Sub(p.began), Idle: now.Sub(p.changed)}
}

// kilobytes is how pg_rewind and pg_basebackup tell their progress: 1234/56789 kB (2%) …
var kilobytes = regexp.MustCompile(`^\s*(\d+)/(\d+) kB `)

// read takes a line of a child's if it tells progress.
func (p *progress) read(line string) {
	m := kilobytes.FindStringSubmatch(line)
	if m == nil {
		return
	}
	done, err := strconv.ParseInt(m[1], 10, 64)
	total, err2 := strconv.ParseInt(m[2], 10, 64)
	if err == nil && err2 == nil {
		p.set(done<<10, max(total, done)<<10)
	}
}
