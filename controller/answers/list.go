package answers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Most bounds the lists of an answer.
const Most = 500

// Show is a sort of groups that a list may be narrowed to: its name in a query, and in words.
type Show struct {
	Name, Words string
	is          func(g *fleet.GroupView) bool
}

// Shows lists them in the order in which they are offered.
var Shows = []Show{
	{"needs", "need you", func(g *fleet.GroupView) bool { return g.NeedsPerson }},
	{"unprotected", "unprotected", func(g *fleet.GroupView) bool { return cared(g) && !g.Protected }},
	{"away", "away from home", func(g *fleet.GroupView) bool { return cared(g) && g.Record.Active != g.Config.Primary }},
	{"moving", "under way", Moving},
	{"disarmed", "disarmed", func(g *fleet.GroupView) bool { return cared(g) && g.Record.Disarm != "" }},
	{"observed", "only observed", func(g *fleet.GroupView) bool { return cared(g) && g.Config.Mode == events.ModeObserve }},
	{"drilled", "drilled", func(g *fleet.GroupView) bool { return cared(g) && (g.Record.Drill != nil || g.Config.Drill != nil) }},
}

func cared(g *fleet.GroupView) bool { return g.Record != nil && g.Record.Gone == "" }

// Moving reports whether anything of a group is under way: a move, a restore, a restart, a drill.
func Moving(g *fleet.GroupView) bool {
	return cared(g) && (g.Record.Running() || g.Record.Restart != nil || g.Record.Drill.Running() ||
		slices.ContainsFunc(g.Clusters, func(c fleet.ClusterView) bool { return c.Op != "" }))
}

// sorts are the orders a list may have; ties, and a list without one, are by name.
var sorts = map[string]func(a, b *fleet.GroupView) int{
	"":        func(*fleet.GroupView, *fleet.GroupView) int { return 0 },
	"name":    func(*fleet.GroupView, *fleet.GroupView) int { return 0 },
	"project": func(a, b *fleet.GroupView) int { return cmp.Compare(a.Config.Project, b.Config.Project) },
	"active":  func(a, b *fleet.GroupView) int { return cmp.Compare(activeRegion(a), activeRegion(b)) },
	"worst":   func(a, b *fleet.GroupView) int { return cmp.Compare(trouble(b), trouble(a)) },
	"lag":     func(a, b *fleet.GroupView) int { return cmp.Compare(LeastLag(b), LeastLag(a)) },
	"moved":   func(a, b *fleet.GroupView) int { return movedAt(b).Compare(movedAt(a)) },
	"drill":   func(a, b *fleet.GroupView) int { return drilledAt(a).Compare(drilledAt(b)) },
}

func activeRegion(g *fleet.GroupView) string {
	if g.Record == nil {
		return ""
	}
	return g.Record.Active.Region
}

// trouble ranks groups: who needs a person before who is moving, before who is unprotected, before who is away.
func trouble(g *fleet.GroupView) (n int) {
	for i, bad := range []bool{cared(g) && g.Record.Active != g.Config.Primary, cared(g) && !g.Protected, Moving(g), g.NeedsPerson} {
		if bad {
			n = i + 1
		}
	}
	return n
}

// LeastLag is how far the nearest passive is behind, in bytes; -1 = nobody knows, or there is none.
func LeastLag(g *fleet.GroupView) int64 {
	least := int64(-1)
	for i := range g.Clusters {
		if c := &g.Clusters[i]; c.Role == events.RolePassive && c.Lag >= 0 && (least < 0 || c.Lag < least) {
			least = c.Lag
		}
	}
	return least
}

func movedAt(g *fleet.GroupView) time.Time {
	if g.Record == nil {
		return time.Time{}
	}
	return g.Record.Since
}

func drilledAt(g *fleet.GroupView) time.Time {
	if g.Record == nil || g.Record.Drill == nil {
		return time.Time{}
	}
	return g.Record.Drill.Began
}

// List is one page of the groups that a query asks for. The page begins after the group that q.After names, where it stands now: so a list that changes between two pages
// neither ends early nor begins anew. all is in order of name; it is not changed.
func List(all []fleet.GroupView, q Query) (Groups, error) {
	order, known := sorts[q.Sort]
	if !known {
		return Groups{}, fmt.Errorf("groups sorted by %q: want name, project, active, worst, lag, moved or drill", q.Sort)
	}
	show := slices.IndexFunc(Shows, func(s Show) bool { return s.Name == q.Show })
	if show < 0 && q.Show != "" {
		return Groups{}, fmt.Errorf("groups that are %q: want needs, unprotected, away, moving, disarmed, observed or drilled", q.Show)
	}
	limit := q.Limit
	if limit <= 0 || limit > Most {
		limit = Most
	}
	out := Groups{Groups: []fleet.GroupView{}, Counts: map[string]int{}}
	var found []*fleet.GroupView
	for i := range all {
		g := &all[i]
		if !q.matches(g) {
			continue
		}
		out.Counts[""]++
		for _, s := range Shows {
			if s.is(g) {
				out.Counts[s.Name]++
			}
		}
		if show < 0 || Shows[show].is(g) {
			found = append(found, g)
		}
	}
	by := func(a, b *fleet.GroupView) int { return cmp.Or(order(a, b), cmp.Compare(a.Group, b.Group)) }
	slices.SortStableFunc(found, by)
	out.Total, out.First = len(found), begins(all, found, q.After, by)
	for _, g := range found[out.First:] {
		if len(out.Groups) == limit {
			out.More = true
			break
		}
		out.Groups = append(out.Groups, *g)
	}
	return out, nil
}

// begins is where a page begins that comes after a group, which may be gone or no longer among those found.
func begins(all []fleet.GroupView, found []*fleet.GroupView, after string, by func(a, b *fleet.GroupView) int) int {
	if after == "" {
		return 0
	}
	mark := &fleet.GroupView{Group: after}
	if i, ok := slices.BinarySearchFunc(all, after, func(g fleet.GroupView, name string) int { return cmp.Compare(g.Group, name) }); ok {
		mark = &all[i]
	}
	n, at := slices.BinarySearchFunc(found, mark, by)
	if at {
		n++
	}
	return n
}

// matches reports whether a group is one that a query asks for, whatever sort of groups it is narrowed to: its name or project contains what is searched for.
func (q *Query) matches(g *fleet.GroupView) bool {
	switch {
	case q.Match != "" && !strings.Contains(g.Group, q.Match):
		return false
	case q.Kind != "" && g.Config.Kind != q.Kind:
		return false
	case q.Project != "" && g.Config.Project != q.Project:
		return false
	case len(q.Named) > 0 && !slices.ContainsFunc(g.Clusters, func(c fleet.ClusterView) bool { return slices.Contains(q.Named, c.Cluster.Cluster) }):
		return false
	}
	return q.Region == "" || slices.ContainsFunc(g.Clusters, func(c fleet.ClusterView) bool { return c.Cluster.Region == q.Region })
}
