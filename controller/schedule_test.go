package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/calendar"
)

func newScheduler() *scheduler {
	return &scheduler{calendars: map[events.Schedule]*calendar.Calendar{}, asked: map[string]bool{}, told: map[string]bool{}}
}

// ran is a drill of the schedule that began at an instant and ended, or runs.
func ran(began time.Time, ended string, passed time.Time) *events.Drill {
	return &events.Drill{By: events.ActorSchedule, Began: began, Ended: ended, Passed: passed, Legs: []events.DrillLeg{{}}}
}

func TestScheduleAsksOneAfterTheOther(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	on := events.Schedule{Cron: "0 12 * * *"}
	a := fleet.Agenda{Wall: noon.Add(-time.Second), Drills: []fleet.Scheduled{
		{Group: "a", Priority: 5, On: on, Drill: ran(noon.AddDate(0, -1, 0), events.DrillPass, noon.AddDate(0, -1, 0))},
		{Group: "b", Priority: 9, On: on},
		{Group: "c", Priority: 1, On: on},
	}}
	s := newScheduler()
	if ask, _ := s.due(a); ask != nil {
		t.Fatalf("before it is due: %+v", ask)
	}
	a.Wall = noon.Add(time.Minute)
	var order []string
	for range 5 {
		ask, _ := s.due(a)
		if ask == nil {
			break
		}
		order = append(order, ask.Group)
		if ask.Actor != events.ActorSchedule || ask.Verb != events.AskDrill || ask.Check() != nil {
			t.Fatalf("asked %+v: %v", ask, ask.Check())
		}
		for i := range a.Drills {
			if d := &a.Drills[i]; d.Group == ask.Group {
				d.Drill = ran(a.Wall, "", time.Time{})
				if again, _ := s.due(a); again != nil {
					t.Fatalf("%s runs, but %+v is asked for", d.Group, again)
				}
				d.Drill.Ended = events.DrillFail
			}
		}
	}
	if got := strings.Join(order, " "); got != "c b a" {
		t.Errorf("asked for %s: want the never drilled by priority, then the rest", got)
	}
	if ask, _ := newScheduler().due(a); ask != nil {
		t.Errorf("a new leader asks again: %+v", ask)
	}
}

// A refusal leaves no drill: the next group's turn comes, and the refused one is not asked again within the occurrence.
func TestScheduleGoesOnAfterARefusal(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	on := events.Schedule{Cron: "0 12 * * *", Sample: 1}
	a := fleet.Agenda{Wall: noon, Drills: []fleet.Scheduled{{Group: "a", On: on}, {Group: "b", On: on}, {Group: "c", On: on}}}
	s := newScheduler()
	first, _ := s.due(a)
	second, _ := s.due(a)
	if first == nil || second == nil || first.Group != "a" || second.Group != "b" {
		t.Fatalf("asked for %+v, then %+v", first, second)
	}
	a.Drills[1].Drill = ran(noon, events.DrillPass, noon)
	if more, _ := s.due(a); more != nil {
		t.Errorf("one of the sample was drilled, but %+v is asked for", more)
	}
}

func TestScheduleWaitsForCalm(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	a := fleet.Agenda{Wall: noon.Add(time.Minute), Unrest: "eu-west-1 is degraded: db is down", Drills: []fleet.Scheduled{{Group: "a", On: events.Schedule{Cron: "0 12 * * *", For: events.Duration(30 * time.Minute)}}}}
	s := newScheduler()
	ask, n := s.due(a)
	if ask != nil || n == nil || !strings.Contains(n.Why, "waits, until 12:30 UTC at most: eu-west-1 is degraded") {
		t.Fatalf("asked %+v, told %+v", ask, n)
	}
	if _, n := s.due(a); n != nil {
		t.Error("told twice of one occurrence")
	}
	a.Unrest, a.Wall = "", noon.Add(29*time.Minute)
	if ask, _ := s.due(a); ask == nil {
		t.Error("all is well again within its time, but it is not asked for")
	}
	a.Wall = noon.Add(31 * time.Minute)
	if ask, _ := newScheduler().due(a); ask != nil {
		t.Errorf("its time is over, but it is asked for: %+v", ask)
	}
}
