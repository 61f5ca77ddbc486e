package fleet

import (
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// Would says what asks about one group would be answered now, by the very table that answers them. Nothing is asked, stored or told: surfaces dim what would be refused,
// and say why. A group that is not known is answered nothing.
func (f *Fleet) Would(now Now, name string, asks []events.Ask) []events.AnswerItem {
	var items []events.AnswerItem
	g := f.groups.get(name)
	if g == nil || g.config.Group == "" {
		return items
	}
	held := g.ask
	for i := range asks {
		g.ask = &AskSeen{Ask: asks[i]}
		o := decide.Step(f.facts(now, g))
		item := events.AnswerItem{Group: name, Rule: o.Rule, Why: o.Why}
		if len(o.Answers) > 0 {
			item = o.Answers[0]
		}
		items = append(items, item)
	}
	g.ask = held
	return items
}
