package fleet

import (
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/events"
)

// Would says what asks would be answered now, each about one group or about steering a rollout, by the very tables that answer them. Nothing is asked, stored or told:
// surfaces dim what would be refused, and say why. A group that is not known is answered by an item without a rule.
func (f *Fleet) Would(now Now, asks []events.Ask) []events.AnswerItem {
	items := make([]events.AnswerItem, 0, len(asks))
	for i := range asks {
		if asks[i].Rollout != "" {
			items = append(items, f.wouldSteer(&asks[i]))
		} else {
			items = append(items, f.wouldMove(now, asks[i]))
		}
	}
	return items
}

func (f *Fleet) wouldSteer(a *events.Ask) events.AnswerItem {
	s, why := f.rolloutNamed(a.Rollout)
	if why == "" {
		why = rollout.Refuses(s, a.Verb, a.Group)
	}
	return events.AnswerItem{Group: a.Group, Accepted: why == "", Rule: "ask." + a.Verb, Why: why}
}

func (f *Fleet) wouldMove(now Now, a events.Ask) events.AnswerItem {
	item := events.AnswerItem{Group: a.Group}
	g := f.groups.get(a.Group)
	if g == nil || g.config.Group == "" {
		return item
	}
	held := g.ask
	g.ask = &AskSeen{Ask: a}
	o := decide.Step(f.facts(now, g))
	g.ask = held
	if len(o.Answers) > 0 {
		return o.Answers[0]
	}
	item.Rule, item.Why = o.Rule, o.Why
	return item
}
