package guard

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the guard does. No label names a cluster.
type Metrics struct {
	Fences   *prometheus.CounterVec   // verb, cause, ok
	Took     *prometheus.HistogramVec // verb
	Fenced   *prometheus.GaugeVec     // fence: clusters in it now
	Answers  prometheus.Counter
	Refused  prometheus.Counter
	Jumps    prometheus.Counter
	Attached prometheus.Gauge
}

// NewMetrics registers the guard's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		Fences: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_guard_fences_total", Help: "Freezes, thaws and kills, by cause (deadline, agent) and success."}, []string{"verb", "cause", "ok"}),
		Took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchback_guard_fence_seconds", Help: "How long a freeze, thaw or kill took.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"verb"}),
		Fenced:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "switchback_guard_fenced_clusters", Help: "Clusters the guard holds in a fence."}, []string{"fence"}),
		Answers:  prometheus.NewCounter(prometheus.CounterOpts{Name: "switchback_guard_answers_total", Help: "Answers of the agent to the guard's asks."}),
		Refused:  prometheus.NewCounter(prometheus.CounterOpts{Name: "switchback_guard_refused_thaws_total", Help: "Thaws refused for want of a deadline."}),
		Jumps:    prometheus.NewCounter(prometheus.CounterOpts{Name: "switchback_guard_clock_jumps_total", Help: "Times the clocks moved apart by more than M."}),
		Attached: prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_guard_agent_attached", Help: "1 while an agent is connected."}),
	}
	r.MustRegister(m.Fences, m.Took, m.Fenced, m.Answers, m.Refused, m.Jumps, m.Attached)
	return m
}
