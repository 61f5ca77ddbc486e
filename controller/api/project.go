package api

import (
	"context"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
)

// Project lists the groups of a project that the principal sees, in the order of their names; with names of clusters, only those with a cluster that is called so. Errors: as Query's;
// none of a project that is not there, which has no groups.
func (a *Access) Project(ctx context.Context, project string, named ...string) ([]fleet.GroupView, error) {
	var all []fleet.GroupView
	for after := ""; ; {
		var page answers.Groups
		q := map[string]any{"project": project, "after": after, "limit": answers.Most, "named": named}
		if err := a.Query(ctx, "groups", q, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Groups...)
		if !page.More || len(page.Groups) == 0 {
			return all, nil
		}
		after = all[len(all)-1].Group
	}
}
