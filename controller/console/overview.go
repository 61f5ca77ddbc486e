package console

import (
	"context"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

const (
	recentFew  = 12
	recentMany = 200
)

// overviewData is the whole fleet on a page.
type overviewData struct {
	answers.Status
	Up      int // hub servers that answer
	Down    []string
	Waits   string // what the unprotected groups wait for
	Regions []regionData
	Events  []client.Event
}

type regionData struct {
	fleet.RegionView
	Auto events.RegionAutomation
}

func overview(ctx context.Context, v *visit) (*page, error) {
	d, err := v.status(ctx)
	if err != nil {
		return nil, err
	}
	if d.Unprotected > 0 {
		var gs answers.Groups
		if err := v.query(ctx, "groups", map[string]any{"show": "unprotected", "limit": answers.Most}, &gs); err == nil && !gs.More {
			d.Waits = words.Waits(gs.Groups)
		}
	}
	if d.Events, err = v.who.Fleet.Recent(ctx, "", recentFew); err != nil {
		return nil, err
	}
	return &page{title: "Overview", at: "overview", parts: []part{
		{"pulse", "pulse", d}, {"regions", "regions", d}, {"needs", "needs", d}, {"under-way", "under-way", d}, {"recent", "recent", d},
	}}, nil
}

// status asks for the state of the fleet.
func (v *visit) status(ctx context.Context) (*overviewData, error) {
	d := &overviewData{}
	if err := v.query(ctx, "status", nil, &d.Status); err != nil {
		return nil, err
	}
	for region, ok := range words.Sorted(d.Bus) {
		if ok {
			d.Up++
		} else {
			d.Down = append(d.Down, region)
		}
	}
	for _, r := range d.View.Regions {
		d.Regions = append(d.Regions, regionData{r, d.View.Automation.Regions[r.Region]})
	}
	return d, nil
}

// withPulse puts the line on the state of the fleet above a page's parts. A page whose own answer came is shown without it if that fails.
func (v *visit) withPulse(ctx context.Context, p *page) *page {
	if d, err := v.status(ctx); err == nil {
		p.parts = append([]part{{"pulse", "pulse", d}}, p.parts...)
	}
	return p
}

func regionPage(ctx context.Context, v *visit) (*page, error) {
	name := v.r.PathValue("region")
	d, err := v.status(ctx)
	if err != nil {
		return nil, err
	}
	var w answers.Why
	if err := v.query(ctx, "why", map[string]any{"region": name}, &w); err != nil {
		return nil, err
	}
	var r *regionData
	for i := range d.Regions {
		if d.Regions[i].Region == name {
			r = &d.Regions[i]
		}
	}
	if r == nil {
		return nil, missing("no region is called " + name)
	}
	told, err := v.who.Fleet.Recent(ctx, name, recentFew)
	if err != nil {
		return nil, err
	}
	return &page{title: "Region " + name, at: "overview", parts: []part{
		{"pulse", "pulse", d}, {"region-head", "region-head", r}, {"facts", "facts", w.Facts}, {"recent", "events", told},
	}}, nil
}

func eventLog(ctx context.Context, v *visit) (*page, error) {
	told, err := v.who.Fleet.Recent(ctx, "", recentMany)
	if err != nil {
		return nil, err
	}
	return v.withPulse(ctx, &page{title: "Events", at: "events", parts: []part{{"events-head", "events-head", len(told)}, {"events", "events", told}}}), nil
}
