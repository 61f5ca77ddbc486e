package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/api/auth"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/test/apistage"
)

// logged is what the controller logs, read while it does.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// site is one controller for all tests of this package: a hub takes seconds to start.
type site struct {
	*apistage.Stage
	spec                          *spec
	log                           logged
	viewer, operator, admin, shop string // tokens; shop is an operator's of one project
}

// TestAPI runs every test that shares the controller. Those that change something change groups that nobody else looks at.
func TestAPI(t *testing.T) {
	t.Parallel()
	s := &site{spec: loadSpec(t)}
	s.Stage = apistage.Start(t, &s.log)
	s.Apply(fleet)
	s.viewer, s.operator, s.admin = s.Token("vera", config.RoleViewer), s.Token("otto", config.RoleOperator), s.Token("ada", config.RoleAdmin)
	s.shop = s.Token("shopkeeper", config.RoleOperator, "shop")
	for name, test := range map[string]func(*testing.T){
		"who": s.who, "roles": s.roles, "projects": s.projects, "refusals": s.refusals, "malformed": s.malformed, "once": s.once, "revoked": s.revoked, "open": s.open, "failures": s.failures, "looks": s.looks, "plans": s.plans, "audited": s.audited, "streamed": s.streamed,
	} {
		t.Run(name, test)
	}
	t.Run("fuzzed", s.fuzzed) // last: it changes what it may
	for _, token := range []string{s.viewer, s.operator, s.admin, s.shop} {
		if secret := token[strings.LastIndex(token, "_")+1:]; strings.Contains(s.log.String(), secret) {
			t.Error("a token stands in the log")
		}
	}
}

const fleet = `
groups:
  orders: {project: shop, kind: postgres, primary: eu-west-1/orders-a, recovery: [eu-central-1/orders-b]}
  search: {project: shop, kind: postgres, primary: eu-west-1/search-a, recovery: [eu-central-1/search-b]}
  ledger: {project: bank, kind: postgres, primary: eu-west-1/ledger-a, recovery: [eu-central-1/ledger-b]}
`

// want fails the test unless the answer has this status and these words.
func want(t *testing.T, a apistage.Answer, status int, words ...string) {
	t.Helper()
	if a.Status != status {
		t.Errorf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	for _, w := range words {
		if !strings.Contains(string(a.Body), w) {
			t.Errorf("nothing of %q in %s", w, a.Body)
		}
	}
}

func problemOf(t *testing.T, a apistage.Answer) (p api.Problem) {
	t.Helper()
	if a.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("not a problem: %v %s", a.Header, a.Body)
	}
	if err := json.Unmarshal(a.Body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Type == "" || p.Title == "" || p.Detail == "" || p.Status != a.Status || !strings.HasPrefix(p.Instance, "urn:") {
		t.Fatalf("the problem lacks something: %s", a.Body)
	}
	return p
}

// Nobody who shows no valid token learns or does anything; both schemes are taken.
func (s *site) who(t *testing.T) {
	for _, c := range []struct {
		header string
		status int
		kind   string
	}{
		{"", 401, "no-token"},
		{"Basic YTpi", 401, "no-token"},
		{"Bearer", 401, "no-token"},
		{"Bearer nonsense", 401, "bad-token"},
		{"Bearer " + s.viewer + "x", 401, "bad-token"},
		{"Bearer " + s.viewer[:len(s.viewer)-1], 401, "bad-token"},
		{"Bearer " + s.viewer, 200, ""},
		{"bearer " + s.viewer, 200, ""},
		{"aivenv1 " + s.viewer, 200, ""},
	} {
		a := s.Do(t, http.MethodGet, "/api/v1/status", "", "", "Authorization: "+c.header, "X-Forwarded-For: 192.0.2.3")
		want(t, a, c.status)
		if c.status == 401 {
			if p := problemOf(t, a); p.Kind() != c.kind || a.Header.Get("WWW-Authenticate") == "" || strings.Contains(string(a.Body), "leader") {
				t.Errorf("%q: %s", c.header, a.Body)
			}
		}
	}
}

// A viewer changes nothing, an operator does not waive a proof.
func (s *site) roles(t *testing.T) {
	for _, c := range []struct {
		token, path, body string
		status            int
		kind              string
	}{
		{s.viewer, "/groups/orders/failover", `{"reason":"r"}`, 403, "forbidden"},
		{s.viewer, "/disarm", `{"reason":"r"}`, 403, "forbidden"},
		{s.operator, "/groups/orders/failover", `{"reason":"r"}`, 409, "refuse.not-born"},
		{s.operator, "/groups/orders/failover", `{"reason":"r","unfenced":true}`, 403, "forbidden"},
		{s.operator, "/groups/orders/release", `{"reason":"r"}`, 403, "forbidden"},
		{s.admin, "/groups/orders/failover", `{"reason":"r","unfenced":true}`, 409, "refuse.not-born"},
		{s.operator, "/groups/orders/failover", `{}`, 400, "no-reason"},
	} {
		a := s.Do(t, http.MethodPost, "/api/v1"+c.path, c.token, c.body)
		want(t, a, c.status)
		if p := problemOf(t, a); p.Kind() != c.kind || p.Remedy == "" {
			t.Errorf("%s: %s", c.path, a.Body)
		}
	}
}

// Who has one project sees nothing of the others and touches nothing of theirs.
func (s *site) projects(t *testing.T) {
	for _, path := range []string{"/status", "/groups", "/groups?match=ledger", "/groups/orders", "/groups/orders/why", "/tasks", "/regions/eu-west-1/why"} {
		a := s.Do(t, http.MethodGet, "/api/v1"+path, s.shop, "")
		want(t, a, 200)
		if strings.Contains(strings.ReplaceAll(string(a.Body), `"ledgers"`, ""), "ledger") || strings.Contains(string(a.Body), "bank") {
			t.Errorf("%s shows what is not of the project: %s", path, a.Body)
		}
	}
	for _, path := range []string{"/groups/ledger", "/groups/ledger/why", "/groups/ledger/operation", "/groups/ledger/tasks", "/groups/nobody"} {
		want(t, s.Do(t, http.MethodGet, "/api/v1"+path, s.shop, ""), 404, "no group is called")
	}
	for path, status := range map[string]int{
		"/groups/ledger/failover": 404, "/groups/ledger/disarm": 404, "/clusters/eu-west-1/ledger-a/restore": 404, "/groups/orders/failover": 409,
		"/regions/eu-west-1/failover": 403, "/regions/eu-west-1/disarm": 403, "/disarm": 403,
	} {
		want(t, s.Do(t, http.MethodPost, "/api/v1"+path, s.shop, `{"reason":"r"}`), status)
	}
	// the leader itself refuses what the API would not let through
	ans := ask(t, s, events.Ask{ID: "sneaky-1", Verb: events.AskDisarm, Group: "ledger", Projects: []string{"shop"}, Reason: "r"})
	if ans.Accepted || !strings.Contains(ans.Why, `no group is called "ledger"`) {
		t.Errorf("%+v", ans)
	}
	ans = ask(t, s, events.Ask{ID: "sneaky-2", Verb: events.AskDisarm, Projects: []string{"shop"}, Reason: "r"})
	if ans.Accepted || !strings.Contains(ans.Why, "more than the projects") {
		t.Errorf("%+v", ans)
	}
}

// ask asks on the bus.
func ask(t *testing.T, s *site, a events.Ask) (ans events.Answer) {
	t.Helper()
	a.Actor = "tester"
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = s.Bus.Request(t.Context(), events.SubjectDo(a.Actor, a.Verb), b); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ans); err != nil {
		t.Fatal(err)
	}
	return ans
}

// A refusal is the leader's own, with its rule and its whole answer; where its type is explained it can be read.
func (s *site) refusals(t *testing.T) {
	a := s.Do(t, http.MethodPost, "/api/v1/groups/orders/failover", s.operator, `{"reason":"drill 7"}`)
	want(t, a, 409)
	p := problemOf(t, a)
	if p.Rule != "refuse.not-born" || p.Answer == nil || len(p.Answer.Items) != 1 || p.Answer.Items[0].Group != "orders" {
		t.Errorf("%s", a.Body)
	}
	want(t, s.Do(t, http.MethodGet, p.Type, "", ""), 200, "refused by a rule: refuse.not-born")
	want(t, s.Do(t, http.MethodGet, "/api/problems/no-token", "", ""), 200, "nobody is asking")
	want(t, s.Do(t, http.MethodGet, "/api/problems/nothing", "", ""), 404)
}

// What is not understood is refused whole, with what would be right.
func (s *site) malformed(t *testing.T) {
	big := `{"reason":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct {
		method, path, body, header string
		status                     int
		says                       string
	}{
		{"POST", "/groups/orders/failover", `{"reason":"r","acept_loss":true}`, "", 400, "acept_loss"},
		{"POST", "/groups/orders/arm", `{"reason":"r","to":"a/b"}`, "", 400, "is not for arm"},
		{"POST", "/groups/orders/failover", `{"Reason":"r"}`, "", 400, "Reason"},
		{"POST", "/groups/orders/failover", `{"reason":null}`, "", 400, "null"},
		{"POST", "/groups/orders/failover", `null`, "", 400, "object"},
		{"POST", "/groups/orders/failover", `[]`, "", 400, "object"},
		{"POST", "/groups/orders/failover", `{"reason":"r"}{}`, "", 400, "one JSON object"},
		{"POST", "/groups/orders/failover", `{"reason":7}`, "", 400, "reason"},
		{"POST", "/groups/orders/failover", `{"reason":"r","to":"nowhere"}`, "", 400, "nowhere"},
		{"POST", "/groups/orders/failover", `{"reason":"r"}`, "Content-Type: text/plain", 415, "application/json"},
		{"POST", "/groups/orders/failover", big, "", 413, "1048576"},
		{"POST", "/groups/orders/failover", `{"reason":"r"}`, "If-Match: W/nothing", 400, "If-Match"},
		{"POST", "/groups/orders/failover", `{"reason":"r"}`, "Idempotency-Key: a b", 400, "Idempotency-Key"},
		{"POST", "/groups/Orders/failover", `{"reason":"r"}`, "", 400, "position 1"},
		{"POST", "/plans", `{"do":"failover"}`, "", 400, "neither"},
		{"POST", "/rollouts", `{"reason":"r"}`, "", 400, "want plan"},
		{"POST", "/asks", `{"reason":"r"}`, "", 400, "no verb"},
		{"POST", "/asks", `{"reason":"r","verb":"explode"}`, "", 400, "explode"},
		{"POST", "/clusters/eu-west-1/orders-a/maintenance", `{"reason":"r","for":"9999h"}`, "", 400, "168h"},
		{"GET", "/groups?sort=size", "", "", 400, "want one of"},
		{"GET", "/rollouts?state=x", "", "", 400, "want one of"},
		{"GET", "/groups?limit=0", "", "", 400, "from 1 to 500"},
		{"GET", "/groups?limit=1&limit=2", "", "", 400, "2 times"},
		{"GET", "/groups?metch=x", "", "", 400, "metch"},
		{"GET", "/groups/orders/failover", "", "", 405, "POST"},
		{"DELETE", "/groups/orders", "", "", 405, "GET"},
		{"GET", "/nothing", "", "", 404, ""},
	} {
		headers := []string{}
		if c.header != "" {
			headers = append(headers, c.header)
		}
		a := s.Do(t, c.method, "/api/v1"+c.path, s.operator, c.body, headers...)
		want(t, a, c.status, c.says)
		problemOf(t, a)
		if c.status == 405 && !strings.Contains(a.Header.Get("Allow"), c.says) {
			t.Errorf("%s: Allow %q", c.path, a.Header.Get("Allow"))
		}
	}
}

// The same key gives the same answer and does nothing twice; with another body it is refused.
func (s *site) once(t *testing.T) {
	for range 2 {
		a := s.Do(t, http.MethodPost, "/api/v1/groups/search/disarm", s.operator, `{"reason":"r"}`, "Idempotency-Key: 7f0c")
		want(t, a, 409, "refuse.not-born", `"id":"7f0c"`)
	}
	want(t, s.Do(t, http.MethodPost, "/api/v1/groups/search/disarm", s.operator, `{"reason":"other"}`, "Idempotency-Key: 7f0c"), 422)
	want(t, s.Do(t, http.MethodPost, "/api/v1/groups/search/disarm", s.admin, `{"reason":"r"}`, "Idempotency-Key: 7f0c"), 422) // somebody else's
}

// A token that is taken out of the file, or has expired, works no longer.
func (s *site) revoked(t *testing.T) {
	token := s.Token("gone", config.RoleAdmin)
	if ids, err := auth.Remove(s.Tokens, func(x *config.Token) bool { return x.Actor == "gone" }); err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		a := s.Do(t, http.MethodGet, "/api/v1/status", token, "", "X-Forwarded-For: 192.0.2.2")
		if a.Status == 401 || a.Status == 429 {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("it still works")
		}
	}
	want(t, s.Do(t, http.MethodGet, "/api/v1/status", s.viewer, ""), 200)
}

// An address that shows no valid token again and again is turned away for a while; a valid token from there is not.
func (s *site) failures(t *testing.T) {
	from, limited := "X-Forwarded-For: 10.0.0.1, 2001:db8::7", false
	for range 30 {
		a := s.Do(t, http.MethodGet, "/api/v1/status", "wrong", "", from)
		if limited = a.Status == 429; limited {
			if a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
	}
	if !limited {
		t.Error("30 wrong tokens were let try")
	}
	want(t, s.Do(t, http.MethodGet, "/api/v1/status", "wrong", "", "X-Forwarded-For: 2001:db8::8"), 429) // the same network
	want(t, s.Do(t, http.MethodGet, "/api/v1/status", s.viewer, "", from), 200)
	want(t, s.Do(t, http.MethodGet, "/api/v1/status", "wrong", "", "X-Forwarded-For: 192.0.2.4"), 401)
}

// What anybody may see.
func (s *site) open(t *testing.T) {
	want(t, s.Do(t, http.MethodGet, "/healthz", "", ""), 200, "ok")
	want(t, s.Do(t, http.MethodGet, "/readyz", "", ""), 200, "ready")
	want(t, s.Do(t, http.MethodGet, "/api/openapi.yaml", "", ""), 200, "openapi: 3")
	want(t, s.Stage.Do(http.MethodGet, "/nowhere", "", ""), 404)
	if a := s.Stage.Do(http.MethodGet, "/", "", ""); a.Status != 303 || a.Header.Get("Location") != "/console/" {
		t.Errorf("the root leads to %d %s: want the console", a.Status, a.Header.Get("Location"))
	}
	want(t, s.Stage.Do(http.MethodGet, "/console/login", "", ""), 200, "Log in")
	want(t, s.Stage.Do(http.MethodPost, "/console/login", "", "token=wrong", "Content-Type: application/x-www-form-urlencoded"), 401, "not known")
	a := s.Do(t, http.MethodGet, "/api/v1/status", s.viewer, "")
	for _, h := range []string{"X-Request-Id", "Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"} {
		if a.Header.Get(h) == "" {
			t.Errorf("no %s", h)
		}
	}
}

// Every look is answered as described.
func (s *site) looks(t *testing.T) {
	for path, status := range map[string]int{
		"/status": 200, "/regions": 200, "/regions/eu-west-1/why": 200, "/regions/nowhere/why": 404, "/groups?sort=worst&show=needs": 200, "/groups?limit=1": 200, "/groups?after=orders&project=shop": 200,
		"/groups/orders": 200, "/groups/orders/why": 200, "/groups/orders/operation": 404, "/clusters/eu-west-1/orders-a": 200, "/clusters/eu-west-1/nobody": 404, "/operations/orders-8": 404,
		"/operations/orders-8/report": 404, "/operations/orders-8/report?format=pdf": 400, "/plans": 200, "/plans/x": 404, "/rollouts": 200, "/rollouts?state=done": 200, "/rollouts/x": 404, "/events": 200,
		"/events?about=orders": 200, "/version": 200, "/whoami": 200,
	} {
		want(t, s.Do(t, http.MethodGet, "/api/v1"+path, s.viewer, ""), status)
	}
	want(t, s.Do(t, http.MethodGet, "/api/v1/whoami", s.shop, ""), 200, `"actor":"shopkeeper"`, `"projects":["shop"]`)
	page := s.Do(t, http.MethodGet, "/api/v1/groups?limit=2", s.viewer, "")
	want(t, page, 200, `"more":true`, `"ledger"`, `"orders"`)
	want(t, s.Do(t, http.MethodGet, "/api/v1/groups?limit=2&after=orders", s.viewer, ""), 200, `"more":false`, `"search"`)
}

// What is planned and steered goes the same way; a plan of groups of others is nobody's.
func (s *site) plans(t *testing.T) {
	a := s.Do(t, http.MethodPost, "/api/v1/plans", s.operator, `{"do":"failover","groups":["orders","ledger"]}`)
	if a.Status != 201 && a.Status != 409 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	want(t, s.Do(t, http.MethodPost, "/api/v1/plans", s.shop, `{"do":"failover","groups":["orders","ledger"]}`), 409, "no group is called")
	want(t, s.Do(t, http.MethodPost, "/api/v1/plans", s.shop, `{"do":"failover","select":"project=bank"}`), 409, "more than the projects")
	want(t, s.Do(t, http.MethodPost, "/api/v1/rollouts", s.operator, `{"plan":"none","reason":"r"}`), 404)
	want(t, s.Do(t, http.MethodPost, "/api/v1/rollouts/none/pause", s.operator, `{"reason":"r"}`), 404)
	want(t, s.Do(t, http.MethodPost, "/api/v1/asks", s.operator, `{"verb":"failover","group":"orders","reason":"r"}`), 409, "refuse.not-born")
	want(t, s.Do(t, http.MethodPost, "/api/v1/asks", s.viewer, `{"verb":"failover","group":"orders","reason":"r"}`), 403)
	want(t, s.Do(t, http.MethodPost, "/api/v1/asks", s.shop, `{"verb":"failover","group":"ledger","reason":"r"}`), 409, "no group is called")
	want(t, s.Do(t, http.MethodPost, "/api/v1/agents/eu-west-1/db1/rejoin", s.admin, `{"reason":"r"}`), 409)
	want(t, s.Do(t, http.MethodPost, "/api/v1/record/rebuild", s.operator, `{"dry_run":true}`), 403)
}
