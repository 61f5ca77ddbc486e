package events

import (
	"fmt"
	"strings"
)

// CheckName says whether s may name a region, agent, cluster, group, project or actor: [a-z0-9][a-z0-9-]{0,62}. The error names
// what was being named, the value and what would be right.
func CheckName(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s has no name: want 1 to 63 of a-z, 0-9 and -, not starting with -", what)
	}
	if len(s) > 63 {
		return fmt.Errorf("%s %q is %d characters long: want at most 63", what, s[:16]+"…", len(s))
	}
	for i, r := range s {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') || (r == '-' && i > 0) {
			continue
		}
		return fmt.Errorf("%s %q has %q at position %d: want only a-z, 0-9 and -, not starting with -", what, s, r, i+1)
	}
	return nil
}

// Ref names a cluster: region/cluster, as in eu-west-1/orders-a.
type Ref struct{ Region, Cluster string }

// ParseRef reads region/cluster.
func ParseRef(s string) (Ref, error) {
	region, cluster, ok := strings.Cut(s, "/")
	if !ok {
		return Ref{}, fmt.Errorf("cluster %q: want region/cluster, as in eu-west-1/orders-a", s)
	}
	if err := CheckName("region", region); err != nil {
		return Ref{}, err
	}
	if err := CheckName("cluster", cluster); err != nil {
		return Ref{}, err
	}
	return Ref{region, cluster}, nil
}

// String renders region/cluster, or nothing for the zero Ref.
func (r Ref) String() string {
	if r == (Ref{}) {
		return ""
	}
	return r.Region + "/" + r.Cluster
}

// MarshalText makes a Ref one string on the wire and a usable map key.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Ref) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*r = Ref{}
		return nil
	}
	p, err := ParseRef(string(b))
	if err != nil {
		return err
	}
	*r = p
	return nil
}

// AgentRef names an agent: its region and its name, unique together.
type AgentRef struct{ Region, Agent string }

// String renders region/agent.
func (a AgentRef) String() string {
	if a == (AgentRef{}) {
		return ""
	}
	return a.Region + "/" + a.Agent
}

// MarshalText makes an AgentRef one string on the wire and a usable map key.
func (a AgentRef) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *AgentRef) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = AgentRef{}
		return nil
	}
	r, err := ParseRef(string(b))
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	*a = AgentRef{r.Region, r.Cluster}
	return nil
}
