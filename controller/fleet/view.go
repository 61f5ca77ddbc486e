package fleet

import (
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// View is the fleet as surfaces show it; ages count from the instant it was taken.
type View struct {
	Term       events.Seq         `json:"term"`
	Blind      bool               `json:"blind"`
	Automation events.Automation  `json:"automation"`
	Fleet      events.FleetConfig `json:"fleet"`
	Regions    []RegionView       `json:"regions"`
	Groups     []GroupView        `json:"groups"`
	Rollouts   []RolloutView      `json:"rollouts,omitempty"` // newest first
}

// RegionView is one line of `status`.
type RegionView struct {
	Region      string         `json:"region"`
	Verdict     events.Verdict `json:"verdict"`
	Rule        string         `json:"rule"`
	Why         string         `json:"why"`
	Facts       []events.Fact  `json:"facts,omitempty"`
	Since       time.Duration  `json:"since"` // how long the verdict stands, as this leader saw it
	Agents      int            `json:"agents"`
	Fresh       int            `json:"fresh"` // agents that beat
	Active      int            `json:"active"`
	Passive     int            `json:"passive"`
	Failed      int            `json:"failed"`
	Unprotected int            `json:"unprotected"` // groups active here without a healthy passive
	WorstLag    int64          `json:"worst_lag"`   // bytes, of passives here; -1 = unknown
	Disarmed    string         `json:"disarmed,omitempty"`
}

// GroupView is one group.
type GroupView struct {
	Group       string             `json:"group"`
	Config      events.GroupConfig `json:"config"`
	Record      *events.Record     `json:"record,omitempty"`
	Rule        string             `json:"rule"` // the row that matched last
	Why         string             `json:"why"`
	Facts       []events.Fact      `json:"facts,omitempty"`
	Fences      []string           `json:"fences,omitempty"` // by what its active can be proved to be fenced
	NeedsPerson bool               `json:"needs_person"`
	Rollout     string             `json:"rollout,omitempty"` // where it stands in one that is under way
	Protected   bool               `json:"protected"`
	Readiness   decide.Readiness   `json:"readiness,omitempty"` // of a recorded group: whether it could be moved now
	ReadyWhy    string             `json:"ready_why,omitempty"`
	Clusters    []ClusterView      `json:"clusters"`
	Tag         string             `json:"tag,omitempty"` // names the record as it stands: an ask may quote it
}

// Sync reports whether the group is under care, and its commits are to wait for others.
func (g *GroupView) Sync() bool {
	return g.Record != nil && g.Record.Gone == "" && g.Config.Replication == events.ReplicateSync && g.Config.Mode != events.ModeObserve
}

// ClusterView is one cluster of a group.
type ClusterView struct {
	Cluster  events.Ref          `json:"cluster"`
	Home     events.Home         `json:"home"`
	Role     events.Role         `json:"role"`
	State    events.State        `json:"state"`
	Server   events.Server       `json:"server"`
	Timeline uint32              `json:"timeline,omitempty"`
	LSN      events.LSN          `json:"lsn,omitempty"`
	Lag      int64               `json:"lag"` // bytes; -1 = unknown
	Agent    events.AgentRef     `json:"agent"`
	Silent   time.Duration       `json:"silent"` // 0 = its agent beats
	Age      time.Duration       `json:"age"`    // of what is shown
	Epoch    events.Epoch        `json:"epoch"`  // as its agent reported
	Error    string              `json:"error,omitempty"`
	Address  string              `json:"address,omitempty"`
	Fit      string              `json:"fit,omitempty"`    // passive: why it can't be promoted; empty = it can
	Hold     string              `json:"hold,omitempty"`   // failed: why it waits for a person; empty = it is restored as soon as it can be
	Op       string              `json:"op,omitempty"`     // id of its restore under way
	Work     *events.Work        `json:"work,omitempty"`   // how far that got
	Sync     *events.SyncHealth  `json:"sync,omitempty"`   // active in sync: how its commits wait
	Synced   bool                `json:"synced,omitempty"` // it has every acknowledged write, by the record
	Quiet    *events.Maintenance `json:"quiet,omitempty"`
	Kernel   string              `json:"kernel,omitempty"`   // its kernel lease: in force, or why not; empty = not used
	Override string              `json:"override,omitempty"` // a person overrode its fence on its host: who, when, why
}

// needPerson lists the rows after which nothing happens until somebody acts.
var needPerson = map[string]bool{
	"wait.manual": true, "wait.observe": true, "wait.fleet-disarmed": true, "wait.region-disarmed": true, "wait.group-disarmed": true, "wait.kind-disarmed": true, "wait.approval": true,
	"wait.keep-running": true, "wait.max-regions-out": true, "wait.no-candidate": true, "wait.sync-set": true, "wait.loss-budget": true, "wait.flapping": true,
	"rebuild.wait": true, "birth.two-claims": true, "birth.not-one-writable": true, "birth.not-following": true,
}

// View takes the picture.
func (f *Fleet) View(now Now) View {
	v := View{Term: f.term, Blind: f.blind, Automation: f.automation, Fleet: f.cfg, Rollouts: f.rolloutViews()}
	where := f.standing()
	rows := map[string]*RegionView{}
	for _, name := range f.regions.keys {
		r := f.regions.get(name)
		rv := &RegionView{
			Region: name, Verdict: r.judged.Verdict, Rule: r.judged.Rule, Why: r.judged.Why, Facts: r.judged.Facts(), Since: now.Boot.Sub(r.since),
			Disarmed: f.automation.Regions[name].Disarmed,
		}
		for _, a := range r.agents {
			if f.owns(a) {
				rv.Agents++
				if f.fresh(now.Boot, a) {
					rv.Fresh++
				}
			}
		}
		rows[name] = rv
	}
	for _, k := range f.groups.keys {
		if g := f.groups.get(k); g.config.Group != "" {
			gv := f.groupView(now, g)
			gv.Rollout = where[k]
			v.Groups = append(v.Groups, gv)
			tally(rows, &gv)
		}
	}
	for _, name := range f.regions.keys {
		v.Regions = append(v.Regions, *rows[name])
	}
	return v
}

func tally(rows map[string]*RegionView, g *GroupView) {
	if g.Record == nil {
		return
	}
	for _, c := range g.Clusters {
		r := rows[c.Cluster.Region]
		switch c.Role {
		case events.RoleActive:
			r.Active++
			if !g.Protected {
				r.Unprotected++
			}
		case events.RolePassive:
			r.Passive++
			if !g.Config.Kind.Logged() {
				break // it has none
			}
			if c.Lag < 0 || r.WorstLag < 0 {
				r.WorstLag = -1
			} else {
				r.WorstLag = max(r.WorstLag, c.Lag)
			}
		case events.RoleFailed:
			r.Failed++
		}
	}
}

func (f *Fleet) groupView(now Now, g *group) GroupView {
	fs := f.facts(now, g)
	gv := GroupView{Group: g.name, Config: g.config.GroupConfig, Record: g.record, Rule: g.rule, Why: g.why, NeedsPerson: needPerson[g.rule] || g.halt != ""}
	if g.record != nil {
		gv.Tag = events.GroupTag(g.record.Epoch, g.revision)
		gv.NeedsPerson = gv.NeedsPerson || g.record.Tasks != nil && g.record.Tasks.Waits > 0
		gv.Facts = fs.Evidence()
		gv.Readiness, gv.ReadyWhy = fs.Readiness()
	}
	if g.record != nil && g.record.Gone == "" {
		gv.Fences = fs.Fences()
	}
	if g.halt != "" || g.record != nil && decide.Rebuilding(g.record) {
		gv.Facts = append(gv.Facts, fs.Testimony()...)
	}
	for i := range fs.Members {
		c := &fs.Members[i]
		cv := ClusterView{
			Cluster: c.Cluster, Home: c.Home, Role: c.Role, Server: c.Health.Server, Timeline: c.Health.Timeline, LSN: c.Health.LSN, Lag: -1, Agent: c.Agent,
			Silent: c.Silent, Age: c.Age, Epoch: c.Report.Seen, Error: c.Health.Error, Address: c.Address, State: decide.StateOf(g.record, c),
			Hold: c.Hold, Work: c.Health.Work, Quiet: c.Quiet, Override: c.Member.Override, Kernel: c.Health.Kernel, Sync: c.Health.Sync, Synced: g.record != nil && g.record.Sync.Holds(c.Cluster),
		}
		if c.Turn != "" && c.Fresh {
			gv.Facts = append(gv.Facts, events.Fact{What: "restore of " + c.Cluster.String(), Value: "waits for its turn: " + c.Turn})
		}
		gv.NeedsPerson = gv.NeedsPerson || cv.Override != ""
		if c.Member.Work != nil {
			cv.Op = c.Member.Work.ID
		}
		if c.Role == events.RolePassive {
			if fs.Sent != 0 && c.Health.LSN != 0 {
				cv.Lag = max(0, int64(fs.Sent)-int64(c.Health.LSN))
			}
			cv.Fit = fs.Unfit(c)
			gv.Protected = gv.Protected || (c.Health.Streaming && c.Fresh && c.Member.Work == nil)
		}
		gv.Clusters = append(gv.Clusters, cv)
	}
	return gv
}
