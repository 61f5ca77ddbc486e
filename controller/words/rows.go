package words

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Note is what is being done to a group's clusters, or waits to be, in a few words.
func Note(g *fleet.GroupView, now time.Time) string {
	var notes []string
	if g.Record != nil && g.Record.Gone != "" {
		return ""
	}
	for i := range g.Clusters {
		c := &g.Clusters[i]
		switch {
		case c.Op != "":
			notes = append(notes, fmt.Sprintf("%s %s %s", c.Cluster.Region, events.StateRebuilding, Work(c.Work)))
		case c.Role == events.RoleFailed && c.Hold != "":
			notes = append(notes, c.Cluster.Region+" failed, waits for a person")
		case c.Role == events.RoleFailed:
			notes = append(notes, c.Cluster.Region+" failed")
		}
		if c.Override != "" {
			notes = append(notes, c.Cluster.Region+" OVERRIDDEN by a person")
		}
		if c.Quiet != nil {
			notes = append(notes, fmt.Sprintf("%s in maintenance until %s", c.Cluster.Region, Clock(c.Quiet.Until, now)))
		}
	}
	return strings.Join(notes, "; ")
}

// GroupRow is a group in a line of a list: name, project, mode, where it is active, home or away, epoch, protected, readiness, least lag, rule.
func GroupRow(g *fleet.GroupView) []string {
	active, home, epoch, protected, least := "-", "-", "-", "-", int64(-1)
	if r := g.Record; r != nil && r.Gone != "" {
		protected = "released"
	} else if r != nil {
		active, home, epoch, protected = r.Active.Region, "home", fmt.Sprint(r.Epoch), "NO"
		if r.Active != g.Config.Primary {
			home = "AWAY"
		}
		switch {
		case g.Protected && !g.Sync():
			protected = "yes"
		case g.Protected && len(r.Sync.Members()) > 0:
			protected = "sync"
		case g.Protected:
			protected = "not in sync"
		}
	}
	passive := false
	for _, c := range g.Clusters {
		if c.Role == events.RolePassive {
			passive = true
			if c.Lag >= 0 && (least < 0 || c.Lag < least) {
				least = c.Lag
			}
		}
	}
	behind := "-"
	if passive {
		behind = Lag(least)
	}
	ready := cmp.Or(string(g.Readiness), "-")
	return []string{g.Group, g.Config.Project, string(g.Config.Mode), active, home, epoch, protected, ready, behind, g.Rule}
}

// RegionRow is a region in a line: name, verdict, agents that beat of all, active, passive, failed, unprotected, worst lag, since when.
func RegionRow(r *fleet.RegionView) []string {
	worst := "-"
	if r.Passive > 0 {
		worst = Lag(r.WorstLag)
	}
	return []string{
		r.Region, string(r.Verdict), fmt.Sprintf("%d/%d", r.Fresh, r.Agents), fmt.Sprint(r.Active), fmt.Sprint(r.Passive), fmt.Sprint(r.Failed), fmt.Sprint(r.Unprotected),
		worst, Age(r.Since),
	}
}

// ClusterRow marks what is a last word and no news: of an agent that is silent, a position is a lower bound.
func ClusterRow(c *fleet.ClusterView) []string {
	role, timeline, lsn, behind, agent := string(c.Role), "-", c.LSN.String(), "-", "never heard"
	if role == "" {
		role = "-"
	}
	if c.Timeline != 0 {
		timeline = fmt.Sprint(c.Timeline)
	}
	if c.LSN == 0 {
		lsn = "-"
	}
	switch {
	case c.Silent > 0:
		agent = "silent " + Age(c.Silent)
		if c.Timeline != 0 {
			timeline += "?"
		}
		if c.LSN != 0 {
			lsn = "≥ " + lsn
		}
	case c.State != events.StateUnknown || c.Age > 0:
		agent = Age(c.Age) + " ago"
	}
	if c.Role == events.RolePassive {
		behind = Lag(c.Lag)
	}
	return []string{c.Cluster.String(), string(c.Home), role, string(c.State), timeline, lsn, behind, agent}
}
