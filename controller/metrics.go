package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// metrics are what a controller exports. Series about a region carry it as cloud_region; the leader alone sets them.
type metrics struct {
	verdict    *prometheus.GaugeVec
	clusters   *prometheus.GaugeVec
	agents     *prometheus.GaugeVec
	lag        *prometheus.GaugeVec
	leads      prometheus.Gauge
	term       prometheus.Gauge
	blind      prometheus.Gauge
	needs      prometheus.Gauge
	halted     prometheus.Gauge
	readiness  *prometheus.GaugeVec
	drills     *prometheus.CounterVec
	decisions  *prometheus.CounterVec
	operations *prometheus.CounterVec
	phases     *prometheus.HistogramVec
	lost       *prometheus.CounterVec
	sync       *prometheus.GaugeVec
	applied    prometheus.Histogram
	moves      *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		verdict:   gauge("switchback_region_verdict", "1 for the verdict that stands on a region.", "cloud_region", "verdict"),
		clusters:  gauge("switchback_region_clusters", "Clusters of a region by role; unprotected counts actives without a healthy passive.", "cloud_region", "role"),
		agents:    gauge("switchback_region_agents", "Agents of a region, and those of them that beat.", "cloud_region", "state"),
		lag:       gauge("switchback_region_worst_lag_bytes", "Largest lag of a region's passives; -1 is unknown.", "cloud_region"),
		leads:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_controller_leads", Help: "1 while this controller leads."}),
		term:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_controller_term", Help: "The term this controller leads in, 0 if it does not."}),
		blind:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_controller_blind", Help: "1 while this leader reaches fewer than half of the regions."}),
		needs:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_groups_waiting", Help: "Groups that wait for a person."}),
		halted:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_groups_halted", Help: "Groups that nothing is done for because what ledgers say contradicts the record: it is lost, old, or incomplete."}),
		readiness: gauge("switchback_groups_readiness", "Groups by the region of their active and by readiness: ready (fit, drilled lately), stale (fit, not drilled lately), not-ready.", "cloud_region", "readiness"),
		sync:      gauge("switchback_groups_sync", "Groups in sync by the region of their active: in-sync (a standby has every acknowledged write), alone (none has).", "cloud_region", "state"),
		drills:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_drills_total", Help: "Drills ended, by the region of the active and the verdict."}, []string{"cloud_region", "end"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_decisions_total", Help: "Decisions and non-decisions told, by the row that fired."},
			[]string{"cloud_region", "rule"}),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_operations_total", Help: "Operations ended, by the region they moved to."},
			[]string{"cloud_region", "verb", "end"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchback_operation_phase_seconds", Help: "Recovery time by phase, by the region moved to.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 16),
		}, []string{"cloud_region", "phase"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_lost_commits_total", Help: "Commits found to be lost when the old side of a failover was restored, by its region."},
			[]string{"cloud_region"}),
		applied: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "switchback_input_seconds", Help: "How long one input took to be decided.", Buckets: prometheus.ExponentialBuckets(0.00001, 4, 10)}),
	}
	m.moves = gauge("switchback_rollout_moves", "Moves of the rollouts under way, by the region a rollout is of and by what became of them.", "cloud_region", "verb", "state")
	r.MustRegister(m.moves, m.verdict, m.clusters, m.agents, m.lag, m.leads, m.term, m.blind, m.needs, m.halted, m.readiness, m.sync, m.drills, m.decisions, m.operations, m.phases, m.lost, m.applied)
	return m
}

// show exports a picture of the fleet.
func (m *metrics) show(v fleet.View) {
	m.verdict.Reset()
	m.readiness.Reset()
	needs, halted := 0, 0
	for _, g := range v.Groups {
		if g.Readiness != "" {
			m.readiness.WithLabelValues(g.Record.Active.Region, string(g.Readiness)).Inc()
		}
		if g.NeedsPerson {
			needs++
		}
		if decide.Halts(g.Rule) {
			halted++
		}
	}
	m.sync.Reset()
	for i := range v.Groups {
		if g := &v.Groups[i]; g.Sync() {
			m.sync.WithLabelValues(g.Record.Active.Region, map[bool]string{true: "in-sync", false: "alone"}[len(g.Record.Sync.Members()) > 0]).Inc()
		}
	}
	m.needs.Set(float64(needs))
	m.halted.Set(float64(halted))
	m.rollouts(v)
	m.blind.Set(bit(v.Blind))
	for _, r := range v.Regions {
		m.verdict.WithLabelValues(r.Region, string(r.Verdict)).Set(1)
		m.clusters.WithLabelValues(r.Region, string(events.RoleActive)).Set(float64(r.Active))
		m.clusters.WithLabelValues(r.Region, string(events.RolePassive)).Set(float64(r.Passive))
		m.clusters.WithLabelValues(r.Region, string(events.RoleFailed)).Set(float64(r.Failed))
		m.clusters.WithLabelValues(r.Region, "unprotected").Set(float64(r.Unprotected))
		m.agents.WithLabelValues(r.Region, "known").Set(float64(r.Agents))
		m.agents.WithLabelValues(r.Region, "beating").Set(float64(r.Fresh))
		m.lag.WithLabelValues(r.Region).Set(float64(r.WorstLag))
	}
}

// rollouts exports how far those under way have got.
func (m *metrics) rollouts(v fleet.View) {
	m.moves.Reset()
	for i := range v.Rollouts {
		r := &v.Rollouts[i]
		if r.State == events.RolloutPlanned || r.State.Over() {
			continue
		}
		for state, n := range map[string]int{
			"waits": r.Tally.Waits, "runs": r.Tally.Runs, "done": r.Tally.Done, "failed": r.Tally.Failed, "unknown": r.Tally.Unknown, "held": r.Tally.Held, "skipped": r.Tally.Skipped,
		} {
			m.moves.WithLabelValues(r.Region, r.Verb, state).Add(float64(n))
		}
	}
}

// retired forgets what only a leader may export.
func (m *metrics) retired() {
	m.verdict.Reset()
	m.clusters.Reset()
	m.agents.Reset()
	m.lag.Reset()
	m.readiness.Reset()
	m.moves.Reset()
	m.sync.Reset()
	m.leads.Set(0)
	m.term.Set(0)
	m.blind.Set(0)
	m.needs.Set(0)
	m.halted.Set(0)
}

// told counts a notice, and an operation's end with its phases.
func (m *metrics) told(n events.Notice) {
	m.decisions.WithLabelValues(n.Region, n.Rule).Inc()
	if n.Drill != nil {
		m.drills.WithLabelValues(n.Region, n.Drill.Ended).Inc()
	}
	switch {
	case n.Report == nil:
		return
	case n.Type == events.NoticeProtected: // its end was counted when it served
		m.phases.WithLabelValues(n.Report.To.Region, "protect").Observe(n.Report.Protected.Seconds())
		return
	case n.Report.Lost != nil:
		m.lost.WithLabelValues(n.Report.To.Region).Add(float64(n.Report.Lost.Commits))
	}
	m.operations.WithLabelValues(n.Report.To.Region, n.Report.Verb, n.Report.Ended).Inc()
	for _, p := range n.Report.Phases {
		m.phases.WithLabelValues(n.Report.To.Region, p.Phase).Observe(p.Took.Seconds())
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
