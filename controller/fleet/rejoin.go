package fleet

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// An agent that meets a start on its lanes which its ledger never wrote can't tell a cloned host from a ledger that was lost: it takes no lease until a person
// decides (2a, several groups). The decision has two halves that only a person can make: that no other host runs as this agent, which is asked for here, and which
// host goes on, which is said by restarting its agent. What is done here only takes rights away, so it is safe whoever is wrong.

// askRejoin begins to revoke every lane of an agent.
func (f *Fleet) askRejoin(now Now, in AskSeen, ans *events.Answer, eff *Effects) {
	ref, err := events.ParseRef(in.Agent)
	if err != nil {
		ans.Why = err.Error()
		return
	}
	who := events.AgentRef{Region: ref.Region, Agent: ref.Cluster}
	a := f.agents.get(who)
	if a == nil {
		var names []string
		for _, k := range f.agents.keys {
			names = append(names, k.String())
		}
		ans.Why = fmt.Sprintf("no agent is called %q%s", in.Agent, near(in.Agent, names))
		return
	}
	if ans.Why = f.uncontested(now.Boot, a); ans.Why != "" {
		return
	}
	ans.Accepted = true
	ans.Why = fmt.Sprintf("the lanes of %s are taken away from whoever holds them; once an event says that they are free, restart the agent on the host that is to go on", who)
	if in.DryRun {
		return
	}
	a.rejoin = true
	f.begin(now.Boot, a)
	eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticeDecision, Agent: who.Agent, Region: who.Region, By: in.Actor, Rule: "ask.rejoin",
		Why: fmt.Sprintf("the lanes of %s are taken away, says %s: %s", who, in.Actor, in.Reason)})
}

// uncontested says why an agent needs no rejoin; "" if it may: it said lately that somebody else is on its lanes, or its lanes are silent. The lanes of one that is
// well are its actives' right to run: they are not taken by mistake.
func (f *Fleet) uncontested(now events.Instant, a *agent) string {
	if a.foreign != "" && now.Sub(a.metAt) < f.horizon()+f.d.Wait {
		return ""
	}
	if f.silent(now, a) == 0 {
		return fmt.Sprintf("%s beats, and has met nobody else on its lanes: there is nothing to rejoin", a.ref)
	}
	return ""
}

// freed ends a rejoin once every lane is revoked: a single one that still shows the other start would stop the next one again.
func (f *Fleet) freed(a *agent, eff *Effects) {
	if !a.rejoin {
		return
	}
	for n := range a.lanes {
		if !a.attempt.lanes[n].ok && f.lanes.Lanes[n].Generation != 0 {
			return
		}
	}
	a.rejoin, a.foreign = false, ""
	eff.Tell = append(eff.Tell, events.Notice{Type: events.NoticeAlarm, Agent: a.ref.Agent, Region: a.ref.Region, Rule: "rejoin.free",
		Why: fmt.Sprintf("the lanes of %s are free: restart its agent on the host that is to go on, and nowhere else", a.ref)})
}
