package fleet

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/events"
)

// Agenda is what schedules look at.
type Agenda struct {
	Wall   time.Time
	Unrest string // why nothing that can wait should begin now; "" = all is well
	Drills []Scheduled
	Homes  []Homeward
}

// Homeward is one group that is away and comes home without a person's ask.
type Homeward struct {
	Group  string
	Home   string // region
	Epoch  events.Epoch
	When   events.Failback
	Stable time.Duration // for how long its home's region and it have been well, as this leader saw it
	Blocks string        // why it can't be brought home now; "" = it can
	Under  string        // the rollout that brings it home already; "" = none
}

// Scheduled is one group that is drilled by a schedule.
type Scheduled struct {
	Group    string
	Priority int
	On       events.Schedule
	Drill    *events.Drill // the running or the last one, nil if there was none
}

// Agenda takes the picture, groups sorted by name.
func (f *Fleet) Agenda(now Now) Agenda {
	a := Agenda{Wall: now.Wall, Unrest: f.unrest()}
	for _, k := range f.groups.keys {
		if g := f.groups.get(k); g.record != nil && g.record.Gone == "" && g.config.Drill != nil && !g.config.Removed {
			a.Drills = append(a.Drills, Scheduled{g.name, g.config.Priority, *g.config.Drill, g.record.Drill})
		}
		if g := f.groups.get(k); g.record != nil && g.record.Gone == "" && g.config.Failback != nil && !g.config.Removed && g.record.Active != g.config.Primary {
			a.Homes = append(a.Homes, f.homeward(now, g))
		}
	}
	return a
}

// homeward is what the schedule must know of a group that is away.
func (f *Fleet) homeward(now Now, g *group) Homeward {
	h := Homeward{Group: g.name, Home: g.config.Primary.Region, Epoch: g.record.Epoch, When: *g.config.Failback, Blocks: f.incident()}
	if h.When.Stable == 0 {
		h.When.Stable = events.Duration(f.d.Flapping)
	}
	if r := f.regionOf(h.Home); r.judged.Verdict == events.VerdictHealthy && g.stable != 0 {
		h.Stable = min(now.Boot.Sub(r.since), now.Boot.Sub(g.stable))
	}
	for _, s := range f.rollouts {
		if s != nil && s.Open() && s.Head.Verb == events.AskFailback && len(s.Of(g.name)) > 0 {
			h.Under = s.Head.ID
		}
	}
	if h.Blocks == "" {
		c, _ := f.candidate(now, g, &rollout.Request{Verb: events.AskFailback, By: events.ActorSchedule})
		h.Blocks = c.Blocks
	}
	if h.Blocks == "" && h.When.Mode == events.FailbackAuto && g.config.Mode != events.ModeAuto {
		h.Blocks = g.name + " is in mode " + string(g.config.Mode) + ": a person decides, with `switchback failback " + g.name + "`"
	}
	return h
}

// unrest says what is wrong anywhere; "" if nothing is.
func (f *Fleet) unrest() string {
	if f.blind {
		return "the controller reaches fewer than half of the regions"
	}
	for _, name := range f.regions.keys {
		if r := f.regions.get(name); r.judged.Verdict != events.VerdictHealthy {
			return fmt.Sprintf("%s is %s: %s", name, r.judged.Verdict, r.judged.Why)
		}
	}
	return ""
}
