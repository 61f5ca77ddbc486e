package model

import (
	"reflect"
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// meta is what the search needs to know of a part without making it again.
type meta struct {
	tag      byte
	host     int
	lane     int
	cluster  string
	waiting  bool
	orphan   bool
	pending  bool // a publish that rejoins
	alive    bool // agent: it runs; ctl: somebody leads
	guard    bool
	todo     int
	reading  [events.Lanes]bool
	writable []string // groups whose server here can acknowledge a write
	down     []string // groups whose server here is down
	groups   []groupMeta
	entries  []entryMeta
	counted  int // lanes that count
	broken   string
	budget   budget
	resume   bool
	acks     []string // groups whose server here acknowledges writes
	syncMeta
	foreign bool // it met a start on its lanes that its ledger does not know
}

// entryMeta is what a ledger holds of a group.
type entryMeta struct {
	group string
	seen  events.Epoch
	role  events.Role
	right int // ticks of right left
}

type groupMeta struct {
	name   string
	epoch  events.Epoch
	phase  events.Phase
	active int // host
	target int
	set    [hostsMost]bool // by the record they have every acknowledged write
	failed bool            // a member waits for a restore that a person must ask for
}

// unfit says what of a group on a host is not as it is when all is well; "" if nothing.
func (m *machine) unfit(p part, g groupMeta, h int) string {
	x := m.meta(p)
	want := events.RolePassive
	if h == g.active {
		want = events.RoleActive
	}
	switch {
	case !x.alive || !x.guard:
		return "a process of " + regionNames[h] + " does not run"
	case x.counted < events.Lanes:
		return "a lane of " + regionNames[h] + " does not count"
	case x.todo > 0:
		return regionNames[h] + " has something to do"
	case slices.Contains(x.writable, g.name) != (h == g.active):
		return g.name + " is writable in the wrong place, or not in the right one"
	case slices.Contains(x.down, g.name):
		return g.name + " is down in " + regionNames[h]
	}
	for _, e := range x.entries {
		if e.group == g.name && e.seen == g.epoch && e.role == want {
			return ""
		}
	}
	return regionNames[h] + " does not know the epoch of " + g.name
}

// budget is what may still go wrong.
type budget struct {
	Crashes, Reboots, Guards, Disks, Leaders, Ledgers, Persons, Rejoins, Writes int
}

func metaOf(p any) meta {
	switch p := p.(type) {
	case *host:
		return hostMeta(p)
	case *ctl:
		x := meta{tag: 'c', alive: p.Fleet != nil, broken: p.Broken}
		for i := range p.Records {
			r := &p.Records[i]
			failed := slices.ContainsFunc(r.Members, func(m events.Member) bool { return m.Role == events.RoleFailed })
			g := groupMeta{name: r.Group, epoch: r.Epoch, phase: r.Phase, active: hostOf(events.AgentRef{Region: r.Active.Region}), target: hostOf(events.AgentRef{Region: r.Target.Region}), failed: failed}
			for _, c := range r.Sync.Members() {
				g.set[hostOf(events.AgentRef{Region: c.Region})] = true
			}
			x.groups = append(x.groups, g)
		}
		return x
	case *register:
		return meta{tag: 'r', host: p.Host, lane: p.Lane}
	case *mail:
		return meta{tag: 'm', host: p.Host, cluster: p.Cluster, waiting: p.Waiting, resume: p.Resume != nil}
	case *word:
		return meta{tag: 'w', host: p.Host, cluster: p.Cluster, waiting: p.Waiting}
	case *view:
		return meta{tag: 'v', host: p.Host, alive: p.Alive}
	case *publish:
		return meta{tag: 'p', host: p.Host, lane: p.Beat.Lane, orphan: p.Orphan, pending: p.Beat.Body.Kind == events.LanePending}
	case *grantAsk:
		return meta{tag: 'g', host: p.Host, lane: hostOf(p.Ask.To.Agent)}
	case *granted:
		return meta{tag: 'G'}
	case *revocation:
		return meta{tag: 'x', host: p.Host, lane: p.Lane, orphan: p.Orphan}
	case *reading:
		return meta{tag: 'R', host: p.Host, lane: p.Lane}
	case *budget:
		return meta{tag: 'b', budget: *p}
	}
	return meta{}
}

func hostMeta(h *host) meta {
	x := meta{tag: 'h', host: h.No, alive: h.Agent != nil, guard: h.Guard != nil, todo: len(h.Todo), orphan: h.Orphan, broken: h.Broken, syncMeta: h.syncMeta()}
	for i := range h.Servers {
		s := &h.Servers[i]
		if s.acknowledges() {
			x.acks = append(x.acks, s.Group)
		}
		if s.writable() {
			x.writable = append(x.writable, s.Group)
		}
		if s.State == events.ServerDown {
			x.down = append(x.down, s.Group)
		}
	}
	for i := range h.Disk.Entries {
		e := &h.Disk.Entries[i]
		x.entries = append(x.entries, entryMeta{group: e.Group, seen: e.Seen, role: e.Role})
		if h.Agent != nil {
			x.entries[i].right = int(max(0, h.Agent.Right(now, e.Cluster)-now) / events.Instant(Tick))
		}
	}
	if h.Agent != nil {
		x.foreign = h.Agent.Foreign() != ""
		for _, st := range h.Agent.LaneStates() {
			if st == "counted" {
				x.counted++
			}
		}
		lanes := reflect.ValueOf(h.Agent).Elem().FieldByName("lanes")
		for n := range x.reading {
			x.reading[n] = lanes.Index(n).FieldByName("reading").Bool()
		}
	}
	return x
}
