package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestOperator asks over plain NATS and by the program, on one fleet whose processes are all well.
func TestOperator(t *testing.T) {
	groups := stage.Groups(3)
	p := begin(t, groups)
	p.badInput()
	p.dryRun(groups[2])
	p.askTwice(groups[0])
	p.byProgram(groups[1])
	p.automation(groups[2])
	if v := p.view(groups[2].Name); v.Active() != groups[2].Primary() || v.Record.Op != nil {
		t.Errorf("nobody moved %s, and yet: %+v", groups[2].Name, v.Record)
	}
}

// badInput is everything that must be refused, and that must change nothing.
func (p *play) badInput() {
	p.t.Helper()
	before := p.records()
	for _, x := range []struct{ verb, body, says string }{
		{"failover", `{"group":"nowhere"}`, "nowhere"},
		{"failover", `{"group":"orders"`, ""},
		{"failover", ``, "neither group nor region"},
		{"failover", `{"group":"orders","acept_loss":true}`, "acept_loss"},
		{"failover", `{"group":"orders","region":"eu-west-1"}`, "one of them"},
		{"failover", `{"group":"ORDERS"}`, "ORDERS"},
		{"failover", `{"group":"orders","to":"eu-north-1/orders-x"}`, "eu-north-1/orders-x"},
		{"failover", `{"group":"orders","to":"eu-west-1/orders-a"}`, ""},
		{"failover", `{"group":"orders","unfenced":true}`, "reason"},
		{"failover", `{"group":"orders"} and more`, ""},
		{"failover", `{"verb":"arm","group":"orders"}`, "verb"},
		{"abort", `{"group":"orders"}`, ""},
		{"explode", `{"group":"orders"}`, "explode"},
		{"approve", `{"region":"eu-nowhere-1"}`, "eu-nowhere-1"},
	} {
		a, err := p.Bus().Ask(p.shortly(), "mallory", x.verb, x.body)
		if err != nil || a.Accepted || !strings.Contains(fmt.Sprint(a), x.says) {
			p.t.Errorf("%s %s: %+v, %v; want a refusal that names %q", x.verb, x.body, a, err, x.says)
		}
	}
	for _, x := range []struct{ file, says string }{
		{"groups: {orders: {kind: postgres, primary: eu-west-1/orders-a, recovery: []}}", "groups.orders.recovery"},
		{"defaults: {mode: atuo}\n" + strings.TrimPrefix(stage.Fleet(p.Groups()), "version: 1\ndefaults: {profile: fast}\n"), "atuo"},
		{stage.Fleet(p.Groups()) + "  extra: {kind: postgres, primary: eu-west-1/orders-a, recovery: [eu-central-1/extra-b]}\n", "orders-a"},
		{"groups: [", ""},
	} {
		if out, err := p.Apply(x.file); err == nil || exit(err) < 1 || !strings.Contains(out+err.Error(), x.says) {
			p.t.Errorf("apply of %q: exit %d, %s %v; want a refusal that names %q", x.file, exit(err), out, err, x.says)
		}
	}
	for _, args := range [][]string{{"failover"}, {"failover", "nowhere", "--yes"}, {"failover", "orders", "--region", "eu-west-1", "--yes"}, {"nonsense"}, {"status", "--output", "xml"}, {"group", "nowhere"}} {
		if out, err := p.Command(p.shortly(), args...); exit(err) < 1 {
			p.t.Errorf("switchback %v: exit %d, %s; want a refusal", args, exit(err), out)
		}
	}
	if d := cmp.Diff(before, p.records()); d != "" {
		p.t.Errorf("what was refused changed something: %s", d)
	}
}

// records are the records of all groups, with what may not change by itself.
func (p *play) records() map[string]events.Record {
	p.t.Helper()
	out := map[string]events.Record{}
	p.wait("somebody shows the groups", func() error {
		all, err := p.Bus().Groups(p.t.Context())
		for _, v := range all {
			out[v.Group] = *v.Record
		}
		return err
	})
	return out
}

// dryRun says what would happen and does nothing.
func (p *play) dryRun(g stage.Group) {
	p.t.Helper()
	before := p.records()
	a, err := p.Bus().Ask(p.shortly(), "alice", "failover", `{"id":"dry","group":"`+g.Name+`","dry_run":true}`)
	p.do(err)
	if !a.Accepted || len(a.Items) != 1 || !a.Items[0].Accepted {
		p.t.Errorf("dry run: %+v; want it to say that it would move", a)
	}
	if d := cmp.Diff(before, p.records()); d != "" {
		p.t.Errorf("a dry run changed something: %s", d)
	}
}

// askTwice moves a group by a CloudEvent from a plain NATS client and follows it to the end. The same event again gets the same answer; another one of that id is refused.
func (p *play) askTwice(g stage.Group) {
	p.t.Helper()
	body := `{"specversion":"1.0","id":"drill-7","source":"/runbook","type":"dev.switchback.ask","data":{"group":"` + g.Name + `","reason":"drill 7"}}`
	skip, fault := p.heard(), stage.Clock()
	first, err := p.Bus().Ask(p.shortly(), "alice", "failover", body)
	p.do(err)
	if !first.Accepted || len(first.Items) != 1 || first.Items[0].Operation == "" || first.ID != "drill-7" {
		p.t.Fatalf("answer: %+v; want one operation", first)
	}
	again, err := p.Bus().Ask(p.shortly(), "alice", "failover", body)
	p.do(err)
	if d := cmp.Diff(first, again); d != "" {
		p.t.Errorf("the same event again gets another answer: %s", d)
	}
	other, err := p.Bus().Ask(p.shortly(), "alice", "failover", strings.ReplaceAll(body, g.Name, "search"))
	p.do(err)
	if other.Accepted || !strings.Contains(other.Why, "drill-7") {
		p.t.Errorf("another event of the same id: %+v; want a refusal that names the id", other)
	}
	p.serving(skip, fault, g, g.Recovery())
	p.story(skip, g, first.Items[0].Operation, "alice")
	again, err = p.Bus().Ask(p.shortly(), "alice", "failover", body)
	p.do(err)
	if d := cmp.Diff(first, again); d != "" {
		p.t.Errorf("the same event after the move gets another answer: %s", d)
	}
	p.clean(g, fault)
}

// story checks that the events tell a move from the decision to the end, in order, all of the same operation.
func (p *play) story(skip int, g stage.Group, operation, by string) {
	p.t.Helper()
	want := []string{events.NoticeDecision, events.NoticeFenced, events.NoticePromoted, events.NoticeServing}
	var got []string
	all, _ := p.Bus().Events()
	for _, e := range all[skip:] {
		n := e.Notice
		if n.Group != g.Name || !slices.Contains(want, n.Type) {
			continue
		}
		got = append(got, n.Type)
		if n.Operation != operation || n.Why == "" || n.Rule == "" || e.SpecVersion != "1.0" || e.CloudRegion == "" || e.Envelope.Epoch != 2 {
			b, _ := json.Marshal(e.Envelope)
			p.t.Errorf("event of %s: want operation, reason, rule, region and epoch in it: %s", operation, b)
		}
		if n.Type == events.NoticeDecision && n.By != by {
			p.t.Errorf("decision by %q, want %q", n.By, by)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		p.t.Errorf("the events of %s: %s", operation, d)
	}
}

// clean checks a move whose old active was alive: its agent's word on a clean stop is the proof, everything arrived, nothing is lost.
func (p *play) clean(g stage.Group, fault stage.Instant) {
	p.t.Helper()
	j := p.judge(g, fault, nil)
	if len(j.Lost) != 0 {
		p.t.Errorf("%s lost %d acknowledged writes in a planned move", g.Name, len(j.Lost))
	}
	if j.Op.Proof.Kind != events.ProofAck || !j.Op.Planned || j.Op.Stopped == 0 || j.Op.Promoted < j.Op.Stopped {
		p.t.Errorf("%s: proof %s, planned %v, stopped at %v, promoted at %v; want the agent's word and everything up to the stop promoted",
			g.Name, j.Op.Proof.Kind, j.Op.Planned, j.Op.Stopped, j.Op.Promoted)
	}
	if j.Op.Loss == nil || !j.Op.Loss.Known || j.Op.Loss.Bytes != 0 {
		p.t.Errorf("%s: the report says of the loss: %+v; want none, known", g.Name, j.Op.Loss)
	}
}

// byProgram moves a group by the program itself, which follows it to the end.
func (p *play) byProgram(g stage.Group) {
	p.t.Helper()
	skip, fault := p.heard(), stage.Clock()
	out, err := p.Command(p.t.Context(), "failover", g.Name, "--yes", "--as", "bob", "--reason", "disk smells")
	if err != nil {
		p.t.Fatalf("%v %s", err, out)
	}
	p.serving(skip, fault, g, g.Recovery())
	p.story(skip, g, p.view(g.Name).Record.Op.ID, "bob")
	p.clean(g, fault)
	out, err = p.Command(p.shortly(), "failover", g.Name, "--yes", "--as", "bob")
	if exit(err) != 3 {
		p.t.Errorf("move %s back onto a server that nobody restored: exit %d, %s %v; want 3, refused", g.Name, exit(err), out, err)
	}
	for _, args := range [][]string{{"status"}, {"groups"}, {"group", g.Name}, {"why", g.Name}, {"report", g.Name}, {"status", "-o", "json"}} {
		if out, err := p.Command(p.shortly(), args...); err != nil || !strings.Contains(out, stage.Central) {
			p.t.Errorf("switchback %v: %v %s", args, err, out)
		}
	}
}

// automation is switched by a message nobody waits for an answer to.
func (p *play) automation(g stage.Group) {
	p.t.Helper()
	for _, verb := range []string{"disarm", "arm"} {
		skip := p.heard()
		p.do(p.Bus().Send(events.SubjectOp("carol", verb), []byte(`{"id":"`+verb+`-1","group":"`+g.Name+`","reason":"network work"}`)))
		_, err := p.Bus().Wait(p.t.Context(), skip, serveLimit, func(n events.Notice) bool { return n.Type == events.NoticeAutomation && n.By == "carol" })
		p.do(err)
		if v := p.view(g.Name); (v.Record.Disarm != "") != (verb == "disarm") {
			p.t.Errorf("after %s: %q", verb, v.Record.Disarm)
		}
	}
}
