package postgres

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// Metrics counts what drivers of PostgreSQL do. Labels are regions, verbs, outcomes and states, never clusters.
type Metrics struct {
	probes  *prometheus.CounterVec
	actions *prometheus.HistogramVec
	canary  *prometheus.HistogramVec
	restore *prometheus.HistogramVec
	copied  *prometheus.CounterVec
	lost    *prometheus.CounterVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_postgres_probes_total", Help: "Probes of PostgreSQL servers, by what they found."}, []string{"cloud_region", "server"}),
		actions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchback_postgres_action_seconds", Help: "How long actions on PostgreSQL servers took.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, []string{"cloud_region", "verb", "outcome"}),
		canary: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchback_postgres_canary_seconds", Help: "How long acknowledged write canaries took.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 12),
		}, []string{"cloud_region"}),
	}
	m.restore = prometheus.NewHistogramVec(prometheus.HistogramOpts{ // milliseconds to a day
		Name: "switchback_postgres_restore_seconds", Help: "How long restores took that ended well, by what they kept of the data.", Buckets: prometheus.ExponentialBuckets(0.05, 4, 11),
	}, []string{"cloud_region", "how"})
	m.copied = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_postgres_restored_bytes_total", Help: "Bytes that restores fetched from their sources."}, []string{"cloud_region", "how"})
	m.lost = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_postgres_lost_commits_total", Help: "Commits that only a restored server had."}, []string{"cloud_region"})
	r.MustRegister(m.probes, m.actions, m.canary, m.restore, m.copied, m.lost)
	return m
}

func (m *Metrics) probed(h events.ClusterHealth) {
	m.probes.WithLabelValues(h.Cluster.Region, string(h.Server)).Inc()
	if h.CanaryOK {
		m.canary.WithLabelValues(h.Cluster.Region).Observe(h.Canary.Seconds())
	}
}

func (m *Metrics) did(region string, v driver.Verb, r events.Result) {
	m.actions.WithLabelValues(region, string(v), string(r.Outcome)).Observe(r.Took.Seconds())
	if v != driver.Restore || r.Outcome != events.Done { // already-done tells again what was counted
		return
	}
	m.restore.WithLabelValues(region, r.How).Observe(r.Took.Seconds())
	m.copied.WithLabelValues(region, r.How).Add(float64(r.Copied))
	if r.Lost != nil {
		m.lost.WithLabelValues(region).Add(float64(r.Lost.Commits))
	}
}
