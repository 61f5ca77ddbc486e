package looks_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchback-dr/switchback/regionagent/looks"
)

// Those who ask while a look goes on share the next one: nobody is given what began before he asked.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looked atomic.Int64
		s := looks.New(func() (int64, error) {
			n := looked.Add(1)
			time.Sleep(time.Second)
			return n, nil
		})
		var all sync.WaitGroup
		ask := func(want int64) {
			all.Go(func() {
				if got, err := s.Look(); got != want || err != nil {
					t.Errorf("saw look %d, %v: want look %d", got, err, want)
				}
			})
		}
		ask(1)
		time.Sleep(100 * time.Millisecond)
		for range 50 {
			ask(2)
		}
		all.Wait()
		ask(3)
		all.Wait()
	})
}

func TestSharedError(t *testing.T) {
	bad := errors.New("bad")
	s := looks.New(func() (int, error) { return 0, bad })
	for range 2 {
		if _, err := s.Look(); !errors.Is(err, bad) {
			t.Errorf("looked: %v, want %v", err, bad)
		}
	}
}
