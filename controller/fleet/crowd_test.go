package fleet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// crowd is many groups on agents that do at once what they are told, driven by the real core through any number of leaders. It keeps what is stored, as the bus would.
type crowd struct {
	cfg    events.FleetConfig
	t      *testing.T
	d      events.Durations
	f      *Fleet
	now    Now
	seq    events.Seq
	hosts  int
	n      int
	stored map[string]stored // by subject
	at     map[events.Ref]*crowdServer
	agents []events.AgentRef
	begun  map[string][]string // operations by the ask they bear
	fails  func(group string) bool
	hangs  func(group string) bool
	stuck  bool   // restores don't come to an end
	dark   string // a region that is silent
	dusk   string // another one
	homes  func(i int) (home, recovery string)
	told   []events.Notice
	began  int // moves begun, ever
}

type stored struct {
	seq     events.Seq
	payload events.Payload
}

type crowdServer struct {
	agent  events.AgentRef
	report events.Report
	health events.ClusterHealth
	hung   bool
}

func crowdName(i int) string { return fmt.Sprintf("g%05d", i) }

func crowdRef(region, group string) events.Ref {
	return events.Ref{Region: region, Cluster: group + "-" + region}
}

// newCrowd is of groups that are at home in r1 and followed in r2.
func newCrowd(t *testing.T, n, hosts int) *crowd {
	t.Helper()
	return newCrowdOf(t, n, hosts, func(int) (string, string) { return "r1", "r2" })
}

func newCrowdOf(t *testing.T, n, hosts int, homes func(i int) (home, recovery string)) *crowd {
	t.Helper()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{
		t: t, d: d, n: n, hosts: hosts, homes: homes, cfg: events.FleetConfig{MaxOut: 1}, now: Now{Boot: events.Instant(time.Hour), Wall: time.Unix(1e9, 0).UTC()}, seq: 1000, stored: map[string]stored{},
		at: map[events.Ref]*crowdServer{}, begun: map[string][]string{}, fails: func(string) bool { return false }, hangs: func(string) bool { return false },
	}
	used := map[string]bool{}
	for i := range n {
		home, recovery := homes(i)
		used[home], used[recovery] = true, true
	}
	for h := range hosts {
		for _, r := range regions {
			if used[r] {
				c.agents = append(c.agents, events.AgentRef{Region: r, Agent: fmt.Sprintf("h%d", h)})
			}
		}
	}
	for i := range n {
		c.birth(i)
	}
	c.lead()
	return c
}

// birth puts a group at home, where it is followed.
func (c *crowd) birth(i int) {
	g := crowdName(i)
	home, recovery := c.homes(i)
	a, b := crowdRef(home, g), crowdRef(recovery, g)
	cfg := events.GroupConfig{Group: g, Project: "p", Kind: events.KindPostgres, Mode: events.ModeAuto, Priority: 100, Primary: a, Recovery: []events.Ref{b}, MaxLoss: events.LossBudget{Bytes: 1 << 20, Seconds: 60}}
	if i%10 == 9 {
		cfg.DependsOn = []string{crowdName(i - 1)}
	}
	c.stored[events.SubjectGroup(g)] = stored{1, cfg}
	r := events.Record{Group: g, Epoch: 1, Phase: events.PhaseActive, Active: a, Settled: true, Config: 1}
	for k, ref := range []events.Ref{a, b} {
		agent := events.AgentRef{Region: ref.Region, Agent: fmt.Sprintf("h%d", i%c.hosts)}
		m := events.Member{Cluster: ref, Home: events.HomePrimary, Agent: agent, Role: events.RoleActive, Peer: "p", Address: "x:1", SystemID: "s"}
		s := &crowdServer{agent: agent, report: events.Report{Agent: agent, Cluster: ref, Group: g, Nonce: "n", Seen: 1, Version: 1, Role: events.RoleActive, Serving: 1, Primary: true}}
		s.health = events.ClusterHealth{Cluster: ref, Kind: events.KindPostgres, Server: events.ServerWritable, SystemID: "s", Timeline: 1, LSN: 500, CanaryOK: true, Address: "x:1"}
		if k == 1 {
			m.Home, m.Role = events.HomeRecovery, events.RolePassive
			s.report.Role, s.report.Passive, s.report.Serving, s.report.Primary = events.RolePassive, 1, 0, false
			s.health.Server, s.health.Streaming, s.health.LagKnown, s.health.Heard, s.health.End = events.ServerRecovery, true, true, time.Millisecond, 500
		}
		r.Members = append(r.Members, m)
		c.at[ref] = s
	}
	r.Lists = []events.CandidateList{{Version: 1, Candidates: []events.Candidate{{Cluster: b, Agent: r.Members[1].Agent, Peer: "p"}}}}
	c.stored[events.SubjectRecord(g)] = stored{1, r}
}

// lead begins a term from what is stored.
func (c *crowd) lead() {
	c.seq++
	s := Snapshot{Term: c.seq, Region: "r3", Fleet: c.cfg}
	for n := range s.Lanes.Lanes {
		s.Lanes.Lanes[n] = events.LanePlace{Generation: 1, Region: regions[n]}
	}
	var heads []events.Rollout
	var parts []events.RolloutPart
	for _, k := range sortedKeys(c.stored) {
		switch p := c.stored[k].payload.(type) {
		case events.GroupConfig:
			s.Groups = append(s.Groups, GroupConfig{p, c.stored[k].seq})
		case events.Record:
			s.Records = append(s.Records, Record{p, c.stored[k].seq})
		case events.Rollout:
			heads = append(heads, p)
		case events.RolloutPart:
			parts = append(parts, p)
		}
	}
	s.Rollouts = Assemble(heads, parts)
	for _, ref := range c.refs() {
		s.Reports = append(s.Reports, c.at[ref].report)
	}
	c.f = New(s, c.d, c.now)
	c.beats(true)
}

func sortedKeys[V any](m map[string]V) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

func (c *crowd) refs() []events.Ref {
	var rs []events.Ref
	for i := range c.n {
		home, recovery := c.homes(i)
		rs = append(rs, crowdRef(home, crowdName(i)), crowdRef(recovery, crowdName(i)))
	}
	return rs
}

// beats is one round of beats, with a full snapshot of health where it is asked for.
func (c *crowd) beats(full bool) {
	all := append(slices.Clone(c.agents), events.AgentRef{Region: "r3", Agent: "w"})
	for _, a := range all {
		if c.silent(a.Region) {
			continue
		}
		for n := range events.Lanes {
			c.seq++
			c.apply(LaneSeen{n, 1, a, c.seq, events.LaneBody{Kind: events.LaneBeat, Nonce: "n"}})
		}
	}
	if !full {
		return
	}
	by := map[events.AgentRef][]events.ClusterHealth{}
	for _, ref := range c.refs() {
		by[c.at[ref].agent] = append(by[c.at[ref].agent], c.at[ref].health)
	}
	for _, a := range c.agents {
		if c.silent(a.Region) {
			continue
		}
		c.seq++
		c.apply(HealthSeen{events.Health{Agent: a, Nonce: "n", Full: uint64(c.seq), Peer: "p", Clusters: by[a]}})
	}
}

// apply hands an input over, stores what must be, and lets the agents do what they are told.
func (c *crowd) apply(in Input) (answers []events.Answer) {
	eff := c.f.Apply(c.now, in)
	c.told = append(c.told, eff.Tell...)
	answers = append(answers, eff.Answers...)
	if len(eff.Batches) == 0 {
		c.answer(eff)
		return answers
	}
	var last []events.Seq
	var sets []events.Set
	for _, b := range eff.Batches {
		subjects := map[string]bool{}
		for _, w := range b {
			c.seq++
			if subjects[w.Subject] {
				c.t.Fatalf("%s stands twice in a batch", w.Subject)
			}
			subjects[w.Subject] = true
			if w.Last != nil && *w.Last != c.stored[w.Subject].seq {
				c.t.Fatalf("%s was expected at %d, is at %d", w.Subject, *w.Last, c.stored[w.Subject].seq)
			}
			c.keep(w)
			if s, ok := w.Payload.(events.Set); ok {
				sets = append(sets, s)
			}
		}
		last = append(last, c.seq)
		c.seq++
	}
	answers = append(answers, c.apply(Committed{last})...)
	c.answer(eff)
	for _, s := range sets {
		answers = append(answers, c.obey(s)...)
	}
	return answers
}

// answer plays the acceptors, who take every revocation, and observers, who see nothing of what is dark.
func (c *crowd) answer(eff Effects) {
	for _, r := range eff.Revoke {
		c.seq++
		c.apply(RevokeResult{Revocation: r, Stored: true, Seq: c.seq})
	}
	for _, k := range eff.Read {
		c.seq++
		c.apply(LaneRead{LaneSeen: LaneSeen{k.Lane, k.Generation, k.Agent, c.seq, events.LaneBody{Kind: events.LaneBeat, Nonce: "n"}}})
	}
	for _, l := range eff.Look {
		for _, r := range regions {
			if r == l.Region || !c.silent(l.Region) {
				continue
			}
			saw := events.Saw{ID: l.ID, Region: l.Region, By: events.AgentRef{Region: r, Agent: "w"}}
			for _, x := range l.Targets {
				saw.Sightings = append(saw.Sightings, events.Sighting{Region: l.Region, What: x.Agent.Agent, How: events.SightAgent})
			}
			c.apply(SawSeen{saw})
		}
	}
}

func (c *crowd) keep(w Write) {
	c.stored[w.Subject] = stored{c.seq, w.Payload}
	r, ok := w.Payload.(events.Record)
	if !ok {
		return
	}
	if op := r.Op; op != nil && strings.HasPrefix(op.Ask, "outage/") && r.Phase == events.PhaseFencing {
		if id := op.Ask + " " + r.Group; !slices.Contains(c.begun[id], op.ID) {
			c.begun[id] = append(c.begun[id], op.ID)
			c.began++
		}
	}
	for _, op := range r.Operations() {
		if strings.HasPrefix(op.Ask, "rollout/") && op.Stage == events.StagePrepare && !slices.Contains(c.begun[op.Ask], op.ID) {
			c.begun[op.Ask] = append(c.begun[op.Ask], op.ID)
			c.began++
		}
	}
}

// obey does what a command says.
func (c *crowd) obey(set events.Set) []events.Answer {
	s := c.at[set.Cluster]
	if s.hung || c.silent(set.Cluster.Region) || set.Epoch < s.report.Seen {
		return nil
	}
	r := &s.report
	r.No++
	was := r.Role
	r.Seen, r.Version, r.Role = set.Epoch, set.Version, set.Role
	switch {
	case set.Role == events.RoleActive && was != events.RoleActive:
		if c.hangs(set.Group) {
			s.hung = true
			return nil
		}
		r.Passive, r.Serving, r.Primary = 0, set.Epoch, true
		s.health.Server, s.health.Timeline, s.health.Streaming = events.ServerWritable, s.health.Timeline+1, false
	case set.Role == events.RoleActive:
		r.Serving = set.Epoch
	default:
		r.Passive, r.Serving = set.Epoch, 0
		s.health.Server = events.ServerRecovery
	}
	if step := set.Step; step != nil && !(c.stuck && step.Verb == events.VerbRestore) {
		res := events.Result{Step: step.ID, Outcome: events.Done, LSN: 500, Replayed: 500, Timeline: s.health.Timeline}
		switch step.Verb {
		case events.VerbStop:
			s.health.Streaming = false
		case events.VerbCut:
			if c.fails(set.Group) {
				res.Outcome, res.Why = events.Refused, "its receiver is on fire"
			}
			s.health.Streaming = false
		case events.VerbRestore, events.VerbFollow:
			other := c.other(set.Cluster)
			r.Primary = false
			s.health.Timeline, s.health.Streaming, s.health.LagKnown, s.health.Heard = c.at[other].health.Timeline, true, true, time.Millisecond
			res.How, res.Timeline = "followed", s.health.Timeline
		}
		r.Results = append(r.Results, res)
		if n := len(r.Results); n > events.ReportResults {
			r.Results = r.Results[n-events.ReportResults:]
		}
	}
	return c.report(set.Cluster)
}

func (c *crowd) other(ref events.Ref) events.Ref {
	g := c.f.groups.get(c.at[ref].report.Group).config
	if ref == g.Primary {
		return g.Recovery[0]
	}
	return g.Primary
}

func (c *crowd) silent(region string) bool { return region == c.dark || region == c.dusk }

// report sends a cluster's report and health.
func (c *crowd) report(ref events.Ref) []events.Answer {
	s := c.at[ref]
	c.seq++
	answers := c.apply(ReportSeen{s.report})
	return append(answers, c.apply(HealthSeen{events.Health{Agent: s.agent, Nonce: "n", Full: uint64(c.seq), Delta: 1, Peer: "p", Clusters: []events.ClusterHealth{s.health}}})...)
}

// heal has hung servers answer.
func (c *crowd) heal() {
	for _, ref := range c.refs() {
		if s := c.at[ref]; s.hung {
			s.hung = false
			s.report.No++
			s.report.Passive, s.report.Serving, s.report.Primary = 0, s.report.Seen, true
			s.health.Server, s.health.Timeline = events.ServerWritable, s.health.Timeline+1
			c.report(ref)
		}
	}
}

// pass lets time pass in quarters of a second, with beats, until something holds.
func (c *crowd) pass(most time.Duration, until func() bool) time.Duration {
	c.t.Helper()
	began := c.now.Boot
	for !until() {
		if c.now.Boot.Sub(began) > most {
			h := c.rollout()
			c.t.Fatalf("%s are over and it does not hold: rollout %s, %s, %s (%s)", most, h.State, h.Tally, h.Why, h.Rule)
		}
		c.now.Boot, c.now.Wall = c.now.Boot.Add(250*time.Millisecond), c.now.Wall.Add(250*time.Millisecond)
		c.beats(false)
		c.apply(Tick{})
	}
	return c.now.Boot.Sub(began)
}

func (c *crowd) ask(a events.Ask) events.Answer {
	c.t.Helper()
	a.Actor = "alice"
	for _, ans := range c.apply(AskSeen{Ask: a, Hash: "h"}) {
		if ans.ID == a.ID {
			return ans
		}
	}
	c.t.Fatalf("%s was not answered", a.ID)
	return events.Answer{}
}

func (c *crowd) rollout() events.Rollout {
	for _, v := range c.f.rolloutViews() {
		return v.Rollout
	}
	return events.Rollout{}
}

func (c *crowd) state(s events.RolloutState) func() bool {
	return func() bool { return c.rollout().State == s }
}

// once checks that every move was begun once, and that what is stored can be read back.
func (c *crowd) once() {
	c.t.Helper()
	for ask, ops := range c.begun {
		if len(ops) != 1 {
			c.t.Errorf("%s was begun %d times: %v", ask, len(ops), ops)
		}
	}
	for _, k := range sortedKeys(c.stored) {
		b, err := json.Marshal(c.stored[k].payload)
		if err != nil || len(b) > 256<<10 {
			c.t.Errorf("%s is %d bytes, want at most 256 kB: %v", k, len(b), err)
		}
	}
}

var quick = &events.Limits{Canary: 1, Soak: events.Duration(time.Second), Budget: 1, AtOnce: 64, PerAgent: 16, PerRegion: 64}

func TestPauseTakesEffectWithin2Seconds(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 2000, 50)
	id := c.ask(events.Ask{ID: "1", Verb: events.AskSwitchover, Region: "r1", Limits: quick}).Rollout
	c.pass(time.Minute, func() bool { return c.rollout().Tally.Done > 100 })
	real := time.Now()
	if ans := c.ask(events.Ask{ID: "2", Verb: events.AskPause, Rollout: id}); !ans.Accepted {
		t.Fatalf("%+v", ans)
	}
	if took := time.Since(real); took > 2*time.Second {
		t.Errorf("a pause took %v", took)
	}
	before := c.began
	c.pass(time.Minute, func() bool { return c.rollout().Tally.Runs == 0 })
	c.lead()
	c.pass(10*time.Second, func() bool { return c.now.Boot%events.Instant(5*time.Second) == 0 })
	if c.began != before {
		t.Errorf("%d moves were begun after the pause", c.began-before)
	}
	c.ask(events.Ask{ID: "3", Verb: events.AskResume, Rollout: id})
	c.pass(time.Minute, func() bool { return c.began > before+100 })
	c.once()
}

func TestFailuresHaltByTheBudget(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 2000, 50)
	c.fails = func(g string) bool { return strings.HasSuffix(g, "3") && g[len(g)-2] < '5' } // 5 %
	id := c.ask(events.Ask{ID: "1", Verb: events.AskSwitchover, Region: "r1", Limits: quick}).Rollout
	c.pass(10*time.Minute, c.state(events.RolloutHalted))
	h := c.rollout()
	if h.Tally.Failed < 20 || h.Tally.Failed > 20+quick.AtOnce {
		t.Errorf("halted at %s, its budget is 20", h.Tally)
	}
	c.lead()
	if c.rollout().State != events.RolloutHalted {
		t.Error("a new leader forgot that it was halted")
	}
	c.fails = func(string) bool { return false }
	if ans := c.ask(events.Ask{ID: "2", Verb: events.AskRetry, Rollout: id}); !ans.Accepted {
		t.Fatalf("%+v", ans)
	}
	c.pass(10*time.Minute, func() bool { return c.rollout().Tally.Done > h.Tally.Done+h.Tally.Failed+100 })
	if h := c.rollout(); h.Tally.Failed > 0 || h.Tally.Held > 0 {
		t.Errorf("%s: want what failed taken up again", h.Tally)
	}
	c.once()
}

func TestUnknownOutcomesAreResolvedByAsking(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 200, 10)
	c.hangs = func(g string) bool { return strings.HasSuffix(g, "3") }
	id := c.ask(events.Ask{ID: "1", Verb: events.AskSwitchover, Region: "r1", Limits: quick}).Rollout
	c.pass(30*time.Minute, c.state(events.RolloutHalted))
	h := c.rollout()
	if h.Tally.Unknown < 5 || h.Tally.Failed != 0 {
		t.Fatalf("%s: want moves that hang to be unknown, and none failed", h.Tally)
	}
	c.hangs = func(string) bool { return false }
	c.heal()
	c.pass(time.Minute, func() bool { return c.rollout().Tally.Unknown == 0 })
	c.ask(events.Ask{ID: "2", Verb: events.AskResume, Rollout: id})
	c.pass(10*time.Minute, c.state(events.RolloutDone))
	if h := c.rollout(); h.Tally.Done != 200 {
		t.Errorf("%s", h.Tally)
	}
	c.once()
}
