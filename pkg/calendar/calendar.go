// Package calendar reads schedules: cron's five fields, a time zone of its own, and how long after its beginning an occurrence may still be begun.
//
// It fences robfig/cron/v3, which panics on some texts and has no maintainer: only its parser and the computation of the next time are used, never its
// runner; a zone within the fields is refused; a panic is an error; a schedule that never comes is refused when it is read.
package calendar

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a host without the time zone database reads the same files

	"github.com/robfig/cron/v3"
)

// DefaultFor is how long an occurrence may be begun late where the file does not say.
const DefaultFor = time.Hour

// Calendar is a schedule that was read.
type Calendar struct {
	spec cron.Schedule
	zone *time.Location
	late time.Duration
}

// Parse reads five fields (minute, hour, day of month, month, day of week), a zone of the time zone database ("" is UTC), and how long after its beginning an
// occurrence may still be begun (0 is DefaultFor). Its errors name the value and what would be right.
func Parse(fields, zone string, late time.Duration) (*Calendar, error) {
	if strings.Contains(fields, "=") {
		return nil, fmt.Errorf("cron %q: want five fields without a zone, and the zone in zone", fields)
	}
	if n := len(strings.Fields(fields)); n != 5 {
		return nil, fmt.Errorf(`cron %q has %d fields: want five (minute, hour, day of month, month, day of week), as in "0 3 * * 6"`, fields, n)
	}
	at := time.UTC
	if zone != "" {
		var err error
		if at, err = time.LoadLocation(zone); err != nil || zone == "Local" {
			return nil, fmt.Errorf("zone %q is not a time zone: want one like UTC or Europe/Helsinki", zone)
		}
	}
	spec, err := parse(strings.Join(strings.Fields(fields), " "))
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", fields, err)
	}
	if late == 0 {
		late = DefaultFor
	}
	c := &Calendar{spec, at, late}
	if _, ok := c.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, at)); !ok {
		return nil, fmt.Errorf("cron %q never comes: want a day that exists", fields)
	}
	return c, nil
}

func parse(fields string) (s cron.Schedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("want five fields of numbers, *, lists, ranges and steps")
		}
	}()
	return cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(fields)
}

// Next is the first occurrence after t, to the minute; false if there is none within the library's horizon (five years).
func (c *Calendar) Next(t time.Time) (next time.Time, ok bool) {
	defer func() {
		if recover() != nil {
			next, ok = time.Time{}, false
		}
	}()
	next = c.spec.Next(t.In(c.zone))
	return next, !next.IsZero()
}

// Now is the latest occurrence that may still be begun at t: it began at most For ago. False if there is none.
func (c *Calendar) Now(t time.Time) (began time.Time, ok bool) {
	for next, more := c.Next(t.Add(-c.late)); more && !next.After(t); next, more = c.Next(next) {
		began, ok = next, true
	}
	return began, ok
}

// For is how long after its beginning an occurrence may still be begun.
func (c *Calendar) For() time.Duration { return c.late }
