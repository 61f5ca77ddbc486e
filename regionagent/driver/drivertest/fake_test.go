package drivertest

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
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
