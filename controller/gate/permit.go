package gate

import (
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// PermitFacts is what decides whether automation may move a group now.
type PermitFacts struct {
	Group, Region  string
	FleetDisarmed  string // why; empty = armed
	RegionDisarmed string
	GroupDisarmed  string
	Kind           events.Kind
	KindDisarmed   string
	Mode           events.Mode
	Isolation      events.Isolation
	External       bool // a candidate's agent has an external fence
	Blind          bool
	Dark           bool // the cause is a dark region or agent: only a lapsed lease can prove the fence
	OutBefore      int  // regions that went out before this one and still are
	MaxOut         int
	Approved       bool // a person approved this region
	NeedsApproval  bool // its priority is of a class that a person approves first
	GroupApproved  bool // a person approved this group
	MovedLastHour  int
	MaxPerHour     int    // 0 = no cap
	Unsettled      bool   // moved by automation and not stable since (flapping)
	Quiet          string // a maintenance or planned restart under way; empty = none
}

// Permission says whether automation may move a group, and if not which row stands in the way.
type Permission struct {
	OK   bool
	Rule string
	Why  string
	Also []string // what else stands in the way, behind the first: whoever clears one wants to know of the next
}

type permitRow struct {
	id      string
	when    func(f *PermitFacts) bool
	why     string
	restore bool // it stands in the way of a restore by automation too: nothing of that depends on how often or how many groups move
}

var permits = [...]permitRow{
	{"wait.observe", func(f *PermitFacts) bool { return f.Mode == events.ModeObserve }, "{group} is only observed: arm it with `mode: auto` to let automation move it", true},
	{"wait.manual", func(f *PermitFacts) bool { return f.Mode == events.ModeManual }, "{group} is in mode manual: a person decides, with `switchback failover {group}`", false},
	{"wait.fleet-disarmed", func(f *PermitFacts) bool { return f.FleetDisarmed != "" }, "automation is disarmed for the fleet ({fleet}): `switchback arm` switches it on", true},
	{"wait.region-disarmed", func(f *PermitFacts) bool { return f.RegionDisarmed != "" }, "automation is disarmed for {region} ({regionwhy}): `switchback arm --region {region}` switches it on", true},
	{"wait.group-disarmed", func(f *PermitFacts) bool { return f.GroupDisarmed != "" }, "automation is disarmed for {group} ({groupwhy}): `switchback arm {group}` switches it on", true},
	{"wait.kind-disarmed", func(f *PermitFacts) bool { return f.KindDisarmed != "" }, "automation is disarmed for kind {kind} ({kindwhy}): `switchback arm --kind {kind}` switches it on", true},
	{"wait.maintenance", func(f *PermitFacts) bool { return f.Quiet != "" }, "{quiet}: automation leaves {group} alone until then; `switchback failover {group}` moves it all the same", true},
	{"wait.blind", func(f *PermitFacts) bool { return f.Blind }, "the controller reaches fewer than half of the regions: a person may decide with --while-blind --reason", true},
	{"wait.keep-running", func(f *PermitFacts) bool { return f.Isolation == events.IsolationKeepRunning && f.Dark && !f.External }, "{group} has isolation keep-running: it is never frozen, so a dark active proves nothing; no automatic failover without an external fence (fence.external of the recovery cluster's agent): `switchback failover {group} --unfenced --reason …` moves it, once you know that it is stopped", false},
	{"wait.max-regions-out", func(f *PermitFacts) bool { return f.OutBefore >= f.MaxOut && !f.Approved && f.Dark }, "more regions are out at once than max_regions_out allows: `switchback approve --region {region}` lets it go on", false},
	{"wait.flapping", func(f *PermitFacts) bool { return f.Unsettled }, "{group} was moved by automation and has not been stable since: `switchback acknowledge {group}` ends the wait, `switchback failover {group}` still works", false},
	{"wait.groups-per-hour", func(f *PermitFacts) bool { return f.MaxPerHour > 0 && f.MovedLastHour >= f.MaxPerHour }, "max_groups_per_hour is reached: `switchback failover {group}` still works", false},
	{"wait.approval", func(f *PermitFacts) bool { return f.NeedsApproval && !f.GroupApproved && !f.Approved }, "{group} is of a priority that a person approves first: `switchback approve {group}`, or all of its region with `switchback approve --region {region}`", false},
}

// Fill puts values into a sentence: pairs are a name in braces and what stands for it. A name that is not among them stays.
func Fill(sentence string, pairs ...string) string {
	return FillBy(sentence, func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if p := pairs[i]; p[1:len(p)-1] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	})
}

// FillBy puts values into a sentence: value says what stands for a name in braces. A name it does not know stays.
func FillBy(sentence string, value func(name string) (string, bool)) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(sentence, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		sentence = rest
		name, after, closed := strings.Cut(rest, "}")
		if v, known := value(name); closed && known {
			b.WriteString(v)
			sentence = after
			continue
		}
		b.WriteString("{")
	}
}

// Permit finds what stands in automation's way; none means it may act.
func Permit(f PermitFacts) Permission { return permit(&f, false) }

// Permits says what stands in the way of a move, and of a restore of a failed cluster of the group.
func Permits(f PermitFacts) (move, restore Permission) { return permit(&f, false), permit(&f, true) }

func permit(f *PermitFacts, restore bool) Permission {
	p := Permission{OK: true, Rule: "permit", Why: "automation is armed"}
	for i := range permits {
		r := &permits[i]
		if restore && !r.restore || !r.when(f) {
			continue
		}
		why := Fill(r.why, "{group}", f.Group, "{region}", f.Region, "{fleet}", f.FleetDisarmed, "{regionwhy}", f.RegionDisarmed, "{groupwhy}", f.GroupDisarmed, "{kind}", string(f.Kind), "{kindwhy}", f.KindDisarmed, "{quiet}", f.Quiet)
		if !p.OK {
			p.Also = append(p.Also, why)
			continue
		}
		p = Permission{OK: false, Rule: r.id, Why: why}
	}
	return p
}

// Row is one row of a table, for documents.
type Row struct{ ID, Is, Why string }

// Rows lists both tables, in order.
func Rows() (verdict, permit []Row) {
	for i := range verdicts {
		verdict = append(verdict, Row{verdicts[i].id, string(verdicts[i].is), verdicts[i].why})
	}
	for i := range permits {
		permit = append(permit, Row{permits[i].id, "wait", permits[i].why})
	}
	return verdict, permit
}
