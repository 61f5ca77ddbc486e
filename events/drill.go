package events

import "time"

// Drill is a swap there and back, to find out whether the group could be moved (3-lifecycle, Fleet): the running one, or the last.
type Drill struct {
	ID    string     `json:"id"`
	Ask   string     `json:"ask,omitempty"`
	By    string     `json:"by"`
	Why   string     `json:"why,omitempty"`
	From  Ref        `json:"from"` // where it began, and ends
	To    Ref        `json:"to"`
	Began time.Time  `json:"began"`
	Legs  []DrillLeg `json:"legs"`            // there, and once that is done back
	Ended string     `json:"ended,omitempty"` // DrillPass, DrillFail; empty = running
	End   string     `json:"end,omitempty"`   // why
	At    time.Time  `json:"at,omitzero"`     // when it ended
	// Passed is when a drill of the group passed last, this one included; zero = never.
	Passed time.Time `json:"passed,omitzero"`
}

// DrillLeg is one half of a drill.
type DrillLeg struct {
	Operation string        `json:"operation"`
	Gap       time.Duration `json:"gap,omitempty"`       // from its intent to the first write acknowledged; 0 = it did not get that far
	Protected time.Duration `json:"protected,omitempty"` // … to a healthy passive
}

// How a drill ends.
const (
	DrillPass = "pass"
	DrillFail = "fail"
)

// Running reports whether a drill is under way.
func (d *Drill) Running() bool { return d != nil && d.Ended == "" }

// Leg is the operation of the half under way, or of the last.
func (d *Drill) Leg() string { return d.Legs[len(d.Legs)-1].Operation }

func (d *Drill) clone() *Drill {
	if d == nil {
		return nil
	}
	c := *d
	c.Legs = append([]DrillLeg(nil), d.Legs...)
	return &c
}
