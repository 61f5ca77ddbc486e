package drivertest

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

func TestFakeConforms(t *testing.T) {
	t.Parallel()
	Run(t, Env{
		Settle: time.Second, ProbeLimit: time.Second,
		Pair: func(*testing.T) (active, passive Subject) {
			a, p := NewToys().Pair(events.Ref{Region: "eu-west-1", Cluster: "orders-a"}, events.Ref{Region: "eu-central-1", Cluster: "orders-b"})
			return a, p
		},
	})
}

func TestInterruptedRestore(t *testing.T) {
	t.Parallel()
	s := &suite{T: t, env: Env{Settle: time.Second, ProbeLimit: time.Second}}
	a, b := NewToys().Pair(events.Ref{Region: "eu-west-1", Cluster: "orders-a"}, events.Ref{Region: "eu-central-1", Cluster: "orders-b"})
	s.failover(a, b, 2)
	s.must(a.Interrupt())
	order := driver.Action{Verb: driver.Restore, Source: b.Address(), Step: "g/2/restore"}
	s.do(a, order, events.Unknown)
	s.do(a, driver.Action{Verb: driver.Start}, events.Refused)
	r := s.do(a, order, events.Done)
	if r.How != "copied" {
		t.Errorf("restored: %+v", r)
	}
	s.lost(r, 2)
	s.home(a, b)
}
