package aiven

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/events"
)

// mostBody bounds a request's body.
const mostBody = 1 << 20

// answer is what a handler returns: a body with status 200, or an error.
type answer func(c *request) (any, error)

// request is one request, and the project it is about.
type request struct {
	*http.Request
	h       *Handler
	caller  api.Caller
	project string
	*catalogue
}

func (h *Handler) routes() {
	for pattern, f := range map[string]answer{
		"GET /v1/project/{project}/service":                           (*request).list,
		"POST /v1/project/{project}/service":                          (*request).create,
		"GET /v1/project/{project}/service/{service}":                 (*request).get,
		"PUT /v1/project/{project}/service/{service}":                 (*request).update,
		"DELETE /v1/project/{project}/service/{service}":              (*request).remove,
		"GET /v1/project/{project}/service/{service}/tags":            (*request).tags,
		"PUT /v1/project/{project}/service/{service}/tags":            (*request).setTags,
		"GET /v1/project/{project}/service/{service}/integration":     (*request).integrations,
		"POST /v1/project/{project}/integration":                      (*request).join,
		"GET /v1/project/{project}/integration/{integration}":         (*request).integration,
		"PUT /v1/project/{project}/integration/{integration}":         (*request).setIntegration,
		"DELETE /v1/project/{project}/integration/{integration}":      (*request).part,
		"GET /v1/project/{project}/service_types":                     (*request).types,
		"GET /v1/project/{project}/service-types/{type}":              (*request).serviceType,
		"GET /v1/project/{project}/service-types/{type}/plans/{plan}": (*request).plan,
		"GET /v1/project/{project}/vpcs":                              nothing("vpcs"),
		"GET /v1/project/{project}/static-ips":                        nothing("static_ips"),
	} {
		h.mux.HandleFunc(pattern, h.serve(f))
	}
	h.mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, http.StatusBadRequest, fmt.Sprintf("%s %s is not answered here: this is the part of Aiven's API that disaster recovery is about; /api/openapi.yaml has the rest", r.Method, r.URL.Path))
	})
}

// serve lets a request in that may see its project, and may change something if it wants to; and reads the project.
func (h *Handler) serve(f answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, path, _ := strings.Cut(r.Pattern, " ")
		api.Route(r, path)
		q := &request{Request: r, h: h, caller: h.caller(r), project: r.PathValue("project")}
		v, err := q.answer(f)
		if err != nil {
			fail(w, err)
			return
		}
		write(w, http.StatusOK, v)
	}
}

func (q *request) answer(f answer) (any, error) {
	if err := events.CheckName("project", q.project); err != nil {
		return nil, invalid("%v", err)
	}
	if !q.caller.Sees(q.project) {
		return nil, api.Refusal(http.StatusForbidden, "this token does not see project %s", q.project)
	}
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		if err := q.caller.MayAsk(&events.Ask{Verb: events.AskRestore}); err != nil { // whoever may move nothing changes nothing
			return nil, api.Refusal(http.StatusForbidden, "%v", err)
		}
	}
	if err := q.look(); err != nil {
		return nil, err
	}
	return f(q)
}

// look reads the project anew: as much of it as a request about one service needs, which is its group, and whoever shares a name with one of that group's clusters.
func (q *request) look() error {
	var named []string
	if name := q.PathValue("service"); name != "" {
		named = []string{clusterName(name)}
	}
	groups, err := q.caller.Project(q.Context(), q.project, named...)
	if err == nil && len(named) > 0 {
		if all := clusterNames(groups); len(all) > 0 {
			groups, err = q.caller.Project(q.Context(), q.project, all...)
		}
	}
	if err == nil {
		q.catalogue = catalogueOf(q.project, groups)
	}
	return err
}

// body reads the body of a change, key by key.
func (q *request) body() (c change, err error) {
	b, err := q.read()
	if err == nil {
		c, err = parseChange(b)
	}
	return c, err
}

// into reads the body into v, and nothing may be left over.
func (q *request) into(v any) error {
	b, err := q.read()
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return invalid("the body: %v", err)
	}
	return nil
}

func (q *request) read() ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(nil, q.Body, mostBody))
	if err != nil {
		return nil, invalid("the body can't be read: %v", err)
	}
	return b, nil
}

func (q *request) service() (place, error) { return q.find(q.PathValue("service")) }

// ask takes a turn to the door: it returns the operation, "" if nothing had to be asked.
func (q *request) ask(t turn) (operation string, err error) {
	switch {
	case t.refused != "":
		return "", conflict("%s (rule %s)", t.refused, t.rule)
	case t.ask.Verb == "":
		return "", nil
	}
	a := t.ask
	a.ID, a.Actor = rand.Text(), q.caller.Actor
	if err := q.caller.MayAsk(&a); err != nil {
		return "", api.Refusal(http.StatusForbidden, "%v", err)
	}
	ans, err := q.caller.Ask(q.Context(), a)
	if err != nil {
		p := api.Explain(err)
		return "", api.Refusal(p.Status, "%s", p.Detail)
	}
	why, rule := ans.Why, "refuse.ask"
	for _, i := range ans.Items {
		if i.Accepted {
			return i.Operation, nil
		}
		why, rule = i.Why, i.Rule
	}
	if ans.Accepted {
		return "", nil
	}
	return "", conflict("%s (rule %s)", why, rule)
}

// settlePoll is how often a move is looked at while its answer waits.
const settlePoll = 200 * time.Millisecond

// settled waits until a move that was asked for is seen, so that whoever looks next finds what the documentation shows; not for longer than the handler's patience: then it is answered
// with what is true. A move that was given up meanwhile is an error, with its reason.
func (q *request) settled(p place, operation string) (place, error) {
	ctx, cancel := context.WithTimeout(q.Context(), q.h.settle)
	defer cancel()
	for {
		if err := q.look(); err != nil {
			return p, err
		}
		now, err := q.find(qualified(p.Cluster))
		if err != nil {
			return p, err
		}
		now.name = p.name
		op := now.group.Record.Operation(operation)
		switch {
		case op == nil:
			return now, nil // something newer moves it
		case op.Ended != "" && op.Ended != "done":
			return now, conflict("%s was %s: %s", operation, op.Ended, op.EndWhy)
		case op.Ended == "done" && q.rests(now, op):
			return now, nil
		}
		select {
		case <-ctx.Done():
			return now, nil
		case <-time.After(settlePoll):
		}
	}
}

// rests reports whether a move's new active runs, and after a swap the old one beside it.
func (q *request) rests(p place, op *events.Operation) bool {
	for _, ref := range []events.Ref{op.To, op.From} {
		x, ok := q.of(p.group, ref)
		if ok && (ref == op.To || swaps(op)) && stateOf(x.group, x.ClusterView) != events.StateRunning {
			return false
		}
	}
	return true
}
