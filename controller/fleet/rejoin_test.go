package fleet

import (
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// An agent that is well keeps its lanes; one that met somebody else on them loses all three, is told to be restarted once they are free, and is then resumed.
func TestRejoinFreesEveryLane(t *testing.T) {
	t.Parallel()
	w := born(t)
	h := agentAt(0)
	ask := func(agent string, dry bool) events.Answer {
		return w.apply(AskSeen{Ask: events.Ask{ID: agent, Verb: events.AskRejoin, Actor: "alice", Agent: agent, Reason: "its disk was replaced", DryRun: dry}}).Answers[0]
	}
	if a := ask("r1/nobody", false); a.Accepted || !strings.Contains(a.Why, "no agent is called") {
		t.Fatalf("answered %+v", a)
	}
	if a := ask(h.String(), false); a.Accepted || !strings.Contains(a.Why, "nothing to rejoin") {
		t.Fatalf("an agent that is well: answered %+v", a)
	}
	w.apply(HealthSeen{Health: events.Health{Agent: h, Nonce: "new", Full: 1, Foreign: "old"}})
	if a := ask(h.String(), true); !a.Accepted || w.f.agents.get(h).attempt != nil {
		t.Fatalf("a dry run: answered %+v, attempt %v", a, w.f.agents.get(h).attempt)
	}
	if a := ask(h.String(), false); !a.Accepted {
		t.Fatalf("answered %+v", a)
	}
	free := func(eff Effects) (n int) {
		for _, x := range eff.Tell {
			if x.Rule == "rejoin.free" {
				n++
			}
		}
		return n
	}
	a := w.f.agents.get(h)
	told := 0
	for n := range events.Lanes {
		eff := w.later(0)
		told += free(eff)
		if told > 0 {
			t.Fatalf("told that they are free after %d of %d lanes", n, events.Lanes)
		}
		k := a.lanes[n]
		told += free(w.apply(RevokeResult{Revocation: Revocation{LaneKey{n, w.f.lanes.Lanes[n].Generation, h}, k.seq, a.attempt.id}, Stored: true, Seq: k.seq + 1}))
	}
	told += free(w.later(0))
	if told != 1 || a.rejoin || a.attempt != nil {
		t.Fatalf("told %d times, still asked %v, attempt %v", told, a.rejoin, a.attempt)
	}
}
