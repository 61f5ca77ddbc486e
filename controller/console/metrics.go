package console

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the console exports, of this controller.
type metrics struct {
	pages  prometheus.Histogram
	faults prometheus.Counter
	live   prometheus.Gauge
	asks   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		pages:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "switchback_console_page_seconds", Help: "How long whole pages took, the leader's answers included.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}),
		faults: prometheus.NewCounter(prometheus.CounterOpts{Name: "switchback_console_faults_total", Help: "Requests that were answered by why they could not be done."}),
		live:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_console_live_pages", Help: "Pages that are open and live."}),
		asks:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_console_asks_total", Help: "Asks that people made, by verb and whether they were accepted."}, []string{"verb", "accepted"}),
	}
	if r != nil {
		r.MustRegister(m.pages, m.faults, m.live, m.asks)
	}
	return m
}
