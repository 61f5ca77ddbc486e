package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/calendar"
)

// againEvery is after how long a failback that could not begin is asked for anew: what stood in its way may be gone.
const againEvery = 5 * time.Minute

// home finds the failback that is to be asked for now: of all groups of one home region that are due and can be brought home, as one rollout. Those that can't are told of
// once an occurrence.
func (s *scheduler) home(a fleet.Agenda) (*events.Ask, *events.Notice) {
	for _, region := range homes(a.Homes) {
		var due, late []fleet.Homeward
		var first call
		for _, h := range a.Homes {
			c, ok := s.calls(h, a.Wall)
			switch {
			case h.Home != region || !ok:
			case h.Blocks != "":
				late = append(late, h)
			case len(due) == 0 || c == first: // what answers another call is the next rollout
				first, due = c, append(due, h)
			}
		}
		if ask := s.askHome(region, first, due, a.Wall); ask != nil {
			return ask, nil
		}
		if n := s.tellLate(late, a.Wall); n != nil {
			return nil, n
		}
	}
	return nil, nil
}

// call is what a failback answers: an occurrence of a schedule, or that its groups have been well for long enough.
type call struct {
	at    time.Time // of the occurrence; zero = no schedule
	until time.Time
}

// calls says whether a group is due, and by what.
func (s *scheduler) calls(h fleet.Homeward, wall time.Time) (call, bool) {
	if h.When.Mode == events.FailbackAuto {
		return call{}, h.Stable >= h.When.Stable.D()
	}
	if h.When.On == nil {
		return call{}, false
	}
	c := s.calendar(*h.When.On)
	if c == nil {
		return call{}, false
	}
	at, ok := c.Now(wall)
	return call{at, at.Add(c.For())}, ok
}

// homes lists the home regions, each once, in order, but for those of which something is on its way home: one rollout at a time of each.
func homes(all []fleet.Homeward) (regions []string) {
	busy := map[string]bool{}
	for _, h := range all {
		regions = append(regions, h.Home)
		busy[h.Home] = busy[h.Home] || h.Under != ""
	}
	slices.Sort(regions)
	return slices.DeleteFunc(slices.Compact(regions), func(r string) bool { return busy[r] })
}

// askHome is the ask for the groups that are due; nil if there are none, or it was asked for already. Its id is derived from what it answers and of which groups.
func (s *scheduler) askHome(region string, c call, due []fleet.Homeward, wall time.Time) *events.Ask {
	if len(due) == 0 {
		return nil
	}
	var names, at []string
	for _, h := range due {
		names, at = append(names, h.Group), append(at, fmt.Sprintf("%s@%d", h.Group, h.Epoch))
	}
	ask := &events.Ask{
		ID:   fmt.Sprintf("schedule-failback-%s-%s-%d", region, idHash(strings.Join(at, ","))[:8], wall.Truncate(againEvery).Unix()),
		Verb: events.AskFailback, Actor: events.ActorSchedule, Groups: names, Until: c.until,
		Reason: fmt.Sprintf("%s and what is away from it have been well for %s", region, due[0].When.Stable.D()),
	}
	if !c.at.IsZero() {
		ask.Calls = c.at.UTC().Format(time.RFC3339)
		ask.Reason = "due by its schedule at " + ask.Calls
	}
	if s.asked[ask.ID] {
		return nil
	}
	s.asked[ask.ID] = true
	return ask
}

// tellLate tells of a group that is due and can't be brought home.
func (s *scheduler) tellLate(late []fleet.Homeward, wall time.Time) *events.Notice {
	for _, h := range late {
		c, _ := s.calls(h, wall)
		key := fmt.Sprintf("home %s@%d %d", h.Group, h.Epoch, c.at.Unix())
		if s.told[key] {
			continue
		}
		s.told[key] = true
		why := fmt.Sprintf("the failback of %s is due and waits: %s", h.Group, h.Blocks)
		if !c.at.IsZero() {
			why = fmt.Sprintf("the failback of %s was due at %s and waits, until %s at most: %s", h.Group, c.at.UTC().Format("15:04 MST"), c.until.UTC().Format("15:04 MST"), h.Blocks)
		}
		return &events.Notice{Type: events.NoticeWait, Group: h.Group, Rule: "wait.failback-due", By: events.ActorSchedule, Why: why}
	}
	return nil
}

// comesHome says of a group that is away when it is brought home; "" if it is at home.
func comesHome(g fleet.GroupView, now time.Time) string {
	f, ask := g.Config.Failback, fmt.Sprintf("`switchback failback %s`", g.Group)
	switch {
	case g.Record == nil || g.Record.Gone != "" || g.Config.Primary == (events.Ref{}) || g.Record.Active == g.Config.Primary:
		return ""
	case f == nil:
		return fmt.Sprintf("it is away from home, %s: a person brings it home, with %s", g.Config.Primary, ask)
	case f.Mode == events.FailbackAuto:
		well := "as long as automation waits after a move (flapping)"
		if f.Stable != 0 {
			well = f.Stable.String()
		}
		return fmt.Sprintf("it is away from home, %s: brought home once both have been well for %s, or with %s", g.Config.Primary, well, ask)
	}
	when := "never: its schedule can't be read"
	if c, err := calendar.Parse(f.On.Cron, f.On.Zone, f.On.For.D()); err == nil {
		if at, ok := c.Now(now); ok {
			when = fmt.Sprintf("now, until %s (since %s)", at.Add(c.For()).UTC().Format("15:04 MST"), at.UTC().Format("15:04 MST"))
		} else if next, ok := c.Next(now); ok {
			when = next.UTC().Format("2006-01-02 15:04 MST")
		}
	}
	return fmt.Sprintf("it is away from home, %s: brought home by its schedule, %s; or with %s", g.Config.Primary, when, ask)
}
