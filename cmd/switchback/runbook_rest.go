package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/document"
)

// home is how what was moved comes back.
func (b *runbook) home(d *document.Document) {
	s := d.Section("When the region is back").Say(
		"A failed cluster is counted, then rewound or copied, and follows: by itself where its group says restore: auto and automation failed it over, else when somebody asks. What it had alone is kept beside its data first.")
	for _, g := range b.groups {
		if g.Config.Restore == events.RestoreManual {
			s.Type("switchback restore " + g.Group)
		}
	}
	for _, g := range b.groups {
		if f := g.Config.Failback; f != nil && f.Mode == events.FailbackAuto {
			s.Point(g.Group + " comes home by itself once it and its home have been well for long enough")
		} else if f != nil && f.On != nil {
			s.Point(fmt.Sprintf("%s comes home by its schedule: cron %q, zone %s", g.Group, f.On.Cron, cmp.Or(f.On.Zone, "UTC")))
		}
	}
	u := d.Under("Bring it home").Say("Restores what must be, then swaps without loss; until the swap everything goes on where it is.")
	u.Type("switchback plan failback --region REGION")
	u.Type("switchback failback --region REGION")
	u.Type("switchback failback GROUP --dry-run")
	u.Type("switchback failback GROUP")
	u.Type("switchback report GROUP --commits")
}

func (b *runbook) database(d *document.Document) {
	s := d.Section("If one database fails").Say(fmt.Sprintf(
		"Its agent restarts it in place. If it still does not serve after %s the group is failed over by the rules above. A server that hangs counts as failed when its write canary does not come back.",
		gate.Round(b.durations.ClusterConfirm)))
	s.Type("switchback group GROUP")
	s.Type("switchback failover GROUP --reason WHY")
	u := d.Under("If a passive is broken")
	u.Type("switchback rebuild GROUP")
	u.Type("switchback rebuild GROUP --copy")
}

func (b *runbook) planned(d *document.Document) {
	s := d.Section("Planned work").Say("A switchover loses nothing: every gate is passed first, and whatever is missed gives the group back to its old active.")
	s.Type("switchback switchover GROUP --reason WHY")
	s.Type("switchback drill GROUP --reason WHY")
	s.Type("switchback maintenance REGION/CLUSTER --for 30m --reason WHY")
	s.Type("switchback restart REGION/CLUSTER")
}

// control is what to do when Switchback itself is hurt.
func (b *runbook) control(d *document.Document) {
	s := d.Section("If Switchback itself is hurt")
	s.Point("every controller or the whole bus is lost: actives that reach the agents of their recovery clusters go on; nothing is failed over until the bus is back")
	s.Point("one hub server is lost: nothing stops; bring it back before another goes")
	s.Point("an agent is dead: its guard freezes its actives when their right ends; start the agent again, they go on with their sessions")
	s.Point("the controller is blind (it reaches fewer than half of the regions): automation moves nothing; a person may, with --while-blind --reason")
	s.Type("switchback doctor")
	s.Type("switchback failover GROUP --while-blind --reason WHY")
	u := d.Under("Last resort: without a fence").Say(
		"If the old active can't be reached and its lease can't be proved lapsed, the fence can be waived by name. Make sure yourself that the old server is off: two writable copies are possible from then on, until its agent reports in.")
	u.Type("switchback failover GROUP --unfenced --reason WHY")
	last := d.Under("Last resort: no controller can be reached").Say(
		"On the host of one database, as root, and only if you know that nobody else was made active: it starts, or is let go, whatever its right. It is written down, and shown until somebody ends it.")
	last.Type("switchback guard override CLUSTER --reason WHY")
	last.Type("switchback guard override CLUSTER --end")
}

// each is what one wants to know of a group at 3 a.m.
func (b *runbook) each(d *document.Document) {
	d.Section("Groups")
	for i := range b.groups {
		g := &b.groups[i]
		s := d.Under(g.Group).Say(fmt.Sprintf("%s, project %s, mode %s, isolation %s, restore %s, priority %d. %s", g.Config.Kind, g.Config.Project, g.Config.Mode, g.Config.Isolation,
			g.Config.Restore, g.Config.Priority, after(g.Config.DependsOn)))
		s.Heads = []string{"cluster", "home", "address", "agent"}
		for _, c := range g.Clusters {
			s.Row(c.Cluster.String(), string(c.Home), c.Address, c.Agent.String())
		}
		if dsn, err := dsnOf(g); err == nil {
			s.Type(dsn)
		}
	}
}

func after(groups []string) string {
	if len(groups) == 0 {
		return ""
	}
	return "Moves after " + strings.Join(groups, ", ") + "."
}
