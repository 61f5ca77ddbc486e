package decide

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// say fills a sentence in.
func (f *Facts) say(s string, o *Outcome) string {
	if !strings.Contains(s, "{") {
		return s
	}
	if f.Ask != nil && f.Ask.Reason == "" {
		s = strings.ReplaceAll(s, ": {reason}", "")
	}
	r := o.Record
	if r == nil {
		r = f.Record
	}
	return gate.FillBy(s, func(name string) (string, bool) {
		word, known := f.word(name)
		if !known && f.Ask != nil {
			word, known = wordOfAsk(f.Ask, name)
		}
		if !known && r != nil {
			word, known = f.wordOfRecord(r, name)
		}
		return word, known
	})
}

// word is what stands for a name in a row's sentence; false = it is no name of these.
func (f *Facts) word(name string) (string, bool) {
	switch name {
	case "group":
		return f.Config.Group, true
	case "region":
		return f.Region.Why, true
	case "permit":
		return f.Permit.Why, true
	case "turn":
		return f.Turn, true
	}
	return "", false
}

func wordOfAsk(a *events.Ask, name string) (string, bool) {
	switch name {
	case "actor":
		return a.Actor, true
	case "verb":
		return a.Verb, true
	case "reason":
		return a.Reason, true
	case "to":
		return a.To, true
	case "cluster":
		return a.Cluster, true
	}
	return "", false
}

func (f *Facts) wordOfRecord(r *events.Record, name string) (string, bool) {
	switch name {
	case "active":
		return r.Active.String(), true
	case "target":
		return r.Target.String(), true
	case "epoch":
		return fmt.Sprint(r.Epoch), true
	case "phase":
		return string(r.Phase), true
	case "agent":
		return f.member(r.Active).Agent.String(), true
	case "silent":
		return round(f.member(r.Active).Silent), true
	case "down":
		return round(f.member(r.Active).Health.Down), true
	case "server":
		return string(f.member(r.Active).Health.Server), true
	}
	if r.Op == nil {
		return "", false
	}
	switch name {
	case "op":
		return r.Op.ID, true
	case "from":
		return r.Op.From.String(), true
	case "by":
		return r.Op.By, true
	case "proof":
		return ProofText(r.Op.Proof), true
	}
	return "", false
}
