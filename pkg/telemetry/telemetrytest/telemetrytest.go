// Package telemetrytest is the check of metrics that every package with a Metrics struct calls in its tests.
package telemetrytest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// Check builds the metrics of a package in a registry of region test-1, touches them and fails the test for every switchback_* series without
// cloud_region or help. Touch has to give every vector at least one value: a vector without one has no series to look at.
func Check(t testing.TB, touch func(prometheus.Registerer)) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	touch(telemetry.Regional(reg, "test-1"))
	for _, bad := range telemetry.Lint(reg) {
		t.Error(bad)
	}
}
