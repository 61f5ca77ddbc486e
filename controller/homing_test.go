package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// away is a group that was moved away from r1 and comes home so.
func away(group string, when events.Failback) fleet.Homeward {
	return fleet.Homeward{Group: group, Home: "r1", Epoch: 2, When: when}
}

func TestScheduledFailback(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	when := events.Failback{Mode: events.FailbackSchedule, On: &events.Schedule{Cron: "0 12 * * *", For: events.Duration(2 * time.Hour)}}
	a := fleet.Agenda{Wall: noon.Add(-time.Minute), Homes: []fleet.Homeward{away("a", when), away("b", when), away("c", when)}}
	s := newScheduler()
	if ask, n := s.home(a); ask != nil || n != nil {
		t.Fatalf("before it is due: %+v %+v", ask, n)
	}
	a.Wall = noon.Add(time.Minute)
	a.Homes[1].Blocks = "its home is being restored"
	ask, _ := s.home(a)
	if ask == nil || ask.Check() != nil || ask.Verb != events.AskFailback || ask.Actor != events.ActorSchedule || !slices.Equal(ask.Groups, []string{"a", "c"}) || !ask.Until.Equal(noon.Add(2*time.Hour)) ||
		ask.Calls != "2026-11-30T12:00:00Z" {
		t.Fatalf("due, it asks %+v", ask)
	}
	if other, _ := newScheduler().home(a); other == nil || other.ID != ask.ID {
		t.Errorf("a new leader asks under another id: %+v", other)
	}
	again, n := s.home(a)
	if again != nil || n == nil || n.Group != "b" || !strings.Contains(n.Why, "its home is being restored") || !strings.Contains(n.Why, "until 14:00 UTC") {
		t.Errorf("asked again %+v, told %+v", again, n)
	}
	if again, n := s.home(a); again != nil || n != nil {
		t.Errorf("told twice: %+v %+v", again, n)
	}
	a.Homes[0].Under, a.Homes[2].Under, a.Homes[1].Blocks = "x", "x", ""
	if again, _ := s.home(a); again != nil {
		t.Errorf("two rollouts towards one home: %+v", again)
	}
	a.Homes = a.Homes[1:2]
	if ask, _ := s.home(a); ask == nil || !slices.Equal(ask.Groups, []string{"b"}) {
		t.Errorf("what was late is asked for as %+v", ask)
	}
	a.Wall = noon.Add(2*time.Hour + time.Minute)
	if ask, _ := newScheduler().home(a); ask != nil {
		t.Errorf("after its window: %+v", ask)
	}
}

// An outsider reads when a group that is away comes home.
func TestWhyTellsOfTheWayHome(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	g := fleet.GroupView{Group: "orders", Config: events.GroupConfig{Primary: events.Ref{Region: "r1", Cluster: "orders-a"}}, Record: &events.Record{Active: events.Ref{Region: "r1", Cluster: "orders-a"}}}
	if got := comesHome(g, now); got != "" {
		t.Errorf("at home: %s", got)
	}
	g.Record.Active = events.Ref{Region: "r2", Cluster: "orders-b"}
	for want, when := range map[string]*events.Failback{
		"a person brings it home":    nil,
		"well for 30m0s":             {Mode: events.FailbackAuto, Stable: events.Duration(30 * time.Minute)},
		"2026-12-05 01:00 UTC":       {Mode: events.FailbackSchedule, On: &events.Schedule{Cron: "0 3 * * 6", Zone: "Europe/Helsinki"}},
		"now, until 12:30 UTC":       {Mode: events.FailbackSchedule, On: &events.Schedule{Cron: "30 11 * * *"}},
		"its schedule can't be read": {Mode: events.FailbackSchedule, On: &events.Schedule{Cron: "nonsense"}},
	} {
		g.Config.Failback = when
		if got := comesHome(g, now); !strings.Contains(got, want) || !strings.Contains(got, "switchback failback orders") {
			t.Errorf("%+v: %s; want %q", when, got, want)
		}
	}
}

func TestAutomaticFailbackWaitsForStability(t *testing.T) {
	t.Parallel()
	when := events.Failback{Mode: events.FailbackAuto, Stable: events.Duration(30 * time.Minute)}
	a := fleet.Agenda{Wall: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), Homes: []fleet.Homeward{away("a", when), away("b", when)}}
	s := newScheduler()
	a.Homes[0].Stable = 30*time.Minute - time.Second
	if ask, n := s.home(a); ask != nil || n != nil {
		t.Fatalf("too early: %+v %+v", ask, n)
	}
	a.Homes[0].Stable = 30 * time.Minute
	ask, _ := s.home(a)
	if ask == nil || !slices.Equal(ask.Groups, []string{"a"}) || !ask.Until.IsZero() || !strings.Contains(ask.Reason, "30m0s") {
		t.Fatalf("stable for long enough, it asks %+v", ask)
	}
	if again, _ := s.home(a); again != nil {
		t.Errorf("asked again at once: %+v", again)
	}
	a.Wall = a.Wall.Add(againEvery)
	if again, _ := s.home(a); again == nil || again.ID == ask.ID {
		t.Errorf("what could not begin is asked for anew as %+v", again)
	}
}
