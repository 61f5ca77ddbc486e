package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// refusal is how the leader says that it can't answer.
func refusal(format string, args ...any) any {
	return map[string]string{"error": fmt.Sprintf(format, args...)}
}

// lookSite is a site whose leader knows one group, orders, and 1,203 others.
func lookSite(t *testing.T) *testSite {
	s := newSite(t)
	s.query("status", func(map[string]any) any { return darkStatus() })
	s.query("group", func(q map[string]any) any {
		if q["group"] != "orders" {
			return refusal("no group is called %q: `switchback groups` lists them", q["group"])
		}
		return ordersView()
	})
	s.query("groups", func(q map[string]any) any {
		out := answers.Groups{Groups: []fleet.GroupView{}}
		after, _ := q["after"].(string) // none: from the first
		for i := range 1203 {
			g := ordersView()
			g.Group = fmt.Sprintf("g-%04d", i)
			if g.Group <= after || !strings.Contains(g.Group, q["match"].(string)) {
				continue
			}
			if out.More = len(out.Groups) == int(q["limit"].(float64)); out.More {
				break
			}
			out.Groups = append(out.Groups, g)
		}
		return out
	})
	s.query("why", func(q map[string]any) any {
		if q["group"] == "orders" || q["region"] == "eu-west-1" {
			return ordersWhy()
		}
		return refusal("nothing of that name")
	})
	s.query("report", func(q map[string]any) any {
		if q["operation"] == "orders-8" || q["group"] == "orders" {
			return answers.Report{Group: "orders", Operation: ordersOperation()}
		}
		if q["group"] != nil {
			return refusal("no group is called %q", q["group"])
		}
		return refusal("no operation is called %q", q["operation"])
	})
	return s
}

func TestLook(t *testing.T) {
	t.Parallel()
	s := lookSite(t)
	for _, c := range []struct {
		line  string
		code  int
		words []string
	}{
		{"status", 0, []string{"leader eu-north-1/c1 (term 88214)", "eu-west-1     out", "billing"}},
		{"group orders", 0, []string{"AWAY from home", "silent 3m15s"}},
		{"group nobody", 1, []string{`no group is called "nobody"`}},
		{"group", 2, []string{"accepts 1 arg(s), received 0", "see: switchback group --help"}},
		{"group orders --dsn", 0, []string{"host=10.0.1.17,10.1.1.17 port=5432,5433 target_session_attrs=read-write connect_timeout=2\n"}},
		{"why orders", 0, []string{"(rule failover.region-out)", "blocks  0.8s old", "wait.region-suspect"}},
		{"why --region eu-west-1", 0, []string{"eu-west-1: silent 30.2 s"}},
		{"why", 2, []string{"want a GROUP or --region REGION"}},
		{"why orders --region eu-west-1", 2, []string{"want a GROUP or --region REGION"}},
		{"why Orders", 2, []string{`group "Orders" has 'O' at position 1`}},
		{"report orders-8", 0, []string{"DONE", "fence proof  lease: revoked on acceptors 0 at seq 7741"}},
		{"report orders", 0, []string{"orders-8 failover"}},
		{"report nothing-1", 1, []string{`no operation is called "nothing-1"; no group is called "nothing-1"`}},
		{"groups --match g-119", 0, []string{"g-1190", "g-1199"}},
		{"groups --match none", 0, []string{"no groups"}},
		{"status --output xml", 2, []string{`--output "xml": want table, json or yaml`}},
		{"status --as Alice", 2, []string{"actor"}},
		{"status --timeout -1s", 2, []string{"--timeout -1s"}},
		{"status extra", 2, []string{`unknown command "extra"`}},
		{"stauts", 2, []string{`unknown command "stauts"`, "status"}},
		{"version", 0, []string{"switchback "}},
	} {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			s.run(strings.Fields(c.line)...).want(t, c.code, c.words...)
		})
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	s := lookSite(t)
	person{}.run(t.Context(), "__complete", "--hub", s.url, "group", "g-000").want(t, 0, "g-0000\n", "g-0009\n")
	if r := (person{}).run(t.Context(), "__complete", "--hub", "nats://127.0.0.1:1", "group", "g"); r.code != 0 || r.out != ":4\n" {
		t.Errorf("without a hub: %+v", r)
	}
	person{}.run(t.Context(), "completion", "bash").want(t, 0, "bash completion")
}

// Every page of groups is asked for, and each is there once.
func TestGroupsPages(t *testing.T) {
	t.Parallel()
	r := lookSite(t).run("groups")
	r.want(t, 0)
	if n := strings.Count(r.out, "\n"); n != 1204 {
		t.Fatalf("%d lines, want a head and 1203 groups", n)
	}
}

// JSON and YAML are the leader's answer as it came, whatever this program knows of it.
func TestOutputs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	answer := asMap(ordersView())
	answer["newer"] = map[string]any{"than": "this program", "n": "18446744073709551615"}
	s.query("group", func(map[string]any) any { return answer })
	for kind, read := range map[string]func([]byte, any) error{"json": json.Unmarshal, "yaml": yaml.Unmarshal} {
		r := s.run("group", "orders", "-o", kind)
		r.want(t, 0)
		var got map[string]any
		if err := read([]byte(r.out), &got); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var again map[string]any
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(answer, again); d != "" {
			t.Errorf("%s is not what the leader said (-said +printed):\n%s", kind, d)
		}
	}
}

func TestDSNWithoutAddress(t *testing.T) {
	t.Parallel()
	g := ordersView()
	g.Clusters[1].Address = ""
	if s, err := dsnOf(&g); err == nil || !strings.Contains(err.Error(), "eu-central-1/orders-b") {
		t.Errorf("got %q, %v: want an error that names the cluster", s, err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	person{}.run(t.Context(), "status", "--hub", "nats://127.0.0.1:1", "--as", "alice").want(t, exitUnreachable, "reach the hub at nats://127.0.0.1:1")
	s := newSite(t)
	s.run("status", "--timeout", "300ms").want(t, exitUnreachable, "no controller answers")
	s.run("arm", "--timeout", "300ms").want(t, exitUnreachable, "no controller answers", "--id")
}

// Who interrupts is told that it was interrupted, not that nobody answers.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	s.query("status", func(map[string]any) any {
		cancel()
		<-ended
		return darkStatus()
	})
	for range 2 { // while it waits for an answer, then before it is connected
		r := person{}.run(ctx, "status", "--hub", s.url, "--as", "alice")
		if r.code != exitFailed || !strings.Contains(r.err, "context canceled") || strings.Contains(r.err, "no controller") {
			t.Errorf("%+v", r)
		}
	}
	close(ended)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.tell("1", events.Notice{Type: events.NoticeWait, Group: "orders", Rule: "wait.manual", Why: "a person decides", By: "automation"})
	s.tell("2", events.Notice{Type: events.NoticeVerdict, Region: "eu-west-1", Rule: "region.out", Why: "out: silent"})
	s.store(events.StreamEvents, events.SubjectAnswer("abc"), events.Answer{ID: "x", Why: "an answer is no event"})
	r := s.run("events")
	r.want(t, 0, "a person decides  (rule wait.manual)", "out: silent  (rule region.out)")
	if strings.Contains(r.out, "an answer") || strings.Index(r.out, "a person") > strings.Index(r.out, "silent") {
		t.Fatalf("want two events, oldest first:\n%s", r.out)
	}
	if r := s.run("events", "orders"); r.code != 0 || strings.Count(r.out, "\n") != 1 {
		t.Fatalf("want the one event of orders: %+v", r)
	}
	r = s.run("events", "-o", "json")
	for line := range strings.Lines(r.out) {
		var e events.Envelope
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.SpecVersion != "1.0" {
			t.Fatalf("%q is not one CloudEvent: %v", line, err)
		}
	}
}

func TestEventsFollow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lockedBuffer
	done := make(chan int)
	go func() {
		a := &app{out: &out, err: &out, env: func(string) string { return "" }, now: noonNow}
		done <- a.run(ctx, []string{"events", "orders", "-f", "--hub", s.url, "--as", "alice"})
	}()
	n := 0
	eventually(t, "the follower prints an event", func() bool {
		n++
		s.tell(fmt.Sprint(n), events.Notice{Type: events.NoticeAlarm, Group: "billing", Why: "not asked for"})
		s.store(events.StreamEvents, events.SubjectOperation("orders-8"), mustWrap(t, events.Notice{Type: events.NoticeServing, Group: "orders", Why: "a copy"}))
		s.tell(fmt.Sprint(n, "b"), events.Notice{Type: events.NoticeAlarm, Group: "orders", Why: "disk full"})
		return strings.Contains(out.String(), "disk full")
	})
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d after an interruption, want 0", code)
	}
	if strings.Contains(out.String(), "not asked for") || strings.Contains(out.String(), "a copy") {
		t.Errorf("printed another group's event, or the copy that keeps a report:\n%s", out.String())
	}
}

func TestStatusWatch(t *testing.T) {
	t.Parallel()
	s := lookSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lockedBuffer
	done := make(chan int)
	go func() {
		a := &app{out: &out, err: &out, env: func(string) string { return "" }, now: noonNow}
		done <- a.run(ctx, []string{"status", "--watch", "--hub", s.url, "--as", "alice"})
	}()
	eventually(t, "a second look", func() bool { return strings.Count(out.String(), "leader eu-north-1/c1") >= 2 })
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d after an interruption, want 0", code)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("a pipe got control characters")
	}
}
