package fleet

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// group is what this term knows of one group.
type group struct {
	name     string
	config   GroupConfig
	record   *events.Record // nil: not born
	revision events.Seq
	ask      *AskSeen // in hand during one Apply
	answers  []events.AnswerItem
	told     []told         // newest command to each cluster, sorted by cluster
	opSince  events.Instant // since when this leader knows the running operation
	phase    events.Phase
	epoch    events.Epoch
	since    events.Instant // since when this leader knows phase and epoch
	gap      events.Instant // since when it knows the running operation's intent
	ordered  events.Instant // since when it knows the record's sync order
	unserved events.Instant // when what it depends on was last seen not to serve, 0 = never
	stable   events.Instant // since when it serves and is protected without a break, 0 = not
	attempt  bool           // its operation wants its active's agent revoked
	revoke   events.AgentRef
	halt     string // the halt that holds, empty = none
	rule     string // the last row that matched, and what it said
	why      string
	words    []word           // the active's last words, oldest first
	members  []decide.Cluster // room for its facts
	found    []events.Ref     // of a group that is neither recorded nor configured: the clusters by which ledgers remember it, sorted
	dirty    bool
	queued   bool // it waits for its turn
	restores bool // a restore of it waits for its turn
	saving   bool // its record is in a batch that is not stored yet
	wake     events.Instant
	at       int // in the heap, -1 = not
}

// word is one position the active said it had written, and when that was received.
type word struct {
	at  events.Instant
	lsn events.LSN
}

// keepWords bounds the active's words kept per group: enough to tell how far behind a candidate was.
const keepWords = 16

type told struct {
	set events.Set
	at  events.Instant
}

// cluster is what this term knows of one cluster.
type cluster struct {
	ref      events.Ref
	group    *group
	claims   []events.AgentRef // sorted
	known    bool
	health   events.ClusterHealth
	healthAt events.Instant
	reported bool
	report   events.Report
	streamAt events.Instant // when it was last known to stream, 0 = never
	goodAt   events.Instant // the active's word it was last known to have all of, 0 = never
	listedAt events.Instant // when its agent was first heard to have acknowledged the candidate list it has
	command  events.Seq     // where its newest command stands in the stream, 0 = none
	stray    stray
}

func (f *Fleet) clusterOf(ref events.Ref) *cluster {
	if c := f.clusters.get(ref); c != nil {
		return c
	}
	f.regionOf(ref.Region)
	return f.clusters.put(ref, &cluster{ref: ref})
}

func (f *Fleet) groupOf(name string) *group {
	if g := f.groups.get(name); g != nil {
		return g
	}
	return f.groups.put(name, &group{name: name, at: -1, wake: events.Never})
}

// configure takes a group's configuration.
func (f *Fleet) configure(c GroupConfig, _ Now) {
	g := f.groupOf(c.Group)
	if c.Revision <= g.config.Revision {
		return
	}
	f.rests(g, &g.config.GroupConfig, &c.GroupConfig)
	g.config = c
	for _, r := range c.Clusters() {
		k := f.clusterOf(r)
		if was := k.group; was != nil && was != g { // remembered by another name
			was.found = slices.DeleteFunc(was.found, func(x events.Ref) bool { return x == r })
			f.touch(was)
		}
		k.group = g
	}
	f.touch(g)
}

// adopt takes a stored record at the start of a term.
func (f *Fleet) adopt(r Record, now Now) {
	g := f.groupOf(r.Group)
	g.record, g.revision = r.Clone(), r.Revision
	f.turned(g, nil, g.record)
	f.worked(g, nil, g.record)
	g.opSince, g.since, g.gap, g.ordered, g.phase, g.epoch = now.Boot, now.Boot, now.Boot, now.Boot, r.Phase, r.Epoch
	for i := range r.Members {
		m := &r.Members[i]
		f.clusterOf(m.Cluster).group = g
		if m.Agent == (events.AgentRef{}) {
			continue // of a rebuilt record: not heard yet
		}
		a := f.agentOf(m.Agent)
		a.peer, a.cert = m.Peer, m.Cert
		f.hold(a, m.Cluster)
	}
	if op := r.Op; op != nil && op.By == decide.Automation && now.Wall.Sub(op.Began) < time.Hour {
		f.moved = append(f.moved, now.Boot)
	}
}

func (f *Fleet) hold(a *agent, c events.Ref) {
	if slices.Contains(a.holds, c) {
		return
	}
	i := sort.Search(len(a.holds), func(i int) bool { return a.holds[i].String() >= c.String() })
	a.holds = slices.Insert(a.holds, i, c)
}

// report takes an agent's durable word on a cluster, heard now; only the owner's counts once there is a record.
func (f *Fleet) report(now events.Instant, r events.Report) {
	c := f.clusterOf(r.Cluster)
	if c.group != nil && c.group.record != nil {
		if m := c.group.record.Member(r.Cluster); m != nil && m.Agent != r.Agent && m.Agent != (events.AgentRef{}) {
			return
		}
	}
	if c.reported && c.report.Nonce == r.Nonce && r.No < c.report.No {
		return // read again late
	}
	if !c.reported || c.report.Version != r.Version {
		c.listedAt = now
	}
	c.report, c.reported = r, true
	f.remember(c, r.Group, r.Seen > 0 && !r.Released)
	f.strays(c)
	f.touch(c.group)
	if c.group != nil {
		f.related(c.group)
	}
}

// health takes what an agent says of itself and its clusters. heard = now, by the bus; else it is a last word of unknown age.
func (f *Fleet) health(h events.Health, now events.Instant, heard bool) {
	a := f.agentOf(h.Agent)
	if h.Observer {
		return
	}
	if heard && h.Nonce == a.nonce && (h.Full < a.full || (h.Full == a.full && h.Delta != 0 && h.Delta <= a.delta)) {
		return // late
	}
	if h.Delta == 0 || h.Nonce != a.nonce {
		a.nonce = h.Nonce
	}
	if h.Delta == 0 {
		a.whole = h.Nonce
	}
	if heard {
		a.saidAt = now
	}
	a.external = h.External
	if h.Foreign != "" {
		a.foreign, a.metAt = h.Foreign, now
	}
	a.full, a.delta, a.right, a.alarms = h.Full, h.Delta, h.Right, h.Alarms
	if h.Peer != "" {
		a.peer, a.cert = h.Peer, h.Cert
	}
	for _, ch := range h.Clusters {
		c := f.clusterOf(ch.Cluster)
		f.claim(c, h.Agent)
		f.hold(a, c.ref)
		if c.group != nil && c.group.record != nil {
			if m := c.group.record.Member(c.ref); m != nil && m.Agent != h.Agent && m.Agent != (events.AgentRef{}) {
				continue // a second claimant is refused (C0)
			}
		}
		c.health, c.known = ch, true
		if heard {
			c.healthAt = now
			if ch.Streaming {
				c.streamAt = now
			}
		}
		f.remember(c, ch.Mark, ch.Managed)
		f.position(now, c)
		f.touch(c.group)
	}
	if heard && len(h.Clusters) == 0 && h.Delta != 0 {
		return
	}
	for _, r := range a.holds {
		f.touch(f.clusters.get(r).group)
	}
}

func (f *Fleet) claim(c *cluster, a events.AgentRef) {
	if slices.Contains(c.claims, a) {
		return
	}
	i := sort.Search(len(c.claims), func(i int) bool { return c.claims[i].String() >= a.String() })
	c.claims = slices.Insert(c.claims, i, a)
}

// position keeps the active's words, and per candidate the newest one it has all of: the distance is how far behind it is in time.
func (f *Fleet) position(now events.Instant, c *cluster) {
	g := c.group
	if g == nil || g.record == nil || c.health.LSN == 0 {
		return
	}
	if c.ref == g.record.Active {
		if c.health.Server == events.ServerWritable {
			g.said(now, c.health.LSN)
		}
		return
	}
	if end := c.health.End; end != 0 && f.sameTimeline(g, c) && (len(g.words) == 0 || end > g.words[len(g.words)-1].lsn) {
		g.said(now.Add(-c.health.Heard), end) // its upstream's last word outlives the upstream, and a leader that never heard that one
	}
	for i := len(g.words) - 1; i >= 0; i-- {
		if g.words[i].lsn <= c.health.LSN {
			c.goodAt = max(c.goodAt, g.words[i].at)
			return
		}
	}
}

// said keeps one word of the active.
func (g *group) said(at events.Instant, lsn events.LSN) {
	if n := len(g.words); n > 0 {
		at = max(at, g.words[n-1].at)
	}
	g.words = append(g.words, word{at, lsn})
	if n := len(g.words) - keepWords; n > 0 {
		g.words = append(g.words[:0], g.words[n:]...)
	}
}

// sameTimeline reports whether a follower is on the timeline that the active writes, as far as anybody knows.
func (f *Fleet) sameTimeline(g *group, c *cluster) bool {
	var writes uint32
	if act := f.clusters.get(g.record.Active); act != nil && act.known && act.health.Server == events.ServerWritable {
		writes = act.health.Timeline
	} else if op := g.record.Op; op != nil && op.Ended == "done" && op.To == g.record.Active {
		writes = op.Timeline
	}
	return writes == 0 || c.health.Timeline == writes
}

// facts gathers what decide looks at, into the same place each time: it is looked at, and forgotten.
func (f *Fleet) facts(now Now, g *group) *decide.Facts {
	fs := &f.gathered
	*fs = decide.Facts{
		Now: now.Boot, Wall: now.Wall, Term: f.term, D: f.d, Config: g.config.GroupConfig, Revision: uint64(g.config.Revision), Record: g.record, Blind: f.blind,
	}
	fs.D.Confirm = f.confirm()
	if g.ask != nil {
		fs.Ask = &g.ask.Ask
	}
	members := f.members(g)
	fs.Members = g.members[:0]
	for _, m := range members {
		fs.Members = append(fs.Members, decide.Cluster{Member: m})
		f.clusterFacts(now.Boot, g, &fs.Members[len(fs.Members)-1])
	}
	g.members = fs.Members
	if g.record == nil {
		return fs
	}
	fs.OpAge, fs.PhaseAge, fs.GapAge = now.Boot.Sub(g.opSince), now.Boot.Sub(g.since), now.Boot.Sub(g.gap)
	fs.SyncAge = now.Boot.Sub(g.ordered)
	if n := len(g.words); n > 0 {
		fs.Sent, fs.SentAge = g.words[n-1].lsn, now.Boot.Sub(g.words[n-1].at)
	}
	act := g.record.Member(g.record.Active)
	reg := f.regionOf(g.record.Active.Region)
	fs.Region = reg.judged
	fs.Lease = f.lease(f.agents.get(act.Agent), f.clusterOf(act.Cluster))
	fs.Permit, fs.Restore = gate.Permits(f.permit(now, g, reg))
	for n := -1; g.config.Group != "" && n < len(g.config.Recovery); n++ {
		r := g.config.Primary
		if n >= 0 {
			r = g.config.Recovery[n]
		}
		if g.record.Member(r) == nil {
			fs.Joining = append(fs.Joining, decide.Cluster{Member: f.configured(r, events.HomeRecovery)})
			f.clusterFacts(now.Boot, g, &fs.Joining[len(fs.Joining)-1])
		}
	}
	fs.Uses = f.uses(now.Boot, g)
	if fs.Region.Verdict == events.VerdictOut {
		fs.Under, fs.Turn = f.outageID(reg), f.turn(g, fs)
	}
	if g.stable != 0 {
		fs.Stable = now.Boot.Sub(g.stable)
	}
	fs.Told = func(c events.Ref) bool { return f.told(now.Boot, g, c) }
	return fs
}

// members are the record's, or before birth the configuration's with the agents that report them.
func (f *Fleet) members(g *group) []events.Member {
	if g.record != nil && (g.record.Gone == "" || uint64(g.config.Revision) <= g.record.Config) {
		return g.record.Members
	}
	var ms []events.Member
	if g.config.Revision == 0 {
		for _, r := range g.found {
			ms = append(ms, f.configured(r, events.HomeRecovery))
		}
		return ms
	}
	for i, r := range g.config.Clusters() {
		home := events.HomeRecovery
		if i == 0 {
			home = events.HomePrimary
		}
		ms = append(ms, f.configured(r, home))
	}
	return ms
}

// configured is a cluster no record knows yet, with the agent that reports it first in order.
func (f *Fleet) configured(ref events.Ref, home events.Home) events.Member {
	m := events.Member{Cluster: ref, Home: home}
	switch c := f.clusters.get(ref); {
	case c == nil:
	case len(c.claims) > 0:
		m.Agent = c.claims[0]
	case c.reported:
		m.Agent = c.report.Agent // not heard in this term, but its word is there
	}
	return m
}

// clusterFacts adds what is known of a member.
func (f *Fleet) clusterFacts(now events.Instant, g *group, d *decide.Cluster) {
	c := f.clusters.get(d.Member.Cluster)
	if c == nil {
		return
	}
	d.Astray = c.stray.seq != 0
	d.Claims, d.Known, d.Health, d.Report, d.Reported = c.claims, c.known && c.healthAt != 0, c.health, c.report, c.reported
	if c.known {
		d.Age = now.Sub(c.healthAt)
		d.Address = c.health.Address
	}
	a := f.agents.get(d.Member.Agent)
	if a == nil {
		return
	}
	if m := &d.Member; m.Role == events.RoleFailed && m.Hold == "" && m.Work == nil {
		d.Turn = f.workTurn(m.Agent)
	}
	d.Silent = f.silent(now, a)
	d.Fresh = f.fresh(now, a)
	d.External = a.external
	d.Leased = a.beating() >= events.Quorum
	if a.peer != "" {
		d.Peer, d.Cert = a.peer, a.cert
	}
	if d.Silent > 0 {
		d.Looked, d.Seen = f.sighted(now, a)
	}
	if n := len(g.words); n > 0 && c.goodAt != 0 {
		d.Behind, d.BehindKnown = g.words[n-1].at.Sub(c.goodAt), true
	}
}

func (f *Fleet) permit(at Now, g *group, r *region) gate.PermitFacts {
	now := at.Boot
	act := f.agents.get(g.record.Member(g.record.Active).Agent)
	return gate.PermitFacts{
		Group: g.name, Region: r.name, FleetDisarmed: f.automation.Disarmed, RegionDisarmed: f.automation.Regions[r.name].Disarmed, GroupDisarmed: g.record.Disarm,
		Kind: g.config.Kind, KindDisarmed: f.automation.Kinds[g.config.Kind], NeedsApproval: f.cfg.NeedsApproval(g.config.Priority), GroupApproved: g.record.Approve != "",
		Mode: g.config.Mode, Isolation: g.config.Isolation, External: f.canFence(now, g), Blind: f.blind, Dark: act == nil || f.silent(now, act) > 0,
		OutBefore: f.outBefore(r), MaxOut: max(1, f.cfg.MaxOut), Approved: f.automation.Regions[r.name].Approved != "",
		MovedLastHour: f.movedLastHour(now), MaxPerHour: f.cfg.MaxPerHour, Unsettled: !g.record.Settled, Quiet: quiet(g.record, at.Wall, f.d),
	}
}

// quiet says what work of a person on the group keeps automation away; "" = none.
func quiet(r *events.Record, wall time.Time, d events.Durations) string {
	for i := range r.Members {
		if q := r.Members[i].Quiet; q != nil && wall.Before(q.Until) {
			return fmt.Sprintf("%s is in maintenance until %s (%s)", r.Members[i].Cluster, q.Until.UTC().Format("15:04:05 MST"), q.By)
		}
	}
	if op := r.Restart; op != nil && wall.Sub(op.Began) < d.Restart {
		return fmt.Sprintf("%s is being restarted (%s)", op.To, op.ID)
	}
	return ""
}

func (f *Fleet) movedLastHour(now events.Instant) int {
	n := 0
	for _, at := range f.moved {
		if now.Sub(at) < time.Hour {
			n++
		}
	}
	return n
}

// told reports whether the newest command to a cluster already says what it must. It is stored and re-read by the agent; it is sent again only if
// nothing came of it for long.
func (f *Fleet) told(now events.Instant, g *group, c events.Ref) bool {
	t := g.tell(c)
	return t != nil && t.set.Epoch == g.record.Epoch && t.set.Role == decide.RoleNow(g.record, c) && now.Sub(t.at) < 2*f.d.ReRead
}

func (g *group) tell(c events.Ref) *told {
	for i := range g.told {
		if g.told[i].set.Cluster == c {
			return &g.told[i]
		}
	}
	return nil
}

// canFence reports whether the agent of a recovery cluster that beats has an external fence.
func (f *Fleet) canFence(now events.Instant, g *group) bool {
	for i := range g.record.Members {
		m := &g.record.Members[i]
		if a := f.agents.get(m.Agent); a != nil && m.Candidate() && a.external && f.fresh(now, a) {
			return true
		}
	}
	return false
}
