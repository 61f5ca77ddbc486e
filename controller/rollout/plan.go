package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Request is what somebody wants planned.
type Request struct {
	Verb    string
	Region  string
	Groups  []string
	Select  string
	By      string
	Ask     string
	Reason  string
	Accept  bool
	Blind   bool
	Limits  *events.Limits
	Fleet   events.FleetConfig // whose limits hold where the request sets none
	Auto    bool               // an outage: everything goes that may ever go, in one wave
	Made    time.Time
	Slot    int
	Skipped []Candidate // named, but there is nothing to do for them: why
}

// Candidate is one group as it would move now.
type Candidate struct {
	Node
	From    events.Ref
	To      events.Ref
	Epoch   events.Epoch
	Blocks  string // why it can't, and what would clear it; empty = it can
	Restore bool   // the target is failed, or being restored: that comes first
	Copies  int64  // bytes of a copy, if it can't be rewound; 0 = not known
	Bytes   int64  // may be lost; -1 = nobody can say
	Behind  time.Duration
	Bare    bool   // no healthy passive is there after it
	Note    string // what a person should know of it
}

// Estimates are how long things take: measured on past operations, or the defaults.
type Estimates struct {
	Failover, Swap, Restore time.Duration
	Measured                bool
}

// Make plans. A plan that can't be run says why in Defunct.
func Make(r Request, groups []Candidate, est Estimates) *State {
	h := events.Rollout{
		Slot: r.Slot, Verb: r.Verb, Region: r.Region, Groups: r.Groups, Select: r.Select, By: r.By, Ask: r.Ask, Reason: r.Reason, Accept: r.Accept, Blind: r.Blind,
		Limits: Limits(r.Verb, r.Fleet, r.Limits), State: events.RolloutPlanned, Made: r.Made, Auto: r.Auto,
	}
	p := planner{h: &h, est: est}
	moves := p.plan(groups)
	for _, c := range r.Skipped {
		moves = append(moves, events.Move{Group: c.Name, Wave: -1, Verb: r.Verb, From: c.From, To: c.To, Epoch: c.Epoch, State: events.MoveLeft, Why: c.Blocks})
	}
	h.Moves, h.Parts = len(moves), (len(moves)+events.PartMoves-1)/events.PartMoves
	if !est.Measured {
		h.Notes = append(h.Notes, "times are defaults: nothing of this kind was measured on this fleet yet")
	}
	h.Hash = digest(&h, moves)
	h.ID = h.Hash[:8]
	s := New(h, moves)
	s.All()
	s.count()
	return s
}

// digest is over everything planned, in canonical form.
func digest(h *events.Rollout, moves []events.Move) string {
	b, err := json.Marshal(struct {
		Head  *events.Rollout
		Moves []events.Move
	}{h, moves})
	if err != nil {
		panic(fmt.Sprintf("rollout: a plan can't be encoded: %v", err)) // plain data: it always can
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type planner struct {
	h   *events.Rollout
	est Estimates
}

func (p *planner) plan(groups []Candidate) []events.Move {
	byName := map[string]*Candidate{}
	nodes := make([]Node, len(groups))
	for i := range groups {
		byName[groups[i].Name], nodes[i] = &groups[i], groups[i].Node
	}
	ordered, circle := Order(nodes)
	if circle != nil && p.h.Auto { // nobody is kept in a dark region by that
		p.h.Notes = append(p.h.Notes, "these groups depend on each other in a circle, so they move in no order but urgency: "+strings.Join(circle, " -> "))
		for i := range nodes {
			nodes[i].After = nil
		}
		ordered, circle = Order(nodes)
	}
	if circle != nil {
		p.h.Defunct = fmt.Sprintf("these groups depend on each other in a circle, so there is no order to move them in: %s: take one out of depends_on, then `switchback apply`", strings.Join(circle, " -> "))
		return nil
	}
	var going []*Candidate
	var left []events.Move
	out := map[string]bool{}
	for _, n := range ordered {
		c := byName[n.Name]
		if on := slices.IndexFunc(n.After, func(d string) bool { return out[d] }); c.Blocks == "" && on >= 0 && !p.h.Auto {
			c.Blocks = fmt.Sprintf("it depends on %s, which is left out", n.After[on])
		}
		if c.Blocks != "" {
			out[c.Name] = true
			m := p.move(c, -1, p.h.Verb)
			m.State, m.Why = events.MoveLeft, c.Blocks
			left = append(left, m)
			continue
		}
		going = append(going, c)
	}
	moves := p.restores(going)
	moves = append(moves, p.waves(going)...)
	p.sum(going)
	return append(moves, left...)
}

func (p *planner) move(c *Candidate, wave int, verb string) events.Move {
	m := events.Move{Group: c.Name, Wave: wave, Verb: verb, From: c.From, To: c.To, Epoch: c.Epoch, Takes: events.Duration(p.takes(verb))}
	switch verb {
	case events.AskRestore:
		m.Copies = c.Copies
	case events.AskFailover:
		m.Bytes, m.Behind = c.Bytes, events.Duration(c.Behind)
	}
	return m
}

func (p *planner) takes(verb string) time.Duration {
	switch verb {
	case events.AskRestore:
		return p.est.Restore
	case events.AskFailover:
		return p.est.Failover
	case events.AskDrill:
		return 2 * p.est.Swap
	}
	return p.est.Swap
}

// restores is the wave that makes failed homes follow: before anything is swapped, in no order but urgency.
func (p *planner) restores(groups []*Candidate) []events.Move {
	var ms []events.Move
	for _, c := range groups {
		if c.Restore {
			ms = append(ms, p.move(c, len(p.h.Waves), events.AskRestore))
		}
	}
	if len(ms) > 0 {
		p.wave("restore", events.AskRestore, ms, p.h.Limits.Soak)
	}
	return ms
}

// waves are the canary, a third of the rest, the rest.
func (p *planner) waves(groups []*Candidate) []events.Move {
	verb := p.h.Verb
	among := map[string]bool{}
	waited := map[string]bool{} // something among them comes after it
	for _, c := range groups {
		among[c.Name] = true
		for _, d := range c.After {
			waited[d] = true
		}
	}
	var all []events.Move
	for _, wave := range p.cut(groups, among, waited) {
		var ms []events.Move
		for _, c := range wave.groups {
			m := p.move(c, len(p.h.Waves), verb)
			for _, d := range c.After {
				if among[d] && !slices.Contains(m.After, d) {
					m.After = append(m.After, d)
				}
			}
			ms = append(ms, m)
		}
		p.wave(wave.name, verb, ms, p.h.Limits.Soak)
		all = append(all, ms...)
	}
	return all
}

type cutWave struct {
	name   string
	groups []*Candidate
}

// small is up to how many groups a leg is not cut any further.
const small = 4

// cut divides ordered groups into waves. The canary is what is least missed if it goes wrong: nothing waits for it, it waits for nothing, and it is the last in order
// of those.
func (p *planner) cut(groups []*Candidate, among, waited map[string]bool) []cutWave {
	n := min(p.h.Limits.Canary, len(groups))
	rest := slices.Clone(groups)
	var waves []cutWave
	var canary []*Candidate
	for range n {
		i := len(rest) - 1
		for ; i > 0; i-- {
			if c := rest[i]; !waited[c.Name] && !slices.ContainsFunc(c.After, func(d string) bool { return among[d] }) {
				break
			}
		}
		canary = append(canary, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	name := func() string { return fmt.Sprintf("wave %d", len(waves)+1) }
	if n > 0 {
		waves = append(waves, cutWave{name() + " canary", canary})
	}
	if p.h.Limits.Soak > 0 && len(rest) > small {
		third := (len(rest) + 2) / 3
		waves = append(waves, cutWave{name(), rest[:third]})
		rest = rest[third:]
	}
	if len(rest) > 0 {
		waves = append(waves, cutWave{name(), rest})
	}
	return waves
}

// wave notes a wave: so many moves, so many at once, each as long as it takes.
func (p *planner) wave(name, verb string, ms []events.Move, soak events.Duration) {
	atOnce := min(p.h.Limits.AtOnce, len(ms))
	if verb == events.AskRestore {
		atOnce = min(atOnce, p.h.Limits.Restores*hosts(ms), p.h.Limits.Restoring*hosts(ms))
	}
	rounds := (len(ms) + atOnce - 1) / atOnce
	w := events.Wave{Name: name, Verb: verb, Moves: len(ms), Takes: events.Duration(time.Duration(rounds) * p.takes(verb)), Soak: soak}
	p.h.Waves = append(p.h.Waves, w)
}

// hosts is how many regions moves go to: at least so many hosts take part.
func hosts(ms []events.Move) int {
	seen := map[string]bool{}
	for i := range ms {
		seen[ms[i].To.Region] = true
	}
	return max(1, len(seen))
}

// sum adds up what the plan costs. Nothing comes after the last wave, so it does not soak.
func (p *planner) sum(groups []*Candidate) {
	if n := len(p.h.Waves); n > 0 {
		p.h.Waves[n-1].Soak = 0
	}
	for _, w := range p.h.Waves {
		p.h.Takes += w.Takes + w.Soak
	}
	notes := 0
	for _, c := range groups {
		if c.Note == "" {
			continue
		}
		if notes++; notes <= listed {
			p.h.Notes = append(p.h.Notes, c.Note)
		}
	}
	if notes > listed {
		p.h.Notes = append(p.h.Notes, fmt.Sprintf("%d more groups have such a note", notes-listed))
	}
	for _, c := range groups {
		if c.Bare {
			p.h.Bare++
		}
		if c.Bytes < 0 {
			p.h.Loss.Unknown++
			continue
		}
		if p.h.Verb != events.AskFailover {
			continue
		}
		p.h.Loss.Bytes += c.Bytes
		p.h.Loss.Most = max(p.h.Loss.Most, events.Duration(c.Behind))
	}
}
