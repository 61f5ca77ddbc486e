package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
)

// failbackPlan is a plan of a failback of eu-west-1, or the rollout of it.
func failbackPlan(now time.Time) *storedRollout {
	away := func(g string) events.Ref { return events.Ref{Region: "eu-central-1", Cluster: g + "-b"} }
	home := func(g string) events.Ref { return events.Ref{Region: "eu-west-1", Cluster: g + "-a"} }
	move := func(g, verb string, wave int) events.Move {
		return events.Move{Group: g, Wave: wave, Verb: verb, From: away(g), To: home(g), Epoch: 8}
	}
	left := move("billing", "failback", -1)
	left.State, left.Why = events.MoveLeft, "home disk has 80 GB free, needs 350 GB: free space (rule refuse.failback)"
	return &storedRollout{
		Rollout: events.Rollout{
			ID: "7f3a91c2", Hash: "7f3a91c2d4", Verb: "failback", Region: "eu-west-1", By: "alice", State: events.RolloutPlanned, Made: now,
			Limits: events.Limits{Canary: 1, AtOnce: 16, PerAgent: 4, PerRegion: 16, Restores: 2, Restoring: 16, Soak: events.Duration(2 * time.Minute), Budget: 2},
			Waves: []events.Wave{
				{Name: "restore", Verb: "restore", Moves: 2, Takes: events.Duration(30 * time.Second), Soak: events.Duration(2 * time.Minute)},
				{Name: "wave 1 canary", Verb: "failback", Moves: 1, Takes: events.Duration(2 * time.Second), Soak: events.Duration(2 * time.Minute)},
				{Name: "wave 2", Verb: "failback", Moves: 1, Takes: events.Duration(2 * time.Second)},
			},
			Moves: 5, Parts: 1, Takes: events.Duration(4*time.Minute + 34*time.Second), Tally: events.Tally{Waits: 4, Left: 1},
			Notes: []string{"times are defaults: nothing of this kind was measured on this fleet yet"},
		},
		Moves: []events.Move{move("orders", "restore", 0), move("search", "restore", 0), move("search", "failback", 1), move("orders", "failback", 2), left},
	}
}

// rolloutSite is a site whose leader knows one plan, which is run by the first ask that is no dry run and then is over.
func rolloutSite(t *testing.T, end events.RolloutState) *testSite {
	s := newSite(t)
	var mu sync.Mutex
	r := failbackPlan(noon)
	s.door(func(a events.Ask) events.Answer {
		mu.Lock()
		defer mu.Unlock()
		ans := events.Answer{Hash: "h", Accepted: true, Rollout: r.Rollout.ID, Why: "rollout 7f3a91c2: failback of eu-west-1, 4 waiting, 1 left out"}
		if a.Verb != events.AskPlan && !a.DryRun && a.Rollout == "" {
			r.Rollout.State, r.Rollout.Began, r.Rollout.Wave = end, noon, 2
			r.Rollout.Tally = events.Tally{Done: 4, Left: 1}
			for i := range r.Moves[:4] {
				r.Moves[i].State = events.MoveDone
			}
			if end == events.RolloutHalted {
				r.Rollout.Tally = events.Tally{Done: 2, Failed: 1, Waits: 1, Left: 1}
				r.Moves[2].State, r.Moves[2].Why, r.Moves[3].State = events.MoveFailed, "search-a was lost", events.MoveWaits
				r.Rollout.Rule, r.Rollout.Why = "rollout.budget", "halted: 1 of 5 failed"
			}
		}
		return ans
	})
	s.query("rollout", func(q map[string]any) any {
		mu.Lock()
		defer mu.Unlock()
		from, _ := q["from"].(float64)
		n := int(from) + 2 // in pages of two
		if n > len(r.Moves) {
			n = len(r.Moves)
		}
		return answers.Rollout{Rollout: r.Rollout, Moves: r.Moves[int(from):n], More: n < len(r.Moves)}
	})
	s.query("rollouts", func(map[string]any) any { return answers.Rollouts{Rollouts: []events.Rollout{r.Rollout}} })
	return s
}

func TestPlanShown(t *testing.T) {
	t.Parallel()
	s := rolloutSite(t, events.RolloutDone)
	s.run("plan", "failback", "--region", "eu-west-1").want(t, 0, "plan 7f3a91c2 (made", "2 groups → eu-west-1", "wave 1 canary", "left out  billing: home disk has 80 GB free", "restores: at most 2 at once of one host, 16 towards one region", "run it: switchback failback --plan 7f3a91c2")
	r := s.run("plan", "failback", "--region", "eu-west-1", "-o", "json")
	var got storedRollout
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || len(got.Moves) != 5 || got.Rollout.Hash != "7f3a91c2d4" {
		t.Fatalf("want the whole plan as one JSON object: %v\n%s", err, r.out)
	}
	s.run("failback", "--region", "eu-west-1", "--dry-run").want(t, 0, "restores: at most 2 at once of one host, 16 towards one region", "run it: switchback failback --plan 7f3a91c2")
	want := []string{"plan ", "plan ", "failback dry"}
	var asked []string
	for _, a := range s.asked() {
		asked = append(asked, a.Verb+" "+map[bool]string{true: "dry"}[a.DryRun])
	}
	if d := cmp.Diff(want, asked); d != "" {
		t.Error(d)
	}
}

// What is run after it was shown and confirmed is what was shown: the plan's id, not the region anew.
func TestConfirmedPlanIsPinned(t *testing.T) {
	t.Parallel()
	s := rolloutSite(t, events.RolloutDone)
	s.as(person{types: "orders\n"}, "failback", "--region", "eu-west-1").want(t, exitFailed, "type eu-west-1 to go on")
	s.as(person{types: "eu-west-1\n"}, "failback", "--region", "eu-west-1", "--reason", "fixed").want(t, exitRefused, "plan 7f3a91c2", "done", "4 done, 1 left out")
	all := s.asked()
	last := all[len(all)-1]
	if last.Plan != "7f3a91c2" || last.Region != "" || last.Verb != "failback" || last.Reason != "fixed" || last.DryRun {
		t.Errorf("asked %+v, want the plan that was shown", last)
	}
}

func TestRolloutFollowed(t *testing.T) {
	t.Parallel()
	s := rolloutSite(t, events.RolloutHalted)
	s.run("failback", "--region", "eu-west-1", "--yes").want(t, exitFailed, "halted", "failback search failed: search-a was lost", "switchback rollout retry 7f3a91c2")
	s.run("rollout", "list").want(t, 0, "7f3a91c2", "halted", "1 failed")
	s.run("rollout", "show", "7f3a91c2").want(t, 0, "wave 2", "halted: 1 of 5 failed (rule rollout.budget)")
}

func TestRolloutAsks(t *testing.T) {
	t.Parallel()
	s := rolloutSite(t, events.RolloutDone)
	for line, want := range map[string]events.Ask{
		"rollout pause 7f3a91c2 --reason odd":                                    {Verb: "pause", Rollout: "7f3a91c2", Reason: "odd"},
		"rollout resume 7f3a91c2":                                                {Verb: "resume", Rollout: "7f3a91c2"},
		"rollout skip 7f3a91c2 billing":                                          {Verb: "skip", Rollout: "7f3a91c2", Group: "billing"},
		"rollout retry 7f3a91c2":                                                 {Verb: "retry", Rollout: "7f3a91c2"},
		"rollout abort 7f3a91c2 --dry-run":                                       {Verb: "abort", Rollout: "7f3a91c2", DryRun: true},
		"plan drill --select project=shop --canary 0 --soak 0 --budget 5":        {Verb: "plan", Do: "drill", Select: "project=shop", Limits: &events.Limits{Canary: -1, Soak: -1, Budget: 5}},
		"failover --plan 7f3a91c2 --yes --detach":                                {Verb: "failover", Plan: "7f3a91c2"},
		"switchover --groups orders,billing --at-once 3 --yes --detach":          {Verb: "switchover", Groups: []string{"orders", "billing"}, Limits: &events.Limits{AtOnce: 3}},
		"failover --region eu-west-1 --accept-loss --reason fire --yes --detach": {Verb: "failover", Region: "eu-west-1", AcceptLoss: true, Reason: "fire"},
	} {
		before := len(s.asked())
		r := s.run(strings.Fields(line)...)
		if r.code != 0 && r.code != exitRefused {
			t.Errorf("%s: exit code %d\n%s%s", line, r.code, r.out, r.err)
		}
		got := s.asked()[before]
		want.ID, want.Actor = got.ID, "alice"
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", line, d)
		}
	}
}

func TestBar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		t    events.Tally
		of   int
		want string
	}{
		{events.Tally{}, 10, "...................."},
		{events.Tally{Done: 5, Runs: 1, Failed: 1, Waits: 3}, 10, "##########!!>>......"},
		{events.Tally{Done: 1000}, 1000, "####################"},
		{events.Tally{Done: 1, Failed: 1, Runs: 1}, 3, "#######!!!!!!!>>>>>>"},
		{events.Tally{}, 0, "...................."},
	} {
		if got := bar(&c.t, c.of); got != c.want {
			t.Errorf("%s of %d: %s, want %s", c.t, c.of, got, c.want)
		}
	}
	if got := barText(&failbackPlan(noon).Rollout); !strings.Contains(fmt.Sprint(got), "0/4") {
		t.Errorf("progress %q, want 0/4 in it", got)
	}
}
