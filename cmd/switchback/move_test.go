package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
)

// accepts answers as the leader does when a group moves.
func accepts(group, op string) events.Answer {
	return events.Answer{Hash: "h", Accepted: true, Why: "moves", Items: []events.AnswerItem{{Group: group, Accepted: true, Operation: op, Rule: "failover.asked", Why: "alice asked"}}}
}

// moveSite is a site whose leader moves orders: it accepts, tells the steps, and ends as op says.
func moveSite(t *testing.T, end string, told bool) *testSite {
	s := newSite(t)
	op := ordersOperation()
	op.Ended = end
	s.door(func(ask events.Ask) events.Answer {
		if ask.DryRun {
			a := accepts("orders", "")
			a.Items[0].Why, a.Items[0].Rule = "would fail over orders; nothing was done", "failover.dry-run"
			return a
		}
		if told {
			tell := func(id, kind, why string, report *events.Operation) {
				s.tell(id, events.Notice{Type: kind, Group: "orders", Operation: "orders-8", Why: why, By: "alice", Report: report})
			}
			tell("1", events.NoticeDecision, "alice asked", nil)
			tell("2", events.NoticeFenced, "eu-west-1/orders-a fenced", nil)
			tell("2", events.NoticeFenced, "eu-west-1/orders-a fenced", nil) // a publish that was repeated
			s.tell("x", events.Notice{Type: events.NoticeServing, Group: "billing", Operation: "billing-3", Why: "somebody else's"})
			tell("3", map[string]string{"done": events.NoticeServing, "aborted": events.NoticeAborted}[end], "the end", &op)
		}
		return accepts("orders", "orders-8")
	})
	s.query("report", func(map[string]any) any {
		if told {
			return refusal("events alone must do")
		}
		return answers.Report{Group: "orders", Operation: op}
	})
	return s
}

func TestFailoverIsFollowed(t *testing.T) {
	t.Parallel()
	s := moveSite(t, "done", true)
	r := s.run("failover", "orders", "--yes", "--reason", "disk smells", "--to", "eu-central-1/orders-b", "--accept-loss")
	r.want(t, 0, "operation orders-8", "fenced  eu-west-1/orders-a fenced", "SERVING  the end", "DONE", "fence proof")
	if strings.Contains(r.out, "somebody else's") || strings.Count(r.out, "orders-a fenced") != 1 || strings.Contains(r.out, "\x1b") {
		t.Errorf("want every event of orders-8 once and no colours:\n%s", r.out)
	}
	want := []events.Ask{{Verb: "failover", Actor: "alice", Group: "orders", To: "eu-central-1/orders-b", Reason: "disk smells", AcceptLoss: true}}
	if d := cmp.Diff(want, s.asked(), cmpopts.IgnoreFields(events.Ask{}, "ID")); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
}

func TestFailoverOnATerminal(t *testing.T) {
	t.Parallel()
	s := moveSite(t, "done", true)
	r := s.as(person{types: "orders\n", terminal: true}, "failover", "orders")
	r.want(t, 0, "type orders to go on", "\x1b[32mSERVING\x1b[0m")
}

// When no event arrives at all, asking finds the end.
func TestFailoverWithoutEvents(t *testing.T) {
	t.Parallel()
	moveSite(t, "done", false).run("failover", "orders", "--yes").want(t, 0, "DONE")
}

func TestFailoverAborted(t *testing.T) {
	t.Parallel()
	moveSite(t, "aborted", true).run("failover", "orders", "--yes").want(t, exitFailed, "ABORTED  the end")
}

// An operation that gave way to a newer one has no report; one the leader does not know yet is waited for.
func TestFailoverSuperseded(t *testing.T) {
	t.Parallel()
	for last, want := range map[string]string{"orders-9": "its group went on to orders-9", "orders-7": "still under way"} {
		s := newSite(t)
		s.door(func(events.Ask) events.Answer { return accepts("orders", "orders-8") })
		s.query("report", func(q map[string]any) any {
			if q["group"] == "orders" {
				return answers.Report{Group: "orders", Operation: events.Operation{ID: last}}
			}
			return refusal("no operation is called orders-8")
		})
		s.run("failover", "orders", "--yes", "--timeout", "2s").want(t, exitFailed, want)
	}
}

func TestFailoverOutputs(t *testing.T) {
	t.Parallel()
	r := moveSite(t, "done", true).run("failover", "orders", "--yes", "-o", "json")
	var got answered
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || len(got.Operations) != 1 || got.Operations[0].Ended != "done" || !got.Answer.Accepted {
		t.Fatalf("want one JSON object with answer and operation: %v\n%s", err, r.out)
	}
	r = moveSite(t, "done", true).run("failover", "orders", "--yes", "--detach")
	r.want(t, 0, "operation orders-8")
	if strings.Contains(r.out, "SERVING") {
		t.Errorf("followed although detached:\n%s", r.out)
	}
}

// Nothing dangerous is asked for unless its name was typed or --yes was given.
func TestConfirm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.door(func(events.Ask) events.Answer { return events.Answer{Hash: "h", Accepted: true, Why: "thrown"} })
	for _, c := range []struct {
		line, types string
		code        int
		word        string
	}{
		{"failover orders", "", exitUsage, "want --yes"},
		{"failover orders", "y\n", exitFailed, "not orders: nothing was done"},
		{"failover orders", "order\n", exitFailed, "nothing was done"},
		{"disarm", "", exitUsage, "want --yes"},
		{"disarm", "yes\n", exitFailed, "type fleet to go on"},
		{"disarm orders", "\n", exitFailed, "type orders to go on"},
	} {
		s.as(person{types: c.types}, strings.Fields(c.line)...).want(t, c.code, c.word)
	}
	if asked := s.asked(); len(asked) > 0 {
		t.Errorf("asked although nobody confirmed: %+v", asked)
	}
	s.as(person{types: "fleet\n"}, "disarm").want(t, 0, "thrown")
	s.run("arm").want(t, 0, "thrown") // never asks
}

func TestAsks(t *testing.T) {
	t.Parallel()
	s := moveSite(t, "done", true)
	for line, want := range map[string]events.Ask{
		"failover orders --dry-run":                             {Verb: "failover", Group: "orders", DryRun: true},
		"failover orders --dry-run --unfenced --reason fire":    {Verb: "failover", Group: "orders", DryRun: true, Unfenced: true, Reason: "fire"},
		"failover orders --dry-run --while-blind --reason eyes": {Verb: "failover", Group: "orders", DryRun: true, WhileBlind: true, Reason: "eyes"},
		"restore orders": {Verb: "restore", Group: "orders"},
		"restore orders --cluster eu-west-1/orders-a --copy":       {Verb: "restore", Group: "orders", Cluster: "eu-west-1/orders-a", Copy: true},
		"restore eu-west-1/orders-a --detach":                      {Verb: "restore", Cluster: "eu-west-1/orders-a"},
		"restore --cluster eu-west-1/orders-a --dry-run":           {Verb: "restore", Cluster: "eu-west-1/orders-a", DryRun: true},
		"rebuild orders --copy --yes --reason checksums":           {Verb: "rebuild", Group: "orders", Copy: true, Reason: "checksums"},
		"rebuild orders --copy --dry-run":                          {Verb: "rebuild", Group: "orders", Copy: true, DryRun: true},
		"protect orders":                                           {Verb: "protect", Group: "orders"},
		"protect eu-north-1/orders-c --while-blind --reason eyes":  {Verb: "protect", Cluster: "eu-north-1/orders-c", WhileBlind: true, Reason: "eyes"},
		"switchover orders --dry-run":                              {Verb: "switchover", Group: "orders", DryRun: true},
		"switchover orders --yes --detach --to eu-west-1/orders-a": {Verb: "switchover", Group: "orders", To: "eu-west-1/orders-a"},
		"failback orders --dry-run":                                {Verb: "failback", Group: "orders", DryRun: true},
		"failback orders --yes --detach --reason home":             {Verb: "failback", Group: "orders", Reason: "home"},
		"release orders --yes":                                     {Verb: "release", Group: "orders"},
		"release orders --dry-run":                                 {Verb: "release", Group: "orders", DryRun: true},
		"maintenance eu-west-1/orders-a --for 30m --reason disk":   {Verb: "maintenance", Cluster: "eu-west-1/orders-a", For: events.Duration(30 * time.Minute), Reason: "disk"},
		"maintenance eu-west-1/orders-a --end":                     {Verb: "maintenance", Cluster: "eu-west-1/orders-a"},
		"restart eu-west-1/orders-a --yes":                         {Verb: "restart", Cluster: "eu-west-1/orders-a"},
		"restart eu-west-1/orders-a --dry-run":                     {Verb: "restart", Cluster: "eu-west-1/orders-a", DryRun: true},
		"abort orders":                                             {Verb: "abort", Group: "orders"},
		"arm":                                                      {Verb: "arm"},
		"arm orders":                                               {Verb: "arm", Group: "orders"},
		"disarm --region eu-west-1 --yes --reason work":            {Verb: "disarm", Region: "eu-west-1", Reason: "work"},
		"approve --region eu-west-1":                               {Verb: "approve", Region: "eu-west-1"},
		"--as bob arm orders --id the-same-again":                  {Verb: "arm", Group: "orders", ID: "the-same-again", Actor: "bob"},
	} {
		before := len(s.asked())
		s.run(strings.Fields(line)...).want(t, 0)
		asked := s.asked()
		if len(asked) != before+1 {
			t.Fatalf("%s: asked %d times", line, len(asked)-before)
		}
		got := asked[before]
		if want.ID == "" && len(got.ID) < 16 {
			t.Errorf("%s: id %q is too short to be unique", line, got.ID)
		}
		if want.Actor == "" {
			want.Actor = "alice"
		}
		if want.ID == "" {
			want.ID = got.ID
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", line, d)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	answers := map[string]events.Answer{
		"whole": {Hash: "h", Why: `no group is called "whole"`},
		"one":   {Hash: "h", Items: []events.AnswerItem{{Group: "one", Rule: "refuse.loss", Why: "unknown lag: repeat it with --accept-loss"}}},
		"door":  {Why: "stored, but no controller has answered"},
	}
	s.door(func(a events.Ask) events.Answer { return answers[a.Group] })
	s.run("failover", "whole", "--yes").want(t, exitRefused, `no group is called "whole" (rule refuse.ask)`)
	s.run("failover", "one", "--yes").want(t, exitRefused, "unknown lag: repeat it with --accept-loss (rule refuse.loss)")
	s.run("arm", "one").want(t, exitRefused, "(rule refuse.loss)")
	s.run("arm", "door").want(t, exitUnreachable, "stored, but no controller has answered")
}

func TestBadAsks(t *testing.T) {
	t.Parallel()
	for line, word := range map[string]string{
		"failover":                                   "want a GROUP or --region REGION",
		"failover orders --region eu-west-1":         "want a GROUP or --region REGION",
		"failover orders --unfenced --yes":           "gives no reason",
		"failover orders --while-blind --yes":        "gives no reason",
		"failover orders --to nowhere --yes":         "want region/cluster",
		"failover --region eu-west-1 --to a/b --yes": "want one of them",
		"failover Orders --yes":                      "group \"Orders\"",
		"abort":                                      "accepts 1 arg(s)",
		"approve":                                    "want a GROUP or --region REGION",
		"disarm --region= --yes":                     "want a GROUP or --region REGION",
		"arm a b":                                    "accepts at most 1 arg(s)",
		"restore":                                    "want a GROUP, or a REGION/CLUSTER",
		"restore a/b --cluster a/c":                  "a/b and --cluster a/c: want one of them",
		"restore orders --cluster orders-a":          "want region/cluster",
		"restore a/b/c":                              "cluster \"b/c\"",
		"restore Orders":                             "group \"Orders\"",
		"rebuild orders --copy":                      "want --yes",
		"protect orders --copy":                      "unknown flag",
		"switchover":                                 "want a GROUP or --region REGION",
		"switchover --region eu-west-1":              "want --yes",
		"switchover orders --canary 2 --yes":         "says nothing of one group",
		"failback --plan x --soak 5m --yes":          "a plan is run as it was shown",
		"failover --select color=red --yes":          "want project=NAME",
		"failover --region eu --unfenced --yes":      "one group at a time",
		"plan restore --region eu":                   "want one of [failover failback switchover drill]",
		"plan failback":                              "want one of them",
		"rollout skip x":                             "accepts 2 arg(s)",
		"switchover orders":                          "want --yes",
		"failback orders --while-blind --yes":        "gives no reason",
		"failback orders":                            "want --yes",
		"release orders":                             "want --yes",
		"maintenance orders --for 30m":               "want region/cluster",
		"maintenance a/b":                            "want --for DURATION, as in --for 30m, or --end",
		"maintenance a/b --for 30m --end":            "or --end",
		"maintenance a/b --for 0s":                   "--for 0s: want more than 0, or --end",
		"maintenance a/b --for 200h":                 "want 0 (it ends now) to 168h0m0s",
		"restart orders --yes":                       "want region/cluster",
		"failover orders --nonsense":                 "unknown flag",
	} {
		r := person{}.run(t.Context(), append([]string{"--hub", "nats://127.0.0.1:1", "--as", "alice"}, strings.Fields(line)...)...)
		r.want(t, exitUsage, word)
	}
}
