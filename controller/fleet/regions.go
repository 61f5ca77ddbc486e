package fleet

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// region is what this term knows of one region.
type region struct {
	name    string
	judged  gate.Judgement
	since   events.Instant // since when that verdict stands
	outAt   events.Instant // since when it is out, 0 = not
	planned events.Instant // the outAt that a rollout was begun for, or that needed none
	lookAt  events.Instant // when it was last asked about
	lookers []sight        // the last look of each other region, sorted
	agents  []*agent       // sorted
}

// sight is one other region's last look.
type sight struct {
	from string
	at   events.Instant
	sees []string
}

func (f *Fleet) regionOf(name string) *region {
	if r := f.regions.get(name); r != nil {
		return r
	}
	return f.regions.put(name, &region{name: name})
}

// silent is how long an agent has been silent: 0 while its last beat is younger than 2h. A leader that never heard it counts from when it began.
func (f *Fleet) silent(now events.Instant, a *agent) time.Duration {
	if since := now.Sub(max(a.beatAt, f.started)); since >= f.d.Silent() {
		return since
	}
	return 0
}

// fresh reports whether an agent was heard in this term and beats.
func (f *Fleet) fresh(now events.Instant, a *agent) bool {
	return a.beatAt != 0 && f.silent(now, a) == 0
}

// owned is the recorded member that is this agent's, nil if the record knows none or says another's.
func (f *Fleet) owned(a *agent, ref events.Ref) *events.Member {
	c := f.clusters.get(ref)
	if c == nil || c.group == nil || c.group.record == nil {
		return nil
	}
	if m := c.group.record.Member(ref); m != nil && m.Agent == a.ref {
		return m
	}
	return nil
}

// owns reports whether an agent makes up its region: it holds a cluster of a recorded group.
func (f *Fleet) owns(a *agent) bool {
	return slices.ContainsFunc(a.holds, func(c events.Ref) bool { return f.owned(a, c) != nil })
}

// well reports whether a region is judged healthy, and every agent that makes it up was heard in this term.
func (f *Fleet) well(now events.Instant, r *region) bool {
	return r.judged.Verdict == events.VerdictHealthy && !slices.ContainsFunc(r.agents, func(a *agent) bool { return f.owns(a) && !f.fresh(now, a) })
}

// quiet reports whether everything an agent owns is in maintenance: its absence is not counted.
func (f *Fleet) quiet(a *agent) bool {
	n := 0
	for _, c := range a.holds {
		if m := f.owned(a, c); m != nil {
			if m.Quiet == nil {
				return false
			}
			n++
		}
	}
	return n > 0
}

// reachesFew reports whether this controller reaches fewer than half of the regions: those with agents, and those of the hub.
func (f *Fleet) reachesFew(now events.Instant) bool {
	reached := 0
	for _, name := range f.regions.keys {
		if f.reaches(now, name) {
			reached++
		}
	}
	return gate.Blind(reached, len(f.regions.keys))
}

func (f *Fleet) reaches(now events.Instant, region string) bool {
	if region == f.region || slices.Contains(f.hub, region) {
		return true
	}
	for _, a := range f.regions.get(region).agents {
		if f.fresh(now, a) {
			return true
		}
	}
	return false
}

// saw takes an observer's answer to a look.
func (f *Fleet) saw(now events.Instant, s events.Saw) {
	r := f.regions.get(s.Region)
	if r == nil || s.By.Region == s.Region {
		return
	}
	var all []string
	for _, x := range s.Sees() {
		all = append(all, fmt.Sprintf("%s (%s)", x.What, x.How))
	}
	r.lookers = put(r.lookers, sight{s.By.Region, now, all})
	for _, a := range r.agents {
		looked, sees := false, []string(nil)
		for _, x := range s.Sightings {
			if x.What != a.ref.Agent && !a.holdsName(x.What) {
				continue
			}
			looked = true
			if x.Seen {
				sees = append(sees, fmt.Sprintf("%s (%s)", x.What, x.How))
			}
		}
		if looked {
			a.sights = put(a.sights, sight{s.By.Region, now, sees})
		}
		for _, c := range a.holds {
			f.touch(f.clusters.get(c).group)
		}
	}
}

func (a *agent) holdsName(cluster string) bool {
	for _, c := range a.holds {
		if c.Cluster == cluster {
			return true
		}
	}
	return false
}

// put replaces a region's sight. Within one round of looks what any observer of a region sees counts: a sight is not wiped by a colleague
// who sees nothing.
func put(ss []sight, s sight) []sight {
	i := sort.Search(len(ss), func(i int) bool { return ss[i].from >= s.from })
	if i == len(ss) || ss[i].from != s.from {
		return slices.Insert(ss, i, s)
	}
	if len(s.sees) == 0 && len(ss[i].sees) > 0 && s.at.Sub(ss[i].at) < time.Second {
		return ss
	}
	ss[i] = s
	return ss
}

// lookWindow is how old a look may be to count: a few rounds.
func (f *Fleet) lookWindow() time.Duration { return 4*f.d.Beat + time.Second }

// sighted says whether others looked at an agent since it fell silent, and who sees it.
func (f *Fleet) sighted(now events.Instant, a *agent) (looked bool, seen string) {
	for _, s := range a.sights {
		if s.at > max(a.beatAt, f.started) && now.Sub(s.at) < f.lookWindow() {
			looked = true
			if len(s.sees) > 0 && seen == "" {
				seen = s.from + " got an answer of " + s.sees[0]
			}
		}
	}
	return looked, seen
}

// judge forms every region's verdict, asks others to look at what fell silent, and touches the groups concerned.
func (f *Fleet) judge(now events.Instant, eff *Effects) {
	f.judgedAt = now
	f.blind = f.reachesFew(now)
	for _, name := range f.regions.keys {
		r := f.regions.get(name)
		facts := f.regionFacts(now, r)
		j := gate.Judge(facts)
		if facts.Silent > 0 {
			f.look(now, r, eff)
			eff.Wake = min(eff.Wake, now.Add(f.d.Beat))
		}
		if j.Verdict == r.judged.Verdict && j.Rule == r.judged.Rule {
			r.judged = j
			continue
		}
		eff.Rows = append(eff.Rows, j.Rule)
		first := r.judged.Verdict == ""
		changed := j.Verdict != r.judged.Verdict
		r.judged = j
		if changed {
			r.since = now
			if !first || j.Verdict != events.VerdictHealthy {
				eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticeVerdict, Region: name, Rule: j.Rule, Why: string(j.Verdict) + ": " + j.Why, By: "automation", Facts: j.Facts()})
			}
		}
		if j.Verdict == events.VerdictOut {
			r.outAt = now
		} else {
			r.outAt = 0
		}
		f.touchRegion(name)
	}
}

func (f *Fleet) touchRegion(name string) {
	for _, k := range f.groups.keys {
		if g := f.groups.get(k); g.record != nil && g.record.Active.Region == name {
			f.touch(g)
		}
	}
}

func (f *Fleet) regionFacts(now events.Instant, r *region) gate.RegionFacts {
	fs := gate.RegionFacts{Region: r.name, Watched: now.Sub(f.started), Horizon: f.horizon(), Confirm: f.confirm(), Blind: f.blind}
	var lastBeat events.Instant
	least := time.Duration(1<<63 - 1)
	for _, a := range r.agents {
		if !f.owns(a) || f.quiet(a) {
			continue
		}
		fs.Agents++
		lastBeat = max(lastBeat, a.beatAt)
		s := f.silent(now, a)
		if s > 0 {
			fs.Silent++
		}
		least = min(least, s)
		if s > 0 {
			fs.Quiet = append(fs.Quiet, f.silence(now, a, s))
			continue
		}
		for _, alarm := range a.alarms {
			fs.Troubles = append(fs.Troubles, a.ref.Agent+": "+alarm)
		}
		for _, c := range a.holds {
			if t := f.trouble(now, c); t != "" {
				fs.Troubles = append(fs.Troubles, c.Cluster+" "+t)
			}
		}
	}
	if fs.Agents > 0 {
		fs.SilentFor = least
	}
	for _, l := range r.lookers {
		if l.at > max(lastBeat, f.started) && now.Sub(l.at) < f.lookWindow() {
			fs.Lookers = append(fs.Lookers, gate.Looker{Region: l.from, Age: now.Sub(l.at), Sees: l.sees})
		}
	}
	for _, name := range f.regions.keys {
		if name != r.name {
			fs.Others++
		}
	}
	f.walSightings(now, r, lastBeat, &fs)
	return fs
}

// silence says of a silent agent for how long, and who looked at it and saw what.
func (f *Fleet) silence(now events.Instant, a *agent, d time.Duration) gate.Silence {
	s := gate.Silence{Agent: a.ref.Agent, For: d}
	if a.saidAt > 0 && now.Sub(a.saidAt) < f.lookWindow() {
		s.Says = a.alarms
	}
	for _, x := range a.sights {
		if x.at > max(a.beatAt, f.started) && now.Sub(x.at) < f.lookWindow() {
			s.Lookers = append(s.Lookers, gate.Looker{Region: x.from, Age: now.Sub(x.at), Sees: x.sees})
		}
	}
	return s
}

// trouble says what is wrong with a cluster whose agent beats: it is down, its disk is full, or it is a passive to which nothing comes, or that is further behind than its
// group may lose. "" if nothing is.
func (f *Fleet) trouble(now events.Instant, ref events.Ref) string {
	c := f.clusters.get(ref)
	if !c.known || c.group == nil || c.group.record == nil {
		return ""
	}
	g := c.group
	m := g.record.Member(ref)
	switch {
	case c.health.Down >= f.d.Silent():
		return "is down"
	case c.health.Alarm != "":
		return c.health.Alarm
	case m == nil || !m.Candidate() || m.Quiet != nil || g.record.Running() || g.record.Restart != nil:
		return ""
	}
	if act := f.clusters.get(g.record.Active); act == nil || !act.known || now.Sub(act.healthAt) >= f.d.FullHealth || act.health.Server != events.ServerWritable {
		return "" // its upstream is what ails
	}
	if !c.health.Streaming && now.Sub(max(c.streamAt, g.since, f.started)) >= f.confirm() { // less is a reconnect
		if !g.config.Kind.Logged() {
			return "does not say that it could take over"
		}
		return "follows nobody: its replication is broken"
	}
	budget, n := g.config.MaxLoss, len(g.words)
	if n == 0 || c.health.LSN == 0 {
		return ""
	}
	if lag := int64(g.words[n-1].lsn) - int64(c.health.LSN); budget.Bytes > 0 && lag > budget.Bytes {
		return fmt.Sprintf("is %d B behind, its group may lose %d B", lag, budget.Bytes)
	}
	if behind := g.words[n-1].at.Sub(c.goodAt); budget.Seconds > 0 && c.goodAt != 0 && behind.Seconds() > budget.Seconds {
		return fmt.Sprintf("is %s behind, its group may lose %g s", gate.Round(behind), budget.Seconds)
	}
	return ""
}

// walSightings counts WAL that still arrives from a region: its database lives, and somebody sees it.
func (f *Fleet) walSightings(now events.Instant, r *region, lastBeat events.Instant, fs *gate.RegionFacts) {
	if fs.Silent == 0 {
		return
	}
	for _, k := range f.clusters.keys {
		c := f.clusters.get(k)
		if c.group == nil || c.group.record == nil || c.group.record.Active.Region != r.name || k.Region == r.name || c.health.Heard == 0 {
			continue
		}
		if at := c.healthAt.Add(-c.health.Heard); at > max(lastBeat, f.started).Add(f.d.Silent()) && now.Sub(at) < f.lookWindow() {
			fs.Lookers = append(fs.Lookers, gate.Looker{Region: k.Region, Age: now.Sub(at), Sees: []string{c.group.record.Active.Cluster + " (" + string(events.SightWAL) + ")"}})
		}
	}
}

// lookTargets bounds the addresses named in one look.
const lookTargets = 8

// look asks everybody elsewhere to look at a region's silent agents, once a beat.
func (f *Fleet) look(now events.Instant, r *region, eff *Effects) {
	if r.lookAt != 0 && now < r.lookAt.Add(f.d.Beat) {
		return
	}
	f.looks++
	l := events.Look{ID: f.looks, Region: r.name}
	for _, a := range r.agents {
		if f.silent(now, a) == 0 || !f.owns(a) || len(l.Targets) >= lookTargets {
			continue
		}
		l.Targets = append(l.Targets, events.LookTarget{Agent: a.ref, Peer: a.peer})
		for _, c := range a.holds {
			if k := f.clusters.get(c); k.group != nil && k.group.record != nil && len(l.Targets) < lookTargets {
				if m := k.group.record.Member(c); m != nil && m.Address != "" {
					l.Targets = append(l.Targets, events.LookTarget{Agent: a.ref, Cluster: c, Address: m.Address, Kind: k.group.config.Kind})
				}
			}
		}
	}
	if len(l.Targets) > 0 {
		r.lookAt = now
		eff.Look = append(eff.Look, l)
	}
}

// outBefore counts the regions that went out before this one and still are.
func (f *Fleet) outBefore(r *region) int {
	n := 0
	for _, name := range f.regions.keys {
		if o := f.regions.get(name); o != r && o.outAt != 0 && (r.outAt == 0 || o.outAt < r.outAt || (o.outAt == r.outAt && o.name < r.name)) {
			n++
		}
	}
	return n
}
