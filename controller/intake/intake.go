// Package intake turns what the bus carries into inputs of the fleet: beats as they are stored, health, reports, sightings and new configuration. It keeps order
// per source and loses nothing that it took; what a plain subscription misses is read again by its own rule (a beat is followed by the next, a report is read every few
// seconds).
package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// rereadEvery is how often reports and configuration are read again.
const rereadEvery = 2 * time.Second

// queue is how many inputs may wait. A leader that is that far behind blocks its subscriptions, and the servers drop it as a slow consumer.
const queue = 65536

// Metrics count inputs.
type Metrics struct{ inputs *prometheus.CounterVec }

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchback_intake_messages_total", Help: "Messages taken in, by what they are."}, []string{"kind"})}
	r.MustRegister(m.inputs)
	return m
}

// Run feeds inputs until ctx ends. The channel is closed by nobody.
func Run(ctx context.Context, b bus.Bus, m *Metrics, log *slog.Logger) (<-chan fleet.Input, error) {
	in := make(chan fleet.Input, queue)
	put := func(kind string, i fleet.Input) {
		m.inputs.WithLabelValues(kind).Inc()
		select {
		case in <- i:
		case <-ctx.Done():
		}
	}
	bad := func(msg bus.Message, err error) {
		m.inputs.WithLabelValues("malformed").Inc()
		log.Warn("message can't be read and is left out", "subject", msg.Subject, "err", err)
	}
	var stops []func()
	for _, s := range []struct {
		pattern string
		take    func(bus.Message) (string, fleet.Input, error)
	}{
		{events.Prefix + "seen.>", lane},
		{events.Prefix + "health.>", health},
		{events.Prefix + "report.>", report},
		{events.SubjectSaw, saw},
	} {
		stop, err := b.Subscribe(s.pattern, func(msg bus.Message) {
			kind, i, err := s.take(msg)
			if err != nil {
				bad(msg, err)
				return
			}
			if i != nil {
				put(kind, i)
			}
		})
		if err != nil {
			for _, s := range stops {
				s()
			}
			return nil, fmt.Errorf("listen to %s: %w", s.pattern, err)
		}
		stops = append(stops, stop)
	}
	go func() {
		defer func() {
			for _, s := range stops {
				s()
			}
		}()
		reread(ctx, b, put, bad, log)
	}()
	return in, nil
}

// reread reads reports, configuration and the bus's own state every few seconds: what a plain subscription missed is not missed for long.
func reread(ctx context.Context, b bus.Bus, put func(string, fleet.Input), bad func(bus.Message, error), log *slog.Logger) {
	seen := map[string]events.Seq{}
	regions := time.NewTicker(250 * time.Millisecond)
	defer regions.Stop()
	all := time.NewTicker(rereadEvery)
	defer all.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-regions.C:
			put("bus", busSeen(b))
		case <-all.C:
			for _, s := range []struct{ stream, pattern string }{{events.StreamConfig, events.Prefix + "cfg.>"}, {events.StreamReport, events.Prefix + "report.>"}} {
				if err := readNew(ctx, b, s.stream, s.pattern, seen, put, bad); err != nil && !errors.Is(err, context.Canceled) {
					log.Debug("read again", "stream", s.stream, "err", err)
				}
			}
		}
	}
}

func busSeen(b bus.Bus) fleet.BusSeen {
	var up fleet.BusSeen
	for r, ok := range b.Regions() {
		if ok {
			up.Regions = append(up.Regions, r)
		}
	}
	return up
}

func readNew(ctx context.Context, b bus.Bus, stream, pattern string, seen map[string]events.Seq, put func(string, fleet.Input), bad func(bus.Message, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ms, err := b.All(ctx, stream, pattern)
	if err != nil {
		return err
	}
	for _, m := range ms {
		if m.Seq <= seen[m.Subject] {
			continue
		}
		seen[m.Subject] = m.Seq
		kind, i, err := report(m)
		if stream == events.StreamConfig {
			kind, i, err = config(m)
		}
		if err != nil {
			bad(m, err)
			continue
		}
		put(kind, i)
	}
	return nil
}

func lane(m bus.Message) (string, fleet.Input, error) {
	n, gen, agent, err := events.ParseLaneSubject(m.Subject)
	if err != nil {
		return "", nil, err
	}
	if agent == events.LaneBirth {
		return "birth", nil, nil
	}
	in := fleet.LaneSeen{Lane: n, Generation: gen, Agent: agent, Seq: m.Seq}
	err = json.Unmarshal(m.Data, &in.Body)
	return "beat", in, err
}

func health(m bus.Message) (string, fleet.Input, error) {
	var in fleet.HealthSeen
	err := json.Unmarshal(m.Data, &in.Health)
	return "health", in, err
}

func report(m bus.Message) (string, fleet.Input, error) {
	var in fleet.ReportSeen
	err := json.Unmarshal(m.Data, &in.Report)
	return "report", in, err
}

func saw(m bus.Message) (string, fleet.Input, error) {
	var in fleet.SawSeen
	err := json.Unmarshal(m.Data, &in.Saw)
	return "saw", in, err
}

func config(m bus.Message) (string, fleet.Input, error) {
	if strings.HasPrefix(m.Subject, events.SubjectGroup("")) {
		in := fleet.GroupSeen{GroupConfig: fleet.GroupConfig{Revision: m.Seq}}
		err := json.Unmarshal(m.Data, &in.GroupConfig.GroupConfig)
		return "config", in, err
	}
	var in fleet.FleetSeen
	err := json.Unmarshal(m.Data, &in.FleetConfig)
	return "config", in, err
}
