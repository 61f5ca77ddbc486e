package fleet

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// mixed is one group of the incident: what is different about it, what `why` must say of it, and whether doing what that says moves it.
type mixed struct {
	what  string
	set   func(c *crowd, cfg *events.GroupConfig, r *events.Record)
	rule  string
	says  string
	moves bool // by the command that the sentence names
}

var incident = []mixed{
	{"nothing: it is moved", nil, "ok", "is active and nothing speaks against it", false},
	{"mode manual", func(_ *crowd, cfg *events.GroupConfig, _ *events.Record) { cfg.Mode = events.ModeManual }, "wait.manual", "a person decides, with `switchback failover {}`", true},
	{"mode observe", func(_ *crowd, cfg *events.GroupConfig, _ *events.Record) { cfg.Mode = events.ModeObserve }, "wait.observe", "only observed: arm it with `mode: auto`", false},
	{"disarmed", func(_ *crowd, _ *events.GroupConfig, r *events.Record) { r.Disarm = "by bob: index build" }, "wait.group-disarmed", "by bob: index build): `switchback arm {}`", true},
	{"kept running", func(_ *crowd, cfg *events.GroupConfig, _ *events.Record) { cfg.Isolation = events.IsolationKeepRunning }, "wait.keep-running", "a dark active proves nothing", true},
	{"too far behind", func(c *crowd, cfg *events.GroupConfig, _ *events.Record) {
		cfg.MaxLoss.Bytes = 100
		c.at[cfg.Recovery[0]].health.LSN = 10
	}, "wait.loss-budget", "lacks 490 B of what", true},
	{"its passive is down", func(c *crowd, cfg *events.GroupConfig, _ *events.Record) {
		s := &c.at[cfg.Recovery[0]].health
		s.Server, s.Down, s.Streaming = events.ServerDown, time.Hour, false
	}, "wait.no-candidate", "`switchback group {}` shows each of its clusters", false},
	{"approved by a person first", func(_ *crowd, cfg *events.GroupConfig, _ *events.Record) { cfg.Priority = 5 }, "wait.approval", "`switchback approve {}`", true},
	{"moved lately", func(_ *crowd, _ *events.GroupConfig, r *events.Record) { r.Settled = false }, "wait.flapping", "`switchback acknowledge {}`", true},
	{"worked on", func(c *crowd, _ *events.GroupConfig, r *events.Record) {
		r.Members[0].Quiet = &events.Maintenance{Until: c.now.Wall.Add(time.Hour), By: "carol"}
	}, "wait.maintenance", "is in maintenance until", true},
	{"it depends on one that is not moved", func(_ *crowd, cfg *events.GroupConfig, _ *events.Record) { cfg.DependsOn = []string{crowdName(2)} }, "wait.turn", "it depends on g00002, which has not moved yet (`switchback why g00002`)", true},
}

var quoted = regexp.MustCompile("`switchback ([^`]+)`")

// typed is the ask that a command makes which a sentence names; false if it only looks.
func typed(command string) (events.Ask, bool) {
	words := strings.Fields(command)
	a := events.Ask{ID: "typed " + command, Verb: words[0], Reason: "as why says"}
	for _, w := range words[1:] {
		switch {
		case w == "--accept-loss":
			a.AcceptLoss = true
		case w == "--unfenced":
			a.Unfenced = true
		case w == "--reason", w == "…": // every ask of this test has one
		case !strings.HasPrefix(w, "-"):
			a.Group = w
		default:
			return a, false
		}
	}
	return a, a.Verb != "why" && a.Verb != "group" && a.Group != ""
}

// A region is lost in which every group is in another state. Each says why it moved or not, and whoever types what that says, and knows nothing else, moves those that a
// command can move. `go test ./controller/fleet -run WhyOfAMixedIncident -v` prints it.
func TestWhyOfAMixedIncident(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, len(incident), len(incident)) // a host for each: what one is worked on for is nothing to the others
	for i, m := range incident {
		gk, rk := events.SubjectGroup(crowdName(i)), events.SubjectRecord(crowdName(i))
		cfg, r := c.stored[gk].payload.(events.GroupConfig), c.stored[rk].payload.(events.Record)
		cfg.DependsOn = nil
		if m.set != nil {
			m.set(c, &cfg, &r)
		}
		c.stored[gk], c.stored[rk] = stored{c.stored[gk].seq, cfg}, stored{c.stored[rk].seq, r}
	}
	c.lead()
	c.apply(FleetSeen{FleetConfig: events.FleetConfig{MaxOut: 1, Approval: []events.Span{{From: 0, To: 9}}}})
	c.darken(1)
	c.pass(time.Minute, func() bool { return c.f.groups.get(crowdName(10)).rule == "wait.turn" })

	for i, m := range incident {
		g := c.f.groups.get(crowdName(i))
		says := strings.ReplaceAll(m.says, "{}", g.name)
		t.Logf("%s, %s: %s (rule %s)", g.name, m.what, g.why, g.rule)
		if g.rule != m.rule || !strings.Contains(g.why, says) {
			t.Errorf("%s, %s: %s: %s; want %s: … %s …", g.name, m.what, g.rule, g.why, m.rule, says)
		}
		if moved := g.record.Active.Region != "r1"; moved != (i == 0) {
			t.Errorf("%s, %s: active is %s", g.name, m.what, g.record.Active)
		}
	}
	for i, m := range incident {
		if !m.moves {
			continue
		}
		name, did := crowdName(i), false
		for _, q := range quoted.FindAllStringSubmatch(c.f.groups.get(name).why, -1) {
			if a, acts := typed(q[1]); acts && !did {
				did = true
				t.Logf("typed: switchback %s", q[1])
				if ans := c.ask(a); !ans.Accepted {
					t.Errorf("%s: %s is refused: %s %v", name, q[1], ans.Why, ans.Items)
				}
			}
		}
		if !did {
			t.Errorf("%s, %s: no command in %q", name, m.what, c.f.groups.get(name).why)
			continue
		}
		c.pass(time.Minute, func() bool { return c.f.groups.get(name).record.Active.Region == "r2" })
	}
	h, moves := c.outage()
	for _, m := range moves {
		if m.State != events.MoveDone && m.Why == "" {
			t.Errorf("rollout %s says nothing of %s: %+v", h.ID, m.Group, m)
		}
	}
}
