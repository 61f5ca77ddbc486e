package export

import "github.com/prometheus/client_golang/prometheus"

// metrics are the exporter's own.
type metrics struct {
	collected, sent, retries prometheus.Counter
	dropped, failed          *prometheus.CounterVec
	bytes, waiting, up       prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		collected: counter("switchback_export_collected_samples_total", "Samples of clusters that were collected."),
		sent:      counter("switchback_export_sent_samples_total", "Samples that the receiver took."),
		retries:   counter("switchback_export_retries_total", "Pushes that were not taken and are tried again."),
		dropped:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_export_dropped_samples_total", Help: "Samples that nobody will ever get, by why."}, []string{"why"}),
		failed:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_export_unmeasured_total", Help: "Collections in which a cluster did not say its numbers."}, []string{"cluster"}),
		bytes:     gauge("switchback_export_buffered_bytes", "Samples on disk that are not sent yet."),
		waiting:   gauge("switchback_export_buffered_collections", "Collections on disk that are not sent yet."),
		up:        gauge("switchback_export_receiver_up", "1 if the last push was taken."),
	}
	r.MustRegister(m.collected, m.sent, m.retries, m.dropped, m.failed, m.bytes, m.waiting, m.up)
	return m
}
