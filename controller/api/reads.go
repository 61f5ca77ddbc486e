package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
)

// tables is every operation but the stream of events.
var tables = [][]route{reads, groupAsks, otherAsks, rolloutRoutes, anyAsks}

var reads = []route{
	{"GET", "/status", nil, look("status")},
	{"GET", "/regions", nil, regions},
	{"GET", "/groups", []string{"match", "after", "limit", "show", "sort", "project", "kind", "region"}, listGroups},
	{"GET", "/groups/{group}", nil, oneGroup},
	{"GET", "/groups/{group}/why", nil, look("why", "group")},
	{"GET", "/groups/{group}/operation", nil, look("report", "group")},
	{"GET", "/groups/{group}/tasks", []string{"operation", "class", "dag", "from", "limit"}, ledger},
	{"GET", "/tasks", nil, look("tasks")},
	{"GET", "/regions/{region}/why", nil, look("why", "region")},
	{"GET", "/clusters/{region}/{cluster}", nil, cluster},
	{"GET", "/operations/{operation}", nil, look("report", "operation")},
	{"GET", "/operations/{operation}/report", []string{"format"}, report},
}

// look answers a query of the bus as it is, about what the path names.
func look(what string, names ...string) func(*Server, *http.Request) (*reply, error) {
	return func(_ *Server, r *http.Request) (*reply, error) {
		q := map[string]any{}
		for _, n := range names {
			q[n] = r.PathValue(n)
		}
		raw, err := From(r).Raw(r.Context(), what, q)
		return &reply{body: raw}, err
	}
}

// listWords are what those parameters of a list may be that are no names.
var listWords = map[string][]string{
	"show": {"needs", "unprotected", "away", "moving", "disarmed", "observed", "drilled"},
	"sort": {"name", "project", "active", "worst", "lag", "moved", "drill"},
	"kind": kindWords(),
}

func kindWords() (all []string) {
	for _, k := range events.Kinds() {
		all = append(all, string(k))
	}
	return all
}

func listGroups(_ *Server, r *http.Request) (*reply, error) {
	limit, err := number(r, "limit", 100, 1, 500)
	if err != nil {
		return nil, err
	}
	q := map[string]any{"limit": limit}
	for name, values := range r.URL.Query() {
		if name == "limit" {
			continue
		}
		v := values[0]
		if words, ok := listWords[name]; ok && !slices.Contains(words, v) {
			return nil, kindBadRequest.of(fmt.Sprintf("query parameter %s %q: want one of %v", name, v, words))
		} else if !ok && name != "match" {
			if err := events.CheckName(name, v); err != nil {
				return nil, kindBadRequest.of("query parameter " + err.Error())
			}
		}
		q[name] = v
	}
	raw, err := From(r).Raw(r.Context(), "groups", q)
	return &reply{body: raw}, err
}

// oneGroup answers with the group, and with the ETag that a move of it may quote: it names the record as it stands, not what is measured beside it.
func oneGroup(_ *Server, r *http.Request) (*reply, error) {
	raw, err := From(r).Raw(r.Context(), "group", map[string]any{"group": r.PathValue("group")})
	if err != nil {
		return nil, err
	}
	var g struct{ Tag string }
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, fmt.Errorf("read a group: %w", err)
	}
	p := &reply{body: raw, header: http.Header{}}
	if g.Tag != "" {
		p.header.Set("ETag", strconv.Quote(g.Tag))
	}
	return p, nil
}

// number reads a whole number of the query, def if it is not there.
func number(r *http.Request, name string, def, lo, hi int) (int, error) {
	s := r.URL.Query().Get(name)
	if !r.URL.Query().Has(name) {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < lo || n > hi {
		return 0, kindBadRequest.of(fmt.Sprintf("query parameter %s %q: want a whole number from %d to %d", name, s, lo, hi))
	}
	return n, nil
}

// ledger answers with one ledger of a group, and some of its entries in order: the newest one, or that of ?operation.
func ledger(_ *Server, r *http.Request) (*reply, error) {
	q := map[string]any{"group": r.PathValue("group")}
	for _, name := range []string{"operation", "class", "dag"} {
		if v := r.URL.Query().Get(name); v != "" {
			q[name] = v
		}
	}
	if c := r.URL.Query().Get("class"); c != "" && !slices.Contains(events.TaskClasses(), events.TaskClass(c)) {
		return nil, kindBadRequest.of(fmt.Sprintf("query parameter class %q: want one of %v", c, events.TaskClasses()))
	}
	for name, hi := range map[string]int{"from": maxEntries, "limit": answers.Most} {
		if r.URL.Query().Has(name) {
			n, err := number(r, name, 0, 0, hi)
			if err != nil {
				return nil, err
			}
			q[name] = n
		}
	}
	raw, err := From(r).Raw(r.Context(), "tasks", q)
	return &reply{body: raw}, err
}

// maxEntries is the most entries a ledger is asked to be read from: more tasks are hit by no outage.
const maxEntries = 10_000_000
