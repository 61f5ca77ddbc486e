package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/document"
)

// runbook is what the fleet's procedures are written from.
type runbook struct {
	status    *answers.Status
	durations events.Durations
	groups    []fleet.GroupView // in the order in which they move
	now       time.Time
}

func (b *runbook) document() *document.Document {
	d := &document.Document{
		Title:    "Runbook of this fleet",
		Subtitle: fmt.Sprintf("%d groups in %d regions, as configured at %s; write it anew after every apply", len(b.groups), len(b.status.View.Regions), b.now.UTC().Format(time.RFC3339)),
	}
	b.look(d)
	b.automation(d)
	for _, r := range b.status.View.Regions {
		b.dark(d, r.Region)
	}
	b.home(d)
	b.database(d)
	b.planned(d)
	b.control(d)
	b.each(d)
	return d
}

func (b *runbook) look(d *document.Document) {
	s := d.Section("First look").Say("Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a rule, 4 not reachable. A refusal says what would make it possible.")
	s.Type("switchback status")
	s.Type("switchback why GROUP")
	s.Type("switchback why --region REGION")
	s.Type("switchback events -f")
	s.Type("switchback rollout list")
}

func (b *runbook) automation(d *document.Document) {
	f, v := b.status.View.Fleet, b.status.View
	s := d.Section("What happens by itself")
	state := "armed"
	if v.Automation.Disarmed != "" {
		state = "DISARMED " + v.Automation.Disarmed
	}
	s.Say(fmt.Sprintf("Automation is %s. A region is out when every agent of it has been silent for %s, and two other regions looked (or all, if there are fewer) and none sees it.",
		state, gate.Round(b.durations.Confirm)))
	s.Say(fmt.Sprintf("An active that is cut off from everybody is frozen after %s: its clients wait, and nothing is lost. It goes on by itself when the cut ends before it was failed over.",
		gate.Round(b.durations.Run)))
	s.Point(fmt.Sprintf("at most %d regions out at once are moved by itself; the next waits for `switchback approve --region REGION`", max(1, f.MaxOut)))
	if f.MaxPerHour > 0 {
		s.Point(fmt.Sprintf("at most %d groups are moved by itself in an hour; the others wait", f.MaxPerHour))
	}
	host, region := f.Restores()
	s.Point(fmt.Sprintf("failed clusters whose hosts are back are restored by turns: at most %d at once on one host and %d in one region", host, region))
	for _, c := range f.Approval {
		s.Point(fmt.Sprintf("groups of priority %d to %d wait for `switchback approve GROUP`", c.From, c.To))
	}
	s.Point(fmt.Sprintf("a group that was moved by itself is left alone until it was stable and protected for %s, or somebody says `switchback acknowledge GROUP`", gate.Round(b.durations.Flapping)))
	u := d.Under("Switch automation off and on")
	u.Type("switchback disarm --reason WHY")
	u.Type("switchback disarm --region REGION --reason WHY")
	u.Type("switchback arm")
}

// dark is what becomes of everything active in a region when it goes dark now.
func (b *runbook) dark(d *document.Document, region string) {
	var s *document.Section
	var byHand []*fleet.GroupView
	for i := range b.groups {
		g := &b.groups[i]
		if g.Record == nil || g.Record.Gone != "" || g.Record.Active.Region != region {
			continue
		}
		if s == nil {
			s = d.Section("If " + region + " goes dark")
			s.Heads = []string{"group", ">priority", "after", "goes to", "by itself", "may lose"}
		}
		why := b.waits(g, region)
		if why != "" {
			byHand = append(byHand, g)
		}
		s.Row(g.Group, fmt.Sprint(g.Config.Priority), strings.Join(g.Config.DependsOn, ", "), promotes(g), yesUnless(why), budget(&g.Config))
	}
	if s == nil {
		return
	}
	if len(byHand) == 0 {
		return
	}
	u := d.Under("By hand in " + region).Say("A failover of the whole region shows the plan of all that is left there, asks, and runs it. These wait for a person. Each is fenced by its lapsed lease before anything is promoted; what would be lost is said first.")
	u.Type("switchback failover --region " + region)
	for _, g := range byHand {
		u.Type(fmt.Sprintf("switchback failover %s --dry-run", g.Group))
		u.Type(fmt.Sprintf("switchback failover %s --reason WHY", g.Group))
	}
}

// waits says why automation would not move a group whose region goes dark; "" if it would. Whether that is within its loss budget is known only then.
func (b *runbook) waits(g *fleet.GroupView, region string) string {
	auto := b.status.View.Automation
	p := gate.Permit(gate.PermitFacts{
		Group: g.Group, Region: region, FleetDisarmed: auto.Disarmed, RegionDisarmed: auto.Regions[region].Disarmed, GroupDisarmed: g.Record.Disarm, Kind: g.Config.Kind,
		KindDisarmed: auto.Kinds[g.Config.Kind], Mode: g.Config.Mode, Isolation: g.Config.Isolation, Dark: true, MaxOut: max(1, b.status.View.Fleet.MaxOut),
		NeedsApproval: b.status.View.Fleet.NeedsApproval(g.Config.Priority), Unsettled: !g.Record.Settled, Quiet: words.Aside(g),
	})
	switch {
	case !p.OK:
		return p.Why
	case promotes(g) == "-":
		return "nothing is fit to be promoted now: " + words.Lacks(g)
	}
	return ""
}

func yesUnless(why string) string {
	if why == "" {
		return "yes"
	}
	return "NO: " + why
}

// promotes is the cluster that would be promoted now, by preference; the most advanced one wins.
func promotes(g *fleet.GroupView) string {
	var fit []string
	for _, c := range g.Clusters {
		if c.Role == events.RolePassive && c.Fit == "" {
			fit = append(fit, c.Cluster.String())
		}
	}
	if len(fit) == 0 {
		return "-"
	}
	return strings.Join(fit, " or ")
}

func budget(c *events.GroupConfig) string {
	var parts []string
	if !c.Kind.Logged() {
		return "not known"
	}
	if c.MaxLoss.Bytes > 0 {
		parts = append(parts, words.Size(c.MaxLoss.Bytes))
	}
	if c.MaxLoss.Seconds > 0 {
		parts = append(parts, fmt.Sprintf("%g s", c.MaxLoss.Seconds))
	}
	return strings.Join(parts, ", ")
}
