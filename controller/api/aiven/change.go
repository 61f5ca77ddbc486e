package aiven

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// change is the body of a PUT or POST, key by key: what says nothing new is let pass, whatever else is refused by its name, so that nothing is ever ignored in silence.
type change map[string]json.RawMessage

func parseChange(body []byte) (change, error) {
	var c change
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, invalid("the body is no JSON object: %v", err)
	}
	return c, nil
}

// empty reports whether a value says nothing: null, false, "", {} or [].
func empty(raw json.RawMessage) bool {
	switch strings.Join(strings.Fields(string(raw)), "") {
	case "", "null", "false", `""`, "{}", "[]":
		return true
	}
	return false
}

// text reads a string; "" if it is not there or null.
func (c change) text(key string) (s string, err error) {
	raw, there := c[key]
	if !there || string(raw) == "null" {
		return "", nil
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", invalid("%s: want a string", key)
	}
	return s, nil
}

// role is the disaster_recovery_role that is asked for; "" if none is.
func (c change) role() (events.Role, error) {
	s, err := c.text("disaster_recovery_role")
	if err != nil || s == "" {
		return "", err
	}
	r := events.Role(s)
	if r != events.RoleActive && r != events.RolePassive && r != events.RoleFailed {
		return "", invalid("disaster_recovery_role %q: want active, passive or failed", s)
	}
	return r, nil
}

// check refuses whatever of an update would change what this API does not change.
func (c change) check(p place) error {
	for _, key := range slices.Sorted(maps.Keys(c)) {
		if err := c.checkKey(key, p); err != nil {
			return err
		}
	}
	return nil
}

func (c change) checkKey(key string, p place) error {
	switch key {
	case "disaster_recovery_role":
		return nil
	case "plan":
		return c.same(key, Plan, "there is no plan to choose: what Switchback cares for was not made by it")
	case "cloud":
		return c.same(key, p.Cluster.Region, "homes never change: another region is another cluster, in the fleet's file")
	case "service_type":
		return c.same(key, serviceType, "only PostgreSQL is shown here")
	case "service_name":
		return c.same(key, p.name, "a cluster keeps its name")
	case "powered":
		return c.powered(p)
	case "maintenance":
		return c.maintenance()
	}
	if empty(c[key]) {
		return nil
	}
	return conflict("%s can't be set on %s: this API changes nothing but the disaster_recovery_role", key, p.name)
}

func (c change) same(key, is, why string) error {
	s, err := c.text(key)
	if err != nil || s == "" || s == is {
		return err
	}
	return conflict("%s %q: it is %s, and stays so: %s", key, s, is, why)
}

// powered: a failed service stays off whatever else an update is about, for Terraform says true in every one; and this is not the way to stop an active.
func (c change) powered(p place) error {
	var on *bool
	if err := json.Unmarshal(c["powered"], &on); err != nil {
		return invalid("powered: want true or false")
	}
	role, err := c.role()
	switch {
	case err != nil || on == nil:
		return err
	case !*on:
		return conflict("%s is not powered off by this: --disaster-recovery-role failed gives an active up, and its recovery takes over", p.name)
	case p.Role == events.RoleFailed && role == "":
		return conflict("%s is failed, and powered: true does not revive it: what it holds may differ from what %s has acknowledged since. `avn service update %s --disaster-recovery-role passive` restores it",
			p.name, p.group.Record.Active.Cluster, p.name)
	}
	return nil
}

// maintenance may say what is shown: clients send it back.
func (c change) maintenance() error {
	var m *struct{ Dow, Time string }
	if err := json.Unmarshal(c["maintenance"], &m); err != nil {
		return invalid("maintenance: want {dow, time}")
	}
	is := noMaintenance()
	if m == nil || (m.Dow == "" || m.Dow == is.Dow) && (m.Time == "" || m.Time == is.Time) {
		return nil
	}
	return conflict("maintenance: Switchback updates no server, so it has no window for that; `switchback maintenance REGION/CLUSTER --for …` keeps automation away while you do")
}

// copyOf reads whose copy a new service is to be; "" if it asks for none.
func (c change) copyOf() (source string, err error) {
	raw, there := c["service_integrations"]
	if !there || empty(raw) {
		return "", nil
	}
	var all []struct {
		Type   string          `json:"integration_type"`
		Source string          `json:"source_service"`
		Config json.RawMessage `json:"user_config"`
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return "", invalid("service_integrations: want a list of {integration_type, source_service}")
	}
	if len(all) != 1 || all[0].Type != typeDR || all[0].Source == "" || !empty(all[0].Config) {
		return "", invalid("service_integrations: want one {integration_type: %s, source_service: SERVICE} and no user_config: nothing else is made here", typeDR)
	}
	return all[0].Source, nil
}

// create says what becomes of a wish to create a service. One that is in the fleet and waits for its first copy is built; nothing else is ever made here.
func create(c *catalogue, body change) (p place, t turn, err error) {
	name, err := body.text("service_name")
	if err == nil && name == "" {
		err = invalid("service_name is missing")
	}
	source, cerr := body.copyOf()
	if err == nil {
		err = cerr
	}
	if err != nil {
		return p, t, err
	}
	p, err = c.find(name)
	there := err == nil
	switch {
	case !there && source == "":
		return p, t, conflict("%s: this API creates no servers. Start PostgreSQL where you want it, name it in its agent's file, and put the group into the fleet's file: `switchback apply` takes it under care", name)
	case !there:
		return p, t, conflict("%s is not in the fleet: name it in the file of its host's agent, add it to recovery of the group of %s in the fleet's file, `switchback apply`, and then ask again: it is built as a copy of %s", name, source, source)
	case source == "":
		return p, t, conflict("%s is there already, in the care of Switchback: `terraform import` takes it over", name)
	}
	from, err := c.find(source)
	if err != nil {
		return p, t, conflict("source_service: %v", err)
	}
	t, err = build(from, p)
	if err == nil {
		err = body.checkNew(p)
	}
	return p, t, err
}

// checkNew refuses what a new service can't have.
func (c change) checkNew(p place) error {
	for _, key := range slices.Sorted(maps.Keys(c)) {
		switch key {
		case "service_integrations", "disk_space_mb", "plan":
			continue // a copy is as large as its source, and there is no plan to choose
		}
		if err := c.checkKey(key, p); err != nil {
			return err
		}
	}
	return nil
}

// build says how a cluster becomes a copy of another one of its group.
func build(from, p place) (turn, error) {
	g := p.group
	switch {
	case from.group != g || from.Home != events.HomePrimary || p.Home != events.HomeRecovery:
		return turn{}, conflict("%s is no recovery of %s in the fleet's file: want it in recovery of the group whose primary that is", p.name, from.name)
	case p.Work != nil || p.State == events.StateRebuilding:
		return turn{rule: "create.under-way"}, nil
	case p.Role == events.RolePassive || p.Role == events.RoleActive:
		return turn{}, conflict("%s is there already, and is %s in group %s: `terraform import` takes it over", p.name, p.Role, g.Group)
	}
	return turn{rule: "create.protect", ask: events.Ask{Verb: events.AskProtect, Cluster: p.Cluster.String(), Reason: fmt.Sprintf("%s is created as a copy of %s", p.name, from.name)}}, nil
}
