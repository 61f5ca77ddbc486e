package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/test/stage"
)

var (
	fleetGroups = flag.Int("fleet-groups", 6, "groups of the fleet that loses its region and comes home")
	fleetKills  = flag.Int("fleet-kills", 6, "how often its controllers are killed on the way")
	fleetSeed   = flag.Uint64("fleet-seed", 0, "decides when; 0 = another one each time")
)

// smallFleet is up to how many groups the fast durations are used.
const smallFleet = 10

// smallServers let in no more sessions than this story needs: what an agent may have to freeze is counted by what its servers may have.
const smallServers = `
max_connections = 10
max_wal_senders = 3
max_worker_processes = 0
max_logical_replication_workers = 0
`

// manyServers do nothing by themselves that so many on one machine would only wake up for; a standby whose upstream is gone asks for it each second, not ten times.
const manyServers = `
shared_buffers = 2MB
checkpoint_timeout = 1h
bgwriter_lru_maxpages = 0
wal_writer_delay = 5s
wal_retrieve_retry_interval = 1s
`

// fleetWait bounds each part of the story.
const fleetWait = 10 * time.Minute

// TestFleetComesHome loses the region that a whole fleet is active in. Every group of it moves, after those it depends on; the region comes back and every server of it is
// restored; one failback brings all of them home in waves. Controllers are killed all the way, whenever a random part of the fleet has moved, and started again. Nothing is
// lost but what each restore counted, and no step was forgotten or done twice: by the agents' ledgers, the servers' timelines and the record.
func TestFleetComesHome(t *testing.T) {
	p, groups := beginFleet(t, *fleetGroups)
	h := newHarasser(p)
	third := *fleetKills / 3

	began := time.Now()
	fault := p.cutAndKill(groups)
	h.until("every group is active in "+stage.Central, third, func(v stage.GroupView, g stage.Group) string {
		if v.Active() != g.Recovery() || v.Record.Running() {
			return "active is " + v.Active().String() + ": " + v.Rule + ": " + v.Why
		}
		return ""
	})
	away := p.operations(groups)
	t.Logf("%d groups moved within %v", len(groups), time.Since(began).Round(time.Second))
	p.inOrder(groups, away, events.AskFailover)
	p.outageDone(stage.West, groups, away)

	began = time.Now()
	p.light(stage.West)
	h.until("every server of "+stage.West+" follows", third, func(v stage.GroupView, _ stage.Group) string { return v.Whole() })
	t.Logf("%d servers restored within %v", len(groups), time.Since(began).Round(time.Second))
	lost := map[string][]stage.Write{}
	for _, g := range groups {
		lost[g.Name] = p.missed(g, fault)
	}

	began = time.Now()
	id := p.failbackRegion(stage.West)
	h.meanwhile = func() { p.takeUpAgain(id) }
	h.until("every group is home", *fleetKills-2*third, func(v stage.GroupView, _ stage.Group) string { return v.Home() })
	r := p.rolloutEnds(id)
	tries := 0
	for _, m := range r.Moves {
		tries += m.Try
	}
	t.Logf("%d groups came home within %v; %d moves had ended where they began and were taken up again", len(groups), time.Since(began).Round(time.Second), tries)
	if h.kills != *fleetKills {
		t.Errorf("controllers were killed %d times, want %d", h.kills, *fleetKills)
	}
	home := p.operations(groups)
	p.inOrder(groups, home, events.AskFailback)
	p.plannedInOrder(groups, r)
	for _, g := range groups {
		p.course(g, 0, lost[g.Name], g.Primary(), g.Recovery(), g.Primary())
		p.movedOnce(g, away[g.Name], home[g.Name])
	}
}

// beginFleet builds a fleet at home in West: every group depends on one before it, in a tree, and the later ones are the more urgent.
func beginFleet(t *testing.T, n int) (*play, []stage.Group) {
	// Each server has a cgroup of its own where the machine allows it, as a unit has: so many processes are not frozen within S one by one.
	o := stage.Options{
		Profile: "safe", Hosts: (n + 4) / 5, Every: 2 * time.Second, Kernel: config.KernelAuto, Settings: smallServers + manyServers,
		Fleet: "restores_per_host: 1, restores_per_region: 6", // two cores have that many hands
	}
	if n <= smallFleet {
		o.Settings, o.Fleet = smallServers, ""
		o.Profile, o.Hosts, o.Every = "fast", (n+2)/3, 200*time.Millisecond
	}
	for i := range n {
		g := stage.Group{Name: fmt.Sprintf("g%02d", i+1), Home: stage.West, Policy: fmt.Sprintf("priority: %d", 100-10*(i%7))}
		if i > 0 {
			g.Policy += fmt.Sprintf(", depends_on: [g%02d]", (i-1)/3+1)
		}
		o.Groups = append(o.Groups, g)
	}
	return beginWith(t, o), o.Groups
}

// needs is what a group of this fleet depends on; "" if nothing.
func needs(g stage.Group) string {
	_, on, found := strings.Cut(g.Policy, "depends_on: [")
	if !found {
		return ""
	}
	return strings.TrimSuffix(on, "]")
}

// cutAndKill loses West: where the machine can, it is cut off first, so that somebody there has acknowledged what nobody else has.
func (p *play) cutAndKill(groups []stage.Group) stage.Instant {
	p.t.Helper()
	fault := stage.Clock()
	if p.CanIsolate() == nil {
		p.do(p.Isolate(stage.West))
		p.wait("somebody has written what nobody else has", func() error {
			for _, g := range groups {
				if len(p.acks(g.Name, g.Primary(), fault+stage.Instant(50*time.Millisecond))) > 0 {
					return nil
				}
			}
			return errNotYet
		})
	}
	p.do(p.KillRegion(stage.West))
	return fault
}

// operations is the last move of each group, as its record has it.
func (p *play) operations(groups []stage.Group) map[string]events.Operation {
	p.t.Helper()
	all := map[string]events.Operation{}
	for _, g := range groups {
		v := p.view(g.Name)
		if v.Record == nil || v.Record.Op == nil {
			p.t.Fatalf("%s has not moved: %+v", g.Name, v.Record)
		}
		all[g.Name] = *v.Record.Op
	}
	return all
}

// inOrder checks that each group began to move only when what it depends on served again.
func (p *play) inOrder(groups []stage.Group, ops map[string]events.Operation, verb string) {
	p.t.Helper()
	for _, g := range groups {
		op := ops[g.Name]
		if op.Ended != "done" || op.Verb != verb {
			p.t.Errorf("%s: its last move is %s %s, %s %s; want a %s that is done", g.Name, op.Verb, op.ID, op.Ended, op.EndWhy, verb)
		}
		on := needs(g)
		if on == "" {
			continue
		}
		first := ops[on]
		served := first.Began.Add(first.Serving)
		if len(first.Phases) > 0 && first.Phases[0].Phase == "detect" {
			served = served.Add(-first.Phases[0].Took) // the clock of its report began with the silence
		}
		if op.Began.Before(served) {
			p.t.Errorf("%s began its %s %v before %s served, which it depends on", g.Name, verb, served.Sub(op.Began), on)
		}
	}
}

// outageDone waits for the end of the rollout that the verdict on a region began: the only one, with every group in it.
func (p *play) outageDone(region string, groups []stage.Group, ops map[string]events.Operation) {
	p.t.Helper()
	var r answers.Rollout
	p.wait("the outage of "+region+" is over", func() error {
		all, err := p.Bus().Rollouts(p.t.Context())
		var of []events.Rollout
		for _, h := range all.Rollouts {
			if h.Auto && h.Region == region {
				of = append(of, h)
			}
		}
		switch {
		case err != nil:
			return err
		case len(of) != 1:
			return fmt.Errorf("%d rollouts of it: %+v", len(of), of)
		case of[0].State != events.RolloutDone:
			return fmt.Errorf("%s: %s", of[0].State, of[0].Why)
		}
		r, err = p.Bus().Rollout(p.t.Context(), of[0].ID)
		return err
	})
	p.t.Logf("rollout %s: %s", r.Rollout.ID, r.Rollout.Why)
	if r.Rollout.Tally.Done != len(groups) || r.Rollout.Moves != len(groups) {
		p.t.Errorf("rollout %s: %s; want %d done", r.Rollout.ID, r.Rollout.Tally, len(groups))
	}
	for _, m := range r.Moves {
		if m.Op != ops[m.Group].ID {
			p.t.Errorf("rollout %s: the move of %s is %s, its operation %s", r.Rollout.ID, m.Group, m.Op, ops[m.Group].ID)
		}
	}
}

// missed compares what the writers of a group miss with what its restore counted.
func (p *play) missed(g stage.Group, fault stage.Instant) []stage.Write {
	p.t.Helper()
	op := p.view(g.Name).Record.Op
	rows, err := p.Server(g.Recovery()).Rows(p.t.Context())
	p.do(err)
	a := stage.CompareLost(stage.Story{Group: g.Name, Old: g.Primary(), New: g.Recovery(), Fault: fault}, p.writers.Log(), rows, op.Lost)
	for _, b := range a.Bad {
		p.t.Error(b)
	}
	return a.Lost
}

// failbackRegion asks for the failback of a region until it is begun.
func (p *play) failbackRegion(region string) (id string) {
	p.t.Helper()
	n := p.asked.Add(1)
	p.wait("the failback of "+region+" is begun", func() error {
		body := fmt.Sprintf(`{"id":"home-%s/%d","region":"%s","reason":"the region is back","limits":{"canary":1,"at_once":4,"soak":"2s","budget":100}}`, region, n, region)
		a, err := p.Bus().Ask(p.shortly(), "alice", events.AskFailback, body)
		switch {
		case err != nil:
			return err
		case !a.Accepted && a.Hash != "": // decided: it is asked for anew
			n = p.asked.Add(1)
			fallthrough
		case !a.Accepted:
			return fmt.Errorf("%s %v", a.Why, a.Items)
		}
		id = a.Rollout
		return nil
	})
	return id
}

// mostRetries is how often a person looks at what failed before he gives up.
const mostRetries = 10

// takeUpAgain has the failed moves of a rollout that is over taken up again, as a person does who has read why: on a machine that is busier than any that databases run on, gates close
// and planned moves are given up, which leaves their groups where they were.
func (p *play) takeUpAgain(id string) {
	r, err := p.Bus().Rollout(p.shortly(), id)
	if err != nil || !r.Rollout.State.Over() && r.Rollout.State != events.RolloutHalted || r.Rollout.Tally.Failed+r.Rollout.Tally.Held == 0 {
		return
	}
	n := p.asked.Add(1)
	a, err := p.Bus().Ask(p.shortly(), "alice", events.AskRetry, fmt.Sprintf(`{"id":"again-%s/%d","rollout":"%s"}`, id, n, id))
	if err != nil || !a.Accepted {
		return
	}
	if p.again++; p.again > mostRetries {
		p.t.Fatalf("rollout %s: taken up again %d times, and still %s", id, mostRetries, r.Rollout.Tally)
	}
	for _, m := range r.Moves {
		if m.State == events.MoveFailed {
			p.t.Logf("move of %s failed, and is taken up again: %s", m.Group, m.Why)
		}
	}
}

// rolloutEnds waits for the end of a rollout, and wants all of it done.
func (p *play) rolloutEnds(id string) (r answers.Rollout) {
	p.t.Helper()
	p.wait("rollout "+id+" is done", func() (err error) {
		if r, err = p.Bus().Rollout(p.t.Context(), id); err == nil && r.Rollout.State != events.RolloutDone {
			err = fmt.Errorf("%s: %s", r.Rollout.State, r.Rollout.Why)
		}
		return err
	})
	for _, m := range r.Moves {
		if m.State != events.MoveDone {
			p.t.Errorf("move of %s: %s after %d retries: %s", m.Group, m.State, m.Try, m.Why)
		}
	}
	return r
}

// plannedInOrder checks a rollout's moves: one of each group, after those it depends on, a canary first.
func (p *play) plannedInOrder(groups []stage.Group, r answers.Rollout) {
	p.t.Helper()
	at := map[string]int{}
	for i, m := range r.Moves {
		if _, twice := at[m.Group]; twice {
			p.t.Errorf("%s is twice in rollout %s", m.Group, r.Rollout.ID)
		}
		at[m.Group] = i
	}
	if len(at) != len(groups) || r.Rollout.Waves[0].Moves != 1 {
		p.t.Errorf("rollout %s has %d groups, waves %+v; want %d, a canary of one first", r.Rollout.ID, len(at), r.Rollout.Waves, len(groups))
	}
	for _, g := range groups {
		if on := needs(g); on != "" && at[on] > at[g.Name] {
			p.t.Errorf("%s is moved before %s, which it depends on", g.Name, on)
		}
	}
}

// movedOnce checks that a group was promoted once away and once home, whoever led meanwhile.
func (p *play) movedOnce(g stage.Group, away, home events.Operation) {
	p.t.Helper()
	ledgers, err := p.Ledgers()
	p.do(err)
	r := p.view(g.Name).Record
	if len(r.Forks) != 2 || r.Op.Timeline != 3 {
		p.t.Errorf("%s: its record has timelines that ended %+v and is on %d; want two promotions: 1, 2 and 3", g.Name, r.Forks, r.Op.Timeline)
	}
	for _, ref := range []events.Ref{g.Primary(), g.Recovery()} {
		e := ledgers[ref]
		if e.Seen != r.Epoch {
			p.t.Errorf("%s: the ledger of its agent is at epoch %d, the record at %d", ref, e.Seen, r.Epoch)
		}
		for step, n := range steps(e.Results) {
			if n != 1 {
				p.t.Errorf("%s: step %s stands %d times in the ledger of its agent", ref, step, n)
			}
		}
		rows, err := p.Server(ref).SQL(p.shortly(), "SELECT timeline_id FROM pg_control_checkpoint()")
		p.do(err)
		if ref == g.Primary() && rows[0][0] != "3" {
			p.t.Errorf("%s is on timeline %s: want 3, two promotions after 1", ref, rows[0][0])
		}
	}
	for _, x := range []struct {
		ref events.Ref
		op  events.Operation
	}{{g.Recovery(), away}, {g.Primary(), home}} {
		want := x.op.ID[:len(g.Name)] + "/" + x.op.ID[len(g.Name)+1:] + "/promote"
		var promoted []string
		for _, s := range ledgers[x.ref].Results {
			if strings.HasSuffix(s.Step, "/promote") && s.Outcome.OK() {
				promoted = append(promoted, s.Step)
			}
		}
		if !slices.Equal(promoted, []string{want}) {
			p.t.Errorf("%s: the ledger of its agent tells of the promotions %q: want %q alone", x.ref, promoted, want)
		}
	}
}

// steps counts the results of each step.
func steps(all []events.Result) map[string]int {
	n := map[string]int{}
	for _, r := range all {
		n[r.Step]++
	}
	return n
}

// harasser kills whoever leads, and starts him again a random while later.
type harasser struct {
	*play
	rand   *rand.Rand
	kills  int
	dead   string    // region whose controller is dead
	revive time.Time // when it is started again

	meanwhile func() // what a person does; nil = nothing
}

func newHarasser(p *play) *harasser {
	seed := *fleetSeed
	for seed == 0 {
		seed = rand.Uint64()
	}
	p.t.Logf("controllers are killed by -fleet-seed %d", seed)
	return &harasser{play: p, rand: rand.New(rand.NewPCG(seed, seed))}
}

// until waits until every group satisfies. Meanwhile the leader is killed so many times: each time a random number of groups does.
func (h *harasser) until(what string, kills int, lacks func(stage.GroupView, stage.Group) string) {
	h.t.Helper()
	groups := h.Groups()
	at := make([]int, kills)
	for i := range at {
		at[i] = h.rand.IntN(len(groups))
	}
	slices.Sort(at)
	deadline := time.Now().Add(fleetWait)
	for {
		views, err := h.Bus().Groups(h.t.Context())
		missing := []string{}
		for _, g := range groups {
			i := slices.IndexFunc(views, func(v stage.GroupView) bool { return v.Group == g.Name })
			if i < 0 {
				missing = append(missing, g.Name+": nobody shows it")
			} else if why := lacks(views[i], g); why != "" {
				missing = append(missing, g.Name+": "+why)
			}
		}
		if err == nil && len(missing) == 0 && len(at) == 0 && h.dead == "" {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("waited %v in vain until %s: %d kills to go, %v, %s", fleetWait, what, len(at), err, strings.Join(missing, "\n  "))
		}
		if h.meanwhile != nil {
			h.meanwhile()
		}
		switch {
		case h.dead != "" && time.Now().After(h.revive):
			h.do(h.StartProcess(stage.Controller, h.dead))
			h.dead = ""
		case h.dead == "" && err == nil && len(at) > 0 && len(groups)-len(missing) >= at[0] && h.kill():
			at = at[1:]
		}
		time.Sleep(pollEvery)
	}
}

// pollEvery is how often the whole fleet is asked for.
const pollEvery = 200 * time.Millisecond

// kill kills the leader, if one answers.
func (h *harasser) kill() bool {
	st, err := h.Bus().Status(h.shortly())
	region, _, _ := strings.Cut(st.Leader, "/")
	if err != nil || !h.Running(stage.Controller, region) {
		return false
	}
	h.do(h.KillProcess(stage.Controller, region))
	h.kills++
	h.dead, h.revive = region, time.Now().Add(time.Duration(h.rand.Int64N(int64(4*time.Second))))
	return true
}
