package main

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
)

// says is a leader that tells of one operation of orders after another.
func (s *testSite) says(kind, why string, o events.Operation) {
	n := events.Notice{Type: kind, Group: "orders", Operation: o.ID, Why: why, By: "alice"}
	if o.Ended != "" || kind == events.NoticeProtected {
		n.Report = &o
	}
	s.tell(kind+o.ID, n)
}

// reports is a leader whose reports are these, by operation, the last one the group's.
func (s *testSite) reports(ask *atomic.Value, ops ...events.Operation) {
	s.query("report", func(q map[string]any) any {
		for i, o := range ops {
			if id, known := ask.Load().(string); known {
				o.Ask = id
			}
			if q["operation"] == o.ID || q["group"] == "orders" && i == len(ops)-1 {
				return answers.Report{Group: "orders", Operation: o}
			}
		}
		return refusal("no operation is called %q", q["operation"])
	})
}

// A restore is followed phase by phase; a pipe gets a line for each.
func TestRestoreIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	op := restoreOperation()
	op.Then = ""
	s.door(func(events.Ask) events.Answer { return accepts("orders", op.ID) })
	var looks atomic.Int64
	ended := make(chan struct{})
	s.query("group", func(q map[string]any) any {
		if q["group"] != "orders" {
			return refusal("no group")
		}
		g := restoringView()
		switch looks.Add(1) {
		case 1, 2:
			g.Clusters[0].Work = &events.Work{Phase: "count", Took: time.Second}
		case 4: // the rewind was seen by then
			s.says(events.NoticeRestored, "eu-west-1/orders-a follows eu-central-1/orders-b", op)
			close(ended)
		}
		return g
	})
	r := s.run("restore", "orders")
	<-ended
	r.want(t, 0, "operation orders-restore-3", "REBUILDING  eu-west-1/orders-a: count", "REBUILDING  eu-west-1/orders-a: rewind 68 % of 1.2 GB", "RESTORED", "how          rewound",
		"kept in db17:"+kept)
	if strings.Count(r.out, "count") != 1 || strings.Contains(r.out, "\x1b") {
		t.Errorf("want each phase once and no control characters:\n%s", r.out)
	}
}

// On a terminal the last line says how far it is.
func TestRestoreOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	op := restoreOperation()
	s.door(func(events.Ask) events.Answer { return accepts("orders", op.ID) })
	var looks atomic.Int64
	ended := make(chan struct{})
	s.query("group", func(map[string]any) any {
		if looks.Add(1) == 2 {
			s.says(events.NoticeFailed, "needs 412 GB", events.Operation{ID: op.ID, Verb: "restore", Ended: "failed", EndWhy: "needs 412 GB, 80 GB are free"})
			close(ended)
		}
		return restoringView()
	})
	r := s.as(person{types: "x\n", terminal: true}, "restore", "orders")
	<-ended
	r.want(t, exitFailed, eraseLine+"   0.0 s  rewind 820 MB of 1.2 GB, 68 % …", "FAILED", "end          needs 412 GB")
}

// A failback is followed through its restore to the swap that the leader begins by itself, and on until the group is protected.
func TestFailbackIsFollowed(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		s := newSite(t)
		restore, home := restoreOperation(), swapOperation()
		protected := home
		protected.Protected = 1400 * time.Millisecond
		var ask atomic.Value
		s.door(func(a events.Ask) events.Answer {
			ask.Store(a.ID)
			if told {
				s.says(events.NoticeRestored, "it follows", restore)
				s.says(events.NoticeDecision, "its home is restored", events.Operation{ID: home.ID})
				s.says(events.NoticeServing, "eu-west-1/orders-a serves", home)
				s.says(events.NoticeProtected, "protected again", protected)
			}
			return accepts("orders", restore.ID)
		})
		s.reports(&ask, restore, protected)
		s.query("group", func(map[string]any) any { return ordersView() })
		r := s.run("failback", "orders", "--yes", "--reason", "fixed")
		r.want(t, 0, "orders-restore-3 restore of eu-west-1/orders-a", "orders-9 failback", "serving again 230 ms   protected again 1.4 s")
		if told {
			r.want(t, 0, "RESTORED  it follows", "decision  its home is restored", "SERVING  eu-west-1/orders-a serves")
		}
		want := []events.Ask{{Verb: "failback", Actor: "alice", Group: "orders", Reason: "fixed"}}
		if d := cmp.Diff(want, s.asked(), cmpopts.IgnoreFields(events.Ask{}, "ID")); d != "" {
			t.Errorf("asked (-want +got):\n%s", d)
		}
		var got answered
		r = s.run("failback", "orders", "--yes", "-o", "json")
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 || len(got.Operations) != 2 || got.Operations[1].Protected == 0 || len(got.Operations[0].Lost.List) != 3 {
			t.Errorf("want both operations, whole, as one JSON object: %v\n%s\n%s", err, r.out, r.err)
		}
	}
}

// A leader that gives the swap up says so by the restore's id; one that fails to restore never comes to it.
func TestFailbackGivenUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		end  events.Operation
		says string
	}{
		{events.Operation{ID: "orders-restore-3", Verb: "failback", From: ordersB, To: ordersA, Ended: "failed", EndWhy: "not begun: eu-west-1/orders-a is 12 MB behind"}, "not begun: eu-west-1/orders-a is 12 MB behind"},
		{events.Operation{ID: "orders-restore-3", Verb: "restore", From: ordersB, To: ordersA, Ended: "failed", EndWhy: "no room"}, "no room"},
	} {
		s := newSite(t)
		var ask atomic.Value
		s.door(func(events.Ask) events.Answer {
			if c.end.Verb == "failback" {
				s.says(events.NoticeRestored, "it follows", restoreOperation())
			} else {
				s.says(events.NoticeFailed, "it failed", c.end)
			}
			return accepts("orders", "orders-restore-3")
		})
		s.reports(&ask, c.end, ordersOperation()) // the group's last move is an older one
		s.query("group", func(map[string]any) any { return ordersView() })
		s.run("failback", "orders", "--yes").want(t, exitFailed, "FAILED", c.says)
	}
}

// A swap that serves is done, protected or not: what it waits for is said.
func TestSwitchoverUnprotected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.door(func(events.Ask) events.Answer {
		s.says(events.NoticeServing, "it serves", swapOperation())
		return accepts("orders", "orders-9")
	})
	s.query("group", func(map[string]any) any { return heldView() })
	s.run("switchover", "orders", "--yes", "--timeout", "1s").want(t, 0, "serving again 230 ms   protected again: not yet",
		"not protected yet: eu-west-1/orders-a failed: waits for `switchback restore orders`")
	aborted := swapOperation()
	aborted.Ended = "aborted"
	s = newSite(t)
	s.door(func(events.Ask) events.Answer {
		s.says(events.NoticeAborted, "it did not stop in its time", aborted)
		return accepts("orders", "orders-9")
	})
	s.run("switchover", "orders", "--yes").want(t, exitFailed, "ABORTED")
}

// Whoever confirms is told what will happen to what is there now.
func TestConfirmHome(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.door(func(events.Ask) events.Answer { return events.Answer{Hash: "h", Accepted: true, Why: "thrown"} })
	s.query("group", func(q map[string]any) any {
		g := heldView()
		switch {
		case q["cluster"] == "eu-north-1/orders-c" || q["group"] == "nobody":
			return refusal("not known")
		case q["group"] == "well":
			g.Clusters[0].Role = events.RolePassive
		case q["cluster"] == "eu-north-1/orders-p":
			g.Clusters[0].Cluster, g.Clusters[0].Role = events.Ref{Region: "eu-north-1", Cluster: "orders-p"}, events.RolePassive
		}
		return g
	})
	for _, c := range []struct{ line, word string }{
		{"switchover well", "switchover of well: eu-central-1/orders-b hands over to eu-west-1/orders-a: clients are disconnected"},
		{"switchover nobody", "switchover of nobody: its active hands over to its best candidate"},
		{"failback orders", "failback of orders to eu-west-1/orders-a: it is failed and restored first (what only it has is counted and kept) while eu-central-1/orders-b serves on"},
		{"failback well", "failback of well to eu-west-1/orders-a: eu-central-1/orders-b hands over to it"},
		{"failback nobody", "failback of nobody to its home: if it is failed it is restored first"},
		{"rebuild orders --copy", "type orders to go on"},
		{"rebuild orders --copy --cluster eu-west-1/orders-a", "type eu-west-1/orders-a to go on"},
		{"release orders", "nothing fences them, fails them over or restores them any more"},
		{"restart eu-central-1/orders-b", "it is the active of orders"},
		{"restart eu-north-1/orders-c", "if it is active, its clients are disconnected"},
	} {
		s.as(person{types: "n\n"}, strings.Fields(c.line)...).want(t, exitFailed, c.word, "nothing was done")
	}
	s.run("restart", "eu-central-1/orders-b").want(t, exitUsage, "want --yes")
	if asked := s.asked(); len(asked) > 0 {
		t.Errorf("asked although nobody confirmed: %+v", asked)
	}
	s.as(person{types: "eu-central-1/orders-b\n"}, "restart", "eu-central-1/orders-b").want(t, 0, "thrown")
	s.as(person{types: "orders\n"}, "failback", "orders").want(t, 0, "thrown")
	for _, line := range []string{"restart eu-north-1/orders-p", "restore orders --copy", "rebuild orders", "protect orders", "maintenance eu-west-1/orders-a --for 1h"} { // not dangerous
		s.run(strings.Fields(line)...).want(t, 0, "thrown")
	}
}

// Who can't be reached is said before anybody confirms.
func TestConfirmUnreachable(t *testing.T) {
	t.Parallel()
	r := person{types: "orders\n"}.run(t.Context(), "failback", "orders", "--hub", "nats://127.0.0.1:1", "--as", "alice", "--timeout", "300ms")
	if r.code != exitUnreachable || strings.Contains(r.err, "type orders") {
		t.Errorf("%+v", r)
	}
}

func TestReportCommits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	op := restoreOperation()
	var none atomic.Value
	s.reports(&none, op)
	s.query("group", func(map[string]any) any { return restoringView() })
	s.run("report", "orders-restore-3", "--commits").want(t, 0, "kept in db17:"+kept, "7741  0/5A1F0", "the first 3 of 37: all of them are listed in db17:"+kept)
	var got answers.Report
	r := s.run("report", "orders-restore-3", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(op, got.Operation); d != "" {
		t.Errorf("JSON is not the operation (-want +got):\n%s", d)
	}
}

// Status says what unprotected groups wait for where the fleet is small enough to be looked at.
func TestStatusWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	st := darkStatus()
	s.query("status", func(map[string]any) any { return st })
	s.query("groups", func(map[string]any) any { return answers.Groups{Groups: comingHome()} })
	s.run("status").want(t, 0, "of which 42 unprotected: 2 wait for eu-west-1, 2 are being restored (68 % of 2.4 GB)")
	large := *st
	large.Groups = groupsPage + 1
	st = &large
	s.run("status").want(t, 0, "42 unprotected: no healthy passive")
}

func TestHelpIsAStory(t *testing.T) {
	t.Parallel()
	r := person{}.run(t.Context(), "--help")
	at := 0
	for _, verb := range []string{"Move:", "failover", "restore", "rebuild", "switchover", "failback", "abort", "Steer:", "maintenance", "restart", "Set up:", "protect", "release", "apply"} {
		i := strings.Index(r.out[at:], "\n"+map[bool]string{true: "", false: "  "}[strings.HasSuffix(verb, ":")]+verb)
		if i < 0 {
			t.Fatalf("want %s after what comes before it:\n%s", verb, r.out)
		}
		at += i + 1
	}
}
