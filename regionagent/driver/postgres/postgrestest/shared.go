package postgrestest

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// TB is what of a test the fixtures need.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(f func())
}

// shared is one lab per process: its warden closes it when the process ends.
var shared = sync.OnceValues(func() (*Lab, error) { return Open("") })

// Shared is the lab of this process, of the newest PostgreSQL installed.
func Shared(t TB) *Lab {
	t.Helper()
	l, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var made atomic.Int64

// Name is a server name nobody in this process has yet; it can be a cluster's name, too.
func Name(prefix string) string { return fmt.Sprintf("%s-%d", prefix, made.Add(1)) }

// Primary makes a running writable server in the shared lab, gone when the test ends.
func Primary(t TB, lines ...string) *Server {
	t.Helper()
	s, err := Shared(t).Primary(Name("a"), lines...)
	return s.forTest(t, err)
}

// Standby makes a running standby of another, gone when the test ends.
func Standby(t TB, of *Server, lines ...string) *Server {
	t.Helper()
	s, err := of.lab.Standby(Name("b"), of, lines...)
	return s.forTest(t, err)
}

// Pair makes a primary and a standby of it in the shared lab.
func Pair(t TB, lines ...string) (primary, standby *Server) {
	t.Helper()
	return Shared(t).Pair(t, lines...)
}

// Pair makes a primary and a standby of it, gone when the test ends.
func (l *Lab) Pair(t TB, lines ...string) (primary, standby *Server) {
	t.Helper()
	p, err := l.Primary(Name("a"), lines...)
	primary = p.forTest(t, err)
	return primary, Standby(t, primary, lines...)
}

func (s *Server) forTest(t TB, err error) *Server {
	t.Helper()
	if s != nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// PrimaryIn makes a running writable server in a cgroup, gone when the test ends.
func PrimaryIn(t TB, cgroup string, lines ...string) *Server {
	t.Helper()
	s, err := Shared(t).Make(Name("a"), lines...)
	if err == nil {
		s.Cgroup = cgroup
		err = s.Start()
	}
	return s.forTest(t, err)
}
