package decide

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Automation is who decided when nobody asked.
const Automation = "automation"

// row is one line of a table: an id that is API, the phases it applies to, what must hold, what it does, and the sentence operators see.
type row struct {
	id    string
	phase string // "none" (no record), "active", "fencing", "proved", "any" (every phase with a record), "gone" (released), "every" (all of them)
	when  string // in words, for TABLE.md
	is    func(f *Facts) bool
	do    func(f *Facts, o *Outcome)
	why   string
}

func (r *row) applies(phase string) bool {
	return r.phase == phase || r.phase == "every" || (r.phase == "any" && phase != "none" && phase != "gone")
}

// phase is the facts' phase as rows name it.
func (f *Facts) phase() string {
	switch {
	case f.Record == nil:
		return "none"
	case f.Record.Gone != "":
		return "gone"
	}
	return phaseNames[f.Record.Phase]
}

var phaseNames = map[events.Phase]string{events.PhaseActive: "active", events.PhaseFencing: "fencing", events.PhaseProved: "proved"}

// The tables by phase.
var movesIn, upkeepsIn = byPhase(moves[:]), byPhase(upkeeps[:])

// byPhase lists the rows of a table that apply to each phase, in order.
func byPhase(table []row) map[string][]*row {
	lists := map[string][]*row{}
	for _, phase := range [...]string{"none", "gone", "active", "fencing", "proved"} {
		for i := range table {
			if r := &table[i]; r.applies(phase) {
				lists[phase] = append(lists[phase], r)
			}
		}
	}
	return lists
}

// Step finds the first row of moves that matches and does what it says; if that left the record alone, every row of upkeep that matches is
// done too. The facts are not changed; the outcome's record is a new value.
func Step(f *Facts) Outcome {
	o, phase := Outcome{Wake: events.Never}, f.phase()
	if h, _ := f.halted(); h != nil {
		o.Halt = h.id
	}
	for _, r := range movesIn[phase] {
		if !r.is(f) {
			continue
		}
		o.Rule, o.sentence = r.id, r.why
		if r.do != nil {
			r.do(f, &o)
		}
		if o.Why == "" {
			o.Why = f.say(o.sentence, &o)
		}
		for i := range o.Notices {
			n := &o.Notices[i]
			if n.Why == "" {
				n.Why = o.Why
			}
			if r := o.Record; r != nil && r.Op != nil && r.Op.Ended != "" && n.Report == nil && (n.Type == events.NoticeServing || n.Type == events.NoticeAborted) {
				n.Report = r.Op
			}
		}
		for i := range o.Answers {
			o.Answers[i].Rule = o.Rule
			if o.Answers[i].Why == "" {
				o.Answers[i].Why = o.Why
			}
		}
		break
	}
	if f.Record != nil && o.Record == nil && f.Record.Gone == "" && o.Halt == "" {
		upkeep(f, &o)
	}
	o.Sets = newest(o.Sets)
	f.wakes(&o)
	return o
}

// draft is the record the outcome saves, made on first use.
func (o *Outcome) draft(f *Facts) *events.Record {
	if o.Record == nil {
		o.Record = f.Record.Clone()
	}
	return o.Record
}

// notice adds a notice about the group; its sentence is the row's unless given.
func (o *Outcome) notice(f *Facts, kind string) *events.Notice {
	n := events.Notice{Type: kind, Group: f.Config.Group, Rule: o.Rule, By: Automation}
	r := o.Record
	if r == nil {
		r = f.Record
	}
	if r != nil {
		n.Epoch, n.Region = r.Epoch, r.Active.Region
		if r.Op != nil {
			n.Operation, n.By = r.Op.ID, r.Op.By
		}
	}
	o.Notices = append(o.Notices, n)
	return &o.Notices[len(o.Notices)-1]
}

// answer answers the ask in hand.
func (o *Outcome) answer(f *Facts, accepted bool, operation string) {
	if f.Ask != nil {
		o.Answers = append(o.Answers, events.AnswerItem{Group: f.Config.Group, Accepted: accepted, Operation: operation})
	}
}

// SetFor is the command that makes a member of r what the record says: its role, and the step that is due. Both come from the record alone, so any leader
// says the same again, and saying it again is harmless.
func SetFor(cfg *events.GroupConfig, r *events.Record, term events.Seq, d events.Durations, c events.Ref) events.Set {
	cur := r.Current()
	s := events.Set{
		Cluster: c, Agent: r.Member(c).Agent.Agent, Group: r.Group, Epoch: r.Epoch, Role: RoleNow(r, c), Version: cur.Version, Candidates: cur.Candidates,
		Mode: cfg.Mode, Isolation: cfg.Isolation, Step: stepFor(r, c, d), Config: r.Config, Tasks: cfg.Tasks, Term: term,
	}
	if s.Step == nil {
		s.Step = taskStep(cfg, r, c)
	}
	if c == r.Active && r.Gone == "" {
		s.Sync = r.Sync.Order()
	}
	for i := range r.Members {
		if p := r.Members[i].Cluster; p != c {
			s.Peers = append(s.Peers, p.Cluster)
		}
	}
	return s
}

func (f *Facts) set(r *events.Record, c events.Ref) events.Set {
	return SetFor(&f.Config, r, f.Term, f.D, c)
}

// RoleNow is what the record wants of a member: active only in phase ACTIVE and only the one whose turn it is (C8, C11).
func RoleNow(r *events.Record, c events.Ref) events.Role {
	if r.Phase == events.PhaseActive && r.Active == c {
		return events.RoleActive
	}
	return events.RolePassive
}

// wakes asks to be looked at again when time alone may change the row that matches.
func (f *Facts) wakes(o *Outcome) {
	wake := func(after, limit int64) {
		if left := limit - after; left > 0 {
			o.Wake = min(o.Wake, f.Now+events.Instant(left))
		}
	}
	if f.Record == nil {
		return
	}
	if f.Record.Phase != events.PhaseActive {
		wake(int64(f.PhaseAge), int64(f.D.FenceAck))
		wake(int64(f.PhaseAge), int64(f.D.Attempt))
		if len(f.Lease.Accepted) >= events.Quorum {
			wake(int64(f.Now), int64(f.Lease.Received.Add(f.Lease.Wait)))
		}
	}
	if f.Record.Running() {
		wake(int64(f.OpAge), int64(f.D.Promote))
		wake(int64(f.OpAge), int64(f.D.Prepare))
		wake(int64(f.OpAge), int64(f.D.Confirm+f.D.Silent()))
		wake(int64(f.GapAge), int64(f.gapLimit()))
	}
	if f.Record.Restart != nil || f.Record.Next != nil || f.Record.Drill.Running() || f.quiet() {
		o.Wake = min(o.Wake, f.Now+events.Instant(time.Second))
	}
	if s := f.Record.Sync; s != nil && len(s.Told) > len(s.Set) {
		wake(int64(f.SyncAge), int64(f.D.SyncWait))
	}
	if a := f.active(); a.Silent > 0 {
		wake(int64(a.Silent), int64(f.D.Confirm))
	} else if a.Health.Down > 0 {
		wake(int64(a.Health.Down), int64(f.D.ClusterConfirm))
	}
	if !f.Record.Settled {
		wake(int64(f.Stable), int64(f.D.Flapping))
	}
}
