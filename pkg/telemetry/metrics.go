package telemetry

import (
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// The labels of regions (5-surfaces, Metrics and traffic).
const (
	LabelRegion   = "cloud_region"    // the region a series is about
	LabelObserver = "observer_region" // the region that says so, where the series is about another
)

// Regional makes every series registered through it have cloud_region. Most series are about the process itself: they get its region. A collector
// that has the label cloud_region of its own is about other regions: it gets observer_region instead.
func Regional(reg prometheus.Registerer, region string) prometheus.Registerer {
	return regional{
		own:   prometheus.WrapRegistererWith(prometheus.Labels{LabelRegion: region}, reg),
		other: prometheus.WrapRegistererWith(prometheus.Labels{LabelObserver: region}, reg),
	}
}

type regional struct{ own, other prometheus.Registerer }

// has tells whether the collector has the label cloud_region: wrapping it with another one of that name then makes its descriptions invalid, and
// no registry takes those.
func has(c prometheus.Collector) bool {
	probe := prometheus.WrapRegistererWith(prometheus.Labels{LabelRegion: ""}, prometheus.NewRegistry())
	if probe.Register(c) == nil {
		return false
	}
	return prometheus.NewRegistry().Register(c) == nil
}

func (r regional) pick(c prometheus.Collector) prometheus.Registerer {
	if has(c) {
		return r.other
	}
	return r.own
}

// Register implements prometheus.Registerer.
func (r regional) Register(c prometheus.Collector) error { return r.pick(c).Register(c) }

// MustRegister implements prometheus.Registerer.
func (r regional) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (r regional) Unregister(c prometheus.Collector) bool { return r.pick(c).Unregister(c) }

// NewRegistry returns a registry with the series every process has (go_*, process_*, switchback_build_info), and the registerer through which
// the packages of this process add theirs: everything has cloud_region. Region is the process's own.
func NewRegistry(region string) (*prometheus.Registry, prometheus.Registerer, error) {
	reg := prometheus.NewRegistry()
	own := Regional(reg, region)
	b := Build()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "switchback_build_info", Help: "What this process was built from; always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go},
	})
	info.Set(1)
	err := errors.Join(
		own.Register(collectors.NewGoCollector()),
		own.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		own.Register(info),
	)
	if err != nil {
		return nil, nil, err
	}
	return reg, own, nil
}

// Version is set when a release is linked: -X github.com/switchback-dr/switchback/pkg/telemetry.Version=v1.2.3. Empty = by the module's build.
var Version string

// BuildInfo says what this program was built from.
type BuildInfo struct {
	Version  string // of the release, or (devel)
	Revision string // of the source, with + if it was changed; empty if it is not known
	Go       string // version of the compiler
}

// Build reads what the linker wrote.
func Build() BuildInfo {
	b := BuildInfo{Version: Version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	changed := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	if b.Revision != "" {
		b.Revision += changed
	}
	return b
}
