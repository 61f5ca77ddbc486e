package main

import (
	"fmt"
	"sync"
	"time"
)

// progress is the last line of a terminal: how long it has taken so far, and how far it got. A pipe gets none.
type progress struct {
	a    *app
	on   bool
	mu   sync.Mutex
	text string
	quit chan struct{}
	done sync.WaitGroup
}

const (
	eraseLine = "\r\x1b[K"
	lineWidth = 79 // a line that wraps can't be erased
)

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
				fmt.Fprint(a.out, eraseLine+l.render(a.now().Sub(began)))
				l.mu.Unlock()
			}
		}
	})
	return l
}

func (l *progress) render(since time.Duration) string {
	line := []rune(fmt.Sprintf("%6.1f s  %s…", since.Seconds(), l.text))
	if len(line) > lineWidth {
		line = append(line[:lineWidth-1], '…')
	}
	return string(line)
}

// say sets what the line says besides the time; "" for nothing.
func (l *progress) say(text string) {
	if text != "" {
		text += " "
	}
	l.mu.Lock()
	l.text = text
	l.mu.Unlock()
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
