package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// mendEvery is how often the leader looks whether an acceptor lost its disk, and who leads the state stream.
const mendEvery = 2 * time.Second

// makeLane makes one acceptor and marks its birth. An acceptor that is there again without the mark lost its disk.
func (c *Controller) makeLane(ctx context.Context, n int, p events.LanePlace) error {
	if err := c.bus.Ensure(ctx, []events.Stream{events.Lane(n, p)}, 1, false); err != nil {
		return err
	}
	data, err := json.Marshal(events.LaneBody{Kind: "BIRTH"})
	if err != nil {
		return err
	}
	_, err = c.bus.Lane(n, p).Publish(ctx, events.SubjectLane(n, p.Generation, events.LaneBirth), data, 0)
	if errors.Is(err, bus.ErrWrongSequence) {
		return nil // marked already
	}
	return err
}

// mend looks after the acceptors of a term: one without its birth mark lost its disk, gets a new generation and is recorded (C9).
func (t *term) mend(ctx context.Context, set events.LaneSet) {
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	var ports [events.Lanes]bus.Lane
	for n, p := range set.Lanes {
		ports[n] = t.c.bus.Lane(n, p)
	}
	for {
		for n := range set.Lanes {
			p := set.Lanes[n]
			if !t.lostDisk(ctx, ports[n], n, p) {
				continue
			}
			next := events.LanePlace{Generation: p.Generation + 1, Region: p.Region}
			short, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := t.c.makeLane(short, n, next)
			cancel()
			if err != nil {
				t.c.log.Warn("acceptor lost its disk and can't be made anew yet", "lane", n, telemetry.Err(err))
				continue
			}
			set.Lanes[n], ports[n] = next, t.c.bus.Lane(n, next)
			t.hand(ctx, fleet.LaneRebuilt{Lane: n, Place: next})
			t.notice(ctx, events.Notice{Type: events.NoticeAlarm, Rule: "alarm.acceptor-rebuilt", Region: p.Region,
				Why: fmt.Sprintf("acceptor %d in %s lost its disk: rebuilt as generation %d, every agent rejoins there", n, p.Region, next.Generation)})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (t *term) lostDisk(ctx context.Context, port bus.Lane, n int, p events.LanePlace) bool {
	short, cancel := context.WithTimeout(ctx, t.c.d.BeatDeadline())
	defer cancel()
	m, err := port.Last(short, events.SubjectLane(n, p.Generation, events.LaneBirth))
	return err == nil && m == nil
}

// steer moves the leadership of every replicated stream to the witness, where the preferred controller runs: then the loss of a data region costs no election
// (4-bus, Topology). All of them: health led from the lost region would make candidates look stale just then, and asks would wait.
func (t *term) steer(ctx context.Context) {
	if !t.c.cfg.PreferLeader {
		return
	}
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range events.Streams() {
			short, cancel := context.WithTimeout(ctx, 2*time.Second)
			if err := t.c.bus.PreferLeader(short, s.Name, t.c.cfg.Region); err != nil && ctx.Err() == nil {
				t.c.log.Debug("steer the stream's leader", "stream", s.Name, telemetry.Err(err))
			}
			cancel()
		}
	}
}
