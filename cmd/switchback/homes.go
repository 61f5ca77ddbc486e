package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/config"
)

// checkHomes refuses what the record of a group would silently outvote: once a group is under care, its kind and its primary are what was recorded, recovery
// clusters come and go but keep their order, and a cluster of its belongs to no other group.
func (s *stored) checkHomes(ctx context.Context, b bus.Bus, want *config.Fleet) error {
	owner := map[events.Ref]string{}
	for name, g := range s.config {
		for _, c := range g.Clusters() {
			if prev, taken := owner[c]; !taken || s.config[prev].Removed {
				owner[c] = name
			}
		}
	}
	var bad []error
	for _, g := range want.Groups {
		if old, known := s.config[g.Group]; known && (old.Kind != g.Kind || !slices.Equal(old.Clusters(), g.Clusters())) {
			r, err := recorded(ctx, b, g.Group)
			if err != nil {
				return err
			}
			if why := outvoted(r, old.Kind, &g); why != "" {
				bad = append(bad, fmt.Errorf("groups.%s: it is under care as %s with %v: %s", g.Group, old.Kind, old.Clusters(), why))
			}
		}
		for _, c := range g.Clusters() {
			if other := owner[c]; other != "" && other != g.Group {
				r, err := recorded(ctx, b, other)
				if err != nil {
					return err
				}
				if r != nil && r.Member(c) != nil {
					bad = append(bad, fmt.Errorf("groups.%s: %s is under care in group %s: want it in one group", g.Group, c, other))
				}
			}
		}
	}
	if len(bad) > 0 {
		return &failure{exitRefused, fmt.Errorf("nothing was written:\n%w", errors.Join(bad...))}
	}
	return nil
}

// outvoted says what of a group's new configuration its record would not follow; "" if it follows all of it.
func outvoted(r *events.Record, kind events.Kind, g *events.GroupConfig) string {
	if r == nil || r.Gone != "" {
		return ""
	}
	var have, kept []events.Ref
	for _, m := range r.Members {
		have = append(have, m.Cluster)
		if slices.Contains(g.Clusters(), m.Cluster) {
			kept = append(kept, m.Cluster)
		}
	}
	switch {
	case kind != g.Kind:
		return "its kind stays as it is"
	case g.Primary != have[0]:
		return fmt.Sprintf("its primary stays %s: homes never change", have[0])
	case !slices.Contains(kept, r.Active):
		return fmt.Sprintf("%s is active: move the group first", r.Active)
	case !slices.Equal(kept, g.Clusters()[:len(kept)]):
		return "recovery clusters keep their order, and a new one comes last"
	}
	return ""
}

// recorded reads a group's record; nil: it is not under care.
func recorded(ctx context.Context, b bus.Bus, group string) (*events.Record, error) {
	m, err := b.Last(ctx, events.StreamState, events.SubjectRecord(group))
	if err != nil || m == nil {
		return nil, err
	}
	var r events.Record
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return nil, fmt.Errorf("read the record of %s: %w", group, err)
	}
	return &r, nil
}
