package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/calendar"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// scheduleEvery is how often the leader looks at what is due. Schedules are by the minute.
const scheduleEvery = 2 * time.Second

// schedule asks for what is due, through the same door as a person would (4-bus, SWITCHBACK_OPS). What an occurrence has begun stands in the records and an ask's id is
// derived from its occurrence, so a new leader goes on where the old one was, and nothing is asked twice.
func (t *term) schedule(ctx context.Context) {
	tick := time.NewTicker(scheduleEvery)
	defer tick.Stop()
	s := scheduler{calendars: map[events.Schedule]*calendar.Calendar{}, asked: map[string]bool{}, told: map[string]bool{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		reply := make(chan fleet.Agenda, 1)
		select {
		case t.agendas <- reply:
		case <-ctx.Done():
			return
		}
		var a fleet.Agenda
		select {
		case a = <-reply:
		case <-ctx.Done():
			return
		}
		ask, notice := s.due(a)
		if ask == nil && notice == nil {
			ask, notice = s.home(a)
		}
		if notice != nil {
			t.notice(ctx, *notice)
		}
		if ask != nil {
			if err := t.order(ctx, *ask); err != nil {
				s.asked[ask.ID] = false
				t.c.log.Warn("a scheduled ask could not be stored; tried again", "id", ask.ID, telemetry.Err(err))
			}
		}
	}
}

// order stores an ask as any door does.
func (t *term) order(ctx context.Context, a events.Ask) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode ask: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, scheduleEvery)
	defer cancel()
	if _, err := t.c.bus.Publish(ctx, bus.Out{Subject: events.SubjectOp(a.Actor, a.Verb), Data: data, ID: a.ID}); err != nil {
		return fmt.Errorf("store ask: %w", err)
	}
	return nil
}

// scheduler is what one term remembers of its schedules.
type scheduler struct {
	calendars map[events.Schedule]*calendar.Calendar // nil = it can't be read
	asked     map[string]bool                        // ids of this term's asks
	told      map[string]bool                        // occurrences of which it was told that they wait
}

// due finds the next drill that is to be asked for now: one at a time in the whole fleet, of each schedule the group that was not drilled for longest. Where
// something is wrong anywhere nothing is begun, and that is told once an occurrence.
func (s *scheduler) due(a fleet.Agenda) (*events.Ask, *events.Notice) {
	for _, d := range a.Drills {
		if d.Drill.Running() {
			return nil, nil
		}
	}
	for _, on := range schedules(a.Drills) {
		c := s.calendar(on)
		if c == nil {
			continue
		}
		began, ok := c.Now(a.Wall)
		if !ok {
			continue
		}
		ask := s.next(a.Drills, on, began)
		if ask == nil {
			continue
		}
		if a.Unrest == "" {
			s.asked[ask.ID] = true
			return ask, nil
		}
		if key := fmt.Sprintf("%v %d", on, began.Unix()); !s.told[key] {
			s.told[key] = true
			return nil, &events.Notice{Type: events.NoticeWait, Group: ask.Group, Rule: "wait.drill-due", By: events.ActorSchedule,
				Why: fmt.Sprintf("the drill of %s was due at %s and waits, until %s at most: %s", ask.Group, began.UTC().Format("15:04 MST"), began.Add(c.For()).UTC().Format("15:04 MST"), a.Unrest)}
		}
	}
	return nil, nil
}

// schedules lists the schedules in use, each once, in the order of their first groups.
func schedules(all []fleet.Scheduled) (on []events.Schedule) {
	for _, d := range all {
		if !slices.Contains(on, d.On) {
			on = append(on, d.On)
		}
	}
	return on
}

func (s *scheduler) calendar(on events.Schedule) *calendar.Calendar {
	c, known := s.calendars[on]
	if !known {
		c, _ = calendar.Parse(on.Cron, on.Zone, on.For.D()) // the file was checked; what a newer version wrote otherwise is left alone
		s.calendars[on] = c
	}
	return c
}

// next is the ask for the next group of an occurrence; nil if all of it, or its sample, was drilled or asked.
func (s *scheduler) next(all []fleet.Scheduled, on events.Schedule, began time.Time) *events.Ask {
	var left []fleet.Scheduled
	drilled := 0
	for _, d := range all {
		switch {
		case d.On != on:
		case d.Drill != nil && !d.Drill.Began.Before(began):
			drilled++
		case !s.asked[drillID(d.Group, began)]:
			left = append(left, d)
		}
	}
	if len(left) == 0 || on.Sample > 0 && drilled >= on.Sample {
		return nil
	}
	d := slices.MinFunc(left, func(x, y fleet.Scheduled) int {
		return cmp.Or(passed(x).Compare(passed(y)), cmp.Compare(x.Priority, y.Priority), cmp.Compare(x.Group, y.Group))
	})
	return &events.Ask{ID: drillID(d.Group, began), Verb: events.AskDrill, Actor: events.ActorSchedule, Group: d.Group, Reason: "due by its schedule at " + began.UTC().Format(time.RFC3339)}
}

func passed(d fleet.Scheduled) time.Time {
	if d.Drill == nil {
		return time.Time{}
	}
	return d.Drill.Passed
}

func drillID(group string, began time.Time) string {
	return fmt.Sprintf("schedule-drill-%s-%d", group, began.Unix())
}
