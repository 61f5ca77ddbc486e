package astro

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Cluster is a workflow group.
type Cluster struct {
	ID                 string    `json:"id"`
	Name               string    `json:"name"`
	OrganizationID     string    `json:"organizationId"`
	Type               string    `json:"type"`
	CloudProvider      string    `json:"cloudProvider"` // not one of Astro's: whose hosts they are is not known here
	Region             string    `json:"region"`        // of the primary
	DRRegion           string    `json:"drRegion"`      // of the first recovery
	IsDREnabled        bool      `json:"isDrEnabled"`   // the group is under care
	IsFailedOver       bool      `json:"isFailedOver"`
	FailoverInProgress bool      `json:"failoverInProgress"`
	Status             string    `json:"status"`
	Health             Health    `json:"healthStatus"`
	DBInstanceType     string    `json:"dbInstanceType"`
	VPCSubnetRange     string    `json:"vpcSubnetRange"`
	CreatedAt          time.Time `json:"createdAt"` // not known: the beginning of Unix time
	UpdatedAt          time.Time `json:"updatedAt"` // when the group's active last changed
}

// Health is how a cluster is, and of what that is made.
type Health struct {
	Value   string   `json:"value"`
	Details []Detail `json:"details"`
}

// Detail is one thing that speaks against a cluster.
type Detail struct {
	Code        string `json:"code"`
	Component   string `json:"component,omitempty"`
	Description string `json:"description"`
	Severity    string `json:"severity"`
}

// The statuses, in Astro's words.
const (
	statusCreating       = "CREATING"
	statusCreated        = "CREATED"
	statusUpdating       = "UPDATING"
	statusFailingOver    = "FAILING_OVER"
	statusFailoverFailed = "FAILOVER_FAILED"
)

const (
	dedicated  = "DEDICATED"
	selfHosted = "SELF_HOSTED"
)

// clusterOf shows a group.
func clusterOf(g *fleet.GroupView) Cluster {
	c := Cluster{
		ID: g.Group, Name: g.Group, OrganizationID: g.Config.Project, Type: dedicated, CloudProvider: selfHosted, Region: g.Config.Primary.Region, DRRegion: g.Config.Recovery[0].Region,
		IsDREnabled: cared(g), IsFailedOver: away(g), FailoverInProgress: moving(g), Status: statusOf(g), Health: healthOf(g),
		CreatedAt: time.Unix(0, 0).UTC(), UpdatedAt: time.Unix(0, 0).UTC(),
	}
	if g.Record != nil && !g.Record.Since.IsZero() {
		c.UpdatedAt = g.Record.Since.UTC()
	}
	return c
}

func cared(g *fleet.GroupView) bool { return g.Record != nil && g.Record.Gone == "" }

// away reports whether a recovery is active.
func away(g *fleet.GroupView) bool { return cared(g) && g.Record.Active != g.Config.Primary }

// moving reports whether the group is on its way from one active to another: by a move, or by the restore that a failback begins with.
func moving(g *fleet.GroupView) bool {
	return cared(g) && (g.Record.Running() || g.Record.Next != nil || comingHome(g))
}

func comingHome(g *fleet.GroupView) bool {
	home := g.Record.Member(g.Config.Primary)
	return home != nil && home.Work != nil && home.Work.Then == events.AskFailback
}

// homeward reports whether the move under way ends at home.
func homeward(g *fleet.GroupView) bool {
	return g.Record.Next != nil || comingHome(g) || g.Record.Running() && g.Record.Op.To == g.Config.Primary
}

// statusOf is where a group stands. A move that ended otherwise than asked is shown until the next one.
func statusOf(g *fleet.GroupView) string {
	switch {
	case !cared(g):
		return statusCreating
	case moving(g):
		return statusFailingOver
	case g.Record.Op != nil && g.Record.Op.Ended != "done":
		return statusFailoverFailed
	}
	for _, op := range g.Record.Operations() {
		if op.Ended == "" {
			return statusUpdating
		}
	}
	return statusCreated
}

// healthOf is what speaks against a group. Nobody's word is no good news: an active that nobody has heard is UNKNOWN.
func healthOf(g *fleet.GroupView) Health {
	h := Health{Value: "HEALTHY", Details: []Detail{}}
	add := func(value, code, component, severity, format string, a ...any) {
		if h.Value != "UNHEALTHY" {
			h.Value = value
		}
		h.Details = append(h.Details, Detail{code, component, fmt.Sprintf(format, a...), severity})
	}
	if !cared(g) {
		add("UNKNOWN", "NOT_UNDER_CARE", "", "CRITICAL", "%s", g.Why)
		return h
	}
	for i := range g.Clusters {
		c := &g.Clusters[i]
		switch name := c.Cluster.String(); {
		case c.Silent > 0 && c.Role == events.RoleActive:
			add("UNKNOWN", "AGENT_SILENT", name, "CRITICAL", "the agent of the active %s is silent for %s", name, c.Silent.Round(time.Second))
		case c.Role == events.RoleActive && c.State != events.StateRunning:
			add("UNHEALTHY", "NOT_RUNNING", name, "CRITICAL", "the active %s is %s", name, c.State)
		case c.Role == events.RoleFailed:
			add("UNHEALTHY", "FAILED", name, "WARNING", "%s is failed until it is restored: `switchback failback %s` does, and brings the group home", name, g.Group)
		case c.Role == events.RolePassive && c.Fit != "":
			add("UNHEALTHY", "NOT_READY", name, "WARNING", "%s can't take over: %s", name, c.Fit)
		}
	}
	if !g.Protected {
		add("UNHEALTHY", "NOT_PROTECTED", g.Group, "WARNING", "%s has no healthy passive: %s", g.Group, g.Why)
	}
	if g.NeedsPerson {
		add("UNHEALTHY", "NEEDS_PERSON", g.Group, "CRITICAL", "it waits for a person: %s (rule %s)", g.Why, g.Rule)
	}
	return h
}
