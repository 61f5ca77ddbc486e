package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// sse is one event as it came.
type sse struct {
	id, kind string
	events.Envelope
	notice events.Notice
}

// follow opens a stream and hands on what it says, until the test ends.
func (s *site) follow(t *testing.T, token, query string, headers ...string) <-chan sse {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "text/event-stream")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	out, done := make(chan sse, 1000), make(chan struct{})
	go func() {
		defer close(done)
		defer r.Body.Close()
		var e sse
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				if json.Unmarshal([]byte(value), &e.Envelope) == nil && json.Unmarshal(e.Data, &e.notice) == nil {
					out <- e
					e = sse{}
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return out
}

// next waits for the first event that is one.
func next(t *testing.T, in <-chan sse, is func(sse) bool) sse {
	t.Helper()
	n := 0
	for late := time.After(20 * time.Second); ; {
		select {
		case e := <-in:
			n++
			if is(e) {
				return e
			}
		case <-late:
			t.Fatalf("no such event came, of %d", n)
		}
	}
}

// Every change is told with who asked for it, from where, why, and what was before and after; so is what was refused.
func (s *site) audited(t *testing.T) {
	in := s.follow(t, s.admin, "")
	of := func(id string) func(sse) bool {
		return func(e sse) bool { return e.notice.Audit != nil && e.notice.Audit.Ask == id }
	}
	want(t, s.Do(t, http.MethodPost, "/api/v1/disarm", s.operator, `{"reason":"network work"}`, "Idempotency-Key: audit-1", "X-Forwarded-For: 198.51.100.7"), 200)
	n := next(t, in, of("audit-1")).notice
	c := n.Audit.Changes[0]
	if n.By != "otto" || n.Audit.Verb != "disarm" || n.Audit.Reason != "network work" || !n.Audit.Accepted || !strings.HasPrefix(n.Audit.From, "api 198.51.100.7 token ") ||
		c.What != "automation" || c.Before != "armed" || !strings.HasPrefix(c.After, "disarmed by otto") {
		t.Errorf("%+v %+v", n, n.Audit)
	}
	if strings.Contains(n.Audit.From, s.operator) || !strings.Contains(s.operator, strings.TrimPrefix(n.Audit.From, "api 198.51.100.7 token ")) {
		t.Errorf("from %q: want the token's id, and not the token", n.Audit.From)
	}
	want(t, s.Do(t, http.MethodPost, "/api/v1/arm", s.operator, `{"reason":"done"}`, "Idempotency-Key: audit-2"), 200)
	if c := next(t, in, of("audit-2")).notice.Audit.Changes[0]; c.After != "armed" {
		t.Errorf("%+v", c)
	}
	want(t, s.Do(t, http.MethodPost, "/api/v1/groups/orders/failover", s.operator, `{"reason":"r"}`, "Idempotency-Key: audit-3"), 409)
	if a := next(t, in, of("audit-3")).notice.Audit; a.Accepted || a.Changes[0].What != "group orders" {
		t.Errorf("%+v", a)
	}
	if ans := ask(t, s, events.Ask{ID: "audit-4", Verb: events.AskArm, Reason: "by bus"}); !ans.Accepted {
		t.Errorf("%+v", ans)
	}
	if n := next(t, in, of("audit-4")).notice; n.By != "tester" || n.Audit.From != "bus" {
		t.Errorf("%+v", n)
	}
}

// A stream goes on after the event that was seen last, tells what it is asked about only, and shows nothing of other projects.
func (s *site) streamed(t *testing.T) {
	first := s.follow(t, s.viewer, "")
	ours, theirs, orders := s.follow(t, s.shop, ""), s.follow(t, s.viewer, "?about=ledger"), s.follow(t, s.viewer, "?about=orders")
	for _, g := range []string{"ledger", "orders", "search"} {
		want(t, s.Do(t, http.MethodPost, "/api/v1/groups/"+g+"/failover", s.operator, `{"reason":"r"}`, "Idempotency-Key: stream-"+g), 409)
	}
	about := func(g string) func(sse) bool {
		return func(e sse) bool { return e.notice.Audit != nil && e.notice.Audit.Ask == "stream-"+g }
	}
	led := next(t, first, about("ledger"))
	if led.kind != "audit" || led.id == "" {
		t.Errorf("%+v", led)
	}
	next(t, first, about("search"))
	again := s.follow(t, s.viewer, "", "Last-Event-ID: "+led.id)
	e := next(t, again, func(e sse) bool { return true })
	if e.id <= led.id && len(e.id) <= len(led.id) {
		t.Errorf("%s came after %s", e.id, led.id)
	}
	next(t, again, about("orders"))
	next(t, again, about("search"))
	none := func(in <-chan sse, until string, not string) {
		t.Helper()
		next(t, in, func(e sse) bool {
			if e.notice.Group == not {
				t.Errorf("an event of %s came: %+v", not, e.notice)
			}
			return about(until)(e)
		})
	}
	none(ours, "search", "ledger")
	none(theirs, "ledger", "orders")
	none(orders, "orders", "ledger")
	a := s.Do(t, http.MethodGet, "/api/v1/events", s.shop, "")
	want(t, a, 200, `"search"`)
	if strings.Contains(string(a.Body), "ledger") {
		t.Errorf("history shows another project: %s", a.Body)
	}
	all := s.follow(t, s.viewer, "", "Last-Event-ID: 1") // older than what is kept here, if anything is
	next(t, all, about("search"))
	want(t, s.Do(t, http.MethodGet, "/api/v1/events", s.viewer, "", "Accept: text/event-stream", "Last-Event-ID: x"), 400)
}
