package gate

import (
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

func dark() RegionFacts {
	return RegionFacts{
		Region: "r1", Agents: 2, Silent: 2, SilentFor: 3 * time.Second, Watched: time.Minute, Horizon: 3 * time.Second, Confirm: 2 * time.Second, Others: 2,
		Lookers: []Looker{{Region: "r2"}, {Region: "r3"}},
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(f *RegionFacts)
		is     events.Verdict
		rule   string
	}{
		"all of it":         {func(*RegionFacts) {}, events.VerdictOut, "region.out"},
		"one agent beats":   {func(f *RegionFacts) { f.Silent, f.SilentFor = 1, 0 }, events.VerdictDegraded, "region.part-silent"},
		"somebody sees it":  {func(f *RegionFacts) { f.Lookers[1].Sees = []string{"h (tls)"} }, events.VerdictSuspect, "region.seen"},
		"blind":             {func(f *RegionFacts) { f.Blind = true }, events.VerdictSuspect, "region.blind"},
		"new leader":        {func(f *RegionFacts) { f.Watched = 2 * time.Second }, events.VerdictSuspect, "region.not-watched"},
		"too short":         {func(f *RegionFacts) { f.SilentFor = time.Second }, events.VerdictSuspect, "region.unconfirmed"},
		"one looker of two": {func(f *RegionFacts) { f.Lookers = f.Lookers[:1] }, events.VerdictSuspect, "region.unlooked"},
		"one other, looked": {func(f *RegionFacts) { f.Others, f.Lookers = 1, f.Lookers[:1] }, events.VerdictOut, "region.out"},
		"no other region":   {func(f *RegionFacts) { f.Others, f.Lookers = 0, nil }, events.VerdictSuspect, "region.unlooked"},
		"well":              {func(f *RegionFacts) { f.Silent, f.SilentFor = 0, 0 }, events.VerdictHealthy, "region.all-beating"},
		"cluster down":      {func(f *RegionFacts) { f.Silent, f.SilentFor, f.Troubles = 0, 0, []string{"a is down"} }, events.VerdictDegraded, "region.troubled"},
		"witness":           {func(f *RegionFacts) { f.Agents, f.Silent = 0, 0 }, events.VerdictHealthy, "region.no-agents"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := dark()
			c.change(&f)
			j := Judge(f)
			if j.Verdict != c.is || j.Rule != c.rule {
				t.Fatalf("%s by %s (%s): want %s by %s", j.Verdict, j.Rule, j.Why, c.is, c.rule)
			}
			if strings.ContainsAny(j.Why, "{}") || len(j.Facts()) == 0 {
				t.Fatalf("says %q with %d facts", j.Why, len(j.Facts()))
			}
		})
	}
}

func TestPermit(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]PermitFacts{
		"permit":               {Mode: events.ModeAuto, MaxOut: 1},
		"wait.observe":         {Mode: events.ModeObserve, MaxOut: 1},
		"wait.manual":          {Mode: events.ModeManual, MaxOut: 1},
		"wait.fleet-disarmed":  {Mode: events.ModeAuto, MaxOut: 1, FleetDisarmed: "by bob"},
		"wait.region-disarmed": {Mode: events.ModeAuto, MaxOut: 1, RegionDisarmed: "by bob"},
		"wait.group-disarmed":  {Mode: events.ModeAuto, MaxOut: 1, GroupDisarmed: "by bob"},
		"wait.blind":           {Mode: events.ModeAuto, MaxOut: 1, Blind: true},
		"wait.keep-running":    {Mode: events.ModeAuto, MaxOut: 1, Isolation: events.IsolationKeepRunning, Dark: true},
		"wait.max-regions-out": {Mode: events.ModeAuto, MaxOut: 1, OutBefore: 1, Dark: true},
		"wait.flapping":        {Mode: events.ModeAuto, MaxOut: 1, Unsettled: true},
		"wait.kind-disarmed":   {Mode: events.ModeAuto, MaxOut: 1, Kind: events.KindAirflow, KindDisarmed: "by bob"},
		"wait.approval":        {Mode: events.ModeAuto, MaxOut: 1, NeedsApproval: true},
		"wait.groups-per-hour": {Mode: events.ModeAuto, MaxOut: 1, MaxPerHour: 2, MovedLastHour: 2},
	} {
		if p := Permit(f); p.Rule != want || p.OK != (want == "permit") || strings.ContainsAny(p.Why, "{}") {
			t.Errorf("%+v: %+v, want %s", f, p, want)
		}
	}
	if p := Permit(PermitFacts{Mode: events.ModeAuto, MaxOut: 1, OutBefore: 1, Dark: true, Approved: true}); !p.OK {
		t.Errorf("approved, but %s", p.Rule)
	}
	if p := Permit(PermitFacts{Mode: events.ModeManual, MaxOut: 1, FleetDisarmed: "by bob", NeedsApproval: true}); p.Rule != "wait.manual" || len(p.Also) != 2 || !strings.Contains(p.Also[0], "by bob") {
		t.Errorf("three rows stand in the way, but it says %+v", p)
	}
	for _, f := range []PermitFacts{{Mode: events.ModeAuto, MaxOut: 1, NeedsApproval: true, GroupApproved: true}, {Mode: events.ModeAuto, MaxOut: 1, NeedsApproval: true, Approved: true}} {
		if p := Permit(f); !p.OK {
			t.Errorf("approved, but %s", p.Rule)
		}
	}
	if p := Permit(PermitFacts{Mode: events.ModeAuto, MaxOut: 1, Isolation: events.IsolationKeepRunning}); !p.OK {
		t.Errorf("its agent is alive: keep-running does not stand in the way, but %s does", p.Rule)
	}
}

func TestBlind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reached, all int
		blind        bool
	}{{1, 3, true}, {2, 3, false}, {1, 2, false}, {2, 5, true}, {0, 1, true}, {1, 1, false}} {
		if Blind(c.reached, c.all) != c.blind {
			t.Errorf("%d of %d: want %v", c.reached, c.all, c.blind)
		}
	}
}

// A partly silent region names its silent agents, for how long, and who sees them; a long list is cut and counted.
func TestPartSilentNamesAgents(t *testing.T) {
	t.Parallel()
	f := dark()
	f.Agents, f.Silent, f.SilentFor = 9, 8, 0
	f.Quiet = []Silence{{"a1", 2 * time.Second, nil, nil}, {"a2", time.Second, []Looker{{Region: "r2"}, {Region: "r3", Sees: []string{"a2 (tls)"}}}, []string{"no lease here"}},
		{"a3", time.Second, []Looker{{Region: "r2"}}, nil}}
	for range 5 {
		f.Quiet = append(f.Quiet, Silence{Agent: "b", For: time.Second})
	}
	j := Judge(f)
	want := "8 of 9 agents are silent: a1 for 2.0 s, nobody has looked yet, a2 for 1.0 s, r3 got an answer of a2 (tls); a2 itself says: no lease here, a3 for 1.0 s, looked at and not seen, b for 1.0 s, nobody has looked yet, b for 1.0 s, nobody has looked yet and 3 more"
	if j.Why != want {
		t.Errorf("says %q\nwant %q", j.Why, want)
	}
}
