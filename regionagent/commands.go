package regionagent

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/sight"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// placesEvery is how often the acceptors are read from the record (K1).
const placesEvery = time.Second

// listen takes commands as they are stored, from their republished copies only: a refused publish reaches whoever listens to the stream's own subjects (4-bus).
func (a *agent) listen(ctx context.Context) error {
	if _, err := a.bus.Subscribe(events.SubjectDid(a.ref), func(m bus.Message) { a.command(ctx, m) }); err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	if _, err := a.bus.Subscribe(events.SubjectLook, func(m bus.Message) { a.lookFor(ctx, m) }); err != nil {
		return fmt.Errorf("listen for looks: %w", err)
	}
	if _, err := a.bus.Subscribe(events.SubjectFull, func(bus.Message) {
		a.health.asked.Store(true)
		a.reports.again()
	}); err != nil {
		return fmt.Errorf("listen for who wants full health: %w", err)
	}
	return nil
}

// command hands one stored command to the core, whichever way it came. Late and repeated ones are the core's to drop (A10).
func (a *agent) command(ctx context.Context, m bus.Message) {
	if m.Seq == 0 {
		return // not stored
	}
	name := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if name == events.ResumeCluster {
		var r events.Resume
		if err := json.Unmarshal(m.Data, &r); err != nil {
			a.log.Error("command can't be read", "subject", m.Subject, telemetry.Err(err))
			return
		}
		a.post(ctx, func(now events.Instant) lease.Effects { return a.core.Resume(now, r, m.Seq) })
		return
	}
	var s events.Set
	if err := json.Unmarshal(m.Data, &s); err != nil {
		a.log.Error("command can't be read", "subject", m.Subject, telemetry.Err(err))
		return
	}
	a.post(ctx, func(now events.Instant) lease.Effects { return a.core.Set(now, s, m.Seq) })
}

// reread reads the own commands again every 5 s and whenever a hub server comes back, and the acceptors every second: what a plain subscription missed is not
// missed for long, and repeating is harmless. A region that was cut off never lost its own hub server, so any of them counts.
func (a *agent) reread(ctx context.Context) {
	tick := time.NewTicker(placesEvery / 4)
	defer tick.Stop()
	var places, commands time.Time
	was := 0
	for {
		n := a.connected()
		if n > was {
			commands = time.Time{}
			a.health.asked.Store(true) // what was sent meanwhile may be lost
		}
		was = n
		up := n > 0
		if up && time.Since(places) >= placesEvery && a.readPlaces(ctx) == nil {
			places = time.Now()
		}
		if up && time.Since(commands) >= a.d.ReRead && a.readCommands(ctx) == nil {
			commands = time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// connected counts the hub servers that are reached.
func (a *agent) connected() int {
	n := 0
	for _, up := range a.bus.Regions() {
		if up {
			n++
		}
	}
	return n
}

func (a *agent) readPlaces(ctx context.Context) error {
	if a.slow.Load() != nil {
		return nil // it takes no lease
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m, err := a.bus.Last(short, events.StreamState, events.SubjectLanes)
	if err != nil || m == nil {
		return err
	}
	var set events.LaneSet
	if err := json.Unmarshal(m.Data, &set); err != nil {
		return fmt.Errorf("read %s: %w", m.Subject, err)
	}
	a.post(ctx, func(now events.Instant) lease.Effects { return a.core.Places(now, set) })
	return nil
}

func (a *agent) readCommands(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ms, err := a.bus.All(short, events.StreamState, events.SubjectCommands(a.ref))
	if err != nil {
		return err
	}
	for _, m := range ms {
		a.command(ctx, m)
	}
	return nil
}

// lookFor looks at another region when asked, and tells what it saw.
func (a *agent) lookFor(ctx context.Context, m bus.Message) {
	var l events.Look
	if err := json.Unmarshal(m.Data, &l); err != nil || l.Region == a.ref.Region {
		return
	}
	go func() {
		saw := events.Saw{ID: l.ID, Region: l.Region, By: a.ref, Sightings: sight.Look(ctx, l, a.dialConf)}
		data, err := json.Marshal(saw)
		if err == nil {
			err = a.bus.Send(events.SubjectSaw, data)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Debug("tell what was seen", telemetry.Err(err))
		}
	}()
}
