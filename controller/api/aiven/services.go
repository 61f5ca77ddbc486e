package aiven

import (
	"net/http"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/events"
)

// one is the envelope of a service.
type one struct {
	Service Service `json:"service"`
}

func (q *request) list() (any, error) {
	out := struct {
		Services []Service `json:"services"`
	}{[]Service{}}
	all := q.pairs()
	for _, p := range q.places {
		out.Services = append(out.Services, q.catalogue.service(p, all))
	}
	return out, nil
}

func (q *request) get() (any, error) {
	p, err := q.service()
	if err != nil {
		return nil, err
	}
	return q.shown(p), nil
}

func (q *request) shown(p place) one { return one{q.catalogue.service(p, q.pairs())} }

// update changes a role. Whatever else it says must be what is true already.
func (q *request) update() (any, error) {
	p, err := q.service()
	if err != nil {
		return nil, err
	}
	body, err := q.body()
	if err != nil {
		return nil, err
	}
	role, err := body.role()
	if err == nil {
		err = body.check(p)
	}
	if err != nil || role == "" {
		return q.shown(p), err
	}
	t := decide(&wish{place: p, to: role, peers: q.peers(p)})
	op, err := q.ask(t)
	if err != nil {
		return nil, err
	}
	if op != "" {
		if p, err = q.settledFor(t.ask.Verb, p, op); err != nil {
			return nil, err
		}
	}
	return q.shown(p), nil
}

// settledFor waits for a move; a restore takes as long as it takes, and is seen from its beginning.
func (q *request) settledFor(verb string, p place, op string) (place, error) {
	if verb != events.AskRestore && verb != events.AskProtect {
		return q.settled(p, op)
	}
	if err := q.look(); err != nil {
		return p, err
	}
	now, err := q.find(qualified(p.Cluster))
	now.name = p.name
	return now, err
}

func (q *request) create() (any, error) {
	body, err := q.body()
	if err != nil {
		return nil, err
	}
	p, t, err := create(q.catalogue, body)
	if err != nil {
		return nil, err
	}
	if _, err = q.ask(t); err != nil {
		return nil, err
	}
	if p, err = q.settledFor(events.AskProtect, p, ""); err != nil {
		return nil, err
	}
	return q.shown(p), nil
}

// remove deletes nothing, ever: a service is a database.
func (q *request) remove() (any, error) {
	p, err := q.service()
	if err != nil {
		return nil, err
	}
	why := "it is a database, and Switchback deletes none. `terraform state rm` forgets it; `switchback release " + p.group.Group + "`, or deleting the integration, lets its group go"
	if p.Role == events.RoleActive {
		why = "it is active: " + why
	}
	return nil, api.Refusal(http.StatusForbidden, "%s can't be deleted: %s", p.name, why)
}

func (q *request) tags() (any, error) {
	_, err := q.service()
	return map[string]any{"tags": map[string]string{}}, err
}

func (q *request) setTags() (any, error) {
	p, err := q.service()
	if err != nil {
		return nil, err
	}
	body, err := q.body()
	if err != nil {
		return nil, err
	}
	if !empty(body["tags"]) {
		return nil, conflict("tags of %s: Switchback keeps none; its groups have a project", p.name)
	}
	return map[string]any{"message": "unchanged"}, nil
}

// nothing answers with an empty list of something that is not there.
func nothing(key string) answer {
	return func(*request) (any, error) { return map[string]any{key: []any{}}, nil }
}

// schema is what clients read before an update: no setting of a server is changed here.
func schema() map[string]any {
	return map[string]any{
		"description": "PostgreSQL in the care of Switchback", "service_plans": []any{}, "default_version": nil,
		"user_config_schema": map[string]any{"type": "object", "title": "nothing can be set here", "properties": map[string]any{}},
	}
}

func (q *request) types() (any, error) {
	return map[string]any{"service_types": map[string]any{serviceType: schema()}}, nil
}

func (q *request) serviceType() (any, error) {
	if t := q.PathValue("type"); t != serviceType {
		return nil, missing("service type %s: only %s is shown here", t, serviceType)
	}
	return schema(), nil
}

func (q *request) plan() (any, error) {
	return nil, missing("plan %s has no sizes: a server in the care of Switchback is as large as its host", q.PathValue("plan"))
}
