package aiven

import (
	"net"
	"strconv"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Plan is the plan of every service: what Switchback has in its care was not made by it, so there is none to choose.
const Plan = "switchback"

// DefaultUser is the name that avn asks for unless told otherwise.
const DefaultUser = "avnadmin"

// Service is one cluster.
type Service struct {
	Name                  string            `json:"service_name"`
	Type                  string            `json:"service_type"`
	TypeDescription       string            `json:"service_type_description"`
	State                 events.State      `json:"state"`
	Role                  events.Role       `json:"disaster_recovery_role,omitempty"`
	Cloud                 string            `json:"cloud_name"`
	CloudDescription      string            `json:"cloud_description"`
	Plan                  string            `json:"plan"`
	CreateTime            time.Time         `json:"create_time"` // not known: the beginning of Unix time
	UpdateTime            time.Time         `json:"update_time"` // when the group's active last changed
	URI                   *string           `json:"service_uri"`
	URIParams             map[string]string `json:"service_uri_params"`
	ConnectionInfo        ConnectionInfo    `json:"connection_info"`
	Components            []Component       `json:"components"`
	Users                 []User            `json:"users"`
	Integrations          []Integration     `json:"service_integrations"`
	NodeStates            []NodeState       `json:"node_states"`
	NodeCount             int               `json:"node_count"`
	Backups               []any             `json:"backups"` // always empty: Switchback makes none and knows of none
	GroupList             []string          `json:"group_list"`
	ProjectVPC            *string           `json:"project_vpc_id"`
	UserConfig            map[string]any    `json:"user_config"`
	Maintenance           Maintenance       `json:"maintenance"`
	TerminationProtection bool              `json:"termination_protection"`
	Tags                  map[string]string `json:"tags"`
	TechEmails            []any             `json:"tech_emails"`
	Notifications         []any             `json:"service_notifications"`
	Features              map[string]any    `json:"features"`
	Metadata              Metadata          `json:"metadata"`
}

// ConnectionInfo is where a service is reached.
type ConnectionInfo struct {
	PG       []string            `json:"pg"`
	PGParams []map[string]string `json:"pg_params"`
}

// Component is one way to reach a service, or its peer.
type Component struct {
	Component string `json:"component"`
	Host      string `json:"host"`
	Port      int    `json:"port"`
	Route     string `json:"route"`
	Usage     string `json:"usage"`
}

// User is a user of a service. Switchback knows none: the one that is shown bears the name that avn asks for, and no password.
type User struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Type     string `json:"type"`
}

// Maintenance is Aiven's weekly one; there is none.
type Maintenance struct {
	Dow     string `json:"dow"`
	Time    string `json:"time"`
	Enabled bool   `json:"enabled"`
	Updates []any  `json:"updates"`
}

func noMaintenance() Maintenance {
	return Maintenance{Dow: "never", Time: "00:00:00", Updates: []any{}}
}

// Metadata is what Aiven's shape has no place for.
type Metadata struct {
	Switchback About `json:"switchback"`
}

// About is what Switchback knows of a cluster and its group beyond Aiven's words.
type About struct {
	Group     string       `json:"group"`
	Cluster   string       `json:"cluster"` // region/cluster
	Home      events.Home  `json:"home"`
	Epoch     events.Epoch `json:"epoch"`
	Mode      events.Mode  `json:"mode"`
	Protected bool         `json:"protected"`
	LagBytes  *int64       `json:"lag_bytes"` // of a passive; null = not known
	Operation string       `json:"operation,omitempty"`
	Rule      string       `json:"rule"`
	Why       string       `json:"why"`
	Silent    float64      `json:"agent_silent_seconds"`
	NotKnown  []string     `json:"not_known"` // what is left empty here, and why
}

// notKnown is what is left empty, and why.
var notKnown = []string{
	"service_uri, users: no user and no password: Switchback has those of its own agents only, and tells nobody",
	"backups: Switchback makes none",
	"create_time: it was there before",
}

// service shows one.
func (c *catalogue) service(p place, all []pair) Service {
	g := p.group
	s := Service{
		Name: p.name, Type: serviceType, TypeDescription: "PostgreSQL in the care of Switchback", State: stateOf(g, p.ClusterView), Role: roleOf(g, p.ClusterView),
		Cloud: p.Cluster.Region, CloudDescription: p.Cluster.Region, Plan: Plan, CreateTime: time.Unix(0, 0).UTC(), UpdateTime: time.Unix(0, 0).UTC(),
		Users: []User{{Username: DefaultUser, Type: "primary"}}, Integrations: endsAt(all, p), NodeStates: []NodeState{nodeState(p)}, NodeCount: 1, Backups: []any{},
		GroupList: []string{"default"}, UserConfig: map[string]any{}, Maintenance: noMaintenance(), Tags: map[string]string{}, TechEmails: []any{}, Notifications: []any{},
		Features: map[string]any{}, Metadata: Metadata{about(p)},
	}
	if g.Record != nil && !g.Record.Since.IsZero() {
		s.UpdateTime = g.Record.Since.UTC()
	}
	s.reach(p, c.peers(p))
	return s
}

// reach fills in where a service is reached: its own address as primary, its peers' as disaster_recovery. What no agent has advertised is not there.
func (s *Service) reach(p place, peers []place) {
	s.URIParams, s.Components = map[string]string{}, []Component{}
	s.ConnectionInfo = ConnectionInfo{PG: []string{}, PGParams: []map[string]string{}}
	if host, port, ok := address(p); ok {
		uri := "postgres://" + p.Address
		s.URI = &uri
		s.URIParams = map[string]string{"host": host, "port": strconv.Itoa(port), "user": "", "password": "", "dbname": "", "sslmode": ""}
		s.ConnectionInfo = ConnectionInfo{PG: []string{uri}, PGParams: []map[string]string{s.URIParams}}
		s.Components = append(s.Components, Component{serviceType, host, port, "dynamic", "primary"})
	}
	for _, x := range peers {
		if host, port, ok := address(x); ok {
			s.Components = append(s.Components, Component{serviceType, host, port, "dynamic", typeDR})
		}
	}
}

// address is what the agent of a cluster advertises.
func address(p place) (host string, port int, ok bool) {
	host, text, err := net.SplitHostPort(p.Address)
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.Atoi(text)
	return host, port, err == nil
}

func about(p place) About {
	g := p.group
	a := About{
		Group: g.Group, Cluster: p.Cluster.String(), Home: p.Home, Mode: g.Config.Mode, Protected: g.Protected, Operation: busy(g), Rule: g.Rule, Why: g.Why,
		Silent: p.Silent.Seconds(), NotKnown: notKnown,
	}
	if g.Record != nil {
		a.Epoch = g.Record.Epoch
	}
	if p.Role == events.RolePassive && p.Lag >= 0 {
		lag := p.Lag
		a.LagBytes = &lag
	}
	return a
}
