package aiven

import (
	"slices"
	"strings"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// catalogue is a project as Aiven's clients see it: its PostgreSQL clusters as services by name, and the pairs of its groups.
type catalogue struct {
	project string
	places  []place // in the order of groups, primary first
	others  map[string]events.Kind
}

// place is one cluster and its group.
type place struct {
	*fleet.ClusterView
	group *fleet.GroupView
	name  string // of the service
}

// catalogueOf makes it of a project's groups. What was let go and taken out of the fleet's file is gone.
func catalogueOf(project string, groups []fleet.GroupView) *catalogue {
	c := &catalogue{project: project, others: map[string]events.Kind{}}
	same := map[string]int{}
	for i := range groups {
		g := &groups[i]
		if g.Config.Project != project || g.Config.Removed && (g.Record == nil || g.Record.Gone != "") {
			continue
		}
		for j := range g.Clusters {
			cv := &g.Clusters[j]
			if g.Config.Kind != events.KindPostgres {
				c.others[cv.Cluster.Cluster] = g.Config.Kind
				continue
			}
			same[cv.Cluster.Cluster]++
			c.places = append(c.places, place{cv, g, cv.Cluster.Cluster})
		}
	}
	for i := range c.places {
		if p := &c.places[i]; same[p.name] > 1 {
			p.name = qualified(p.Cluster)
		}
	}
	return c
}

// qualified names a cluster where its own name is not enough; it is understood everywhere.
func qualified(r events.Ref) string { return r.Cluster + "." + r.Region }

// clusterName is the cluster's own part of a service's name.
func clusterName(service string) string {
	name, _, _ := strings.Cut(service, ".")
	return name
}

// clusterNames are the names of every cluster of groups.
func clusterNames(groups []fleet.GroupView) (all []string) {
	for i := range groups {
		for _, c := range groups[i].Clusters {
			all = append(all, c.Cluster.Cluster)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// find finds a service by the cluster's name, or by cluster.region; the service bears the name that it was asked by.
func (c *catalogue) find(name string) (place, error) {
	var like []string
	for _, p := range c.places {
		switch {
		case p.name == name, qualified(p.Cluster) == name:
			p.name = name
			return p, nil
		case p.Cluster.Cluster == name:
			like = append(like, p.name)
		}
	}
	if len(like) > 0 {
		return place{}, conflict("%d clusters of project %s are called %s: want %s", len(like), c.project, name, strings.Join(like, " or "))
	}
	if k, there := c.others[name]; there {
		return place{}, missing("%s is of kind %s: services here are PostgreSQL's; `switchback groups` and /api/v1 show every kind", name, k)
	}
	return place{}, missing("no service is called %s in project %s: `switchback groups` lists the fleet", name, c.project)
}

// of is the place of one cluster of a group.
func (c *catalogue) of(g *fleet.GroupView, r events.Ref) (place, bool) {
	for _, p := range c.places {
		if p.group == g && p.Cluster == r {
			return p, true
		}
	}
	return place{}, false
}

// peers are the other clusters of a place's group.
func (c *catalogue) peers(p place) (all []place) {
	for _, x := range c.places {
		if x.group == p.group && x.Cluster != p.Cluster {
			all = append(all, x)
		}
	}
	return all
}

func conflict(format string, a ...any) error { return api.Refusal(409, format, a...) }

// missing is only said of what was never known, or was let go on purpose: to Terraform it means that it has to be made anew.
func missing(format string, a ...any) error { return api.Refusal(404, format, a...) }

func invalid(format string, a ...any) error { return api.Refusal(400, format, a...) }
