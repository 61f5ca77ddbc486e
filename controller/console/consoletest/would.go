package consoletest

import (
	"fmt"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

// would answers an ask about as the leader would: so that pages show both what can be done and what can't.
func (f *Fleet) would(a *events.Ask) events.AnswerItem {
	item := events.AnswerItem{Group: a.Group, Accepted: true, Rule: a.Verb + ".dry-run", Why: fmt.Sprintf("would %s %s; nothing was done", a.Verb, a.Group)}
	if r, ok := f.Refuse[a.Verb]; ok {
		r.Group = a.Group
		return r
	}
	rule, why := "", ""
	if a.Rollout != "" {
		rule, why = f.notSteered(a)
	} else if a.Group != "" {
		rule, why = f.notMoved(a)
	}
	if rule != "" {
		return events.AnswerItem{Group: a.Group, Rule: rule, Why: why}
	}
	return item
}

func (f *Fleet) notMoved(a *events.Ask) (rule, why string) {
	g, err := f.group(a.Group)
	if err != nil {
		return "refuse.ask", err.Error()
	}
	r := g.Record
	switch {
	case r == nil:
		return "refuse.not-born", fmt.Sprintf("%s is not under care yet: `switchback why %s` says what it waits for", a.Group, a.Group)
	case r.Gone != "":
		return "refuse.gone", fmt.Sprintf("%s was released from care: `switchback apply` takes it under care again", a.Group)
	}
	home := words.ClusterIn(g, g.Config.Primary)
	fit := len(words.Passives(g)) > 0 && g.Protected
	switch a.Verb {
	case events.AskArm, events.AskDisarm:
		return "", ""
	case events.AskApprove:
		return "refuse.approve", a.Group + " waits for no approval"
	case events.AskAcknowledge:
		return "refuse.acknowledge", a.Group + " is in no cool-down: automation has not moved it, or it has been stable since"
	case events.AskAbort:
		if r.Running() || home.Op != "" {
			return "", ""
		}
		return "refuse.nothing-to-abort", a.Group + " has no operation that can be aborted: from the recorded promotion on, only a new failover moves it"
	}
	switch {
	case r.Running():
		return "refuse.running", fmt.Sprintf("%s is under way (%s): wait for it, or `switchback abort %s`", r.Op.ID, r.Phase, a.Group)
	case g.Config.Mode == events.ModeObserve:
		return "refuse.observe", a.Group + " is only observed: nothing of it is fenced or moved until its mode is manual or auto"
	case a.Verb == events.AskRestore && (home.Role != events.RoleFailed || home.Silent > 0):
		return "refuse.restore", "no failed cluster of " + a.Group + " can be restored now: " + home.Cluster.Region + " has to report in first"
	case a.Verb == events.AskFailback && r.Active == g.Config.Primary:
		return "refuse.at-home", fmt.Sprintf("%s is at home already: %s is active", a.Group, r.Active)
	case a.Verb == events.AskFailback && home.Role == events.RoleFailed && home.Silent > 0:
		return "refuse.failback", home.Cluster.String() + " has not reported in: nothing can be restored there"
	case (a.Verb == events.AskSwitchover || a.Verb == events.AskDrill) && !fit:
		return "refuse.swap", "nothing was begun: no passive of " + a.Group + " follows"
	case a.Verb == events.AskFailover && len(words.Passives(g)) == 0:
		return "refuse.no-candidate", fmt.Sprintf("nothing to promote: %s failed: it is restored first", home.Cluster)
	}
	return "", ""
}

func (f *Fleet) notSteered(a *events.Ask) (rule, why string) {
	state, rule := events.RolloutState(""), "ask."+a.Verb
	for _, r := range f.Rollouts {
		if r.Rollout.ID == a.Rollout {
			state = r.Rollout.State
		}
	}
	already := map[string]events.RolloutState{events.AskPause: events.RolloutPaused, events.AskResume: events.RolloutRunning}
	switch {
	case state.Over() && a.Verb != events.AskRetry:
		return rule, fmt.Sprintf("rollout %s is %s already", a.Rollout, state)
	case already[a.Verb] == state:
		return rule, fmt.Sprintf("rollout %s is %s already", a.Rollout, state)
	case a.Verb == events.AskRetry && a.Group != "" && a.Group != "gateway":
		return rule, fmt.Sprintf("no move of %s failed: nothing to take up again", a.Group)
	}
	return "", ""
}
