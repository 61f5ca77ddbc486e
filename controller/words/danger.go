package words

import (
	"fmt"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// FailoverDanger says what a failover does, before a person confirms it.
func FailoverDanger(ask *events.Ask) string {
	what := fmt.Sprintf("failover of %s: its active cluster is given up", ask.Group)
	if ask.AcceptLoss {
		what += "; what has not arrived is LOST, beyond the budget too"
	}
	if ask.Unfenced {
		what += "; WITHOUT A FENCE PROOF: if the old active still runs, two copies accept writes"
	}
	return what
}

// Swap is what a swap does to who uses the database.
const Swap = "clients are disconnected and writes pause for about a second; nothing is lost, and what is missed before the promotion gives it back"

// SwitchoverDanger says what a switchover does, before a person confirms it; g may be nil.
func SwitchoverDanger(ask *events.Ask, g *fleet.GroupView) string {
	from, to := "its active", ask.To
	if g != nil && g.Record != nil {
		from = g.Record.Active.String()
		if others := Passives(g); to == "" && len(others) == 1 {
			to = others[0]
		}
	}
	if to == "" {
		to = "its best candidate"
	}
	return fmt.Sprintf("switchover of %s: %s hands over to %s: %s", ask.Group, from, to, Swap)
}

// FailbackDanger says what a failback does, before a person confirms it; g may be nil.
func FailbackDanger(ask *events.Ask, g *fleet.GroupView) string {
	home, failed := "its home", "if it is failed it is restored first, and "
	if g != nil && g.Record != nil {
		home = g.Config.Primary.String()
		if c := ClusterIn(g, g.Config.Primary); c != nil && c.Role == events.RoleFailed {
			failed = fmt.Sprintf("it is failed and restored first (what only it has is counted and kept) while %s serves on; ", g.Record.Active)
		} else if c != nil {
			failed = fmt.Sprintf("%s hands over to it: ", g.Record.Active)
		}
	}
	return fmt.Sprintf("failback of %s to %s: %sin the swap %s", ask.Group, home, failed, Swap)
}

// Passives lists the passive clusters of a group, region/name each.
func Passives(g *fleet.GroupView) (names []string) {
	for _, c := range g.Clusters {
		if c.Role == events.RolePassive {
			names = append(names, c.Cluster.String())
		}
	}
	return names
}
