package fleet

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Agenda is what schedules look at.
type Agenda struct {
	Wall   time.Time
	Unrest string // why nothing that can wait should begin now; "" = all is well
	Drills []Scheduled
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
	}
	return a
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
