package main

import (
	"fmt"
	"sync"
	"time"
)

// progress is the last line of a terminal: how long it has taken so far. A pipe gets none.
type progress struct {
	a    *app
	on   bool
	mu   sync.Mutex
	quit chan struct{}
	done sync.WaitGroup
}

const eraseLine = "\r\x1b[K"

func (a *app) progress(on bool, began time.Time) *progress {
	l := &progress{a: a, on: on, quit: make(chan struct{})}
	if !on {
		return l
	}
	l.done.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-l.quit:
				return
			case <-tick.C:
				l.mu.Lock()
				fmt.Fprintf(a.out, "%s%6.1f s  …", eraseLine, a.now().Sub(began).Seconds())
				l.mu.Unlock()
			}
		}
	})
	return l
}

// print prints above the line.
func (l *progress) print(f func(*page)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.on {
		fmt.Fprint(l.a.out, eraseLine)
	}
	f(l.a.page())
}

func (l *progress) end() {
	close(l.quit)
	l.done.Wait()
	if l.on {
		fmt.Fprint(l.a.out, eraseLine)
	}
}
