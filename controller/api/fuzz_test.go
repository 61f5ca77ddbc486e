package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// fuzzRequests is how many random requests a run makes; the seed is of the run, and said where anything is wrong.
const fuzzRequests = 700

// drawn makes requests from the description: mostly what it allows, now and then what it does not.
type drawn struct {
	*rand.Rand
	t *testing.T
}

func (d *drawn) one(of ...string) string { return of[d.IntN(len(of))] }

// odd are values that no path or field expects.
var odd = []any{"", "Ö", "../..", "a b", "%00", "x' OR 1=1", strings.Repeat("a", 300), -1, 1e18, 0.5, true, nil, []any{}, map[string]any{"a": 1}}

// known are values that mean something here, by the name of the field.
var known = map[string][]string{
	"group": {"orders", "search", "ledger", "nobody"}, "groups": {"orders", "ledger"}, "region": {"eu-west-1", "eu-central-1", "eu-north-1", "nowhere"}, "cluster": {"orders-a", "ledger-b", "nothing"},
	"agent": {"db1"}, "operation": {"orders-8"}, "rollout": {"none"}, "plan": {"none"}, "to": {"eu-central-1/orders-b"}, "select": {"project=shop", "kind=postgres"}, "for": {"10m"}, "if": {"1-1"}, "about": {"orders"},
	"after": {"orders"}, "match": {"o"}, "project": {"shop"}, "kind": {"refuse.running"},
}

func (d *drawn) value(name string, s *openapi3.Schema) any {
	if d.IntN(20) == 0 {
		return odd[d.IntN(len(odd))]
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[d.IntN(len(s.Enum))]
	case s.Type.Is("boolean"):
		return d.IntN(2) == 0
	case s.Type.Is("integer"), s.Type.Is("number"):
		return d.IntN(600)
	case s.Type.Is("array"):
		return []any{d.value(name, s.Items.Value)}
	case s.Type.Is("object"):
		return d.object(s)
	}
	if words := known[name]; words != nil {
		if strings.Contains(s.Pattern, "/[a-z0-9]") && name == "cluster" {
			return "eu-west-1/orders-a"
		}
		return d.one(words...)
	}
	return d.one("r", "because", "1s", "eu-west-1/db1")
}

func (d *drawn) object(s *openapi3.Schema) map[string]any {
	o := map[string]any{}
	names := []string{}
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if slices.Contains(s.Required, name) || name == "reason" || d.IntN(4) == 0 {
			o[name] = d.value(name, s.Properties[name].Value)
		}
	}
	if d.IntN(25) == 0 {
		o["strange"] = odd[d.IntN(len(odd))]
	}
	return o
}

// request draws the path, the query and the body of an operation.
func (d *drawn) request(path string, op *openapi3.Operation) (target, body string) {
	q := url.Values{}
	for _, p := range op.Parameters {
		text := fmt.Sprint(d.value(p.Value.Name, p.Value.Schema.Value))
		switch {
		case p.Value.In == "path":
			if text == "" || text == "../.." {
				text = "x"
			}
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", url.PathEscape(text))
		case p.Value.In == "query" && d.IntN(2) == 0:
			q.Set(p.Value.Name, text)
		}
	}
	if d.IntN(30) == 0 {
		q.Set("strange", "1")
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	if op.RequestBody != nil {
		b, err := json.Marshal(d.object(op.RequestBody.Value.Content["application/json"].Schema.Value))
		if err != nil {
			d.t.Fatal(err)
		}
		if body = string(b); d.IntN(40) == 0 {
			body = body[:d.IntN(len(body))]
		}
	}
	return path, body
}

// fuzzed sends random requests of the description: none fails on this side, each answer is as described, and who may not change anything does not.
func (s *site) fuzzed(t *testing.T) {
	seed := rand.Uint64()
	d := &drawn{rand.New(rand.NewPCG(seed, 1)), t}
	type operation struct {
		method, path string
		op           *openapi3.Operation
	}
	var all []operation
	for path, item := range s.spec.doc.Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, operation{method, path, op})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	tokens := map[string]string{"viewer": s.viewer, "operator": s.operator, "admin": s.admin, "shop": s.shop, "nobody": ""}
	statuses := map[int]int{}
	for range fuzzRequests {
		o := all[d.IntN(len(all))]
		who := d.one("viewer", "operator", "operator", "admin", "shop", "nobody")
		path, body := d.request(o.path, o.op)
		a := s.Do(t, o.method, path, tokens[who], body, fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", d.IntN(250)))
		statuses[a.Status]++
		if a.Status >= 500 {
			t.Errorf("%s %s %s by %s: %d %s", o.method, path, body, who, a.Status, a.Body)
		}
		if o.method != http.MethodGet && (who == "viewer" || who == "nobody") && a.Status < 400 {
			t.Errorf("%s changed something: %s %s %s: %d %s", who, o.method, path, body, a.Status, a.Body)
		}
		if who == "shop" && a.Status < 400 && strings.HasPrefix(o.path, "/api/v1/") && strings.Contains(strings.ReplaceAll(string(a.Body), `"ledgers"`, ""), "ledger") { // a group of that name, not a ledger of tasks
			t.Errorf("shop sees what is not its: %s %s: %s", o.method, path, a.Body)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("seed %d: %v", seed, statuses)
	want(t, s.Do(t, http.MethodGet, "/readyz", "", ""), 200)
}
