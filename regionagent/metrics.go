package regionagent

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/guard"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// metrics are what an agent exports of itself and of its clusters; the registry adds cloud_region.
type metrics struct {
	beats    *prometheus.CounterVec
	beatTook *prometheus.HistogramVec
	lanes    *prometheus.GaugeVec
	right    *prometheus.GaugeVec
	role     *prometheus.GaugeVec
	epoch    *prometheus.GaugeVec
	server   *prometheus.GaugeVec
	lag      *prometheus.GaugeVec
	lsn      *prometheus.GaugeVec
	fences   *prometheus.CounterVec
	promises *prometheus.CounterVec
	guard    prometheus.Gauge
	freeze   prometheus.Gauge
	override *prometheus.GaugeVec
	waiting  *prometheus.GaugeVec

	kernelOn, kernelLeft, kernelDropped *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	cluster := []string{"group", "cluster"}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		beats:         prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_beats_total", Help: "Publishes on lanes, by what became of them."}, []string{"lane", "kind", "result"}),
		beatTook:      prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "switchback_beat_seconds", Help: "How long an acknowledged beat took.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13)}, []string{"lane"}),
		lanes:         gauge("switchback_lane_state", "1 for the state a lane is in.", "lane", "state"),
		right:         gauge("switchback_lease_left_seconds", "How long a cluster may still run, by what was granted so far.", cluster...),
		role:          gauge("switchback_cluster_role", "1 for the role a cluster has here.", append(cluster, "role")...),
		epoch:         gauge("switchback_cluster_epoch", "Highest epoch persisted.", cluster...),
		server:        gauge("switchback_cluster_server", "1 for what the last probe found.", append(cluster, "server")...),
		lag:           gauge("switchback_cluster_lag_bytes", "How far a passive is behind what its upstream last said; -1 is unknown.", cluster...),
		waiting:       gauge("switchback_sync_waiting_seconds", "How long commits of an active in sync have waited for a standby; 0 while they are acknowledged.", cluster...),
		lsn:           gauge("switchback_cluster_lsn_bytes", "Position written or received.", cluster...),
		fences:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_fences_total", Help: "Freezes, thaws and kills this agent ordered, by what became of them."}, []string{"cluster", "verb", "outcome"}),
		promises:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_promises_total", Help: "Promises asked of peers, by answer."}, []string{"answer"}),
		guard:         prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_guard_up", Help: "1 while the guard asks."}),
		kernelOn:      gauge("switchback_kernel_lease_in_force", "1 while the kernel drops what a cluster's server sends after its right is over.", "cluster"),
		kernelLeft:    gauge("switchback_kernel_lease_left_seconds", "Until the deadline in the kernel, negative after it; 0 if there is none.", "cluster"),
		kernelDropped: gauge("switchback_kernel_lease_dropped_packets", "Packets dropped since the program was attached: after the deadline (late), or of a server that has ended (former).", "cluster", "why"),
		freeze:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "switchback_freeze_worst_seconds", Help: "Worst time to freeze a tree on this host, measured at start-up (S)."}),
		override:      gauge("switchback_override_latched", "1 while a person's override of a fence is written down on this host.", "cluster"),
	}
	r.MustRegister(m.beats, m.beatTook, m.lanes, m.right, m.role, m.epoch, m.server, m.lag, m.waiting, m.lsn, m.fences, m.promises, m.guard, m.freeze, m.override, m.kernelOn, m.kernelLeft, m.kernelDropped)
	return m
}

func (m *metrics) beat(lane int, kind string, err error, took time.Duration) {
	result := "stored"
	switch {
	case errors.Is(err, bus.ErrWrongSequence):
		result = "refused"
	case errors.Is(err, bus.ErrDenied):
		result = "denied"
	case errors.Is(err, bus.ErrUnavailable):
		result = "unavailable"
	case err != nil:
		result = "unknown"
	default:
		m.beatTook.WithLabelValues(strconv.Itoa(lane)).Observe(took.Seconds())
	}
	m.beats.WithLabelValues(strconv.Itoa(lane), kind, result).Inc()
}

func (m *metrics) promise(yes bool) {
	answer := "no"
	if yes {
		answer = "yes"
	}
	m.promises.WithLabelValues(answer).Inc()
}

func (m *metrics) fence(c events.Ref, v lease.Verb, r events.Result) {
	m.fences.WithLabelValues(c.Cluster, string(v), string(r.Outcome)).Inc()
}

// export sets the gauges from what the loop knows, once a beat.
func (a *agent) export() {
	m, now := a.metrics, boottime.Now()
	a.exportKernel()
	m.lanes.Reset()
	for n, s := range a.core.LaneStates() {
		m.lanes.WithLabelValues(strconv.Itoa(n), s).Set(1)
	}
	for _, g := range []*prometheus.GaugeVec{m.right, m.role, m.epoch, m.server, m.lag, m.waiting, m.lsn} {
		g.Reset()
	}
	for _, v := range a.core.Views(now) {
		l := []string{v.Group, v.Cluster.Cluster}
		m.override.WithLabelValues(v.Cluster.Cluster).Set(bit(a.over.known[v.Cluster.String()].By != ""))
		m.right.WithLabelValues(l...).Set(max(0, v.Right.Sub(now).Seconds()))
		m.role.WithLabelValues(append(l, roleName(v.Role))...).Set(1)
		m.epoch.WithLabelValues(l...).Set(float64(v.Epoch))
		c := a.find(v.Cluster)
		if c == nil {
			continue
		}
		m.server.WithLabelValues(append(l, string(c.last.Server))...).Set(1)
		m.lsn.WithLabelValues(l...).Set(float64(c.last.LSN))
		if s := c.last.Sync; s != nil && v.Role == events.RoleActive {
			m.waiting.WithLabelValues(l...).Set(s.Waiting.Seconds())
		}
		if v.Role == events.RolePassive {
			lag := float64(-1)
			if c.last.LagKnown {
				lag = float64(c.last.Lag)
			}
			m.lag.WithLabelValues(l...).Set(lag)
		}
	}
}

// gateCollector exports what the start gates of this host refused: they are processes of a moment, and leave it in a file.
type gateCollector struct {
	file string
	desc *prometheus.Desc
}

func newGateCollector(file string) gateCollector {
	return gateCollector{file, prometheus.NewDesc("switchback_gate_refusals_total", "Starts that the start gate made read-only, by the row of its table that did it last.", []string{"cluster", "row"}, nil)}
}

// Describe implements prometheus.Collector.
func (g gateCollector) Describe(out chan<- *prometheus.Desc) { out <- g.desc }

// Collect implements prometheus.Collector. A file that can't be read shows as an error of the scrape.
func (g gateCollector) Collect(out chan<- prometheus.Metric) {
	all, err := guard.ReadRefusals(g.file)
	if err != nil {
		out <- prometheus.NewInvalidMetric(g.desc, err)
		return
	}
	for name, r := range all {
		ref, err := events.ParseRef(name)
		if err != nil {
			continue // not ours
		}
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.CounterValue, float64(r.Count), ref.Cluster, r.Row)
	}
}

func roleName(r events.Role) string {
	if r == events.RoleNone {
		return "unmanaged"
	}
	return string(r)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
