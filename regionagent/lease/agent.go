package lease

import (
	"sort"

	"github.com/switchback-dr/switchback/events"
)

// Agent is the core of one agent process. It is not safe for concurrent use: one loop drives it.
type Agent struct {
	self    events.AgentRef
	d       events.Durations
	nonce   string
	started events.Instant
	led     Ledger
	lanes   [events.Lanes]lane
	cs      []*cluster // sorted by cluster
	rejoin  bool       // A7: every lane rejoins until a RESUME counts two
	foreign string     // nonce of somebody else met on our lane: frozen until a person decides
	dirty   bool       // the ledger changed since it was last handed out to be saved
	asked   events.Instant
	looked  facts // room for what rows look at
}

// cluster is what the agent holds in memory of one cluster.
type cluster struct {
	ref       events.Ref
	mark      string // group named by the mark in its data, "" = none
	server    events.Server
	observed  bool           // at least once since this start
	stopped   string         // what the last probe proved of a server that is stopped
	proved    string         // … of the one by which passive was said
	busy      Verb           // driver verb under way, "" = none
	hold      Verb           // freeze, thaw or kill under way
	taken     events.Instant // when the current planned stop was taken
	frozen    events.Instant // since when it is frozen, 0 = not
	rising    bool           // a start or promotion was ordered and it was not found stopped since
	failures  int            // starts that did not help since it was last well
	waits     bool           // what it depends on is not there
	lacks     bool           // a part of it does not run
	mends     int            // starts that did not help against that
	retryAt   events.Instant
	stepAt    events.Instant // a step that failed is not tried again before
	syncAt    events.Instant // a sync order that was not seen to hold is not tried again before
	handed    events.Instant // deadline the guard confirmed to hold
	told      Left           // what the guard was told with it
	held      events.Instant // deadline the guard held from before this start (A8)
	promise   events.Instant // own promise runs until then (G2)
	grants    []grant        // answers by candidate, in the order of the acknowledged list
	said      events.Epoch   // passive at this epoch was rightly said (A11)
	gated     bool           // started or promoted by this process, so what keeps a later start read-only is in place
	settled   bool           // the new timeline is visible in the control file
	reads     bool           // found in recovery by this process, and neither started writable nor promoted since
	work      string         // id of the restore under way, "" = none
	cancelled bool           // … and it was told to end
	override  Override
	overrode  events.Instant // when it was taken
	reported  events.Report
	tasks     *events.TaskSummary // what the newest ledger of tasks says
	wait      string              // the row that holds it back, for status
}

// Effects is what must be done, in this order: save, then everything else. A crash between any two of them is safe.
type Effects struct {
	Save    bool // write and fsync Ledger() before anything below
	Nudge   bool // the right grew: ask the guard to ask now
	Do      []Action
	Read    []int // lanes whose last message must be read
	Beats   []Beat
	Ask     []Ask
	Reports []events.Report
	Wake    events.Instant // call Tick no later than this
}

// New starts the core of a new process (A7): lanes unknown, leases 0, grants none, promises forgotten. clusters are those of the
// agent's configuration. The first Effects of Start save the new nonce before any beat.
func New(self events.AgentRef, d events.Durations, led Ledger, nonce string, clusters []events.Ref, now events.Instant) *Agent {
	a := &Agent{self: self, d: d, nonce: nonce, started: now, led: led.Clone(), dirty: true}
	a.led.Agent = self
	a.led.started(nonce)
	refs := append([]events.Ref(nil), clusters...)
	for i := range a.led.Entries {
		if e := &a.led.Entries[i]; !holds(refs, e.Cluster) {
			refs = append(refs, e.Cluster) // under care though no longer configured: its deadline still counts
		}
	}
	sort.Slice(refs, func(i, j int) bool { return refs[i].String() < refs[j].String() })
	for _, r := range refs {
		a.cs = append(a.cs, &cluster{ref: r, server: events.ServerUnknown})
	}
	return a
}

func holds(refs []events.Ref, r events.Ref) bool {
	for _, x := range refs {
		if x == r {
			return true
		}
	}
	return false
}

// Ledger returns a copy of the ledger as it must be on disk.
func (a *Agent) Ledger() Ledger { return a.led.Clone() }

func (a *Agent) cluster(r events.Ref) *cluster {
	for _, c := range a.cs {
		if c.ref == r {
			return c
		}
	}
	return nil
}

func (a *Agent) countActive() int {
	n := 0
	for i := range a.led.Entries {
		if a.led.Entries[i].Role == events.RoleActive {
			n++
		}
	}
	return n
}

// Tick lets time act.
func (a *Agent) Tick(now events.Instant) Effects { return a.settle(now) }

// Observed takes what a probe found.
func (a *Agent) Observed(now events.Instant, h events.ClusterHealth) Effects {
	if c := a.cluster(h.Cluster); c != nil {
		c.mark, c.stopped = h.Mark, h.Stopped
		c.waits, c.lacks = h.Waits != "", h.Lacks != ""
		if !c.lacks && h.Server == events.ServerWritable {
			c.mends = 0
		}
		a.observe(now, c, h.Server)
		a.syncing(c, h)
	}
	return a.settle(now)
}

// Proved takes what the probe behind the next Finished proved of a server that is stopped.
func (a *Agent) Proved(ref events.Ref, stopped string) {
	if c := a.cluster(ref); c != nil {
		c.stopped = stopped
	}
}

// Accounted takes what the newest ledger of tasks of a cluster says now; s is not changed afterwards.
func (a *Agent) Accounted(now events.Instant, ref events.Ref, s *events.TaskSummary) Effects {
	if c := a.cluster(ref); c != nil {
		c.tasks = s
	}
	return a.settle(now)
}

func (a *Agent) observe(now events.Instant, c *cluster, s events.Server) {
	e := a.led.Find(c.ref)
	first := !c.observed && s != events.ServerUnknown
	c.server = s
	if s != events.ServerUnknown {
		c.observed = true
	}
	switch s {
	case events.ServerRecovery:
		c.reads = c.busy != Start && c.busy != Promote
	case events.ServerWritable:
		c.reads = false
	}
	switch {
	case s == events.ServerFrozen && c.frozen == 0:
		c.frozen = now
	case s != events.ServerFrozen && s != events.ServerUnknown:
		c.frozen = 0
	}
	if s.Stopped() && c.busy != Start && c.busy != Promote {
		c.rising = false
	}
	if e == nil {
		return
	}
	if first && e.Role == events.RoleActive && e.Mode != events.ModeObserve && !e.Released && s.Stopped() {
		a.rejoinAll() // A7: the ledger says active but it was found stopped
	}
	if s == events.ServerWritable {
		c.failures = 0
		if e.Role == events.RoleActive && !e.Primary {
			e.Primary = true
			a.dirty = true
		}
	}
	if s == events.ServerRecovery && e.Role == events.RolePassive {
		c.failures = 0
	}
	if s == events.ServerWritable || s == events.ServerFrozen {
		c.said = 0
	}
}

// rejoinAll breaks every lane: nothing counts until a RESUME counts two (A7).
func (a *Agent) rejoinAll() {
	a.rejoin = true
	for n := range a.lanes {
		if l := &a.lanes[n]; l.st == laneCounted {
			l.st = laneBroken
		}
		a.lanes[n].lease = 0
	}
}

// Jumped says that the clocks disagree by more than M: freeze first, ask later. Every right counted so far is void, and every lane is read again.
func (a *Agent) Jumped(now events.Instant) Effects {
	for n := range a.lanes {
		l := &a.lanes[n]
		l.lease, l.flight, l.reading, l.readAt, l.sent = 0, false, false, 0, nil
		if l.place.Generation != 0 {
			l.st = laneUnknown
		}
	}
	for _, c := range a.cs {
		c.held, c.handed, c.grants = 0, 0, nil
		if c.promise > now {
			c.promise = now.Add(a.d.Wait) // how much of it has passed is not known any more
		}
	}
	a.started = now // G4: what else was forgotten is not known either
	return a.settle(now)
}

// GuardHeld takes the deadlines the guard held when this process came up, of all clusters at once: part of the right (A8), so nothing is judged before.
func (a *Agent) GuardHeld(now events.Instant, until map[events.Ref]events.Instant) Effects {
	for _, c := range a.cs {
		if u, ok := until[c.ref]; ok {
			c.held = u
			c.handed = max(c.handed, u)
		}
	}
	return a.settle(now)
}

// Handed takes the guard's word that it now holds what it was told of a cluster, and until when: only then may the agent rely on it (A8).
func (a *Agent) Handed(now events.Instant, ref events.Ref, told Left, until events.Instant) Effects {
	if c := a.cluster(ref); c != nil {
		c.told, c.handed = told, until
	}
	return a.settle(now)
}

// guarded reports whether the guard would end this cluster by itself, were this process to die now. Before it would, nobody may hear that the cluster is active:
// a lease that nothing ends proves nothing (C3a).
func (c *cluster) guarded() bool { return c.told.Held && !c.told.Exempt }

// Right is a cluster's right to run: the instant until which it may acknowledge writes (A8); 0 = none.
func (a *Agent) Right(now events.Instant, ref events.Ref) events.Instant {
	c := a.cluster(ref)
	if c == nil {
		return 0
	}
	return a.right(now, c, a.led.Find(ref))
}

func (a *Agent) right(now events.Instant, c *cluster, e *Entry) events.Instant {
	if e == nil || e.Role != events.RoleActive || e.Unsettled || a.foreign != "" {
		return 0
	}
	return max(a.laneRight(), a.grantRight(now, c, e), c.held)
}

// Permitted is until when a stopped cluster may be started writable (A9), asked anew right before it is: 0 = it may not any more. Its guard holds that deadline (A8).
func (a *Agent) Permitted(now events.Instant, ref events.Ref) events.Instant {
	c := a.cluster(ref)
	if c == nil {
		return 0
	}
	f := a.facts(now, c)
	switch {
	case !f.start:
		return 0
	case f.e.Exempt():
		return f.until
	}
	return min(f.until, c.handed)
}

// Lefts is the answer to the guard's question: how long each cluster may still run. Counted from the instant of the answer, it is
// never more than what is left when the guard counts it from when it asked (D1).
func (a *Agent) Lefts(now events.Instant) []Left {
	ls := make([]Left, 0, len(a.cs))
	for _, c := range a.cs {
		e := a.led.Find(c.ref)
		if e == nil && c.mark == "" {
			continue
		}
		l := Left{Cluster: c.ref.String(), Held: e == nil || e.Held() && !(e.Role == events.RolePassive && c.server.Stopped()) && c.busy != Restore || c.rising}
		if e != nil {
			l.Exempt = e.Exempt()
			l.Left = max(0, a.until(now, c, e).Sub(now))
		}
		l.Override = a.overridden(c)
		l.Exempt = l.Exempt || l.Override == OverrideOn
		ls = append(ls, l)
	}
	return ls
}

// until is when the guard must freeze a cluster: when its right is over. One that is stopped cleanly on command (A10, planned) is not active any more, but goes on
// under the lanes it is still covered by, no longer than its step may take: frozen half-way it would have to be killed, and what it had not sent yet would be lost.
func (a *Agent) until(now events.Instant, c *cluster, e *Entry) events.Instant {
	f := a.facts(now, c)
	if !f.passive() || !f.stop || a.foreign != "" {
		return f.until
	}
	if e.Step.Deadline == 0 {
		return a.laneRight()
	}
	return min(a.laneRight(), c.taken.Add(e.Step.Deadline))
}

// settle derives everything that follows from the state: what each cluster needs, what is due on the lanes, what to ask and report.
func (a *Agent) settle(now events.Instant) Effects {
	eff := Effects{Wake: events.Never}
	for _, c := range a.cs {
		a.act(now, c, &eff)
	}
	if a.foreign == "" {
		a.askGrants(now, &eff)
		for n := range a.lanes {
			l := &a.lanes[n]
			if l.readDue(a.d.LaneReread) <= now {
				l.reading, l.readAt = true, now
				eff.Read = append(eff.Read, n)
			}
			if l.beatDue(a.d.Beat) <= now {
				eff.Beats = append(eff.Beats, a.publish(now, n))
			}
			eff.wake(l.readDue(a.d.LaneReread))
			eff.wake(l.beatDue(a.d.Beat))
		}
	}
	for _, c := range a.cs {
		a.report(now, c, &eff)
	}
	eff.Save, a.dirty = a.dirty, false
	return eff
}

func (e *Effects) wake(at events.Instant) { e.Wake = min(e.Wake, at) }
