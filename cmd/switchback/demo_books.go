package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// close stops the writers and says what is true of all they wrote: over every move, from the first write to the last. What must never be is an error.
func (d *demo) close(ctx context.Context) error {
	log, err := d.writers.Stop()
	if err != nil {
		return err
	}
	d.say("audit    (writes counted when ReadyForQuery came, and compared with what is on the active now)")
	for _, g := range d.stage.Groups() {
		if !g.Written() {
			continue
		}
		lost := d.lost[g.Name]
		j, judged := d.served[g.Name]
		if v, err := d.stage.Bus().Group(ctx, g.Name); err == nil && judged && v.Whole() != "" && len(lost) == 0 {
			lost = j.Lost // its old side never came back, so there is only the report of the failover to hold this against
		}
		c, bad, err := d.stage.Course(ctx, g, log, lost)
		if err != nil {
			return err
		}
		d.say("  %-10s %s writes acknowledged, %d moves; lost %s; two writers at once: %s", g.Name, thousands(c.Acked), len(c.Gaps), known(&c, lost), twice(&c))
		for _, gap := range c.Gaps {
			d.say("             %s → %s: writes stood still for %s, seen from outside for %s", gap.From.Region, gap.To.Region, seconds(gap.All), seconds(gap.Outside))
		}
		if judged {
			d.say("             first write acknowledged %.2f s after the fault (target %v); %s", j.Serving.Seconds(), target, lossLine(j))
			d.say("             the lost region: %s", lastLine(j))
		}
		d.bad = append(d.bad, bad...)
	}
	if len(d.bad) > 0 {
		return fmt.Errorf("this must never be:\n  %s", strings.Join(d.bad, "\n  "))
	}
	return nil
}

// known says how many writes are lost, and whether all of them were counted.
func known(c *stage.Course, lost []stage.Write) string {
	switch gone := c.Unexcused(lost); {
	case len(c.Missing) == 0:
		return "0"
	case len(gone) == 0:
		return thousands(len(c.Missing)) + ", every one of them listed"
	default:
		return fmt.Sprintf("%s, %s OF THEM NOT LISTED", thousands(len(c.Missing)), thousands(len(gone)))
	}
}

func twice(c *stage.Course) string {
	if len(c.Both) == 0 {
		return "never"
	}
	return fmt.Sprintf("%d TIMES", len(c.Both))
}

// lossLine says what the operation's report said at once, before anybody could count.
func lossLine(j stage.Judged) string {
	if l := j.Op.Loss; l != nil && l.Known {
		return fmt.Sprintf("its report said at once: at least %d B, from the last %v", l.Bytes, l.Window.Round(1e6))
	}
	return "its report said at once: nobody can say what was lost"
}

// lastLine sets the last write the old side acknowledged against its guard's deadline: F after the last beat that was acknowledged, so at most F after the cut.
func lastLine(j stage.Judged) string {
	d, err := events.Profile("fast")
	if err != nil {
		return err.Error()
	}
	if j.LastOld < 0 {
		return fmt.Sprintf("its last acknowledged write was sent %.2f s before the fault", -j.LastOld.Seconds())
	}
	return fmt.Sprintf("its last acknowledged write was sent %.2f s after the fault; its guard's deadline is at most %.2f s after it, frozen within %.2f s more",
		j.LastOld.Seconds(), d.Run.Seconds(), d.Freeze.Seconds())
}
