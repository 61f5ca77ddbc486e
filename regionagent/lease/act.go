package lease

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Verb is what the core wants done to a cluster. Freeze, Thaw and Kill go to the guard; the others to the driver.
type Verb string

// The verbs, as the driver and the guard call them.
const (
	None         Verb = ""
	Freeze       Verb = "freeze"
	Thaw         Verb = "thaw"
	Kill         Verb = "kill"
	Start        Verb = "start"
	StartStandby Verb = "start-standby"
	Promote      Verb = "promote"
	Stop         Verb = "stop"
	Cut          Verb = "cut"
	Follow       Verb = "follow"
	Checkpoint   Verb = "checkpoint"
	Mark         Verb = "mark"
	Restore      Verb = "restore"
	Release      Verb = "release"
	FenceOther   Verb = "fence"   // this host's external fence, against another one
	Restart      Verb = "restart" // of a step only: a stop, then what starts it in its role
	Sync         Verb = "sync"    // have commits wait for whom the order names, and see them wait
	Account      Verb = "account" // open the ledger of the tasks that were hit
	RetryTasks   Verb = "retry-tasks"
	Cancel       Verb = "cancel" // end the restore under way: what it works for is not wanted any more
)

// Action is one thing to do to a cluster now; its end comes back through Finished. Urgent ones (the guard's) may overlap a driver's.
type Action struct {
	Cluster events.Ref
	Verb    Verb
	Group   string // mark
	Step    string // id its result is kept under, "" = not kept
	Source  string
	Until   events.LSN
	Copy    bool
	Limit   time.Duration
	Sync    *events.SyncOrder
	Anew    bool
	Victim  *events.Victim    // fence: whom
	Account string            // account: the operation whose ledger it is
	Retry   *events.TaskRetry // retry-tasks: which
	Epoch   events.Epoch      // account: persisted when it was ordered
	Tasks   *events.TaskPolicy
	Rule    string
}

func (v Verb) guards() bool { return v == Freeze || v == Thaw || v == Kill }

// retryStart is how long a start that did not help is not tried again. After maxStarts of them the controller is left to judge (2-safety, Verdicts:
// after 2 local restarts), and only one in every ClusterConfirm is still tried.
const (
	retryStart = 2 * time.Second
	maxStarts  = 2
)

// facts are what a row looks at, derived once per cluster and settle.
type facts struct {
	c     *cluster
	e     *Entry // nil: not under care
	now   events.Instant
	until events.Instant // the right to run
	right bool           // it is in the future
	run   bool           // A9 for a thaw: active at the ledger's epoch, right, no own promise
	start bool           // A9 for a stopped cluster: run, and G4 over
	stop  bool           // a planned clean stop was asked for, has no result and is within its limit
	again bool           // a start may be tried (again)

	override bool // a person's word on the host holds
	todo     Verb // the verb of a step that has no answer yet

	killAfter, slow time.Duration
}

type row struct {
	id   string
	when func(f *facts) bool
	verb Verb
	why  string
}

// rows is the table: first match wins, so what takes the right to write away stands before what gives it.
var rows = [...]row{
	{"ignore.override", func(f *facts) bool { return f.override }, None, "a person on the host overrode its fence: it runs whatever its right, until the record names it anew or the right is back"},
	{"freeze.mark-without-ledger", func(f *facts) bool { return f.e == nil && f.c.mark != "" && f.c.server == events.ServerWritable }, Freeze,
		"its data bears our mark but the ledger does not know it: frozen until a person or a RESUME says what it is"},
	{"ignore.unmanaged", func(f *facts) bool { return f.e == nil }, None, "not under care"},
	{"kill.released-passive", func(f *facts) bool {
		return f.todo == Release && f.passive() && (f.c.server == events.ServerFrozen || f.mayWrite(f.e.Primary || f.c.rising))
	}, Kill, "released from care as a passive, and it can write: it is stopped before it is let go"},
	{"thaw.let-go", func(f *facts) bool {
		return (f.e.Released || f.e.Mode == events.ModeObserve) && f.active() && f.c.server == events.ServerFrozen
	}, Thaw, "nothing holds it any more: what was frozen before is let go too"},
	{"release", func(f *facts) bool { return f.todo == Release && f.c.busy == None && f.c.observed && f.again }, Release, "released from care: what is ours is taken out of it"},
	{"ignore.released", func(f *facts) bool { return f.e.Released }, None, "released from care"},
	{"ignore.observe", func(f *facts) bool { return f.e.Mode == events.ModeObserve }, None, "observed only: nothing is fenced or moved"},
	{"kill.passive-frozen", func(f *facts) bool { return f.passive() && f.c.server == events.ServerFrozen }, Kill,
		"the role moved on while it was frozen: killed before anything can thaw it"},
	{"stop.planned", func(f *facts) bool {
		return f.passive() && f.c.server == events.ServerWritable && f.stop && f.c.busy == None
	}, Stop,
		"asked to stop cleanly"},
	{"wait.planned-stop", func(f *facts) bool {
		return f.passive() && f.stop && (f.c.busy == Stop || f.c.busy != None && f.c.server == events.ServerWritable)
	}, None, "a clean stop is under way, or what runs before it ends first"},
	{"kill.passive-writable", func(f *facts) bool {
		return f.passive() && f.mayWrite(f.e.Primary || f.c.rising)
	}, Kill, "it must be passive and can write, or nobody can say that it can't"},
	{"freeze.right-over", func(f *facts) bool {
		return f.active() && !f.right && !f.e.Exempt() && f.mayWrite(true)
	}, Freeze, "the right to run has lapsed"},
	{"kill.frozen-too-long", func(f *facts) bool { return f.killDue() }, Kill, "frozen longer than kill-after: killed, so that its clients let go"},
	{"thaw", func(f *facts) bool { return f.active() && f.c.server == events.ServerFrozen && (f.run || f.e.Exempt()) }, Thaw, "it has the right to run again"},
	{"wait.frozen", func(f *facts) bool { return f.c.server == events.ServerFrozen }, None, "frozen, and no right to run"},
	{"restore", func(f *facts) bool { return f.passive() && f.todo == Restore && f.again && f.c.observed }, Restore,
		"made a follower again: what only it has is counted, then it follows, is rewound or copied"},
	{"wait.restore", func(f *facts) bool { return f.passive() && f.todo == Restore }, None, "its restore is under way"},
	{"restart.stop", func(f *facts) bool {
		return f.todo == Restart && !f.e.answered(f.e.Step.ID+restartDown) && f.again && (f.c.server == events.ServerRecovery || f.c.server == events.ServerWritable && f.run)
	}, Stop, "a planned restart: stopped cleanly first"},
	{"mark", func(f *facts) bool {
		return f.c.mark != f.e.Group && f.c.busy == None && f.c.server != events.ServerUnknown
	}, Mark,
		"its data must say whose it is"},
	{"start.active", func(f *facts) bool {
		return f.active() && f.e.Primary && f.c.server.Stopped() && f.start && f.again && !f.c.waits
	}, Start,
		"active here: started on its own timeline, through the gate"},
	{"promote", func(f *facts) bool {
		return f.active() && !f.e.Primary && f.c.server == events.ServerRecovery && f.start && f.again && !f.c.waits
	}, Promote,
		"appointed: promoted"},
	{"start.standby-to-promote", func(f *facts) bool { return f.active() && !f.e.Primary && f.c.server == events.ServerDown && f.again }, StartStandby,
		"appointed but down: started read-only first"},
	{"wait.start", func(f *facts) bool { return f.active() && f.c.server.Stopped() }, None, "active here, waiting for the right to start it, or for what it depends on"},
	{"gate", func(f *facts) bool {
		return f.active() && f.c.server == events.ServerWritable && (!f.c.gated || f.c.lacks && !f.c.waits && f.start) && f.run && f.c.busy == None && f.now >= f.c.retryAt
	}, Start, "already writable: what of it does not run is begun again, and whatever starts it past the gate from now on must come up read-only (I8)"},
	{"checkpoint", func(f *facts) bool {
		return f.active() && f.c.server == events.ServerWritable && !f.c.settled && f.c.busy == None
	}, Checkpoint, "makes the new timeline visible in the control file"},
	{"start.standby", func(f *facts) bool { return f.passive() && !f.e.Primary && f.c.server == events.ServerDown && f.again }, StartStandby,
		"passive and down: started read-only again"},
	{"step", func(f *facts) bool { return f.step() != None }, None, "its step is due"},
	{"sync", func(f *facts) bool { return f.syncDue() }, Sync, "its commits must wait for others, or for nobody any more, and that was not seen yet"},
}

// Rows lists the ids of the table, in order.
func Rows() []string {
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].id
	}
	return ids
}

func (f *facts) active() bool  { return f.e != nil && f.e.Role == events.RoleActive }
func (f *facts) passive() bool { return f.e != nil && f.e.Role == events.RolePassive }

// mayWrite reports whether the server can acknowledge a write, or might soon. A server that does not answer counts where its data was last written by
// itself: hung is not stopped, and it may wake. One that is being restored does not: its driver starts it read-only, and it is long between two answers.
func (f *facts) mayWrite(unknownCounts bool) bool {
	return f.c.server == events.ServerWritable || f.c.busy == Start || f.c.busy == Promote || (unknownCounts && f.c.server == events.ServerUnknown && f.c.busy != Restore)
}

// step is the driver's verb for a step that still has no answer and needs no change of role.
func (f *facts) step() Verb {
	s := f.e.Step
	if s == nil || f.c.busy != None || f.e.answered(s.ID) || f.now < f.c.stepAt {
		return None
	}
	switch v := Verb(s.Verb); {
	case (v == Checkpoint || v == Account || v == RetryTasks) && f.active() && f.c.server == events.ServerWritable,
		v == Cut && f.passive() && f.c.server == events.ServerRecovery,
		v == FenceOther && f.passive(),
		v == Follow && f.passive() && f.c.server == events.ServerRecovery,
		v == Stop && f.passive() && f.c.server.Stopped():
		return v
	}
	return None
}

// killDue: a frozen server nobody released is killed; exempt ones never by time.
func (f *facts) killDue() bool {
	return f.active() && !f.e.Exempt() && !f.right && f.c.server == events.ServerFrozen && f.c.frozen != 0 && f.now >= f.c.frozen.Add(f.killAfter)
}

// act finds the first row that matches and orders its verb unless that is under way.
func (a *Agent) act(now events.Instant, c *cluster, eff *Effects) {
	f := &a.looked
	*f = a.facts(now, c)
	if c.busy == Restore && c.work != f.work() && !c.cancelled {
		c.cancelled = true
		eff.Do = append(eff.Do, Action{Cluster: c.ref, Verb: Cancel, Step: c.work, Rule: "cancel"})
	}
	for i := range rows {
		r := &rows[i]
		if !r.when(f) {
			continue
		}
		c.wait = r.id
		verb := r.verb
		if r.id == "step" {
			verb = f.step()
		}
		a.order(f, verb, r.id, eff)
		break
	}
	a.wakeFor(f, eff)
}

// order emits an action once. What makes a cluster writable needs the guard to hold the deadline first (A8).
func (a *Agent) order(f *facts, v Verb, rule string, eff *Effects) {
	c := f.c
	if v == None || (v.guards() && c.hold == v) || (!v.guards() && c.busy != None) { // busy: one driver verb at a time
		return
	}
	if (v == Start || v == Promote || v == Thaw) && !f.e.Exempt() && c.handed <= f.now {
		eff.Nudge = true
		return
	}
	act := Action{Cluster: c.ref, Verb: v, Rule: rule}
	if f.e != nil {
		act.Group, act.Step, act.Tasks = f.e.Group, events.StepID(f.e.Group, f.e.Seen, string(v)), f.e.Tasks
		if s := f.e.Step; s != nil && Verb(s.Verb) == v {
			act.Step, act.Source, act.Until, act.Copy, act.Limit, act.Victim = s.ID, s.Source, s.Until, s.Copy, s.Deadline, s.Victim
			act.Account, act.Retry, act.Epoch = s.Account, s.Retry, f.e.Seen
		} else if rule == "restart.stop" {
			act.Step, act.Limit = s.ID+restartDown, s.Deadline
		}
	}
	if v == Sync {
		s := *f.e.Sync
		act.Step, act.Sync, act.Anew, act.Limit = "", &s, f.e.SyncSeen.Void, syncLimit
	}
	if v == Restore {
		c.work, c.cancelled = act.Step, false
	}
	switch {
	case v.guards():
		c.hold = v
	default:
		c.busy = v
	}
	c.rising = c.rising || v == Start || v == Promote
	c.reads = c.reads && !c.rising
	if v == Start || v == StartStandby || v == Promote {
		c.failures++ // until the server is found well
		if c.lacks {
			c.mends++ // it was found writable all the while
		}
		c.retryAt = f.now.Add(retryStart)
		if max(c.failures, c.mends) > maxStarts {
			c.retryAt = f.now.Add(f.slow)
		}
	}
	eff.Do = append(eff.Do, act)
}

// Finished takes the end of an action, with what the server was found to be afterwards. Results of steps, promotions, stops and kills are
// kept in the ledger and reported.
func (a *Agent) Finished(now events.Instant, act Action, r events.Result, server events.Server) Effects {
	c := a.cluster(act.Cluster)
	if c == nil {
		return a.settle(now)
	}
	if act.Verb.guards() {
		if c.hold == act.Verb {
			c.hold = None
		}
	} else if c.busy == act.Verb {
		c.busy = None
	}
	e := a.led.Find(act.Cluster)
	a.observe(now, c, server)
	switch {
	case act.Verb == Checkpoint && r.Outcome.OK():
		c.settled = true
	case act.Verb == Promote || act.Verb == Start:
		c.settled, c.gated = false, r.Outcome.OK()
	case act.Verb == Thaw && !r.Outcome.OK():
		c.handed = 0 // a guard that refuses holds no deadline, whatever one before it was told: asked anew before the next try
	case act.Verb == Mark && r.Outcome.OK():
		c.mark = act.Group
	case act.Verb == Kill && e != nil && r.Outcome.OK():
		c.rising = false
		e.Primary = e.Primary || !c.reads // what it wrote last it may have written itself: not promoted again before a restore
		e.Fenced, a.dirty = r.Why, true
	case act.Verb == Stop && e != nil && r.Outcome.OK():
		e.Fenced, a.dirty = r.Why, true
	case act.Verb == Restore && e != nil && r.Outcome.OK() && e.Role == events.RolePassive:
		c.rising, c.gated = false, false
		e.Primary, a.dirty = false, true // it follows: what it holds is its source's log
	}
	if act.Verb == Restore {
		c.work = ""
	}
	if act.Verb == Sync {
		a.synced(now, c, e, act, r)
		return a.settle(now)
	}
	if !r.Outcome.OK() {
		c.retryAt = max(c.retryAt, now.Add(retryStart))
		c.stepAt = now.Add(retryStart)
	}
	if e != nil && act.Step != "" && kept(act) {
		r.Step = act.Step
		e.result(r)
		a.dirty = true
	}
	a.restarted(e, act, r)
	return a.settle(now)
}

// kept reports whether the end of an action is an answer somebody may want: not of what the core does by itself again and again.
func kept(act Action) bool {
	switch act.Verb {
	case Mark, Freeze, Thaw:
		return false
	case Checkpoint:
		return act.Rule == "step"
	}
	return true
}

// restartDown is added to a restart's id for the answer to its first half: an agent that dies in between must not stop the server again.
const restartDown = "/down"

// restarted answers a planned restart once the server is back in its role.
func (a *Agent) restarted(e *Entry, act Action, r events.Result) {
	if e == nil || e.Step == nil || e.Step.Verb != events.VerbRestart || e.answered(e.Step.ID) || !e.answered(e.Step.ID+restartDown) {
		return
	}
	if (act.Verb == Start || act.Verb == StartStandby) && r.Outcome.OK() {
		r.Step = e.Step.ID
		e.result(r)
		a.dirty = true
	}
}

// work is the id of the restore that is wanted now, "" = none.
func (f *facts) work() string {
	if f.passive() && f.e.Step != nil && f.e.Step.Verb == events.VerbRestore {
		return f.e.Step.ID
	}
	return ""
}

// facts derives what the rows look at.
func (a *Agent) facts(now events.Instant, c *cluster) facts {
	f := facts{c: c, e: a.led.Find(c.ref), now: now, killAfter: a.d.KillAfter, slow: a.d.ClusterConfirm, override: a.overridden(c) == OverrideOn}
	if f.e == nil {
		return f
	}
	f.until = a.right(now, c, f.e)
	f.right = f.until > now
	f.run = f.active() && f.right && now >= c.promise
	f.start = f.run && now >= a.started.Add(a.d.Wait) // G4
	f.again = c.busy == None && c.hold == None && now >= c.retryAt
	if s := f.e.Step; s != nil && !f.e.answered(s.ID) {
		f.todo = Verb(s.Verb)
		f.stop = f.todo == Stop && (s.Deadline == 0 || now < c.taken.Add(s.Deadline))
	}
	return f
}

// wakeFor adds every instant at which a row may change by time alone.
func (a *Agent) wakeFor(f *facts, eff *Effects) {
	at := func(i events.Instant) {
		if i > f.now {
			eff.wake(i)
		}
	}
	if f.e == nil {
		return
	}
	at(f.until)
	at(f.c.promise)
	at(f.c.retryAt)
	at(f.c.stepAt)
	at(f.c.syncAt)
	at(a.started.Add(a.d.Wait))
	if f.c.frozen != 0 {
		at(f.c.frozen.Add(a.d.KillAfter))
	}
	if s := f.e.Step; s != nil && s.Deadline > 0 {
		at(f.c.taken.Add(s.Deadline))
	}
}
