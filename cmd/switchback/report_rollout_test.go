package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
)

// outageSite is a site that lost eu-west-1: one group moved and is counted, one moved and is not, one waits for a person.
func outageSite(t *testing.T) *testSite {
	s := newSite(t)
	ref := func(region, cluster string) events.Ref { return events.Ref{Region: region, Cluster: cluster} }
	move := func(g, op string, state events.MoveState, why string) events.Move {
		return events.Move{Group: g, Verb: events.AskFailover, From: ref("eu-west-1", g+"-a"), To: ref("eu-central-1", g+"-b"), Op: op, State: state, Why: why}
	}
	r := storedRollout{
		Rollout: events.Rollout{
			ID: "0a1b2c3d", Hash: "0a1b2c3d4e", Verb: events.AskFailover, Region: "eu-west-1", By: automation, Ask: "outage/eu-west-1/7/1", Reason: "eu-west-1 is out: nobody sees it", Auto: true, State: events.RolloutDone,
			Moves: 3, Parts: 1, Tally: events.Tally{Done: 2, Left: 1}, Made: noon, Began: noon, Ended: noon.Add(9 * time.Second), Facts: []events.Fact{{What: "agents silent", Value: "2 of 2"}},
		},
		Moves: []events.Move{
			move("orders", "orders-2", events.MoveDone, ""), move("search", "search-2", events.MoveDone, ""), move("billing", "", events.MoveLeft, "billing is in mode manual: `switchback failover billing`"),
		},
	}
	ops := map[string]events.Operation{}
	for g, d := range map[string]time.Duration{"orders": 4 * time.Second, "search": 6 * time.Second} {
		o := events.Operation{ID: g + "-2", Verb: events.AskFailover, By: automation, From: ref("eu-west-1", g+"-a"), To: ref("eu-central-1", g+"-b"), Began: noon, Ended: "done", Serving: d, Promoted: 9,
			Proof: &events.Proof{Kind: events.ProofLease, Epoch: 2, Waited: 2 * time.Second, Needed: 2 * time.Second}, Loss: &events.Loss{Known: true, Bytes: 10, Window: time.Second}}
		if g == "orders" {
			o.Protected, o.Lost = time.Minute, &events.LostLog{Commits: 3, Bytes: 700, From: 1, To: 701, Timeline: 1}
		}
		ops[o.ID] = o
	}
	s.query("rollout", func(q map[string]any) any {
		if q["rollout"] != r.Rollout.ID {
			return refusal("no plan or rollout is called %q", q["rollout"])
		}
		return answers.Rollout{Rollout: r.Rollout, Moves: r.Moves}
	})
	s.query("report", func(q map[string]any) any {
		id, _ := q["operation"].(string)
		if o, known := ops[id]; known {
			return answers.Report{Group: strings.TrimSuffix(id, "-2"), Operation: o}
		}
		return refusal("no operation is called %q", id)
	})
	return s
}

// A rollout is reported group by group, with both clocks over all and what all of them lost, in every form.
func TestReportOfARollout(t *testing.T) {
	t.Parallel()
	s := outageSite(t)
	s.run("report", "0a1b2c3d").want(t, 0, "rollout 0a1b2c3d  failover of eu-west-1 by automation", "2 done, 1 left out", "eu-west-1 is out: nobody sees it",
		"serving again    6.0 s in the median, 6.0 s at most (search), of 2 groups", "protected again  1m0s in the median", "3 commits counted; of 1 group it is bounded",
		"orders   failover  done", "3 commits", "billing is in mode manual: `switchback failover billing`")
	var got rolloutReport
	if r := s.run("report", "0a1b2c3d", "-o", "json"); json.Unmarshal([]byte(r.out), &got) != nil || len(got.Groups) != 3 || got.Groups[0].Operation == nil || got.Lost.Commits != 3 || got.Serving.Slowest != 6*time.Second {
		t.Errorf("as JSON: %s", r.out)
	}
	s.run("report", "0a1b2c3d", "--format", "markdown").want(t, 0, "# failover of eu-west-1: rollout 0a1b2c3d", "| agents silent | 2 of 2 |", "## Group by group", "## Fence proofs", "- orders: ")
	s.run("report", "0a1b2c3d", "--format", "html").want(t, 0, "<!doctype html>", "<h2>Group by group</h2>", "<code>switchback failover billing</code>")
	s.run("report", "deadbeef").want(t, 1, "")
}
