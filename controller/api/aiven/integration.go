package aiven

import (
	"crypto/sha256"
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// typeDR is the only type of integration there is.
const typeDR = "disaster_recovery"

// serviceType is the only type of service there is.
const serviceType = "pg"

// Integration is a group's primary and one of its recovery clusters. Its ends are homes, which a failover never changes: who is active stands in the services' disaster_recovery_role.
type Integration struct {
	ID                string         `json:"service_integration_id"`
	Type              string         `json:"integration_type"`
	SourceProject     string         `json:"source_project"`
	SourceService     string         `json:"source_service"`
	SourceServiceType string         `json:"source_service_type"`
	SourceEndpoint    *string        `json:"source_endpoint"`
	SourceEndpointID  *string        `json:"source_endpoint_id"`
	DestProject       string         `json:"dest_project"`
	DestService       string         `json:"dest_service"`
	DestServiceType   string         `json:"dest_service_type"`
	DestEndpoint      *string        `json:"dest_endpoint"`
	DestEndpointID    *string        `json:"dest_endpoint_id"`
	Enabled           bool           `json:"enabled"`
	Active            bool           `json:"active"` // the primary is active, the recovery follows it, and nothing is under way
	Description       string         `json:"description"`
	Status            Status         `json:"integration_status"`
	UserConfig        map[string]any `json:"user_config"`
}

// Status says how an integration is, and why.
type Status struct {
	State          StatusState `json:"state"`
	StatusUserDesc string      `json:"status_user_desc"`
}

// StatusState is a status in one word.
type StatusState struct {
	Status string         `json:"status"`
	Errors []string       `json:"errors"`
	Nodes  map[string]any `json:"nodes"`
}

// integrationID is derived from the group and the recovery cluster, in the form that the clients expect: it is the same for the pair's whole life, on every controller.
func integrationID(group string, recovery events.Ref) string {
	h := sha256.Sum256([]byte("switchback/integration/" + group + "/" + recovery.String()))
	h[6], h[8] = h[6]&0x0f|0x50, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// pair is an integration with the places of its ends.
type pair struct {
	Integration
	source, dest place
}

// pairs are the integrations of a project: of every group that is under care, one for each recovery cluster.
func (c *catalogue) pairs() (all []pair) {
	for _, p := range c.places {
		g := p.group
		if p.Home != events.HomeRecovery || g.Record == nil || g.Record.Gone != "" {
			continue
		}
		if source, ok := c.of(g, g.Config.Primary); ok {
			all = append(all, pair{c.integration(source, p), source, p})
		}
	}
	return all
}

func (c *catalogue) integration(source, dest place) Integration {
	g := source.group
	i := Integration{
		ID: integrationID(g.Group, dest.Cluster), Type: typeDR, SourceProject: c.project, SourceService: source.name, SourceServiceType: serviceType,
		DestProject: c.project, DestService: dest.name, DestServiceType: serviceType, Enabled: true, UserConfig: map[string]any{},
		Description: "group " + g.Group + ": " + source.Cluster.String() + " and its recovery " + dest.Cluster.String(),
		Status:      Status{State: StatusState{Errors: []string{}, Nodes: map[string]any{}}},
	}
	i.Active, i.Status.State.Status, i.Status.StatusUserDesc = standing(source, dest)
	return i
}

// standing says whether a pair is as it was set up, in one word, and why.
func standing(source, dest place) (active bool, word, why string) {
	switch id := busy(source.group); {
	case id != "":
		return false, "starting", id + " is under way: " + source.group.Why
	case source.Role != events.RoleActive:
		return false, "inactive", fmt.Sprintf("%s is %s, %s is %s: `switchback failback %s` brings it home", source.name, source.Role, dest.name, dest.Role, source.group.Group)
	case dest.Role != events.RolePassive:
		return false, "failed", fmt.Sprintf("%s is %s", dest.name, dest.Role)
	case dest.Fit != "":
		return false, "failed", fmt.Sprintf("%s can't take over: %s", dest.name, dest.Fit)
	}
	return true, "running", source.group.Why
}

// endsAt are the integrations that a service is an end of.
func endsAt(all []pair, p place) []Integration {
	out := []Integration{}
	for _, x := range all {
		if x.source.Cluster == p.Cluster && x.source.group == p.group || x.dest.Cluster == p.Cluster && x.dest.group == p.group {
			out = append(out, x.Integration)
		}
	}
	return out
}

// pair finds an integration by its id.
func (c *catalogue) pair(id string) (pair, error) {
	for _, p := range c.pairs() {
		if p.ID == id {
			return p, nil
		}
	}
	return pair{}, missing("no integration of project %s has the id %s", c.project, id)
}
