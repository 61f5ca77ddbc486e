package bus

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the bus counts. Labels are streams and regions, never agents or clusters.
type Metrics struct {
	publishes *prometheus.CounterVec
	connected *prometheus.GaugeVec
	denied    *prometheus.CounterVec
}

// NewMetrics makes them and registers them if there is a registry. What is registered there already, by another connection of the
// same process, is shared.
func NewMetrics(r prometheus.Registerer) *Metrics {
	return &Metrics{
		publishes: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchback_bus_publishes_total", Help: "Publishes and batches by stream and result.",
		}, []string{"stream", "result"})),
		connected: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchback_bus_connected", Help: "1 while the hub server of the region is connected.",
		}, []string{"cloud_region"})),
		denied: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchback_bus_denied_total", Help: "Permission errors by hub region; any is a mistake in the configuration.",
		}, []string{"cloud_region"})),
	}
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	err := r.Register(c)
	if again, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := again.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}

// result is the word for an outcome in metrics.
func result(err error) string {
	for _, r := range []struct {
		err  error
		word string
	}{
		{nil, "stored"}, {ErrWrongSequence, "wrong-sequence"}, {ErrFenced, "fenced"}, {ErrInFlight, "in-flight"},
		{ErrDenied, "denied"}, {ErrUnknown, "unknown"}, {ErrUnavailable, "unavailable"},
	} {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "error"
}
