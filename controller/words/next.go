package words

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Remark says of a cluster what keeps it from protecting its group; "" if nothing does.
func Remark(g *fleet.GroupView, c *fleet.ClusterView) string {
	switch {
	case g.Record != nil && g.Record.Gone != "":
		return "" // it protects nothing, and is not meant to
	case c.Op != "":
		return fmt.Sprintf("%s is being restored (%s): %s", c.Cluster, c.Op, Work(c.Work))
	case c.Role == events.RoleFailed && commands(c.Hold):
		return fmt.Sprintf("%s failed: %s", c.Cluster, Plain(c.Hold))
	case c.Role == events.RoleFailed && c.Hold != "":
		return fmt.Sprintf("%s failed: waits for `switchback restore %s` (%s)", c.Cluster, g.Group, Plain(c.Hold))
	case c.Role == events.RoleFailed && c.Silent > 0:
		return fmt.Sprintf("%s failed: restored once %s reports in", c.Cluster, c.Cluster.Region)
	case c.Role == events.RoleFailed && Aside(g) != "":
		return fmt.Sprintf("%s failed: waits for `switchback restore %s` (%s)", c.Cluster, g.Group, Aside(g))
	case c.Role == events.RoleFailed:
		return fmt.Sprintf("%s failed: restored as soon as it can be", c.Cluster)
	case c.Fit != "":
		return fmt.Sprintf("%s can't be promoted: %s", c.Cluster, Plain(c.Fit))
	}
	return ""
}

// commands reports whether a sentence names a command itself.
func commands(s string) bool { return strings.Contains(s, "`switchback ") }

// Aside says why automation leaves a group alone, as far as its view tells; "" if it may act.
func Aside(g *fleet.GroupView) string {
	if g.Config.Mode == events.ModeObserve {
		return "the group is only observed"
	}
	if g.Record != nil && g.Record.Disarm != "" {
		return "automation is disarmed for it"
	}
	for i := range g.Clusters {
		if g.Clusters[i].Quiet != nil {
			return fmt.Sprintf("%s is in maintenance", g.Clusters[i].Cluster)
		}
	}
	return ""
}

// Lacks says what a group without a healthy passive waits for.
func Lacks(g *fleet.GroupView) string {
	var parts []string
	for i := range g.Clusters {
		if c := &g.Clusters[i]; g.Record == nil || c.Cluster != g.Record.Active {
			if r := Remark(g, c); r != "" {
				parts = append(parts, r)
			}
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("no passive of %s is seen to stream yet", g.Group)
	}
	return strings.Join(parts, "; ")
}

// Next says what happens next to a group that is away from home or not protected, and what a person can do; "" if nothing has to.
func Next(g *fleet.GroupView) string {
	r := g.Record
	switch {
	case r == nil || r.Running() || r.Gone != "":
		return ""
	case g.Rule == "wait.failback":
		return "nothing: the group goes home by itself as soon as it may"
	}
	if r.Active != g.Config.Primary {
		if home := ClusterIn(g, g.Config.Primary); home != nil {
			return homeward(g, home)
		}
		return ""
	}
	for i := range g.Clusters {
		if c := &g.Clusters[i]; !g.Protected && c.Cluster != r.Active {
			if s := toProtect(g, c); s != "" {
				return s
			}
		}
	}
	return ""
}

// homeward is nextFor a group that is away from its home.
func homeward(g *fleet.GroupView, home *fleet.ClusterView) string {
	failback := fmt.Sprintf("`switchback failback %s`", g.Group)
	switch {
	case home.Op != "":
		if m := g.Record.Member(home.Cluster); m != nil && m.Work != nil && m.Work.Then == events.AskFailback {
			return fmt.Sprintf("nothing: %s is being restored, then the group goes home by itself", home.Cluster)
		}
		return fmt.Sprintf("nothing until %s is restored; then %s", home.Cluster, failback)
	case home.Silent > 0:
		return fmt.Sprintf("nothing until %s reports in; then %s", home.Cluster.Region, failback)
	case home.Role == events.RoleFailed && commands(home.Hold):
		return "" // the hold names the command
	case home.Role == events.RoleFailed && home.Hold == "" && Aside(g) == "":
		return fmt.Sprintf("nothing until %s is restored, which happens by itself; then %s", home.Cluster, failback)
	case home.Role == events.RoleFailed:
		return fmt.Sprintf("%s restores %s and brings the group home", failback, home.Cluster)
	case home.Role == events.RolePassive && home.Fit == "":
		return failback + " brings it home"
	}
	return fmt.Sprintf("nothing until %s can be promoted; then %s", home.Cluster, failback)
}

// toProtect is nextFor a group at home that is not protected, as to one of its other clusters.
func toProtect(g *fleet.GroupView, c *fleet.ClusterView) string {
	one := g.Group
	if len(g.Clusters) > 2 {
		one += " --cluster " + c.Cluster.String()
	}
	switch {
	case c.Op != "":
		return fmt.Sprintf("nothing: %s is being restored, then it is protected", c.Cluster)
	case c.Silent > 0 && (c.Hold == "" || c.Role != events.RoleFailed):
		return fmt.Sprintf("nothing until %s reports in", c.Cluster.Region)
	case c.Silent > 0:
		return fmt.Sprintf("nothing until %s reports in; then `switchback restore %s`", c.Cluster.Region, one)
	case c.Role == events.RoleFailed && commands(c.Hold):
		return ""
	case c.Role == events.RoleFailed && (c.Hold != "" || Aside(g) != ""):
		return fmt.Sprintf("`switchback restore %s` makes %s follow again", one, c.Cluster)
	case c.Role == events.RoleFailed:
		return fmt.Sprintf("nothing: %s is restored as soon as it can be", c.Cluster)
	case c.Fit != "":
		return fmt.Sprintf("`switchback rebuild %s` if %s does not follow by itself", one, c.Cluster)
	}
	return ""
}

// ClusterIn is one cluster of a group, nil if it has none of that name.
func ClusterIn(g *fleet.GroupView, r events.Ref) *fleet.ClusterView {
	for i := range g.Clusters {
		if g.Clusters[i].Cluster == r {
			return &g.Clusters[i]
		}
	}
	return nil
}
