package decide

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// The sync set (I4) names who has every acknowledged write, and changes around the server's own setting.
//
//	join:  the server is told ─▶ it is seen to wait ─▶ recorded
//	leave: recorded ─▶ the server is told, as the command leaves with the record
//
// A commit waits for everybody the server is told of, so the set is one cluster, and two while one takes another's place: join before leave.

// syncs reports whether the group is to be in sync now.
func (f *Facts) syncs() bool {
	return f.Config.Replication == events.ReplicateSync && f.Config.Mode != events.ModeObserve && !f.Config.Removed
}

// inSet reports whether a cluster has every acknowledged write by the record.
func (f *Facts) inSet(c events.Ref) bool { return f.Record.Sync.Holds(c) }

// strict reports whether commits wait rather than go on alone. Who was just appointed serves alone until its first standby has joined: nobody was promised more.
func (f *Facts) strict() bool {
	s := f.Record.Sync
	return f.syncs() && f.Config.WhenAlone == events.AloneStrict && s != nil && s.Once
}

// outside says why a failover may not take a cluster: in sync, it may lack acknowledged writes. "" if it may.
func (f *Facts) outside(c events.Ref) string {
	op := f.Record.Op
	switch {
	case f.Config.Replication != events.ReplicateSync || f.inSet(c):
		return ""
	case f.Ask != nil && (f.Ask.AcceptLoss || f.Ask.Verb != events.AskFailover || f.active().Fresh): // a reachable active is stopped cleanly, and then it is known
		return ""
	case f.Record.Phase != events.PhaseActive && op != nil && (op.Accept || op.Planned && op.By != Automation || swaps(op)):
		return ""
	}
	return fmt.Sprintf("%s is not in the sync set (%s): it may lack acknowledged writes", c, f.setWords())
}

// setWords names the set, or says since when and why it is empty.
func (f *Facts) setWords() string { return SyncText(f.Record.Sync) }

// SyncText says who has every acknowledged write of a group.
func SyncText(s *events.Sync) string {
	switch {
	case s == nil:
		return "nobody has joined it yet"
	case len(s.Set) > 0:
		return refs(s.Set)
	case s.Why == "":
		return "nobody is in it"
	}
	return fmt.Sprintf("nobody since %s: %s", s.Alone.UTC().Format("15:04:05 MST"), s.Why)
}

func refs(rs []events.Ref) string {
	var all []string
	for _, r := range rs {
		all = append(all, r.String())
	}
	return strings.Join(all, ", ")
}

// ready reports whether a cluster may join: it streams from the active, near its end, and nothing of it is rebuilt.
func (f *Facts) ready(c *Cluster) bool {
	m := f.Record.Member(c.Cluster)
	return m != nil && c.Cluster != f.Record.Active && m.Candidate() && f.whole(c) && c.Health.LagKnown && c.Health.Lag <= swapLag && c.Health.Heard < f.unheard()
}

// holdsUp reports whether commits wait too long, and for this cluster. Only the active itself knows: while it is silent nobody leaves.
func (f *Facts) holdsUp(c events.Ref) bool {
	a := f.active()
	h := a.Health.Sync
	if !a.Fresh || !a.Known || h == nil || h.Waiting < f.D.SyncWait || !f.inSet(c) && f.SyncAge < f.D.SyncWait {
		return false
	}
	for _, s := range h.Standbys {
		if s.Name == c.Cluster {
			return !s.Streaming || s.Flushed < h.At
		}
	}
	return false // the server does not wait for it yet
}

// syncDue names the row that changes the set now, "" if none.
func (f *Facts) syncDue() string {
	s := f.Record.Sync
	switch {
	case !f.syncs():
		if s != nil && len(s.Told) > 0 {
			return "sync.off"
		}
		return ""
	case f.Record.Running() || f.Record.Restart != nil || f.notServing() != "":
		return ""
	case f.syncVoid():
		return "sync.broken"
	case len(f.joined()) > 0:
		return "sync.joined"
	case f.joiner() != nil:
		return "sync.join"
	case f.leaver() != (events.Ref{}):
		return "sync.leave"
	}
	return ""
}

// syncVoid reports whether the active says that it does not wait as told any more, or can't say that it ever did.
func (f *Facts) syncVoid() bool {
	s, r := f.Record.Sync, &f.active().Report
	if s == nil || r.Seen != f.Record.Epoch {
		return false
	}
	return r.Sync.Void && r.Sync.Version == s.Version && len(s.Told) > 0 || r.Sync.Version == 0 && len(s.Set) > 0
}

// joined lists who has every acknowledged write since its order was seen to hold: what was acknowledged without a wait lies below a position that it has.
func (f *Facts) joined() []events.Ref {
	s, seen := f.Record.Sync, f.active().Report.Sync
	if s == nil || seen.Version != s.Version || seen.Void || seen.At == 0 {
		return nil
	}
	var rs []events.Ref
	for _, r := range s.Told {
		if c := f.member(r); !s.Holds(r) && f.ready(c) && c.Health.LSN >= seen.At {
			rs = append(rs, r)
		}
	}
	return rs
}

// joiner is who is told of next: the first in order of preference that is ready, when nobody who is told of will do. nil if none.
func (f *Facts) joiner() *Cluster {
	s := f.Record.Sync
	if s != nil {
		if len(s.Told) > 1 {
			return nil
		}
		for _, c := range s.Told {
			if !f.holdsUp(c) {
				return nil
			}
		}
	}
	for i := range f.Members {
		if c := &f.Members[i]; !s.Tells(c.Cluster) && f.ready(c) {
			return c
		}
	}
	return nil
}

// leaver is who leaves next; zero if nobody: of two the one that holds commits up, or was there first; the last one only where they may go on alone.
func (f *Facts) leaver() (none events.Ref) {
	s := f.Record.Sync
	if s == nil || len(s.Told) == 0 {
		return none
	}
	first, last := s.Told[0], s.Told[len(s.Told)-1]
	if len(s.Told) == 1 {
		if f.holdsUp(last) && !f.strict() {
			return last
		}
		return none
	}
	switch {
	case s.Holds(first) && s.Holds(last) && f.holdsUp(first) && !f.holdsUp(last):
		return first
	case s.Holds(first):
		return last
	case f.holdsUp(first): // its join came to nothing
		return first
	case f.holdsUp(last) && (!s.Holds(last) || !f.strict() && f.active().Health.Sync.Waiting >= 3*f.D.SyncWait): // else whoever is to take its place may still be seen to in time
		return last
	}
	return none
}

// syncing begins a change of the set in the outcome's record.
func (f *Facts) syncing(o *Outcome) *events.Sync {
	r := o.draft(f)
	if r.Sync == nil {
		r.Sync = &events.Sync{Alone: f.Wall, Why: "nobody has joined it yet"}
	}
	return r.Sync
}

// tellSync tells the active what the outcome's record says, and everybody else what happened.
func (f *Facts) tellSync(o *Outcome, c events.Ref, why string, args ...any) {
	r := o.draft(f)
	if len(r.Sync.Set) == 0 && r.Sync.Alone.IsZero() {
		r.Sync.Alone = f.Wall
		r.Sync.Why = fmt.Sprintf(why, args...)
	}
	o.Sets = append(o.Sets, f.set(r, r.Active))
	n := o.notice(f, events.NoticeSync)
	n.Cluster, n.Region, n.Why = c.Cluster, c.Region, fmt.Sprintf(why, args...)
}

// part takes a cluster out of the set and of what the active is told, before anything is done to it that its data does not outlive. With keep the active waits for it
// all the same, and it joins again once it was seen to.
func (f *Facts) part(o *Outcome, c events.Ref, keep bool, why string) {
	if !f.Record.Sync.Tells(c) {
		return
	}
	s := f.syncing(o)
	told := without(s.Told, c)
	s.Set = without(s.Set, c)
	if keep && len(told) == 0 {
		told = s.Told
	}
	s.Tell(o.Record.Epoch, told)
	f.tellSync(o, c, "%s left the sync set: %s", c, why)
}

func without(rs []events.Ref, c events.Ref) []events.Ref {
	return slices.DeleteFunc(slices.Clone(rs), func(r events.Ref) bool { return r == c })
}

func syncOff(f *Facts, o *Outcome) {
	s := f.syncing(o)
	left := s.Told[0]
	s.Tell(o.Record.Epoch, nil)
	s.Once = false
	f.tellSync(o, left, "%s is not in sync any more: its commits wait for nobody", f.Config.Group)
}

func syncBroken(f *Facts, o *Outcome) {
	s := f.syncing(o)
	left := s.Told[0]
	s.Set = nil
	s.Tell(o.Record.Epoch, s.Told)
	f.tellSync(o, left, "%s does not wait as it was told any more (somebody changed synchronous_standby_names, or its agent lost its ledger): nobody counts as having every write until it was seen to wait again",
		o.Record.Active)
	o.Notices[len(o.Notices)-1].Type = events.NoticeAlarm
}

func syncJoined(f *Facts, o *Outcome) {
	s := f.syncing(o)
	for _, c := range f.joined() {
		s.Set = append(s.Set, c)
		n := o.notice(f, events.NoticeSync)
		n.Cluster, n.Region, n.Why = c.Cluster, c.Region, fmt.Sprintf("%s joined the sync set: %s was seen to wait for it", c, o.Record.Active)
	}
	s.Once, s.Alone, s.Why = true, time.Time{}, ""
}

func syncJoin(f *Facts, o *Outcome) {
	c := f.joiner().Cluster
	s := f.syncing(o)
	s.Tell(o.Record.Epoch, append([]events.Ref{c}, s.Told...))
	o.Sets = append(o.Sets, f.set(o.Record, o.Record.Active))
}

func syncLeave(f *Facts, o *Outcome) {
	c := f.leaver()
	why := "another has taken its place"
	switch s := f.Record.Sync; {
	case !s.Holds(c):
		why = "commits waited for it, and it never joined"
	case f.holdsUp(c) && len(s.Set) > 1:
		why = "commits waited for it for " + round(f.active().Health.Sync.Waiting) + ", and another has taken its place"
	case f.holdsUp(c):
		why = "commits waited for it for " + round(f.active().Health.Sync.Waiting) + "; they go on without it, and automation promotes nobody until one has joined again"
	}
	f.part(o, c, false, why)
}

// appoint empties the set of a record whose active is new: nothing was seen of what that one waits for.
func appoint(f *Facts, r *events.Record, by string) {
	if s := r.Sync; s != nil {
		s.Set, s.Once = nil, false
		s.Tell(r.Epoch, nil)
		s.Alone, s.Why = f.Wall, fmt.Sprintf("%s was appointed by %s", r.Active, by)
	}
}

func syncRow(id string) func(*Facts) bool { return func(f *Facts) bool { return f.syncDue() == id } }
