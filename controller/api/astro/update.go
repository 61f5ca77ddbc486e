package astro

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// update is the body of an update, field by field: what says nothing new is let pass, whatever else is refused by its name, so that nothing is ever ignored in silence.
type update map[string]json.RawMessage

// fields are those that Astro's update has; clients send name and k8sTags always.
var fields = []string{
	"clusterType", "dbInstanceType", "drPodSubnetRange", "drRegion", "drServicePeeringRange", "drServiceSubnetRange", "drVpcSubnetRange", "enableDr", "enableReplicationTimeControl",
	"isFailedOver", "k8sTags", "name", "nodePools", "workspaceIds",
}

func parseUpdate(body []byte) (update, error) {
	var u update
	if err := json.Unmarshal(body, &u); err != nil || u == nil {
		return nil, api.Refusal(400, "the body is no JSON object: want {\"clusterType\": \"DEDICATED\", \"isFailedOver\": true}")
	}
	return u, nil
}

// check refuses whatever would change something else than who is active.
func (u update) check(g *fleet.GroupView) error {
	for _, key := range slices.Sorted(maps.Keys(u)) {
		switch key {
		case "isFailedOver":
			continue
		case "clusterType":
			if err := u.same(key, dedicated); err != nil {
				return err
			}
			continue
		case "name":
			if err := u.same(key, g.Group); err != nil {
				return err
			}
			continue
		case "drRegion":
			if err := u.same(key, g.Config.Recovery[0].Region); err != nil {
				return err
			}
			continue
		case "enableDr":
			if err := u.enable(g); err != nil {
				return err
			}
			continue
		}
		switch empty := nothing(u[key]); {
		case !slices.Contains(fields, key):
			return api.Refusal(400, "%s: an update has no such field: want one of %s", key, strings.Join(fields, ", "))
		case !empty:
			return api.Refusal(400, "%s can't be set on %s: this API changes nothing but isFailedOver", key, g.Group)
		}
	}
	return nil
}

// nothing reports whether a value says nothing: null, false, "", {} or [].
func nothing(raw json.RawMessage) bool {
	switch strings.Join(strings.Fields(string(raw)), "") {
	case "null", "false", `""`, "{}", "[]":
		return true
	}
	return false
}

func (u update) same(key, is string) error {
	var s *string
	if err := json.Unmarshal(u[key], &s); err != nil {
		return api.Refusal(400, "%s: want a string", key)
	}
	if s != nil && *s != is {
		return api.Refusal(400, "%s %q: it is %s, and stays so", key, *s, is)
	}
	return nil
}

func (u update) enable(g *fleet.GroupView) error {
	on, err := u.boolean("enableDr")
	if err == nil && on != nil && *on != cared(g) {
		return api.Refusal(409, "enableDr: a group comes under care by `switchback apply` of the fleet's file, and leaves it by `switchback release %s`", g.Group)
	}
	return err
}

// boolean reads true or false; nil if it is not there.
func (u update) boolean(key string) (*bool, error) {
	raw, there := u[key]
	if !there {
		return nil, nil
	}
	var b *bool
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, api.Refusal(400, "%s: want true or false", key)
	}
	return b, nil
}

// wanted says what has to be asked for a group to be failed over, or not to be; nil if nothing, for it is so or on its way.
func wanted(g *fleet.GroupView, failedOver bool) (*events.Ask, error) {
	switch {
	case !cared(g):
		return nil, api.Refusal(409, "%s is not under care: `switchback why %s` says what it waits for", g.Group, g.Group)
	case moving(g) && homeward(g) != failedOver, !moving(g) && away(g) == failedOver:
		return nil, nil
	case failedOver:
		return &events.Ask{Verb: events.AskFailover, Group: g.Group, Reason: "isFailedOver: true"}, nil
	}
	return &events.Ask{Verb: events.AskFailback, Group: g.Group, Reason: "isFailedOver: false"}, nil
}
