package aiven

import (
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// wish is a disaster_recovery_role that somebody wants a service to have.
type wish struct {
	place
	to    events.Role
	peers []place
}

// turn is what becomes of it: what is asked at the door, or the sentence it is refused with, or neither, where it is so already.
type turn struct {
	rule    string
	ask     events.Ask // Verb is empty: nothing is asked
	refused string
}

// roleRow is one row of the role machine. First match wins.
type roleRow struct {
	id   string
	when string // what the row is about, for DESIGN.md
	is   func(*wish) bool
	ask  func(*wish) events.Ask // nil = none
	why  func(*wish) string     // of a refusal; nil = it is none
}

var roleRows = [...]roleRow{
	{"role.no-record", "the group is under nobody's care", func(w *wish) bool { return w.group.Record == nil }, nil, func(w *wish) string {
		return fmt.Sprintf("%s is not under care yet: `switchback why %s` says what it waits for", w.group.Group, w.group.Group)
	}},
	{"role.released", "the group was released", func(w *wish) bool { return w.group.Record.Gone != "" }, nil, func(w *wish) string {
		return fmt.Sprintf("%s was released from care by %s: `switchback apply` of the fleet's file takes it back", w.group.Group, w.group.Record.Gone)
	}},
	{"role.is-so", "the service has the role", func(w *wish) bool { return w.Role == w.to }, nil, nil},
	{"role.on-its-way", "the move under way gives it the role", (*wish).onItsWay, nil, nil},
	{"role.active.failed", "active: it is failed", func(w *wish) bool { return w.to == events.RoleActive && w.Role == events.RoleFailed }, nil, func(w *wish) string {
		return fmt.Sprintf("%s is failed, and nothing that failed is made active as it is: restore it first, by `avn service update %s --disaster-recovery-role passive`, and when it is RUNNING ask again (`switchback failback %s` does both)",
			w.name, w.name, w.group.Group)
	}},
	{"role.active.rebuilding", "active: it is being rebuilt", func(w *wish) bool { return w.to == events.RoleActive && w.State == events.StateRebuilding }, nil, func(w *wish) string {
		return fmt.Sprintf("%s is being rebuilt%s: `avn service wait %s`, and then ask again", w.name, workText(w.Work), w.name)
	}},
	{"role.active.home", "active: it is the primary, and passive", func(w *wish) bool { return w.to == events.RoleActive && w.Home == events.HomePrimary }, func(w *wish) events.Ask {
		return events.Ask{Verb: events.AskFailback, Group: w.group.Group}
	}, nil},
	{"role.active.recovery", "active: it is a recovery, and passive", func(w *wish) bool { return w.to == events.RoleActive }, func(w *wish) events.Ask {
		return events.Ask{Verb: events.AskSwitchover, Group: w.group.Group, To: w.Cluster.String()}
	}, nil},
	{"role.passive.active", "passive: it is the active", func(w *wish) bool { return w.to == events.RolePassive && w.Role == events.RoleActive }, nil, func(w *wish) string {
		return fmt.Sprintf("%s is active, and a group has one active: make another one active instead, without loss by `avn service update %s --disaster-recovery-role active`, or give this one up by --disaster-recovery-role failed",
			w.name, w.other())
	}},
	{"role.passive.failed", "passive: it is failed", func(w *wish) bool { return w.to == events.RolePassive && w.Role == events.RoleFailed }, func(w *wish) events.Ask {
		return events.Ask{Verb: events.AskRestore, Cluster: w.Cluster.String()}
	}, nil},
	{"role.failed.passive", "failed: it is passive", func(w *wish) bool { return w.to == events.RoleFailed && w.Role == events.RolePassive }, nil, func(w *wish) string {
		return fmt.Sprintf("%s is passive: only an active can be given up, and that is %s", w.name, w.active())
	}},
	{"role.failed.active", "failed: it is the active", func(w *wish) bool { return w.to == events.RoleFailed && w.Role == events.RoleActive }, func(w *wish) events.Ask {
		return events.Ask{Verb: events.AskFailover, Group: w.group.Group}
	}, nil},
	{"role.unknown", "the service has no role yet", func(*wish) bool { return true }, nil, func(w *wish) string {
		return fmt.Sprintf("%s has no role in %s yet: `switchback group %s` shows it", w.name, w.group.Group, w.group.Group)
	}},
}

// decide says what becomes of a wish.
func decide(w *wish) turn {
	for i := range roleRows {
		r := &roleRows[i]
		if !r.is(w) {
			continue
		}
		t := turn{rule: r.id}
		if r.ask != nil {
			t.ask = r.ask(w)
			t.ask.Reason = fmt.Sprintf("disaster_recovery_role of %s: %s", w.name, w.to)
		}
		if r.why != nil {
			t.refused = r.why(w)
		}
		return t
	}
	return turn{} // the last row matches whatever comes
}

// onItsWay reports whether the running move of the group ends in what is wished.
func (w *wish) onItsWay() bool {
	r := w.group.Record
	if !r.Running() {
		return false
	}
	switch w.to {
	case events.RoleActive:
		return r.Op.To == w.Cluster
	case events.RoleFailed:
		return r.Op.Verb == events.AskFailover && r.Op.From == w.Cluster
	case events.RolePassive:
		return swaps(r.Op) && r.Op.From == w.Cluster
	}
	return false
}

// other is the passive that a demotion would promote.
func (w *wish) other() string {
	i := slices.IndexFunc(w.peers, func(p place) bool { return p.Role == events.RolePassive })
	if i < 0 {
		return "PEER"
	}
	return w.peers[i].name
}

// active is the service that is active now.
func (w *wish) active() string {
	for _, p := range w.peers {
		if p.Role == events.RoleActive {
			return p.name
		}
	}
	return w.group.Record.Active.String()
}

// workText says how far a restore is.
func workText(w *events.Work) string {
	switch {
	case w == nil:
		return ""
	case w.Total > 0:
		return fmt.Sprintf(" (%s, %d of %d bytes)", w.Phase, w.Done, w.Total)
	}
	return " (" + w.Phase + ")"
}

// unpair says what becomes of a wish to delete an integration: its group is released, unless that would leave it away from home, or in the middle of something.
func unpair(p pair) turn {
	g := p.source.group
	switch id := busy(g); {
	case p.source.Role != events.RoleActive:
		return turn{rule: "delete.away", refused: fmt.Sprintf("%s is active, not %s: bring the group home first, by `switchback failback %s` (or --disaster-recovery-role passive, then active, on %s)",
			g.Record.Active.Cluster, p.source.name, g.Group, p.source.name)}
	case id != "":
		return turn{rule: "delete.busy", refused: fmt.Sprintf("%s is under way: wait for its end (`switchback report %s`), and then ask again", id, id)}
	case len(g.Config.Recovery) > 1:
		return turn{rule: "delete.one-of-several", refused: fmt.Sprintf("%s has %d recovery clusters: take %s out of it in the fleet's file, and `switchback apply` lets go of that one alone",
			g.Group, len(g.Config.Recovery), p.dest.Cluster)}
	}
	return turn{rule: "delete.release", ask: events.Ask{Verb: events.AskRelease, Group: g.Group, Reason: "its disaster_recovery integration is deleted"}}
}

// repair says what becomes of a wish to make an integration that is there. While the recovery is active a failback begins only where the group's file says that this is what is meant.
func repair(p pair) turn {
	g := p.source.group
	if p.source.Role == events.RoleActive || failsBack(g) {
		return turn{rule: "pair.is-there"}
	}
	if !g.Config.FailbackByIntegration {
		return turn{rule: "pair.away", refused: fmt.Sprintf("%s is active, not %s, and making the integration anew does not bring the group home: `switchback failback %s` does (or --disaster-recovery-role passive, then active, on %s). Where the integration is to do it, say `failback: {by_integration: true}` of %s in the fleet's file",
			p.dest.name, p.source.name, g.Group, p.source.name, g.Group)}
	}
	return turn{rule: "pair.failback", ask: events.Ask{Verb: events.AskFailback, Group: g.Group, Reason: "its disaster_recovery integration is made anew"}}
}

// failsBack reports whether a group is on its way home: it swaps, or its home is restored and a swap follows.
func failsBack(g *fleet.GroupView) bool {
	r := g.Record
	if r.Next != nil || r.Running() && r.Op.To == g.Config.Primary {
		return true
	}
	home := r.Member(g.Config.Primary)
	return home != nil && home.Work != nil && home.Work.Then == events.AskFailback
}
