package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// checks is what the invariants remember; none of it comes from the cores under test.
type checks struct {
	records map[string]*events.Record // as stored
	seen    map[events.Ref]events.Epoch
	acked   map[string]mark // up to where a group's commits were acknowledged
	ended   []ending        // ends that were recorded, of what may have lost something
	told    map[ending]bool // what was told
	lost    bool            // the record was, or was put back: groups are rebuilt when somebody asks
	acting  at              // nothing before it is judged for I7: links changed too recently
}

// recorded notes a record at the instant it is stored, and checks it.
func (w *World) recorded(c *ctl, r *events.Record) {
	if w.seen.records == nil {
		w.seen.records = map[string]*events.Record{}
	}
	old := w.seen.records[r.Group]
	w.seen.records[r.Group] = r
	w.pairOf(r.Group).record = r
	rule := ""
	if r.Op != nil {
		rule = r.Op.Rule
	}
	if m := momentOf(old, r); m != "" {
		w.moment(r.Group + "." + m)
	}
	w.trace("RECORD %s epoch %d %s active %s target %s (%s)", r.Group, r.Epoch, r.Phase, r.Active, r.Target, rule)
	if old == nil {
		for _, s := range w.pairOf(r.Group).servers {
			if r.Epoch <= w.seen.seen[s.ref] && r.Op != nil && r.Op.Verb == events.AskRebuildRecord && s.host.agent != nil {
				w.fail("I2", "the record of %s is rebuilt at epoch %d, and the ledger of %s has seen %d", r.Group, r.Epoch, s.ref, w.seen.seen[s.ref])
			}
		}
		return
	}
	w.noteEnds(old, r)
	if r.Epoch < old.Epoch {
		w.fail("I2", "record of %s went from epoch %d to %d", r.Group, old.Epoch, r.Epoch)
	}
	rebuilt := r.Op != nil && r.Op.Verb == events.AskRebuildRecord // by a person's word on what agents claim
	if r.Active != old.Active && !rebuilt && (old.Phase != events.PhaseProved || r.Op == nil || r.Op.Proof == nil || r.Op.Proof.Epoch != r.Epoch) {
		w.fail("I3", "%s was moved to %s without a stored proof of epoch %d", r.Group, r.Active, r.Epoch)
	}
	if a, b := w.server(old.Active), w.server(r.Active); r.Active != old.Active && r.Op != nil && (r.Op.Verb == events.AskSwitchover || r.Op.Verb == events.AskFailback || r.Op.Verb == events.AskDrill) && !b.continues(a.timeline, a.lsn) {
		w.fail("swap", "%s was swapped from %s (timeline %d, %v) to %s (timeline %d, %v): something is lost", r.Group, a.ref, a.timeline, a.lsn, b.ref, b.timeline, b.lsn)
	}
	if b := w.server(r.Active); r.Active != old.Active && b.cfg.Replication == events.ReplicateSync && !r.Op.Accept && r.Op.Unfenced == "" && w.lacks(b) {
		w.fail("I4", "%s is appointed and lacks what %s acknowledged", b.ref, r.Group)
	}
	if r.Phase == events.PhaseFencing && old.Phase == events.PhaseActive && r.Op.By == decide.Automation && w.blind(c.region) {
		w.fail("I7", "automation moves %s although %s reaches fewer than half of the regions", r.Group, c.name)
	}
}

// ending is a move or a restore whose end was recorded: it must be told of, for its report says what was lost.
type ending struct{ notice, op string }

func (w *World) noteEnds(old, r *events.Record) {
	if op := r.Op; op != nil && op.Ended == "done" && old.Op != nil && old.Op.ID == op.ID && old.Op.Ended == "" {
		w.seen.ended = append(w.seen.ended, ending{events.NoticeServing, op.ID})
	}
	for i := range old.Members {
		if work := old.Members[i].Work; work != nil {
			if m := r.Member(old.Members[i].Cluster); m != nil && m.Work == nil && m.Role == events.RolePassive {
				w.seen.ended = append(w.seen.ended, ending{events.NoticeRestored, work.ID})
			}
		}
	}
}

// blind is ground truth: fewer than half of the regions have anything this one can talk to, and have had for a while.
func (w *World) blind(region string) bool {
	if w.now < w.seen.acting {
		return false
	}
	n := 0
	for _, r := range w.shape.Regions {
		lives := slices.ContainsFunc(w.hostsIn(r), func(h *host) bool { return h.agent != nil })
		if r == region || w.net.both(planeBus, region, r) && (w.hub.down[r] == 0 || lives) || w.hub.connected(r, region) && lives {
			n++
		}
	}
	return 2*n < len(w.shape.Regions)
}

// pair is one group as the invariants see it: its servers, and its record as stored.
type pair struct {
	name    string
	servers []*server
	config  fleet.GroupConfig // as stored
	record  *events.Record
}

func (w *World) pairOf(group string) *pair {
	for _, p := range w.pairs {
		if p.name == group {
			return p
		}
	}
	return nil
}

// check looks at every group after every step.
func (w *World) check() {
	for _, p := range w.pairs {
		var writer *server
		r := p.record
		free := r == nil || w.waived(r)
		undecided := r != nil && decide.Rebuilding(r) // whoever runs goes on until everybody said passive
		for _, s := range p.servers {
			if s.state != events.ServerWritable || !s.acknowledges() || w.now < s.exempt {
				continue
			}
			if writer != nil && (r == nil || !free) {
				w.fail("I1", "%s and %s of %s can both acknowledge a write", writer.ref, s.ref, p.name)
			}
			writer = s
			if free {
				continue
			}
			if r.Phase == events.PhaseProved && s.ref == r.Active {
				w.fail("I3", "the stored proof of %s is false: %s is still writable", p.name, s.ref)
			}
			if s.ref != r.Active && !undecided {
				w.fail("I8", "%s is writable although the record says %s is active", s.ref, r.Active)
			}
		}
		w.checkSync(r)
	}
}

// waived: an operator gave the fence up by name; I1 stands waived until the old active has answered.
func (w *World) waived(r *events.Record) bool { return r.Op != nil && r.Op.Unfenced != "" }

// checkLedger checks what an agent just made durable.
func (w *World) checkLedger(h *host) {
	var led struct {
		Entries []struct {
			Cluster events.Ref
			Seen    events.Epoch
		}
	}
	if err := json.Unmarshal(h.disk, &led); err != nil {
		panic(fmt.Sprintf("sim: ledger: %v", err))
	}
	if w.seen.seen == nil {
		w.seen.seen = map[events.Ref]events.Epoch{}
	}
	for _, e := range led.Entries {
		if e.Seen < w.seen.seen[e.Cluster] {
			w.fail("I2", "the ledger of %s went from epoch %d to %d", e.Cluster, w.seen.seen[e.Cluster], e.Seen)
		}
		w.seen.seen[e.Cluster] = e.Seen
	}
}

// Settled checks I9 once faults have ended: every group has one active that serves, and every other cluster follows or waits for its restore. It says what
// is wrong, "" if nothing.
func (w *World) Settled() string {
	for _, e := range w.seen.ended {
		if !w.seen.told[e] {
			return fmt.Sprintf("nobody was told that %s is %s, nor what it lost", e.op, e.notice)
		}
	}
	if w.seen.lost {
		w.rebuild()
	}
	if w.disarmed() { // by an ask that was under way for long, and came after the one that armed it
		w.arm()
		w.Ask(events.Ask{Verb: events.AskArm, Kind: events.KindPostgres})
		return "automation is disarmed: nothing is restored by itself"
	}
	for i := range w.shape.Groups {
		g := &w.shape.Groups[i]
		r := w.seen.records[g.Group]
		if r == nil && w.seen.lost {
			return fmt.Sprintf("the record of %s was not rebuilt", g.Group)
		}
		if r == nil {
			if w.waits(g.Group) {
				continue // it broke before it came under care: a person must make it whole first
			}
			return fmt.Sprintf("%s was never born", g.Group)
		}
		if r.Gone != "" || g.Mode == events.ModeObserve { // let go, or only watched: whatever it does is its owner's, as long as nothing of ours holds it
			for _, s := range w.group(g.Group) {
				if s.frozen {
					return fmt.Sprintf("%s is not ours to hold, and is frozen: %s", s.ref, w.viewOf(s))
				}
			}
			continue
		}
		if r.Phase != events.PhaseActive {
			return fmt.Sprintf("%s is still %s at epoch %d", g.Group, r.Phase, r.Epoch)
		}
		a := w.server(r.Active)
		if !a.writable() && !w.waits(g.Group) {
			return fmt.Sprintf("%s, the active of %s, does not serve (%s, frozen %v): %s", a.ref, g.Group, a.state, a.frozen, w.viewOf(a))
		}
		for _, s := range w.group(g.Group) {
			switch m := r.Member(s.ref); {
			case s.ref == r.Active:
			case m == nil:
				return fmt.Sprintf("%s is not a member of %s again: %s", s.ref, g.Group, w.viewOf(s))
			case g.Mode == events.ModeObserve: // nothing of it is started or pointed anywhere
			case m.Role == events.RoleFailed && m.Hold != "":
				w.Ask(events.Ask{Verb: events.AskRestore, Cluster: s.ref.String()})
				return fmt.Sprintf("%s is failed: %s", s.ref, m.Hold)
			case m.Role != events.RolePassive || m.Work != nil:
				return fmt.Sprintf("%s of %s is %s, its restore %+v: %s", s.ref, g.Group, m.Role, m.Work, w.viewOf(s))
			case s.source() != a:
				return fmt.Sprintf("%s, a passive of %s on timeline %d, %v (%s), does not stream from %s on %d: %s", s.ref, g.Group, s.timeline, s.lsn, s.state, a.ref, a.timeline, w.viewOf(s))
			}
		}
		if g.Replication == events.ReplicateSync && g.Mode != events.ModeObserve && (r.Sync == nil || len(r.Sync.Set) == 0) {
			return fmt.Sprintf("nobody is in the sync set of %s: %+v, waits %v, %s", g.Group, r.Sync, a.names, w.viewOf(a))
		}
		for n := range events.Lanes {
			if st := a.host.agent.LaneStates()[n]; st != "counted" {
				return fmt.Sprintf("lane %d of %s is %s", n, a.host.ref, st)
			}
		}
	}
	return ""
}

// waits reports whether the last word on a group names the person it waits for.
func (w *World) waits(group string) bool {
	for _, c := range w.ctls {
		if c.fleet != nil {
			for _, v := range c.fleet.View(c.now()).Groups {
				if v.Group == group && v.NeedsPerson {
					return true
				}
			}
		}
	}
	return false
}

func (w *World) viewOf(s *server) string {
	if s.host.agent == nil {
		return "no agent"
	}
	for _, v := range s.host.agent.Views(s.host.clock()) {
		if v.Cluster == s.ref {
			return fmt.Sprintf("agent row %s, epoch %d %s, right %v, lanes %v", v.Rule, v.Epoch, v.Role, v.Right-s.host.clock(), s.host.agent.LaneStates())
		}
	}
	return "unknown to its agent"
}

// moved says that links changed: who reaches whom is not judged for a while.
func (w *World) moved() { w.seen.acting = w.now + 3*time.Second }
