package config

import (
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
