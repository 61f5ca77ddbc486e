// Package looks lets those who look at the host at the same time share one look. What every cluster of a host asks, such as which processes there are, costs as much as the host is
// large, and clusters ask together: when a region comes back, or when all of a host is frozen at once.
package looks

import "sync"

// Shared is a way to look that its users share. Each is given a look that began after it asked, so nothing is seen that is older than the question. Safe for concurrent use.
type Shared[T any] struct {
	look func() (T, error)

	mu   sync.Mutex
	next *one[T] // not begun; nil = nobody waits
	busy bool
}

type one[T any] struct {
	done chan struct{}
	saw  T
	err  error
}

// New shares a way to look. What it returns goes to several users: none of them may change it.
func New[T any](look func() (T, error)) *Shared[T] { return &Shared[T]{look: look} }

// Look waits for a look that begins after it was called.
func (s *Shared[T]) Look() (T, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &one[T]{done: make(chan struct{})}
	}
	mine := s.next
	if !s.busy {
		s.busy = true
		go s.run()
	}
	s.mu.Unlock()
	<-mine.done
	return mine.saw, mine.err
}

// run looks until nobody waits.
func (s *Shared[T]) run() {
	for {
		s.mu.Lock()
		now := s.next
		s.next, s.busy = nil, now != nil
		s.mu.Unlock()
		if now == nil {
			return
		}
		now.saw, now.err = s.look()
		close(now.done)
	}
}
