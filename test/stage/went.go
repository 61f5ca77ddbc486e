package stage

import (
	"context"
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// Went lists who was active in a group, one after the other, as the events told of promotions.
func (s *Stage) Went(g Group) []events.Ref {
	all := []events.Ref{g.Primary()}
	s.promotions(g, func(ref events.Ref, _ Instant) { all = append(all, ref) })
	return all
}

// Era is when a cluster was promoted last, at the latest; 0 = it was active from the beginning. What it wrote earlier is of an earlier move.
func (s *Stage) Era(g Group, ref events.Ref) (since Instant) {
	s.promotions(g, func(to events.Ref, at Instant) {
		if to == ref {
			since = at - Instant(newsSlack)
		}
	})
	return since
}

func (s *Stage) promotions(g Group, f func(events.Ref, Instant)) {
	all, _ := s.bus.Events()
	for _, e := range all {
		if e.Notice.Type != events.NoticePromoted || e.Notice.Group != g.Name {
			continue
		}
		for _, ref := range g.Clusters() {
			if ref.Region == e.Notice.Region {
				f(ref, e.At)
			}
		}
	}
}

// Books compares what a group's writers miss since the restored cluster was active with what its restore counted.
func (s *Stage) Books(ctx context.Context, g Group, log []Write, restore *events.Operation) (LostAudit, error) {
	v, err := s.bus.Group(ctx, g.Name)
	if err != nil {
		return LostAudit{}, fmt.Errorf("compare what %s lost: %w", g.Name, err)
	}
	rows, err := s.Server(v.Active()).Rows(ctx)
	if err != nil {
		return LostAudit{}, fmt.Errorf("compare what %s lost: %w", g.Name, err)
	}
	story := Story{Group: g.Name, Old: restore.To, New: v.Active(), Begin: s.Era(g, restore.To)}
	return CompareLost(story, log, rows, restore.Lost), nil
}

// Course audits everything the log has of a group, against the promotions the events told of.
func (s *Stage) Course(ctx context.Context, g Group, log []Write, lost []Write) (Course, []string, error) {
	v, err := s.bus.Group(ctx, g.Name)
	if err != nil {
		return Course{}, nil, fmt.Errorf("audit %s: %w", g.Name, err)
	}
	rows, err := s.Server(v.Active()).Rows(ctx)
	if err != nil {
		return Course{}, nil, fmt.Errorf("audit %s: %w", g.Name, err)
	}
	c := FollowCourse(g.Name, log, 0, rows)
	return c, c.Check(lost, s.Went(g)...), nil
}
