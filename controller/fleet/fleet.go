package fleet

import (
	"container/heap"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/events"
)

// Fleet is the model of one term.
type Fleet struct {
	term       events.Seq
	region     string
	d          events.Durations
	started    events.Instant
	lanes      events.LaneSet
	lanesSeq   events.Seq
	automation events.Automation
	autoSeq    events.Seq
	cfg        events.FleetConfig
	hub        []string // hub regions that answer, sorted

	agents   index[events.AgentRef, agent]
	clusters index[events.Ref, cluster]
	above    map[string][]*group // by the name of a group: those that run tasks on it
	groups   index[string, group]
	regions  index[string, region]

	due      deadlines
	dirty    []*group // to be looked at in this Apply
	hot      []*agent // that rejoin or are under an attempt, sorted
	blind    bool     // as of the last judgement
	judgedAt events.Instant
	attempts uint64 // counts attempts of this term
	looks    uint64
	moved    []events.Instant // when automation moved something, newest last
	gathered decide.Facts     // room for the facts of one group
	pending  []pending        // batches of the last Effects, until Committed

	towards   map[events.AgentRef]int             // groups that are moving to each agent
	turns     []*group                            // that wait for their turn in an outage
	works     map[events.AgentRef]int             // restores under way on each agent's host
	restores  []*group                            // of which a restore waits for its turn
	rollouts  [events.RolloutSlots]*rollout.State // plans, and the rollouts of them, by place
	rolloutAt events.Instant                      // when they are looked at next
}

type pending struct{ units []unit }

// unit is what must be stored together: the record of one group and its commands, or one other write.
type unit struct {
	writes []Write
	group  *group // whose record is the first write, nil if none
	auto   bool   // the write is ctl.automation
	lanes  bool   // the write is ctl.lanes
	alone  bool   // large: it gets a batch of its own
	with   []unit // stored before its writes, in the same batch
}

// size is how many messages a unit is.
func (u *unit) size() int {
	n := len(u.writes)
	for i := range u.with {
		n += u.with[i].size()
	}
	return n
}

// index is a map with a sorted walk: the order of everything that reaches Effects is defined.
type index[K comparable, V any] struct {
	m    map[K]*V
	keys []K
	str  func(K) string
}

func newIndex[K comparable, V any](str func(K) string) index[K, V] {
	return index[K, V]{m: map[K]*V{}, str: str}
}

func (x *index[K, V]) get(k K) *V { return x.m[k] }

func (x *index[K, V]) put(k K, v *V) *V {
	if _, known := x.m[k]; !known {
		i := sort.Search(len(x.keys), func(i int) bool { return x.str(x.keys[i]) >= x.str(k) })
		x.keys = slices.Insert(x.keys, i, k)
	}
	x.m[k] = v
	return v
}

// New starts a term. Everything that is not recorded is unknown from here: lanes, acceptances, attempts, and for how long anybody was silent.
func New(s Snapshot, d events.Durations, now Now) *Fleet {
	f := &Fleet{
		term: s.Term, region: s.Region, d: d, started: now.Boot, lanes: s.Lanes, lanesSeq: s.LanesSeq, automation: s.Automation, autoSeq: s.AutoSeq, cfg: s.Fleet,
		agents:   newIndex[events.AgentRef, agent](events.AgentRef.String),
		clusters: newIndex[events.Ref, cluster](events.Ref.String),
		groups:   newIndex[string, group](func(s string) string { return s }),
		regions:  newIndex[string, region](func(s string) string { return s }),
		above:    map[string][]*group{},
		towards:  map[events.AgentRef]int{}, works: map[events.AgentRef]int{},
	}
	for _, l := range s.Lanes.Lanes {
		f.regionOf(l.Region)
	}
	for _, c := range s.Groups {
		f.configure(c, now)
	}
	for _, r := range s.Records {
		f.adopt(r, now)
	}
	f.load(s.Rollouts)
	for _, c := range s.Commands {
		f.stored(c.Agent, c.Cluster, c.Seq)
	}
	for _, r := range s.Reports {
		f.report(now.Boot, r)
	}
	for _, h := range s.Health {
		f.health(h, now.Boot, false)
	}
	for _, k := range f.groups.keys {
		f.touch(f.groups.get(k))
	}
	return f
}

// Confirm is how long a region must look out, as configured.
func (f *Fleet) confirm() time.Duration {
	if f.cfg.Confirm != 0 {
		return f.cfg.Confirm.D()
	}
	return f.d.Confirm
}

// horizon is how long a leader must have watched before it believes in absence.
func (f *Fleet) horizon() time.Duration { return f.confirm() + f.d.Silent() }

// Apply takes one input and says what must be done about it.
func (f *Fleet) Apply(now Now, in Input) Effects {
	eff := Effects{Wake: events.Never}
	var units []unit
	switch in := in.(type) {
	case Tick:
	case Committed:
		f.committed(in)
	case LaneSeen:
		f.laneSeen(now.Boot, in)
	case LaneRead:
		f.laneRead(now.Boot, in)
	case RevokeResult:
		f.revoked(now.Boot, in)
	case LaneRebuilt:
		units = append(units, f.laneRebuilt(in)...)
	case HealthSeen:
		f.health(in.Health, now.Boot, true)
	case ReportSeen:
		f.report(now.Boot, in.Report)
	case SawSeen:
		f.saw(now.Boot, in.Saw)
	case GroupSeen:
		f.configure(in.GroupConfig, now)
	case FleetSeen:
		f.cfg = in.FleetConfig
	case BusSeen:
		f.hub = in.Regions
	case AskSeen:
		units = append(units, f.ask(now, in, &eff)...)
	default:
		panic(fmt.Sprintf("fleet: unknown input %T", in))
	}
	if due := f.judgedAt.Add(f.d.Beat / 4); f.judgedAt == 0 || now.Boot >= due {
		f.judge(now.Boot, &eff)
	} else {
		eff.Wake = min(eff.Wake, due)
	}
	if slices.ContainsFunc(units, func(u unit) bool { return u.auto }) {
		eff.Wake = now.Boot // approvals expire in a step of their own: automation is stored once in a batch, or the server refuses all of it, and the next leader's too
	} else {
		units = append(units, f.expire(now.Boot, &eff)...)
	}
	units = append(units, f.decideDirty(now, &eff)...)
	f.outages(now, &eff)
	units = append(units, f.paceRollouts(now, &eff)...)
	units = append(units, f.resumes(now.Boot)...)
	f.drive(now.Boot, &eff)
	f.pack(units, &eff)
	if n := f.due.Len(); n > 0 {
		eff.Wake = min(eff.Wake, f.due.h[0].wake)
	}
	return eff
}

// pack puts units into batches of at most MaxBatch messages, a unit never split.
func (f *Fleet) pack(units []unit, eff *Effects) {
	f.pending = nil
	var p pending
	var b []Write
	flush := func() {
		if len(b) > 0 {
			eff.Batches, f.pending = append(eff.Batches, b), append(f.pending, p)
			b, p = nil, pending{}
		}
	}
	var put func(u unit)
	put = func(u unit) {
		for _, w := range u.with {
			put(w)
		}
		u.with = nil
		b = append(b, u.writes...)
		p.units = append(p.units, u)
	}
	for _, u := range units {
		if u.alone || len(b)+u.size() > MaxBatch {
			flush()
		}
		put(u)
		if u.alone {
			flush()
		}
	}
	flush()
}

// committed learns the revisions: the messages of a batch have consecutive sequences.
func (f *Fleet) committed(in Committed) {
	for i, p := range f.pending {
		n := 0
		for _, u := range p.units {
			n += len(u.writes)
		}
		seq := in.Last[i] - events.Seq(n) + 1
		for _, u := range p.units {
			switch {
			case u.group != nil:
				u.group.revision, u.group.saving = seq, false
				f.touch(u.group)
			case u.auto:
				f.autoSeq = seq
			case u.lanes:
				f.lanesSeq = seq
			}
			for i, w := range u.writes {
				if a, cluster, ok := events.ParseCommand(w.Subject); ok {
					f.stored(a, cluster, seq+events.Seq(i))
				}
			}
			seq += events.Seq(len(u.writes))
		}
	}
	f.pending = nil
}

func (f *Fleet) touch(g *group) {
	if g != nil && !g.dirty {
		g.dirty = true
		f.dirty = append(f.dirty, g)
	}
}

// deadlines is a heap of groups by when they want to be looked at again.
type deadlines struct{ h []*group }

func (d *deadlines) Len() int { return len(d.h) }
func (d *deadlines) Less(i, j int) bool {
	if d.h[i].wake != d.h[j].wake {
		return d.h[i].wake < d.h[j].wake
	}
	return d.h[i].name < d.h[j].name
}
func (d *deadlines) Swap(i, j int) {
	d.h[i], d.h[j] = d.h[j], d.h[i]
	d.h[i].at, d.h[j].at = i, j
}
func (d *deadlines) Push(x any) {
	g := x.(*group)
	g.at = len(d.h)
	d.h = append(d.h, g)
}
func (d *deadlines) Pop() any {
	g := d.h[len(d.h)-1]
	d.h = d.h[:len(d.h)-1]
	g.at = -1
	return g
}

func (d *deadlines) set(g *group, at events.Instant) {
	g.wake = at
	switch {
	case g.at >= 0 && at == events.Never:
		heap.Remove(d, g.at)
	case g.at >= 0:
		heap.Fix(d, g.at)
	case at != events.Never:
		heap.Push(d, g)
	}
}
