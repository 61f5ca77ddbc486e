package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the API exports, of this controller: cloud_region is its own.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	failures *prometheus.CounterVec
	limited  *prometheus.CounterVec
	panics   prometheus.Counter
	streams  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_api_requests_total", Help: "Requests answered, by route, method and status."},
			[]string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchback_api_request_seconds", Help: "How long requests took, streams of events left out.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"route"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_api_auth_failures_total", Help: "Requests without a valid token or session, by what was wrong."},
			[]string{"why"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_api_limited_total", Help: "Requests turned away because there were too many, by what was counted."},
			[]string{"by"}),
		panics:  prometheus.NewCounter(prometheus.CounterOpts{Name: "switchback_api_panics_total", Help: "Requests whose handler panicked."}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_api_streams", Help: "Streams of events that are open."}),
	}
	r.MustRegister(m.requests, m.seconds, m.failures, m.limited, m.panics, m.streams)
	return m
}

// methods are those that are counted by name: a client may send any word.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

func (m *metrics) request(c *call, method string, took time.Duration) {
	if !slices.Contains(methods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(c.route, method, strconv.Itoa(c.status)).Inc()
	if c.route != streamRoute {
		m.seconds.WithLabelValues(c.route).Observe(took.Seconds())
	}
}
