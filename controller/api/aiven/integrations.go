package aiven

import "github.com/switchback-dr/switchback/events"

func (q *request) integrations() (any, error) {
	p, err := q.service()
	if err != nil {
		return nil, err
	}
	return map[string]any{"service_integrations": endsAt(q.pairs(), p)}, nil
}

func (q *request) found() (pair, error) { return q.pair(q.PathValue("integration")) }

func (q *request) integration() (any, error) {
	p, err := q.found()
	return map[string]any{"service_integration": p.Integration}, err
}

// setIntegration takes settings, of which there are none.
func (q *request) setIntegration() (any, error) {
	p, err := q.found()
	if err != nil {
		return nil, err
	}
	body, err := q.body()
	if err != nil {
		return nil, err
	}
	if !empty(body["user_config"]) {
		return nil, conflict("user_config: an integration of the type %s has no settings: the fleet's file says how group %s is cared for", typeDR, p.source.group.Group)
	}
	return map[string]any{"service_integration": p.Integration, "message": "unchanged"}, nil
}

// ends is the body of a new integration.
type ends struct {
	Type           string         `json:"integration_type"`
	Source         string         `json:"source_service"`
	Dest           string         `json:"dest_service"`
	SourceProject  string         `json:"source_project"`
	DestProject    string         `json:"dest_project"`
	SourceEndpoint string         `json:"source_endpoint_id"`
	DestEndpoint   string         `json:"dest_endpoint_id"`
	UserConfig     map[string]any `json:"user_config"`
}

// join makes no pair: those that there are stand in the fleet's file. It answers with the one that is there, or brings its group home where the file says that this is what is meant.
func (q *request) join() (any, error) {
	var e ends
	if err := q.into(&e); err != nil {
		return nil, err
	}
	p, err := q.wanted(&e)
	if err != nil {
		return nil, err
	}
	t := repair(p)
	if _, err := q.ask(t); err != nil {
		return nil, err
	}
	if t.ask.Verb != "" {
		if err := q.look(); err != nil {
			return nil, err
		}
		if p, err = q.pair(p.ID); err != nil {
			return nil, err
		}
	}
	return map[string]any{"service_integration": p.Integration, "message": t.rule}, nil
}

// wanted finds the pair that a new integration would be.
func (q *request) wanted(e *ends) (pair, error) {
	switch {
	case e.Type != typeDR:
		return pair{}, invalid("integration_type %q: want %s: no other is made here", e.Type, typeDR)
	case e.Source == "" || e.Dest == "" || e.SourceEndpoint != "" || e.DestEndpoint != "":
		return pair{}, invalid("want source_service and dest_service, and no endpoints")
	case e.SourceProject != "" && e.SourceProject != q.project || e.DestProject != "" && e.DestProject != q.project:
		return pair{}, invalid("source_project and dest_project: want %s, or neither: a group is of one project", q.project)
	case len(e.UserConfig) > 0:
		return pair{}, invalid("user_config: an integration of the type %s has no settings", typeDR)
	}
	source, err := q.find(e.Source)
	if err != nil {
		return pair{}, err
	}
	dest, err := q.find(e.Dest)
	if err != nil {
		return pair{}, err
	}
	for _, p := range q.pairs() {
		switch {
		case p.source.Cluster == source.Cluster && p.dest.Cluster == dest.Cluster:
			return p, nil
		case p.source.Cluster == dest.Cluster && p.dest.Cluster == source.Cluster:
			return pair{}, conflict("the ends of an integration are homes, and stay: source is %s, the primary. Who is active stands in disaster_recovery_role: `avn service update %s --disaster-recovery-role active` makes it %s",
				p.source.name, source.name, source.name)
		}
	}
	return pair{}, notAPair(source, dest)
}

// notAPair says why two services are none, and what would make them one.
func notAPair(source, dest place) error {
	g := source.group
	switch {
	case g == dest.group && (g.Record == nil || g.Record.Gone != ""):
		return conflict("%s is under nobody's care: `switchback apply` of the fleet's file takes it under care, `switchback why %s` says what it waits for", g.Group, g.Group)
	case g == dest.group && dest.Home == events.HomeRecovery:
		return conflict("%s and %s are both recoveries of %s, whose primary is %s: want that as the source", source.name, dest.name, g.Group, g.Config.Primary)
	}
	return conflict("%s is of group %s and %s of group %s: a pair is made in the fleet's file, as primary and recovery of one group, and `switchback apply`", source.name, g.Group, dest.name, dest.group.Group)
}

// part deletes an integration: its group is released.
func (q *request) part() (any, error) {
	p, err := q.found()
	if err != nil {
		return nil, err
	}
	if _, err := q.ask(unpair(p)); err != nil {
		return nil, err
	}
	return map[string]any{"message": "released"}, nil
}
