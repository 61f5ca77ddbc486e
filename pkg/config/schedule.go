package config

import (
	"cmp"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/calendar"
)

// schedule reads {cron, zone, for, sample}, or none; def if it is not there.
func (v value) schedule(def *events.Schedule) *events.Schedule {
	switch {
	case !v.there():
		return def
	case v.node.Kind == yaml.ScalarNode && v.node.Value == "none":
		return nil
	}
	var s events.Schedule
	v.object(func(o *object) {
		cron := o.must("cron", `five fields, as in "0 3 * * 6"`)
		s.Cron, _ = cron.text(`five fields, as in "0 3 * * 6"`)
		zone := o.get("zone")
		s.Zone, _ = zone.text("a time zone, as in Europe/Helsinki")
		s.For = events.Duration(o.get("for").duration(0, time.Minute, 24*time.Hour))
		s.Sample = o.get("sample").integer(0, 0, 100_000)
		if s.Zone != "" {
			if _, err := calendar.Parse("0 0 * * *", s.Zone, 0); err != nil {
				zone.problem("%s", err)
			}
		}
		if s.Cron != "" {
			if _, err := calendar.Parse(s.Cron, "", 0); err != nil {
				cron.problem("%s", err)
			}
		}
	})
	return &s
}

// failback reads {mode, schedule, stable_for, by_integration}: what a group says replaces what the defaults say, whole.
func failback(o *object, g *events.GroupConfig) {
	mode, on, stable, byIntegration := o.get("mode"), o.get("schedule"), o.get("stable_for"), o.get("by_integration")
	f := events.Failback{Mode: cmp.Or(word(mode, "", events.FailbackManual, events.FailbackSchedule, events.FailbackAuto), events.FailbackManual)}
	f.On = on.schedule(nil)
	f.Stable = events.Duration(stable.duration(0, time.Minute, 7*24*time.Hour))
	switch {
	case f.Mode == events.FailbackSchedule && !on.there():
		mode.problem("schedule has no schedule beside it: want one, as in {mode: schedule, schedule: {cron: \"0 3 * * 6\", zone: Europe/Helsinki, for: 2h}}")
	case f.Mode != events.FailbackSchedule && on.there():
		on.problem("is given with mode %s: want mode schedule, or no schedule", f.Mode)
	case f.On != nil && f.On.Sample != 0:
		on.problem("has a sample: want none, a failback is of every group that is away")
	}
	if f.Mode != events.FailbackAuto && stable.there() {
		stable.problem("is given with mode %s: want mode auto, or no stable_for", f.Mode)
	}
	if g.Failback = &f; f.Mode == events.FailbackManual {
		g.Failback = nil
	}
	if g.FailbackByIntegration = byIntegration.boolean(); g.FailbackByIntegration && g.Kind != "" && g.Kind != events.KindPostgres {
		byIntegration.problem("is given to a group of kind %s: the Aiven-compatible API shows those of kind postgres only", g.Kind)
	}
}
