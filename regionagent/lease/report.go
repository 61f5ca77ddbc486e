package lease

import (
	"github.com/switchback-dr/switchback/events"
)

// report emits the agent's word on a cluster whenever it changed. Of an active that may write nothing is said before its guard holds it (A8).
func (a *Agent) report(now events.Instant, c *cluster, eff *Effects) {
	e := a.led.Find(c.ref)
	if e == nil || e.Role == events.RoleActive && !a.exempt(c, e) && !c.guarded() && c.server != events.ServerFrozen && !c.server.Stopped() {
		return
	}
	if a.passive(now, c, e) {
		if c.said != e.Seen || c.proved == "" {
			c.proved = c.stopped // of the moment it was said: what a later probe words otherwise is no news
		}
		c.said = e.Seen
	}
	r := events.Report{
		Agent: a.self, Cluster: c.ref, Group: e.Group, Nonce: a.nonce, Seen: e.Seen, SeenSeq: e.SeenSeq, Role: e.Role, Primary: e.Primary,
		Version: e.Version, Sync: e.SyncSeen, Results: e.Results, Fenced: e.Fenced, Exempt: a.exempt(c, e), Override: c.override.Text, Config: e.Config, Released: e.Released, Tasks: c.tasks,
	}
	if e.Role == events.RolePassive {
		r.Passive = c.said
		if c.said != 0 {
			r.Stopped = c.proved
		}
	}
	if e.Role == events.RoleActive && c.server == events.ServerWritable && c.busy != Promote && c.busy != Start { // a write was acknowledged when these end
		r.Serving = e.Seen
	}
	r.No = c.reported.No
	if !same(&r, &c.reported) {
		r.No++
		c.reported = r
		eff.Reports = append(eff.Reports, r)
	}
}

// same reports whether two words on a cluster say the same. The results are the ledger's own: a new one makes a new list of them.
func same(r, s *events.Report) bool {
	return r.Agent == s.Agent && r.Cluster == s.Cluster && r.Group == s.Group && r.Nonce == s.Nonce && r.No == s.No && r.Seen == s.Seen && r.SeenSeq == s.SeenSeq &&
		r.Role == s.Role && r.Passive == s.Passive && r.Serving == s.Serving && r.Primary == s.Primary && r.Version == s.Version && r.Sync == s.Sync && r.Fenced == s.Fenced &&
		r.Exempt == s.Exempt && r.Override == s.Override && r.Stopped == s.Stopped && r.Config == s.Config && r.Released == s.Released && r.Tasks == s.Tasks &&
		len(r.Results) == len(s.Results) && (len(r.Results) == 0 || &r.Results[0] == &s.Results[0])
}

// exempt reports whether nothing freezes the cluster when its right is over.
func (a *Agent) exempt(c *cluster, e *Entry) bool { return e.Exempt() || a.overridden(c) == OverrideOn }

// passive is A11: passive persisted at the epoch seen, the server stopped, no promise out, and after a process start G4 over. While a clean stop is under way it is
// not said yet: the stop's own answer, which says where the log ends, comes with it.
func (a *Agent) passive(now events.Instant, c *cluster, e *Entry) bool {
	return e.Role == events.RolePassive && c.observed && c.server.Stopped() && c.busy != Start && c.busy != Promote && c.busy != Stop && c.hold == None &&
		now >= c.promise && now >= a.started.Add(a.d.Wait) && a.foreign == ""
}

// Reports returns the word on every cluster again, for a bus that may have missed some.
func (a *Agent) Reports() []events.Report {
	var rs []events.Report
	for _, c := range a.cs {
		if c.reported.Cluster == c.ref {
			rs = append(rs, c.reported)
		}
	}
	return rs
}

// View is what status, metrics and health show of one cluster.
type View struct {
	Cluster events.Ref
	Group   string
	Managed bool
	Role    events.Role
	Epoch   events.Epoch
	Right   events.Instant // 0 = none
	Rule    string         // the row that holds it
	Exempt  bool
	Let     bool // released from care: only its epoch is remembered
	Step    *events.Step
	Tasks   *events.TaskPolicy
	Tend    []string // names of the clusters that may follow it; nil = it is not to be tended now
}

// Views shows every cluster, sorted.
func (a *Agent) Views(now events.Instant) []View {
	vs := make([]View, 0, len(a.cs))
	for _, c := range a.cs {
		vs = append(vs, a.view(now, c))
	}
	return vs
}

// View shows one cluster; false = it is not this agent's.
func (a *Agent) View(now events.Instant, ref events.Ref) (View, bool) {
	c := a.cluster(ref)
	if c == nil {
		return View{}, false
	}
	return a.view(now, c), true
}

func (a *Agent) view(now events.Instant, c *cluster) View {
	v := View{Cluster: c.ref, Rule: c.wait}
	if e := a.led.Find(c.ref); e != nil {
		v.Group, v.Managed, v.Role, v.Epoch, v.Exempt, v.Let, v.Step, v.Tasks = e.Group, true, e.Role, e.Seen, e.Exempt(), e.Released, e.Step, e.Tasks
		v.Right = a.right(now, c, e)
		if e.Mode != events.ModeObserve && !e.Released && c.busy != Restore && (c.server == events.ServerRecovery || c.server == events.ServerWritable && v.Right > now) {
			v.Tend = e.Peers
		}
	}
	return v
}

// LaneRight is the right by the lanes alone; LaneStates says how each lane stands.
func (a *Agent) LaneRight() events.Instant { return a.laneRight() }

// LaneStates says how each lane stands, in words.
func (a *Agent) LaneStates() [events.Lanes]string {
	var s [events.Lanes]string
	for i := range a.lanes {
		s[i] = a.lanes[i].st.String()
	}
	return s
}

// Place is the acceptor of a lane as this agent knows it.
func (a *Agent) Place(n int) events.LanePlace { return a.lanes[n].place }

// Foreign is the nonce of somebody else who beats on our lanes, "" = nobody: a cloned host, or a ledger lost.
func (a *Agent) Foreign() string { return a.foreign }
