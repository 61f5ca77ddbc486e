package events

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "0", "eu-west-1", "a-", strings.Repeat("x", 63)} {
		if err := CheckName("region", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"": "has no name", "-a": "position 1", "Eu": `'E' at position 1`, "a_b": `'_' at position 2`, "a.b": `'.' at position 2`,
		"a b": "position 2", "a*": "position 2", "ä": "position 1", "a/b": "position 2", strings.Repeat("x", 64): "64 characters long",
	} {
		if err := CheckName("region", bad); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "region") {
			t.Errorf("%q: error %v, want one that says %q of the region", bad, err, says)
		}
	}
}

func TestRefsOnTheWire(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "eu", "eu/", "/a", "eu/a/b", "eu/A", "EU/a"} {
		if r, err := ParseRef(bad); err == nil {
			t.Errorf("ParseRef(%q) = %v", bad, r)
		}
	}
	type both struct {
		Cluster Ref            `json:"cluster"`
		Agent   AgentRef       `json:"agent"`
		ByRef   map[Ref]string `json:"by_ref"`
	}
	for text, want := range map[string]both{
		`{"cluster":"eu/a","agent":"us/b","by_ref":{"eu/c":"x"}}`: {Ref{"eu", "a"}, AgentRef{"us", "b"}, map[Ref]string{{"eu", "c"}: "x"}},
		`{"cluster":"","agent":"","by_ref":{}}`:                   {ByRef: map[Ref]string{}},
	} {
		var got both
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got.Cluster != want.Cluster || got.Agent != want.Agent || len(got.ByRef) != len(want.ByRef) || got.ByRef[Ref{"eu", "c"}] != want.ByRef[Ref{"eu", "c"}] {
			t.Errorf("%s is read as %+v", text, got)
		}
		if again, err := json.Marshal(want); err != nil || string(again) != text {
			t.Errorf("%+v is written as %s, %v", want, again, err)
		}
	}
	for _, bad := range []string{`{"cluster":"eu"}`, `{"agent":"eu/B"}`, `{"by_ref":{"x":"y"}}`} {
		if err := json.Unmarshal([]byte(bad), &both{}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestLSN(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]LSN{"0/1": 1, "5/A1C0": 0x5_0000A1C0, "FFFFFFFF/FFFFFFFF": 1<<64 - 1, "16/B374D848": 0x16_B374D848} {
		got, err := ParseLSN(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q is read as %d (%s), %v", text, got, got, err)
		}
	}
	if got, err := ParseLSN("a/bc"); err != nil || got.String() != "A/BC" {
		t.Errorf("small letters: %v, %v", got, err)
	}
	for _, unknown := range []string{"", "-"} {
		if got, err := ParseLSN(unknown); err != nil || got != 0 {
			t.Errorf("%q: %v, %v", unknown, got, err)
		}
	}
	for _, bad := range []string{"5", "5/", "/5", "x/y", "1FFFFFFFF/0", "0/1FFFFFFFF", "5/A1C0x", "5/A1 C0", " 5/A1", "-5/1", "5/0x1", "+5/1"} {
		if got, err := ParseLSN(bad); err == nil {
			t.Errorf("ParseLSN(%q) = %v", bad, got)
		}
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	a := AgentRef{"eu-west-1", "db-1"}
	for got, want := range map[string]string{
		SubjectLane(1, 7, a):                "switchback.beat.1.7.eu-west-1.db-1",
		SubjectSeen(1, 7, a):                "switchback.seen.1.7.eu-west-1.db-1",
		LaneStream(1, 7):                    "SWITCHBACK_LEASE_1_7",
		SubjectCommand(a, "orders"):         "switchback.cmd.eu-west-1.db-1.orders",
		SubjectCommand(a, ResumeCluster):    "switchback.cmd.eu-west-1.db-1._resume",
		SubjectCommands(a):                  "switchback.cmd.eu-west-1.db-1.*",
		SubjectDid(a):                       "switchback.did.eu-west-1.db-1.*",
		SubjectEvent(Notice{Type: "alarm"}): "switchback.event.alarm.fleet",
		SubjectEvent(Notice{Type: "verdict", Region: "eu-west-1"}):          "switchback.event.verdict.eu-west-1",
		SubjectEvent(Notice{Type: "wait", Region: "eu-west-1", Group: "g"}): "switchback.event.wait.g",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, s := range []string{SubjectLane(2, 14, a), SubjectSeen(2, 14, a)} {
		lane, generation, agent, err := ParseLaneSubject(s)
		if err != nil || lane != 2 || generation != 14 || agent != a {
			t.Errorf("%s is read as lane %d, generation %d of %s, %v", s, lane, generation, agent, err)
		}
	}
	for _, bad := range []string{"", "switchback.beat.1.7.eu", "switchback.beat.3.1.eu.a", "switchback.beat.-1.1.eu.a", "switchback.beat.x.1.eu.a", "switchback.cmd.1.1.eu.a", "switchback.beat.1.y.eu.a", "switchback.beat.1x.1.eu.a", "switchback.beat.1.1x.eu.a"} {
		if lane, generation, agent, err := ParseLaneSubject(bad); err == nil {
			t.Errorf("%q is read as lane %d, generation %d of %s", bad, lane, generation, agent)
		}
	}
	for _, s := range []string{SubjectOp("ann", "failover"), SubjectDo("ann", "failover")} {
		if actor, verb, err := ParseOpSubject(s); err != nil || actor != "ann" || verb != "failover" {
			t.Errorf("%s is read as %s of %s, %v", s, verb, actor, err)
		}
	}
	for _, bad := range []string{"", "switchback.op.ann", "switchback.op.ann.x.y", "switchback.cmd.ann.x"} {
		if actor, verb, err := ParseOpSubject(bad); err == nil {
			t.Errorf("%q is read as %s of %s", bad, verb, actor)
		}
	}
}

// What a stream tells again arrives where its readers listen.
func TestRepublishedSubjects(t *testing.T) {
	t.Parallel()
	a := AgentRef{"eu-west-1", "db-1"}
	told := func(s Stream, subject string) string {
		return strings.TrimSuffix(s.RepublishTo, ">") + strings.TrimPrefix(subject, strings.TrimSuffix(s.RepublishFrom, ">"))
	}
	if got := told(Streams()[0], SubjectCommand(a, "orders")); !takes(SubjectDid(a), got) {
		t.Errorf("a command is told on %s, agents listen on %s", got, SubjectDid(a))
	}
	if got := told(Lane(2, LanePlace{Generation: 14}), SubjectLane(2, 14, a)); got != SubjectSeen(2, 14, a) {
		t.Errorf("a beat is told on %s, leaders listen on %s", got, SubjectSeen(2, 14, a))
	}
}
