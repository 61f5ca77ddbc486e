package account

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
)

// Metrics are the counts of tasks; the registry adds cloud_region. One for all clusters of an agent.
type Metrics struct {
	hit     *prometheus.CounterVec
	results *prometheus.CounterVec
	retried *prometheus.CounterVec
	entries *prometheus.GaugeVec
	window  *prometheus.GaugeVec
	cluster events.Ref
	group   string
}

// NewMetrics makes and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	of := []string{"group", "cluster"}
	m := &Metrics{
		hit:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_tasks_hit_total", Help: "Tasks that moves and outages hit, by what became of them in the window."}, append(of, "class")),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_tasks_results_total", Help: "Tasks that were hit, by what came of them in the end."}, append(of, "class", "result")),
		retried: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_tasks_cleared_total", Help: "Tasks that were cleared so that they run again, by their class."}, append(of, "class")),
		entries: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "switchback_tasks", Help: "Entries of the newest task ledger, by class, what was done and what came of it."}, append(of, "class", "action", "result")),
		window:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "switchback_tasks_window_seconds", Help: "Length of the window of the newest task ledger, by the clock of Airflow's database."}, of),
	}
	r.MustRegister(m.hit, m.results, m.retried, m.entries, m.window)
	return m
}

// Of is the same for one cluster of a group.
func (m *Metrics) Of(c events.Ref) *Metrics {
	of := *m
	of.cluster = c
	return &of
}

func (m *Metrics) labels(more ...string) []string {
	return append([]string{m.group, m.cluster.Cluster}, more...)
}

func (m *Metrics) opened(b *book) {
	m.group = b.Group
	for i := range b.entries {
		m.hit.WithLabelValues(m.labels(string(b.entries[i].Class))...).Inc()
	}
}

func (m *Metrics) settled(e *events.TaskEntry) {
	if e.Result.Final() {
		m.results.WithLabelValues(m.labels(string(e.Class), string(e.Result))...).Inc()
	}
}

func (m *Metrics) cleared(e *events.TaskEntry) {
	if e.Action == events.TaskCleared {
		m.retried.WithLabelValues(m.labels(string(e.Class))...).Inc()
	}
}

// show shows the newest ledger.
func (m *Metrics) show(s *events.TaskSummary) {
	m.entries.DeletePartialMatch(prometheus.Labels{"cluster": m.cluster.Cluster})
	for _, t := range s.Totals {
		result := string(t.Result)
		if result == "" {
			result = "open"
		}
		m.entries.WithLabelValues(m.labels(string(t.Class), string(t.Action), result)...).Set(float64(t.Count))
	}
	m.window.WithLabelValues(m.labels()...).Set(s.Window.Length().Seconds())
}
