package words

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Waits counts the unprotected groups by what they wait for: 41 wait for eu-west-1, 2 are being restored (68 %).
func Waits(all []fleet.GroupView) string {
	var rebuilding, person, rest int
	var done, total int64
	dark := map[string]int{}
	for i := range all {
		g := &all[i]
		if g.Record == nil || g.Record.Gone != "" || g.Protected {
			continue
		}
		switch c := worst(g); {
		case c == nil:
			rest++
		case c.Op != "":
			rebuilding++
			if c.Work != nil {
				done, total = done+c.Work.Done, total+c.Work.Total
			}
		case c.Role == events.RoleFailed && c.Hold != "":
			person++
		case c.Silent > 0:
			dark[c.Cluster.Region]++
		default:
			rest++
		}
	}
	var parts []string
	count := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	for region, n := range Sorted(dark) {
		count(n, "waits for "+region, "wait for "+region)
	}
	count(rebuilding, "is being restored", "are being restored")
	if rebuilding > 0 && total > 0 {
		parts[len(parts)-1] += fmt.Sprintf(" (%d %% of %s)", Percent(&events.Work{Done: done, Total: total}), Size(total))
	}
	count(person, "waits for a person, see `switchback groups`", "wait for a person, see `switchback groups`")
	count(rest, "has no passive that streams", "have no passive that streams")
	return strings.Join(parts, ", ")
}

// worst is the cluster an unprotected group waits for: one that is being restored, else the first that is not active; nil if there is none.
func worst(g *fleet.GroupView) (first *fleet.ClusterView) {
	for i := range g.Clusters {
		c := &g.Clusters[i]
		if c.Op != "" {
			return c
		}
		if first == nil && c.Cluster != g.Record.Active {
			first = c
		}
	}
	return first
}
