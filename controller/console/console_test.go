package console_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/controller/console/consoletest"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

var update = flag.Bool("update", false, "record the golden files anew")

// browser is a person at a console of a fleet that is made up.
type browser struct {
	t     *testing.T
	fleet *consoletest.Fleet
	h     http.Handler
	token string
}

func open(t *testing.T, token string) *browser {
	t.Helper()
	f := consoletest.New(consoletest.Noon, 0)
	return &browser{t, f, consoletest.Console(f, func() time.Time { return consoletest.Noon }, slog.New(slog.DiscardHandler)), token}
}

func (b *browser) do(method, path string, form url.Values, head ...string) *http.Response {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.token != "" {
		r.AddCookie(&http.Cookie{Name: "made-up", Value: b.token})
	}
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	return w.Result()
}

// get loads a page that has to be there.
func (b *browser) get(path string) string {
	b.t.Helper()
	r := b.do("GET", path, nil)
	text := body(b.t, r)
	if r.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s\n%s", path, r.Status, text)
	}
	return text
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// everyPage lists every page there is, of every group and rollout that is made up.
func everyPage(f *consoletest.Fleet) (all []string) {
	all = []string{"", "groups", "groups?show=needs&sort=worst", "groups?match=nobody", "rollouts", "plans?do=failback&region=eu-west-1", "drills", "events", "automation/arm", "automation/disarm?region=eu-west-1", "automation/approve?region=eu-west-1"}
	for _, r := range f.Status.View.Regions {
		all = append(all, "regions/"+r.Region)
	}
	for _, g := range f.Groups {
		for _, p := range []string{"", "/why", "/events", "/cycle"} {
			all = append(all, "groups/"+g.Group+p)
		}
		for _, verb := range []string{"failover", "failback", "restore", "switchover", "rebuild", "drill", "abort", "arm", "disarm", "acknowledge", "approve"} {
			all = append(all, "groups/"+g.Group+"/do/"+verb)
		}
		if g.Record != nil && g.Record.Op != nil {
			all = append(all, "operations/"+g.Record.Op.ID)
		}
	}
	for _, r := range f.Rollouts {
		all = append(all, "rollouts/"+r.Rollout.ID)
		for _, verb := range []string{"run", "pause", "resume", "retry", "abort", "skip?group=billing"} {
			all = append(all, "rollouts/"+r.Rollout.ID+"/do/"+verb)
		}
	}
	return all
}

var (
	ids    = regexp.MustCompile(` id="([^"]+)"`)
	points = regexp.MustCompile(` (?:for|aria-describedby)="([^"]+)"`)
	fields = regexp.MustCompile(`<(?:input|select)[^>]*>`)
	inline = regexp.MustCompile(`(?i)<[^>]+ (?:style|on[a-z]+)=|<script(?: [^>]*)?>[^<]|javascript:|<style`)
	else_  = regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//`)
)

// Every page is there for every state of a group and of a rollout, for who may move and who may not; each is a whole document that a strict policy lets through, of which every field
// has a label and every id is there once.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	for _, token := range []string{consoletest.Operator, consoletest.Viewer} {
		b := open(t, token)
		for _, path := range everyPage(b.fleet) {
			text := b.get("/console/" + path)
			if !strings.HasPrefix(text, "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(text), "</html>") || strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "%!") {
				t.Errorf("%s: not a whole document", path)
			}
			if strings.HasPrefix(path, "operations/") {
				continue // a document of its own
			}
			if m := inline.FindString(text); m != "" {
				t.Errorf("%s: something inline, which the policy forbids: %s", path, m)
			}
			if m := else_.FindString(text); m != "" {
				t.Errorf("%s: something of another host: %s", path, m)
			}
			once := map[string]bool{}
			for _, m := range ids.FindAllStringSubmatch(text, -1) {
				if once[m[1]] {
					t.Errorf("%s: two elements are called %s", path, m[1])
				}
				once[m[1]] = true
			}
			for _, m := range points.FindAllStringSubmatch(text, -1) {
				if !once[m[1]] {
					t.Errorf("%s: something points to %s, which is not there", path, m[1])
				}
			}
			for _, m := range fields.FindAllString(text, -1) {
				if id := ids.FindStringSubmatch(m); !strings.Contains(m, `type="hidden"`) && !strings.Contains(m, `type="checkbox"`) && (id == nil || !strings.Contains(text, `for="`+id[1]+`"`)) {
					t.Errorf("%s: no label is for %s", path, m)
				}
			}
			if n := strings.Count(text, "<h1"); n != 1 {
				t.Errorf("%s: %d headings of the first level", path, n)
			}
		}
	}
}

// Nobody sees anything before they log in, and nothing is changed by a form of somebody else's page.
func TestLetIn(t *testing.T) {
	t.Parallel()
	b := open(t, "")
	for _, path := range everyPage(b.fleet) {
		if r := b.do("GET", "/console/"+path, nil); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/console/login") {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	if r := b.do("GET", "/console/", nil, "Accept", "text/event-stream"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a live page: %s", r.Status)
	}
	if r := b.do("POST", "/console/login", url.Values{"token": {"wrong"}}); r.StatusCode != http.StatusUnauthorized || len(r.Cookies()) > 0 {
		t.Errorf("a wrong token: %s", r.Status)
	}
	for then, want := range map[string]string{"": "/console/", "/console/groups/orders?x=1": "/console/groups/orders?x=1", "//evil.example": "/console/", "https://evil.example/console/": "/console/", "/console/\\evil": "/console/"} {
		r := b.do("POST", "/console/login", url.Values{"token": {consoletest.Operator}, "then": {then}})
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != want || len(r.Cookies()) != 1 {
			t.Errorf("then %q: %s to %s", then, r.Status, r.Header.Get("Location"))
		}
	}
	b.token = consoletest.Operator
	for _, path := range []string{"groups/orders/do/failover", "rollouts/7f3a91c0/do/pause", "plans", "automation/disarm", "logout"} {
		if r := b.do("POST", "/console/"+path, url.Values{"reason": {"x"}, "name": {"orders"}}); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s without its proof: %s", path, r.Status)
		}
	}
	if got := b.fleet.Asked(); len(got) > 0 {
		t.Errorf("asked %+v", got)
	}
}

func form(pairs ...string) url.Values {
	v := url.Values{"csrf": {consoletest.Proof}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// What a person confirms is asked, once, with their name and reason; what lacks either is not, and the page says so.
func TestActs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path   string
		form   url.Values
		status int
		ask    events.Ask
		says   string
	}{
		"failover":        {"groups/reports/do/failover", form("name", "reports", "reason", "disk smells", "id", "console-1"), 303, events.Ask{ID: "console-1", Verb: "failover", Actor: "alice", Group: "reports", Reason: "disk smells"}, ""},
		"no name":         {"groups/reports/do/failover", form("reason", "disk smells"), 422, events.Ask{}, "Type reports to confirm"},
		"another name":    {"groups/reports/do/failover", form("name", "orders", "reason", "disk smells"), 422, events.Ask{}, "this is about reports"},
		"no reason":       {"groups/reports/do/failover", form("name", "reports", "reason", "  "), 422, events.Ask{}, "say why"},
		"restore":         {"groups/tasks/do/restore", form("name", "tasks", "reason", "back", "id", "console-2"), 303, events.Ask{ID: "console-2", Verb: "restore", Actor: "alice", Group: "tasks", Cluster: "eu-west-1/tasks-a", Reason: "back"}, ""},
		"abort, no name":  {"groups/gateway/do/abort", form("reason", "no", "id", "console-3"), 303, events.Ask{ID: "console-3", Verb: "abort", Actor: "alice", Group: "gateway", Reason: "no"}, ""},
		"an id of others": {"groups/reports/do/disarm", form("reason", "no", "id", "schedule-drill-1"), 303, events.Ask{Verb: "disarm", Actor: "alice", Group: "reports", Reason: "no"}, ""},
		"no such verb":    {"groups/reports/do/release", form("name", "reports", "reason", "x"), 404, events.Ask{}, "nothing that can be done"},
		"pause":           {"rollouts/7f3a91c0/do/pause", form("reason", "odd", "id", "console-4"), 303, events.Ask{ID: "console-4", Verb: "pause", Actor: "alice", Rollout: "7f3a91c0", Reason: "odd"}, ""},
		"skip":            {"rollouts/7f3a91c0/do/skip?group=billing", form("reason", "odd", "id", "console-5", "group", "billing"), 303, events.Ask{ID: "console-5", Verb: "skip", Actor: "alice", Rollout: "7f3a91c0", Group: "billing", Reason: "odd"}, ""},
		"run":             {"rollouts/7f3a91c1/do/run", form("reason", "it is back", "id", "console-6", "name", "eu-west-1"), 303, events.Ask{ID: "console-6", Verb: "failback", Actor: "alice", Plan: "7f3a91c100000000", Reason: "it is back"}, ""},
		"run, no name":    {"rollouts/7f3a91c1/do/run", form("reason", "it is back"), 409, events.Ask{}, "Type eu-west-1 to confirm"},
		"plan":            {"plans", form("do", "failback", "region", "eu-west-1", "id", "console-7"), 303, events.Ask{ID: "console-7", Verb: "plan", Do: "failback", Actor: "alice", Region: "eu-west-1", Reason: "planned in the console"}, ""},
		"plan of nothing": {"plans", form("do", "failback"), 409, events.Ask{}, "want one of them"},
		"disarm":          {"automation/disarm", form("reason", "network works", "id", "console-8"), 303, events.Ask{ID: "console-8", Verb: "disarm", Actor: "alice", Reason: "network works"}, ""},
		"arm a region":    {"automation/arm?region=eu-west-1", form("reason", "done", "id", "console-9", "region", "eu-west-1"), 303, events.Ask{ID: "console-9", Verb: "arm", Actor: "alice", Region: "eu-west-1", Reason: "done"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, consoletest.Operator)
			r := b.do("POST", "/console/"+c.path, c.form)
			text := body(t, r)
			if r.StatusCode != c.status || !strings.Contains(text, c.says) {
				t.Errorf("%s, want %d saying %q:\n%s", r.Status, c.status, c.says, text)
			}
			asked := b.fleet.Asked()
			if c.status != http.StatusSeeOther {
				if len(asked) > 0 {
					t.Errorf("asked %+v", asked)
				}
				return
			}
			if len(asked) != 1 {
				t.Fatalf("asked %+v", asked)
			}
			if c.ask.ID == "" && strings.HasPrefix(asked[0].ID, "console-") {
				asked[0].ID = ""
			}
			if d := cmp.Diff(c.ask, asked[0]); d != "" {
				t.Errorf("(-want +asked):\n%s", d)
			}
			// What was answered is said on the next page, once.
			next := r.Header.Get("Location")
			rr := httptest.NewRequest("GET", next, nil)
			rr.AddCookie(&http.Cookie{Name: "made-up", Value: b.token})
			for _, k := range r.Cookies() {
				rr.AddCookie(k)
			}
			w := httptest.NewRecorder()
			b.h.ServeHTTP(w, rr)
			if w.Code != http.StatusOK || c.ask.Verb != "plan" && !strings.Contains(w.Body.String(), "nothing was done") {
				t.Errorf("%s: %d, without the answer", next, w.Code)
			}
		})
	}
}

// A refusal is shown with what clears it, and nothing typed is lost; where the rule allows it, the word that lets it pass is offered and asked with.
func TestRefused(t *testing.T) {
	t.Parallel()
	b := open(t, consoletest.Operator)
	b.fleet.Refuse[events.AskFailover] = events.AnswerItem{Rule: "refuse.loss", Why: "nobody knows how much would be lost: repeat it with --accept-loss to move all the same"}
	if text := b.get("/console/groups/billing"); !strings.Contains(text, `aria-disabled="true"`) || !strings.Contains(text, "nobody knows how much would be lost") {
		t.Error("the button is not dimmed with its reason")
	}
	if text := b.get("/console/groups/billing/do/failover"); !strings.Contains(text, "It would be refused now.") || !strings.Contains(text, `name="accept_loss"`) {
		t.Error("the page does not offer what lets it pass")
	}
	r := b.do("POST", "/console/groups/billing/do/failover", form("name", "billing", "reason", "<b>it is down</b>"))
	text := body(t, r)
	if r.StatusCode != http.StatusConflict || !strings.Contains(text, "<code>") && !strings.Contains(text, "--accept-loss") || !strings.Contains(text, "&lt;b&gt;it is down&lt;/b&gt;") || !strings.Contains(text, "refuse.loss") {
		t.Errorf("%s\n%s", r.Status, text)
	}
	delete(b.fleet.Refuse, events.AskFailover)
	b.do("POST", "/console/groups/billing/do/failover", form("name", "billing", "reason", "it is down", "accept_loss", "yes"))
	if asked := b.fleet.Asked(); len(asked) != 2 || !asked[1].AcceptLoss || asked[0].ID == asked[1].ID {
		t.Errorf("asked %+v", asked)
	}
}

// A viewer's buttons are dimmed and say why, and what they post is not asked.
func TestViewer(t *testing.T) {
	t.Parallel()
	b := open(t, consoletest.Viewer)
	if text := b.get("/console/groups/reports"); !strings.Contains(text, "you are logged in as victor") || strings.Contains(text, `href="/console/groups/reports/do/failover"`) {
		t.Error("a viewer is offered a failover")
	}
	for path, f := range map[string]url.Values{
		"groups/reports/do/failover": form("name", "reports", "reason", "x"), "rollouts/7f3a91c0/do/pause": form("reason", "x"), "automation/disarm": form("reason", "x"),
		"plans": form("do", "failback", "region", "eu-west-1"), "rollouts/7f3a91c1/do/run": form("reason", "x", "name", "eu-west-1"),
	} {
		if r := b.do("POST", "/console/"+path, f); r.StatusCode < 400 {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	if asked := b.fleet.Asked(); len(asked) > 0 {
		t.Errorf("asked %+v", asked)
	}
}

// What others wrote is shown as text, wherever it is shown.
func TestEscapes(t *testing.T) {
	t.Parallel()
	b := open(t, consoletest.Operator)
	const evil = `<script>alert(1)</script>"'><img src=x onerror=y>`
	for i := range b.fleet.Groups {
		g := &b.fleet.Groups[i]
		g.Why, g.ReadyWhy, g.Rollout = evil, evil, evil
		for n := range g.Clusters {
			g.Clusters[n].Error, g.Clusters[n].Override, g.Clusters[n].Hold = evil, evil, evil
		}
		if g.Record != nil {
			g.Record.Disarm = evil
			if g.Record.Op != nil {
				g.Record.Op.Why, g.Record.Op.EndWhy, g.Record.Op.By = evil, evil, evil
			}
		}
	}
	for i := range b.fleet.Rollouts {
		b.fleet.Rollouts[i].Rollout.Why, b.fleet.Rollouts[i].Rollout.Reason, b.fleet.Rollouts[i].Rollout.By = evil, evil, evil
	}
	for i := range b.fleet.Events {
		b.fleet.Events[i].Notice.Why, b.fleet.Events[i].Notice.By = evil, evil
	}
	for _, path := range everyPage(b.fleet) {
		if text := b.get("/console/" + path); strings.Contains(text, "<script>alert") || strings.Contains(text, "<img") {
			t.Errorf("%s: text became markup", path)
		}
	}
}

// While nobody leads a page says so, and so does one that is live.
func TestNoLeader(t *testing.T) {
	t.Parallel()
	b := open(t, consoletest.Operator)
	b.fleet.Down = errors.New("no controller answers")
	if r := b.do("GET", "/console/", nil); r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body(t, r), "no controller answers") {
		t.Error(r.Status)
	}
}

// A page that is open is sent what changes, and only that.
func TestLive(t *testing.T) {
	t.Parallel()
	b := open(t, consoletest.Operator)
	s := httptest.NewServer(b.h)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/console/groups/ledger/cycle", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.AddCookie(&http.Cookie{Name: "made-up", Value: b.token})
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	lines := bufio.NewScanner(w.Body)
	lines.Buffer(nil, 1<<20)
	next := func() (event, data string) {
		for lines.Scan() {
			switch l := lines.Text(); {
			case strings.HasPrefix(l, "event: "):
				event = l[7:]
			case strings.HasPrefix(l, "data: "):
				return event, l[6:]
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return "", ""
	}
	for _, id := range []string{"pulse", "cycle-head", "cycle", "group-last"} {
		if event, data := next(); event != "part" || !strings.Contains(data, `"id":"`+id+`"`) {
			t.Fatalf("%s: got %s %.60s", id, event, data)
		}
	}
	b.fleet.Change("ledger", func(g *fleet.GroupView) { g.Clusters[0].Work.Done = 1176e6 })
	if event, data := next(); event != "part" || !strings.Contains(data, `"id":"cycle"`) || !strings.Contains(data, "98 %") {
		t.Errorf("got %s %.200s", event, data)
	}
}

// The pages of the recovery cycle, one for each place, as they were looked at.
func TestGolden(t *testing.T) {
	t.Parallel()
	b := open(t, consoletest.Operator)
	for file, path := range map[string]string{"overview": "", "group": "groups/orders", "failed-over": "groups/orders/cycle", "rebuilding": "groups/ledger/cycle", "ready": "groups/inventory/cycle", "confirm": "groups/orders/do/failback", "rollout": "rollouts/7f3a91c3"} {
		text := b.get("/console/" + path)
		text = regexp.MustCompile(`console-[a-z0-9]{20,}`).ReplaceAllString(text, "console-ID")
		text = regexp.MustCompile(`(console\.(?:css|js)\?v=)[0-9a-f]+`).ReplaceAllString(text, "${1}SUM")
		text = regexp.MustCompile(`data-part="[0-9a-f]+"`).ReplaceAllString(text, `data-part="SUM"`)
		name := filepath.Join("testdata", file+".html")
		if *update {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), text); d != "" {
			t.Errorf("%s (-want +got):\n%s", file, d)
		}
	}
}
