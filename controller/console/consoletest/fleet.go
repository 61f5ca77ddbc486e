package consoletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// Fleet answers what the console asks, out of what is made up. Safe for concurrent use; its fields are set before it is used.
type Fleet struct {
	Now      time.Time
	Groups   []fleet.GroupView
	Status   answers.Status
	Rollouts []answers.Rollout
	Events   []client.Event               // newest first
	Refuse   map[string]events.AnswerItem // by verb: what is answered to it
	Down     error                        // answers everything

	mu    sync.Mutex
	asked []events.Ask
	wake  []func()
}

// New makes a fleet with a group in every state, and more quiet ones; as it is seen at now.
func New(now time.Time, more int) *Fleet {
	f := &Fleet{Now: now, Refuse: map[string]events.AnswerItem{}}
	for _, s := range states {
		g := quiet(s.name, now)
		s.make(&g, now)
		f.Groups = append(f.Groups, g)
	}
	for i := range more {
		g := quiet(fmt.Sprintf("z%05d", i), now)
		g.Config.Project = []string{"shop", "bank", "data"}[i%3]
		g.Clusters[1].Lag = int64(i%97) * 4096
		if i%7 == 3 {
			away(&g, now)
		}
		f.Groups = append(f.Groups, g)
	}
	f.Status = answers.Status{Leader: "eu-north-1/c1", Term: 88214, Bus: map[string]bool{west: false, central: true, north: true}, Groups: len(f.Groups), View: fleet.View{Term: 88214,
		Automation: events.Automation{Regions: map[string]events.RegionAutomation{}, Kinds: map[events.Kind]string{}},
		Regions: []fleet.RegionView{
			{Region: central, Verdict: events.VerdictHealthy, Rule: "healthy", Why: "6 of 6 agents beat", Since: 21 * 24 * time.Hour, Agents: 6, Fresh: 6, Active: 8, Passive: 5, Unprotected: 7, WorstLag: 12_288},
			{Region: north, Verdict: events.VerdictHealthy, Rule: "healthy", Why: "2 of 2 agents beat", Since: 21 * 24 * time.Hour, Agents: 2, Fresh: 2},
			{Region: west, Verdict: events.VerdictOut, Rule: "out", Why: "silent 3m42s; eu-central-1 and eu-north-1 looked, neither sees it", Since: 3*time.Minute + 42*time.Second, Agents: 6, Active: 5, Passive: 1, Failed: 41, Unprotected: 1, WorstLag: -1,
				Facts: []events.Fact{{What: "agents that beat", Value: "0 of 6", Blocks: true}, {What: "eu-central-1 looked", Value: "saw nothing", Age: events.Duration(2 * time.Second)}, {What: "eu-north-1 looked", Value: "saw nothing", Age: events.Duration(1500 * time.Millisecond)}}},
		},
	}}
	for i := range f.Groups {
		g := &f.Groups[i]
		if g.NeedsPerson && len(f.Status.Needs) < 20 {
			f.Status.Needs = append(f.Status.Needs, *g)
		}
		if g.Record != nil && g.Record.Gone == "" && !g.Protected {
			f.Status.Unprotected++
		}
	}
	for i, s := range []events.RolloutState{events.RolloutRunning, events.RolloutPlanned, events.RolloutPaused, events.RolloutHalted, events.RolloutDone, events.RolloutAborted} {
		f.Rollouts = append(f.Rollouts, rolloutOf(fmt.Sprintf("7f3a91c%d", i), s, now))
	}
	f.Status.View.Rollouts = []fleet.RolloutView{{Rollout: f.Rollouts[0].Rollout}}
	f.Events = []client.Event{
		told(now, 20*time.Second, "9", events.Notice{Type: events.NoticeRestoring, Group: "ledger", Operation: "ledger-restore-3", Rule: "restore.begin", By: "automation", Why: "eu-west-1/ledger-a is being restored from eu-central-1/ledger-b"}),
		told(now, 3*time.Minute, "8", events.Notice{Type: events.NoticeRefused, Group: "billing", Rule: "refuse.loss", By: "alice", Why: "nobody knows how much would be lost: repeat it with --accept-loss to move all the same"}),
		told(now, 192*time.Second, "7", events.Notice{Type: events.NoticeServing, Group: "orders", Operation: "orders-8", Rule: "served", By: "automation", Why: "eu-central-1/orders-b serves: 32.6 s after eu-west-1 fell silent"}),
		told(now, 193*time.Second, "6", events.Notice{Type: events.NoticePromoted, Group: "orders", Operation: "orders-8", Rule: "promote", By: "automation", Why: "eu-central-1/orders-b is appointed at epoch 8"}),
		told(now, 194*time.Second, "5", events.Notice{Type: events.NoticeFenced, Group: "orders", Operation: "orders-8", Rule: "proved", By: "automation", Why: "the lease of eu-west-1/db17 lapsed and is revoked on 2 of 3 acceptors"}),
		told(now, 195*time.Second, "4", events.Notice{Type: events.NoticeWait, Group: "billing", Rule: "wait.manual", By: "automation", Why: "eu-west-1 is out and billing is in mode manual: only a person moves it, with `switchback failover billing`"}),
		told(now, 196*time.Second, "3", events.Notice{Type: events.NoticeVerdict, Region: west, Rule: "out", Why: "eu-west-1 is out: silent 30.2 s; eu-central-1 and eu-north-1 looked, neither sees it"}),
		told(now, 24*time.Hour, "2", events.Notice{Type: events.NoticeAutomation, Rule: "ask.arm", By: "alice", Why: "automation is armed for the fleet, by alice"}),
		told(now, 48*time.Hour, "1", events.Notice{Type: events.NoticeLeader, Rule: "leader", By: "eu-north-1/c1", Why: "eu-north-1/c1 leads, term 88214"}),
	}
	return f
}

// Asked is what was asked so far.
func (f *Fleet) Asked() []events.Ask {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// Change changes a group under its lock, and wakes who looks.
func (f *Fleet) Change(name string, how func(*fleet.GroupView)) {
	f.mu.Lock()
	for i := range f.Groups {
		if f.Groups[i].Group == name {
			how(&f.Groups[i])
		}
	}
	wake := slices.Clone(f.wake)
	f.mu.Unlock()
	for _, w := range wake {
		w()
	}
}

// Wake implements console.News.
func (f *Fleet) Wake(w func()) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake = append(f.wake, w)
	return func() {}
}

// Recent implements console.Fleet.
func (f *Fleet) Recent(_ context.Context, about string, most int) ([]client.Event, error) {
	var found []client.Event
	for _, e := range f.Events {
		if (about == "" || e.Notice.Group == about || e.Notice.Region == about) && len(found) < most {
			found = append(found, e)
		}
	}
	return found, f.Down
}

// Ask implements console.Fleet: it accepts what is not to be refused.
func (f *Fleet) Ask(_ context.Context, a events.Ask) (events.Answer, error) {
	if f.Down != nil {
		return events.Answer{}, f.Down
	}
	if err := a.Check(); err != nil {
		return events.Answer{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, a)
	item := f.would(&a)
	ans := events.Answer{ID: a.ID, Hash: "made-up", Accepted: item.Accepted, Why: item.Why, Items: []events.AnswerItem{item}, Rollout: a.Rollout}
	if a.Verb == events.AskPlan {
		ans.Rollout = f.Rollouts[1].Rollout.ID
	}
	return ans, nil
}

// Query implements console.Fleet.
func (f *Fleet) Query(_ context.Context, what string, q map[string]any, into any) error {
	if f.Down != nil {
		return f.Down
	}
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	var ask answers.Query
	if err := json.Unmarshal(body, &ask); err != nil {
		return err
	}
	f.mu.Lock()
	v, err := f.answer(what, &ask)
	if err == nil {
		body, err = json.Marshal(v)
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func (f *Fleet) answer(what string, q *answers.Query) (any, error) {
	switch what {
	case "status":
		return f.Status, nil
	case "groups":
		return answers.List(f.Groups, *q)
	case "group":
		return f.group(q.Group)
	case "would":
		w := answers.Would{}
		for i := range q.Asks {
			w.Items = append(w.Items, f.would(&q.Asks[i]))
		}
		return w, nil
	case "why":
		return f.why(q)
	case "report":
		for i := range f.Groups {
			if op := f.Groups[i].Record.Operation(q.Operation); op != nil {
				return answers.Report{Group: f.Groups[i].Group, Operation: *op}, nil
			}
		}
		return nil, client.Refusal(fmt.Sprintf("no operation is called %q", q.Operation))
	case "rollouts":
		all := answers.Rollouts{}
		for _, r := range f.Rollouts {
			all.Rollouts = append(all.Rollouts, r.Rollout)
		}
		return all, nil
	case "rollout":
		for _, r := range f.Rollouts {
			if r.Rollout.ID == q.Rollout {
				return r, nil
			}
		}
		return nil, client.Refusal(fmt.Sprintf("no plan or rollout is called %q", q.Rollout))
	}
	return nil, fmt.Errorf("nothing is made up for %s", what)
}

func (f *Fleet) group(name string) (*fleet.GroupView, error) {
	for i := range f.Groups {
		if f.Groups[i].Group == name {
			return &f.Groups[i], nil
		}
	}
	return nil, client.Refusal(fmt.Sprintf("no group is called %q", name))
}

func (f *Fleet) why(q *answers.Query) (answers.Why, error) {
	if q.Region != "" {
		for _, r := range f.Status.View.Regions {
			if r.Region == q.Region {
				return answers.Why{Rule: r.Rule, Why: string(r.Verdict) + ": " + r.Why, Facts: r.Facts}, nil
			}
		}
		return answers.Why{}, client.Refusal(fmt.Sprintf("no region is called %q", q.Region))
	}
	g, err := f.group(q.Group)
	if err != nil {
		return answers.Why{}, err
	}
	return answers.Why{Rule: g.Rule, Why: g.Why, Facts: g.Facts}, nil
}

// Explain is what an error comes to.
func Explain(err error) (status int, why string) {
	if r, ok := errors.AsType[client.Refusal](err); ok {
		return http.StatusNotFound, string(r)
	}
	return http.StatusServiceUnavailable, err.Error()
}
