// Package export collects the numbers of an agent's clusters, shows them to whoever scrapes the agent, and pushes them to a Prometheus remote-write receiver. DESIGN.md has
// the reasons.
package export

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// The labels of every series, which no custom label may be.
const (
	labelRegion  = "cloud_region"
	labelGroup   = "group"
	labelCluster = "cluster"
	labelRole    = "role"
)

// Subject is one cluster as it is when it is collected.
type Subject struct {
	Ref   events.Ref
	Kind  events.Kind
	Group string // empty: not under care
	Role  string // active, passive, frozen (active, without the right to run) or unmanaged
	Epoch events.Epoch
	Up    bool // it serves, or follows
	Meter driver.Meter
}

// Config says what is collected and where it goes.
type Config struct {
	Every    time.Duration                            // between two collections
	Subjects func(context.Context) ([]Subject, error) // what the agent knows of its clusters now
	Write    *Write                                   // nil: only scraped
	Log      *slog.Logger
	Reg      prometheus.Registerer // for the exporter's own metrics
}

// meterLimit bounds how long one cluster may be asked.
const meterLimit = 5 * time.Second

// staleNaN is Prometheus's mark that a series has ended: this very bit pattern (model/value).
var staleNaN = math.Float64frombits(0x7ff0000000000002)

// sample is one value of one series.
type sample struct {
	name   string
	help   string
	count  bool       // a counter
	labels []labelled // without the name, sorted by name
	value  float64
}

type labelled struct{ name, value string }

// key names the series of a sample.
func (s *sample) key() string {
	var b strings.Builder
	b.WriteString(s.name)
	for _, l := range s.labels {
		b.WriteByte(0)
		b.WriteString(l.name)
		b.WriteByte(0)
		b.WriteString(l.value)
	}
	return b.String()
}

// Exporter is one agent's. It is a prometheus.Collector of what was collected last.
type Exporter struct {
	cfg     Config
	metrics *metrics
	buffer  *buffer // nil: nothing is pushed
	sender  *sender

	mu     sync.Mutex
	last   []sample
	lastAt int64 // milliseconds since 1970, of the last collection: the next is later
}

// New makes an exporter. What an earlier one had not sent is taken over from dir.
func New(cfg Config, dir string) (*Exporter, error) {
	e := &Exporter{cfg: cfg, metrics: newMetrics(cfg.Reg)}
	if cfg.Write == nil {
		return e, nil
	}
	var err error
	if e.buffer, err = openBuffer(filepath.Join(dir, "export"), cfg.Write.Buffer, e.metrics, cfg.Log); err != nil {
		return nil, err
	}
	e.sender, err = newSender(*cfg.Write, e.buffer, e.metrics, cfg.Log)
	return e, err
}

// Run collects and pushes until ctx ends. What is not sent by then stays on disk.
func (e *Exporter) Run(ctx context.Context) {
	if e.sender != nil {
		go e.sender.run(ctx)
	}
	tick := time.NewTicker(e.cfg.Every)
	defer tick.Stop()
	for {
		e.collect(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// collect takes one sample of every series there is now, and one that says so of every series that has ended.
func (e *Exporter) collect(ctx context.Context, now time.Time) {
	subjects, err := e.cfg.Subjects(ctx)
	if err != nil {
		return // the agent ends
	}
	parts := make([][]sample, len(subjects))
	var all sync.WaitGroup
	for i, s := range subjects {
		all.Go(func() { parts[i] = e.measure(ctx, s) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return
	}
	batch := slices.Concat(parts...)
	slices.SortFunc(batch, func(a, b sample) int { return strings.Compare(a.key(), b.key()) })
	batch = slices.CompactFunc(batch, func(a, b sample) bool { return a.key() == b.key() })
	e.mu.Lock()
	before := e.last
	e.last = batch
	at := max(now.UnixMilli(), e.lastAt+1)
	e.lastAt = at
	e.mu.Unlock()
	e.metrics.collected.Add(float64(len(batch)))
	if e.buffer == nil {
		return
	}
	e.buffer.put(encode(append(slices.Clone(batch), ended(before, batch)...), e.cfg.Write.Labels, at), len(batch))
}

// ended marks every series that was there before and is not now. Without it the old role of a cluster would be shown beside the new one for minutes.
func ended(before, now []sample) (out []sample) {
	still := map[string]bool{}
	for i := range now {
		still[now[i].key()] = true
	}
	for _, s := range before {
		if !still[s.key()] {
			s.value = staleNaN
			out = append(out, s)
		}
	}
	return out
}

// measure collects one cluster: what its driver measures, and what is true of every kind.
func (e *Exporter) measure(ctx context.Context, s Subject) []sample {
	base := []string{labelRegion, s.Ref.Region, labelGroup, s.Group, labelCluster, s.Ref.Cluster, labelRole, s.Role}
	up := 0.0
	if s.Up {
		up = 1
	}
	out := []sample{
		newSample("switchback_cluster_up", "1 if the cluster serves, or follows.", false, up, base, "kind", string(s.Kind)),
		newSample("switchback_cluster_in_epoch", "Epoch the cluster has its role at, by its agent's ledger.", false, float64(s.Epoch), base),
	}
	if s.Meter == nil {
		return out
	}
	short, cancel := context.WithTimeout(ctx, meterLimit)
	defer cancel()
	ms, err := s.Meter.Measure(short)
	if err != nil {
		e.metrics.failed.WithLabelValues(s.Ref.Cluster).Inc()
		e.cfg.Log.Debug("a cluster was not measured", "cluster", s.Ref.String(), "err", err)
	}
	for _, m := range ms {
		out = append(out, newSample(m.Name, m.Help, m.Counter, m.Value, base, m.Labels...))
	}
	return out
}

func newSample(name, help string, counter bool, value float64, base []string, more ...string) sample {
	s := sample{name: name, help: help, count: counter, value: value}
	for _, ls := range [][]string{base, more} {
		for i := 0; i+1 < len(ls); i += 2 {
			s.labels = append(s.labels, labelled{ls[i], ls[i+1]})
		}
	}
	slices.SortFunc(s.labels, func(a, b labelled) int { return strings.Compare(a.name, b.name) })
	return s
}

// Describe implements prometheus.Collector: what there will be is not known before.
func (e *Exporter) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(out chan<- prometheus.Metric) {
	e.mu.Lock()
	last := e.last
	e.mu.Unlock()
	for _, s := range last {
		names, values := make([]string, len(s.labels)), make([]string, len(s.labels))
		for i, l := range s.labels {
			names[i], values[i] = l.name, l.value
		}
		kind := prometheus.GaugeValue
		if s.count {
			kind = prometheus.CounterValue
		}
		desc := prometheus.NewDesc(s.name, s.help, names, nil)
		m, err := prometheus.NewConstMetric(desc, kind, s.value, values...)
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		out <- m
	}
}
